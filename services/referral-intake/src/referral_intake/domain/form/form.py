"""The universal referral form, for adults and for children and youth: every element of the standard that may be said.

One body serves both forms; `form` says which was filled in. Only who is referred and to which plan is required; of
the rest nothing is demanded, and whatever a plan collects beyond the standard says what for and holds no clock
(loop.md 2.1, 2.15).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from loopkeeper.contract.blanks import BlankIsMissing, without_blank, without_empty
from loopkeeper.contract.field_types import (
    AnyCounty,
    AnyLanguage,
    BirthDay,
    NotAYes,
    ReleaseDay,
    ServiceDay,
    TermDay,
    YesNo,
)
from loopkeeper.contract.vocabulary.people import ConsentHolder
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.contract.vocabulary.programs import Program
from loopkeeper.contract.vocabulary.providers import ProviderType
from loopkeeper.contract.vocabulary.referring import ContactMethod, ReceivedVia, Relationship, Urgency
from referral_intake.domain.form.answer_codes import AnswersByCode, Value

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
# Who waits for a place in a program is not enrolled in it (ECMG26 p66).
Enrolment = Literal["yes", "no", "unknown", "wait_listed"]
Choice = Literal["ecm", "program"]
Long = Annotated[str, Field(max_length=2000)]
REFERRAL_ID = r"^ref_[0-9a-f]{32}$"


class Said(BlankIsMissing):
    """A part of the form. Texts are bounded and trimmed; a blank is a missing field."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=200)


class Address(Said):
    street: str = ""
    city: str = ""
    state: str = Field(default="CA", max_length=2)
    zip: str = Field(default="", max_length=10)


class Caregiver(Said):
    verbatim = frozenset({"name"})

    name: str = ""
    relationship: str = ""
    phone: str = ""


class SafeContact(Said):
    """How this member may be reached without danger; beats every default (loop.md 6.2)."""

    do_not_contact: YesNo = False
    designated_address: str = ""
    channels: tuple[ContactMethod, ...] = Field((), max_length=6)
    hours: str = ""
    words_to_avoid: Long = ""


class Member(Said):
    """The person. Send what is known, and enough to find the person."""

    verbatim = frozenset({"first_name", "middle_name", "last_name", "suffix", "preferred_name", "medicare"})

    first_name: str = ""
    middle_name: str = ""
    last_name: str = ""
    suffix: str = Field(default="", max_length=20)
    # What the member is called by, where it is another name than the first.
    preferred_name: str = ""
    cin: str = Field(default="", max_length=24)
    plan_member_id: str = Field(default="", max_length=40)
    birth_date: BirthDay | None = None
    approximate_age: Annotated[int, Field(ge=0, le=120), NotAYes] | None = None
    address: Address | None = None
    county: AnyCounty | None = None
    no_fixed_address: YesNo = False
    homeless: YesNo | None = None
    usual_place: Long = ""
    phone: str = Field(default="", max_length=40)
    email: str = ""
    best_contact: ContactMethod | None = None
    best_time: str = ""
    language_spoken: AnyLanguage | None = None
    language_written: AnyLanguage | None = None
    caregiver: Caregiver | None = None
    consent_holder: ConsentHolder | None = None
    medicare: Enrolment | None = None
    # By code or in the member's own words; words nobody knows here leave the matter to a person.
    race_ethnicity: tuple[str, ...] = Field((), max_length=12)
    gender: str = ""
    safe_contact: SafeContact | None = None

    @property
    def named(self) -> bool:
        return bool(self.first_name or self.last_name)


class Referrer(Said):
    """Who fills in the form, for the organization whose key sends it."""

    verbatim = frozenset({"organization", "name"})

    organization: str = ""
    name: str = ""
    title: str = ""
    npi: str = Field(default="", max_length=10)
    phone: str = Field(default="", max_length=40)
    email: str = ""
    fax: str = Field(default="", max_length=40)
    relationship: Relationship | None = None
    can_find_member: YesNo | None = None
    contracted_ecm_provider: YesNo | None = None
    # A hospital, clinic or facility with the member in it now: the last day it expects so. Where the member is in ECM
    # already it then hears who the lead care manager is, who hears the day (loop.md 2.11).
    treating_until: ReleaseDay | None = None
    wants_to_serve: YesNo = False


class Wish(Said):
    """A provider somebody recommends or the member prefers; the relationship need not be proved."""

    provider: Slug | None = None
    note: Long = ""


class Preference(Wish):
    """The member's own wish: a provider, or what a provider or lead care manager should be like."""

    language: AnyLanguage | None = None
    gender: str = ""
    culture: str = ""
    location: str = ""


class PresumptiveClaim(Said):
    """Service has begun or is about to: under which population, and the date of the first ECM service. `also` names
    further populations of the same claim: each is judged by itself, and all that hold are one grant."""

    population: Population
    also: tuple[Population, ...] = Field((), max_length=8)
    provider_type: ProviderType | None = None
    from_: ServiceDay = Field(alias="from")

    model_config = ConfigDict(populate_by_name=True)


class Attestation(Said):
    """Replaces supporting documents, which may not be asked for (ECMG26 p99)."""

    verbatim = frozenset({"name"})

    attested: YesNo = False
    name: str = ""
    on: ServiceDay | None = None


class PlanChange(Said):
    """That ECM was received under another plan, and from whom that is known. Each way has a condition of its own: the
    member wishes to go on, the old provider recommends it, the old plan says nothing of an end. Unsaid, it is so."""

    how: Literal["old_plan", "data_feed", "member", "provider", "other"]
    graduated_or_stopped: bool | None = None
    member_wishes: bool | None = None
    provider_recommends: bool | None = None
    # A day of ECM service under the old plan, and the last day of that enrolment, where they are known.
    last_service_on: ServiceDay | None = None
    enrolled_through: TermDay | None = None

    @property
    def stated(self) -> tuple[str, ...]:
        """What is said that may be against it, as the policy table `plan_change` names it."""
        said = {
            "graduated_or_stopped": self.graduated_or_stopped is True,
            "not_wished": self.member_wishes is False,
            "not_recommended": self.provider_recommends is False,
        }
        return tuple(name for name, so in said.items() if so)


PlanChangeWay = Literal["old_plan", "data_feed", "member", "provider", "other"]


def _by_its_way(said: object) -> object:
    """The way alone, where nothing else is said of it."""
    return {"how": said} if isinstance(said, str) and said.strip() else said


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
    referral_date: ServiceDay | None = None
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
    program_providers: Annotated[Mapping[Program, Slug], BeforeValidator(without_blank)] = Field(
        default_factory=dict[Program, Slug]
    )
    # An earlier referral of yours of a parent or a sibling: a family is offered to one provider, where it can be.
    family_of: str | None = Field(default=None, pattern=REFERRAL_ID)
    populations: tuple[Population, ...] = Field((), max_length=9)
    answers: AnswersByCode = Field(default_factory=dict[str, Value])
    # The day of release from a correctional facility, past or to come.
    release_on: ReleaseDay | None = None
    presumptive: PresumptiveClaim | None = None
    programs: Annotated[Mapping[Program, Enrolment], BeforeValidator(without_empty)] = Field(
        default_factory=dict[Program, Enrolment]
    )
    # A box alone counts for nothing: of a program that excludes ECM whether it is confirmed, of one that the member may
    # choose instead what the member, told of both, chose (domain.md 1.5).
    confirmed_programs: Annotated[Mapping[Program, YesNo], BeforeValidator(without_blank)] = Field(
        default_factory=dict[Program, bool]
    )
    member_choices: Annotated[Mapping[Program, Choice], BeforeValidator(without_blank)] = Field(
        default_factory=dict[Program, Choice]
    )
    # That ECM was received in the last 90 days of another plan: how that is known, alone or with its details
    # (loop.md 4.9).
    plan_change: Annotated[
        PlanChange | None,
        BeforeValidator(_by_its_way, json_schema_input_type=PlanChangeWay | PlanChange | None),
    ] = None
    attestation: Attestation = Attestation()
    member_agrees: YesNo | None = None
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
