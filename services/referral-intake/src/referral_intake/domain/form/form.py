"""The universal referral form, for adults and for children and youth: every element of the standard that may be said.

One body serves both forms; `form` says which was filled in. Only who is referred and to which plan is required; of
the rest nothing is demanded, and whatever a plan collects beyond the standard says what for and holds no clock
(loop.md 2.1, 2.15).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from loopkeeper.contract.field_types import Day
from loopkeeper.contract.vocabulary.languages import Language
from loopkeeper.contract.vocabulary.people import ConsentHolder
from loopkeeper.contract.vocabulary.places import County
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.contract.vocabulary.programs import Program
from loopkeeper.contract.vocabulary.providers import ProviderType
from loopkeeper.contract.vocabulary.referring import ContactMethod, ReceivedVia, Relationship, Urgency
from referral_intake.domain.form.criteria_fields import ANSWERS

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
YesNoUnknown = Literal["yes", "no", "unknown"]
Choice = Literal["ecm", "program"]
Long = Annotated[str, Field(max_length=2000)]
# More visits or stays than half a year has days are a slip of the keyboard.
MOST_COUNTED = 200


def _known_answers(given: Mapping[str, bool | int | None]) -> Mapping[str, bool | int | None]:
    for name, value in given.items():
        asked = ANSWERS.get(name)
        if asked is None:
            raise PydanticCustomError(
                "unknown_answer", "Send only answers the form asks for; /docs lists them."
            )
        if value is None:
            continue
        if asked.type == "yes_no" and not isinstance(value, bool):
            raise PydanticCustomError("not_yes_or_no", "Answer this question with true or false.")
        if asked.type == "count" and (isinstance(value, bool) or not 0 <= value <= MOST_COUNTED):
            raise PydanticCustomError(
                "not_a_count", "Answer this question with a whole number from 0 to 200."
            )
    return given


REFERRAL_ID = r"^ref_[0-9a-f]{32}$"


class Said(BaseModel):
    """A part of the form. Texts are bounded and trimmed."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=200)


class Address(Said):
    street: str = ""
    city: str = ""
    state: str = Field(default="CA", max_length=2)
    zip: str = Field(default="", max_length=10)


class Caregiver(Said):
    name: str = ""
    relationship: str = ""
    phone: str = ""


class SafeContact(Said):
    """How this member may be reached without danger; beats every default (loop.md 6.2)."""

    do_not_contact: bool = False
    designated_address: str = ""
    channels: tuple[ContactMethod, ...] = Field((), max_length=6)
    hours: str = ""
    words_to_avoid: Long = ""


class Member(Said):
    """The person. Only as much as is known; at least enough to find them."""

    first_name: str = ""
    last_name: str = ""
    cin: str = Field(default="", max_length=24)
    plan_member_id: str = Field(default="", max_length=40)
    birth_date: Day | None = None
    approximate_age: int | None = Field(None, ge=0, le=120)
    address: Address | None = None
    county: County | None = None
    no_fixed_address: bool = False
    homeless: bool | None = None
    usual_place: Long = ""
    phone: str = Field(default="", max_length=40)
    email: str = ""
    best_contact: ContactMethod | None = None
    best_time: str = ""
    language_spoken: Language | None = None
    language_written: Language | None = None
    caregiver: Caregiver | None = None
    consent_holder: ConsentHolder | None = None
    medicare: YesNoUnknown | None = None
    # By code or in the member's own words; words nobody knows here leave the matter to a person.
    race_ethnicity: tuple[str, ...] = Field((), max_length=12)
    gender: str = ""
    safe_contact: SafeContact | None = None

    @property
    def named(self) -> bool:
        return bool(self.first_name or self.last_name)


class Referrer(Said):
    """Who fills in the form, for the organization whose key sends it."""

    organization: str = ""
    name: str = ""
    title: str = ""
    npi: str = Field(default="", max_length=10)
    phone: str = Field(default="", max_length=40)
    email: str = ""
    fax: str = Field(default="", max_length=40)
    relationship: Relationship | None = None
    can_find_member: bool | None = None
    contracted_ecm_provider: bool | None = None
    # A hospital, clinic or facility with the member in it now: the last day it expects so. Where the member is in ECM
    # already it then hears who the lead care manager is, who hears the day (loop.md 2.11).
    treating_until: Day | None = None
    wants_to_serve: bool = False


class Wish(Said):
    """A provider somebody recommends or the member prefers; the relationship need not be proved."""

    provider: Slug | None = None
    note: Long = ""


class Preference(Wish):
    """The member's own wish: a provider, or what a provider or lead care manager should be like."""

    language: Language | None = None
    gender: str = ""
    culture: str = ""
    location: str = ""


class PresumptiveClaim(Said):
    """Service has begun or is about to: under which population, and the date of the first ECM service."""

    population: Population
    provider_type: ProviderType | None = None
    from_: Day = Field(alias="from")

    model_config = ConfigDict(populate_by_name=True)


class Attestation(Said):
    """Stands for supporting documents, which may not be asked for (ECMG26 p99)."""

    attested: bool = False
    name: str = ""
    on: Day | None = None


class Extra(Said):
    """Something a plan likes to know beyond the standard: it says what for, is never asked for and holds no clock."""

    name: str = Field(min_length=1, max_length=60)
    value: Long = ""
    purpose: str = Field(min_length=1)


class ReferralBody(Said):
    """A referral under the universal standard."""

    plan: Slug
    # A presumptive start comes before its form: attestation, population relied on, date of first service (loop.md 3.1).
    kind: Literal["full", "presumptive_start"] = "full"
    form: Literal["adult", "child_youth"] = "adult"
    form_version: str = Field(default="", max_length=40)
    referral_date: Day | None = None
    urgency: Urgency = Urgency.ROUTINE
    received_via: ReceivedVia = ReceivedVia.API
    entered_by: str = Field(default="", max_length=80)
    member: Member
    referrer: Referrer = Referrer()
    recommended: Wish | None = None
    preference: Preference | None = None
    pcp: Slug | None = None
    # Who runs a care management program the member is in, by program; of several, the member's choice is in
    # `preference`.
    program_providers: Mapping[Program, Slug] = Field(default_factory=dict[Program, Slug])
    # An earlier referral of yours of a parent or a sibling: a family is offered to one provider, where it can be.
    family_of: str | None = Field(default=None, pattern=REFERRAL_ID)
    populations: tuple[Population, ...] = Field((), max_length=9)
    answers: Annotated[Mapping[str, bool | int | None], AfterValidator(_known_answers)] = Field(
        default_factory=dict[str, "bool | int | None"], max_length=60
    )
    # The day of release from a correctional facility, past or to come.
    release_on: Day | None = None
    presumptive: PresumptiveClaim | None = None
    programs: Mapping[Program, YesNoUnknown] = Field(default_factory=dict[Program, YesNoUnknown])
    # A box alone counts for nothing: of a program that excludes ECM whether it is confirmed, of one that the member may
    # choose instead what the member, told of both, chose (domain.md 1.5).
    confirmed_programs: Mapping[Program, bool] = Field(default_factory=dict[Program, bool])
    member_choices: Mapping[Program, Choice] = Field(default_factory=dict[Program, Choice])
    # Whether ECM was received in the last 90 days of another plan, and from whom that is known (loop.md 4.9).
    plan_change: Literal["old_plan", "data_feed", "member", "provider", "other"] | None = None
    attestation: Attestation = Attestation()
    member_agrees: bool | None = None
    comments: Long = ""
    safety_notes: Long = ""
    # Documents that exist, by name: none is required or asked for.
    attachments: tuple[str, ...] = Field((), max_length=20)
    extra: tuple[Extra, ...] = Field((), max_length=20)

    @model_validator(mode="after")
    def _start_says_how(self) -> ReferralBody:
        if self.kind == "presumptive_start" and self.presumptive is None:
            raise PydanticCustomError(
                "presumptive_missing",
                "A presumptive start names its population and the date of first service.",
            )
        return self
