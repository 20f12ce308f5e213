"""The universal referral form for adults: what may be said, who is identified by it, and what is still asked.

Only a person nobody could find is refused. Everything else that is missing or doubtful becomes a question with a
pointer into the form; nothing waits for an answer unless the question says so (loop.md 2.1, 2.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from loopkeeper.decider import Refused
from loopkeeper.events import Question
from loopkeeper.vocabulary.identifiers import cin, cin_valid, npi_valid
from loopkeeper.vocabulary.languages import Language
from loopkeeper.vocabulary.places import County
from loopkeeper.vocabulary.populations import AgeBand, Population, age_band, age_on
from loopkeeper.vocabulary.programs import Program
from loopkeeper.vocabulary.referring import ContactMethod, ReceivedVia, Relationship, Urgency
from referral_intake.screening import ANSWERS, Screening

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
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
    birth_date: date | None = None
    approximate_age: int | None = Field(None, ge=0, le=120)
    address: Address | None = None
    county: County | None = None
    no_fixed_address: bool = False
    usual_place: Long = ""
    phone: str = Field(default="", max_length=40)
    email: str = ""
    best_contact: ContactMethod | None = None
    best_time: str = ""
    language_spoken: Language | None = None
    language_written: Language | None = None
    caregiver: Caregiver | None = None
    medicare: Literal["yes", "no", "unknown"] | None = None
    race_ethnicity: tuple[str, ...] = Field((), max_length=12)
    gender: str = ""
    safe_contact: SafeContact | None = None

    @property
    def named(self) -> bool:
        return bool(self.first_name or self.last_name)


class Referrer(Said):
    """Who fills in the form, for the organization whose key sends it."""

    name: str = ""
    title: str = ""
    npi: str = Field(default="", max_length=10)
    phone: str = Field(default="", max_length=40)
    email: str = ""
    fax: str = Field(default="", max_length=40)
    relationship: Relationship | None = None
    can_find_member: bool | None = None
    wants_to_serve: bool = False


class Wish(Said):
    """A provider somebody recommends or the member prefers; the relationship need not be proved."""

    provider: Slug | None = None
    note: Long = ""


class PresumptiveClaim(Said):
    """Service has begun or is about to: under which population, and the date of the first ECM service."""

    population: Population
    from_: date = Field(alias="from")

    model_config = ConfigDict(populate_by_name=True)


class Attestation(Said):
    """Stands for supporting documents, which may not be asked for (ECMG26 p99)."""

    attested: bool = False
    name: str = ""
    on: date | None = None


class ReferralBody(Said):
    """A referral under the universal standard."""

    plan: Slug
    form: Literal["adult"] = "adult"
    referral_date: date | None = None
    urgency: Urgency = Urgency.ROUTINE
    received_via: ReceivedVia = ReceivedVia.API
    entered_by: str = Field(default="", max_length=80)
    member: Member
    referrer: Referrer = Referrer()
    recommended: Wish | None = None
    preference: Wish | None = None
    pcp: Slug | None = None
    populations: tuple[Population, ...] = Field((), max_length=9)
    answers: Annotated[Mapping[str, bool | int | None], AfterValidator(_known_answers)] = Field(
        default_factory=dict, max_length=60
    )
    presumptive: PresumptiveClaim | None = None
    programs: Mapping[Program, Literal["yes", "no", "unknown"]] = Field(default_factory=dict)
    attestation: Attestation = Attestation()
    member_agrees: bool | None = None
    comments: Long = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """The form as understood on a day: checked numbers, age, what is open to events and what is to be sealed."""

    cin: str
    age: int | None
    birth_date: date | None
    flags: tuple[str, ...]
    preferred: tuple[str, ...]

    @property
    def band(self) -> AgeBand:
        return age_band(self.age)


def understand(form: ReferralBody, *, referrer: str, on: date, synthetic: bool) -> Reading:
    """Read the form. Raises `Refused` `not-identifiable` (422) where nobody could find the person."""
    member = form.member
    number = cin(member.cin) if cin_valid(member.cin, synthetic=synthetic) else ""
    born = member.birth_date if member.birth_date and _plausible(member.birth_date, on) else None
    by_place = member.approximate_age is not None and member.usual_place and form.referrer.can_find_member
    if not number and not (member.named and (born or by_place)):
        raise Refused(
            "not-identifiable",
            "Nobody could find this person by what the form says.",
            fix="Send a valid CIN; or a name and birth date; or a name, approximate age and usual place, with "
            "referrer.can_find_member true.",
            status=422,
        )
    age = age_on(born, on) if born else member.approximate_age
    return Reading(number, age, born, tuple(_flags(form)), tuple(_preferred(form, referrer)))


def _plausible(born: date, on: date) -> bool:
    return (on - born).days >= 0 and age_on(born, on) <= 120


def _flags(form: ReferralBody) -> Iterator[str]:
    """What services may know without opening anything: codes, never words of the form."""
    member = form.member
    if member.no_fixed_address:
        yield "no_fixed_address"
    if member.safe_contact is not None:
        yield "do_not_contact" if member.safe_contact.do_not_contact else "safe_contact"
    if member.language_spoken not in (None, Language.ENGLISH):
        yield "interpreter"
    for program, answer in form.programs.items():
        if answer == "yes":
            yield f"program_{program.value}"


def _preferred(form: ReferralBody, referrer: str) -> Iterator[str]:
    """Providers by who wishes for them: the member first, then who recommends, then who offers to serve."""
    wishes = [wish.provider for wish in (form.preference, form.recommended) if wish and wish.provider]
    if form.referrer.wants_to_serve or form.presumptive is not None:
        wishes.append(referrer)
    yield from dict.fromkeys(wishes)


def sealed_parts(form: ReferralBody, reading: Reading) -> Mapping[str, Mapping[str, Any]]:
    """What is sealed, in three parts: who the person is, how they are reached, and the form as it came."""
    member = form.member.model_dump(mode="json")
    identity = ("first_name", "last_name", "plan_member_id", "approximate_age")
    contact = (
        "address", "county", "no_fixed_address", "usual_place", "phone", "email", "best_contact", "best_time",
        "language_spoken", "language_written", "caregiver", "safe_contact",
    )  # fmt: skip
    born = reading.birth_date.isoformat() if reading.birth_date else None
    return {
        "identity": {"cin": reading.cin, "birth_date": born, **{name: member[name] for name in identity}},
        "contact": {name: member[name] for name in contact},
        "form": form.model_dump(mode="json", by_alias=True),
    }


# What each question asks. A person who answers one sends the field its pointer names.
QUESTIONS: Mapping[str, str] = {
    "cin": "What is the member's Medi-Cal number (CIN)?",
    "birth-date": "What is the member's date of birth?",
    "name": "What is the member's name?",
    "age-group": "The member seems to be under 21. Should this be a child or youth referral?",
    "language": "Which language does the member speak?",
    "county": "In which county does the member live or stay?",
    "way-to-reach": "How can the member be reached: a phone, an e-mail, an address or a usual place?",
    "referrer-contact": "How can we reach you electronically: an e-mail, phone or fax?",
    "relationship": "What are you to the member?",
    "npi": "The NPI does not check out. What is it?",
    "referral-date": "The date of the referral is in the future. When was it made?",
    "populations": "Which Population of Focus does the member belong to?",
    "presumptive-population": "The population relied on is not among those marked. Is it meant?",
    "attestation": "Do you attest that this is true to the best of your knowledge?",
    "programs": "Is the member in another care management program?",
    "race-ethnicity": "How does the member describe their race and ethnicity, if they wish to?",
}


def questions(
    form: ReferralBody, reading: Reading, screening: Screening, *, on: date
) -> tuple[Question, ...]:
    """What is missing or doubtful, with a pointer each. Only the question which population is meant blocks, when
    none is marked and none can be seen: without one nobody could decide."""
    asked = [Question(id=name, pointer=pointer) for name, pointer in _asked(form, reading, on)]
    asked += [Question(id=f"answer-{name}", pointer=f"/answers/{name}") for name in screening.missing]
    if not any(each.claimed or each.result == "met" for each in screening.populations):
        asked.append(Question(id="populations", pointer="/populations", blocking=True))
    return tuple(asked)


def sentence(question: str) -> str:
    """The question in words, by its id."""
    answer = ANSWERS.get(question.removeprefix("answer-"))
    return answer.asks if answer is not None else QUESTIONS.get(question, "")


def _asked(form: ReferralBody, reading: Reading, on: date) -> Iterator[tuple[str, str]]:
    member, referrer = form.member, form.referrer
    if not reading.cin:
        yield "cin", "/member/cin"
    if reading.birth_date is None:
        yield "birth-date", "/member/birth_date"
    if not member.named:
        yield "name", "/member/last_name"
    if reading.band is AgeBand.CHILD_YOUTH:
        yield "age-group", "/form"
    if member.language_spoken is None:
        yield "language", "/member/language_spoken"
    if member.county is None:
        yield "county", "/member/county"
    if not _reachable(member):
        yield "way-to-reach", "/member/phone"
    if not (referrer.email or referrer.phone or referrer.fax):
        yield "referrer-contact", "/referrer/email"
    if referrer.relationship is None:
        yield "relationship", "/referrer/relationship"
    yield from _doubts(form, on)
    if not form.attestation.attested:
        yield "attestation", "/attestation/attested"
    if not form.programs:
        yield "programs", "/programs"
    if not member.race_ethnicity:
        yield "race-ethnicity", "/member/race_ethnicity"


def _doubts(form: ReferralBody, on: date) -> Iterator[tuple[str, str]]:
    if form.referrer.npi and not npi_valid(form.referrer.npi):
        yield "npi", "/referrer/npi"
    if form.referral_date is not None and form.referral_date > on:
        yield "referral-date", "/referral_date"
    if form.presumptive is not None and form.presumptive.population not in form.populations:
        yield "presumptive-population", "/presumptive/population"


def _reachable(member: Member) -> bool:
    at_home = member.address is not None and member.address.street
    through = member.caregiver is not None and member.caregiver.phone
    return bool(member.phone or member.email or at_home or member.usual_place or through)


def example_adult() -> dict[str, Any]:
    """A valid body: David, who lives in a tent, referred by the street medicine team that serves him."""
    return {
        "plan": "harbor-health-plan",
        "form": "adult",
        "urgency": "routine",
        "received_via": "api",
        "member": {
            "first_name": "David",
            "last_name": "Okafor",
            "cin": "90000001S",
            "birth_date": "1964-05-17",
            "county": "alameda",
            "no_fixed_address": True,
            "usual_place": "A green tent behind the gas station at 5th and Alder",
            "phone": "555-0142",
            "language_spoken": "en",
            "race_ethnicity": ["Black or African American"],
        },
        "referrer": {
            "name": "Rosa Delgado",
            "title": "Nurse practitioner",
            "email": "rosa@harborstreet.example",
            "relationship": "medical_provider",
            "can_find_member": True,
            "wants_to_serve": True,
        },
        "populations": ["homelessness"],
        "answers": {
            "place_not_for_sleeping": True,
            "complex_need": True,
            "cannot_self_manage": True,
            "coordination_would_help": True,
            "avoidable_ed_visits_6m": 2,
            "avoidable_stays_6m": 0,
        },
        "programs": {"hospice": "no", "pace": "no"},
        "attestation": {"attested": True, "name": "Rosa Delgado"},
        "member_agrees": True,
        "comments": "A leg wound that needs dressing every other day.",
    }
