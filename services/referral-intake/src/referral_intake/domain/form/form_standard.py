"""What a form says by the standard: who is identified by it, what is open and what is sealed, and what is still asked.

Only a person nobody could find is refused. Everything else that is missing or doubtful becomes a question with a
pointer into the form; nothing waits for an answer unless the question says so (loop.md 2.1, 2.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import Question
from loopkeeper.contract.vocabulary.identifiers import cin, cin_valid, npi_valid
from loopkeeper.contract.vocabulary.languages import Language
from loopkeeper.contract.vocabulary.people import ConsentHolder, RaceEthnicity
from loopkeeper.contract.vocabulary.populations import AgeBand, age_band, age_on
from loopkeeper.contract.vocabulary.programs import Program
from loopkeeper.contract.vocabulary.referring import Relationship
from referral_intake.domain.form.criteria_fields import ANSWERS
from referral_intake.domain.form.form import Member, ReferralBody
from referral_intake.domain.form.overlaps import choice_of
from referral_intake.domain.form.screening import Screening, Standard, standard
from referral_intake.domain.state import PRE_RELEASE

# How the member may be reached without danger, as flags: the provider may set these again (loop.md 6.2).
CHANNEL = "channel_"
CONTACT_FLAGS = frozenset({"do_not_contact", "safe_contact"})
# Who may treat the member, and so hear who manages the member's care (loop.md 2.11).
TREATING = frozenset(
    {
        Relationship.HOSPITAL, Relationship.MEDICAL_PROVIDER, Relationship.PRIMARY_CARE, Relationship.SNF,
        Relationship.BEHAVIORAL_HEALTH, Relationship.TRIBAL_HEALTH,
    }
)  # fmt: skip
# Under this age somebody else may hold consent (loop.md 6.6).
OF_AGE = 18


@dataclass(frozen=True, slots=True)
class Reading:
    """The form as understood on a day: checked numbers, age, what is open to events and what is to be sealed."""

    cin: str
    age: int | None
    birth_date: date | None
    standard: Standard
    flags: tuple[str, ...]
    preferred: tuple[str, ...]
    chosen: tuple[str, ...]
    # The populations marked, and the one a claim relies on.
    claimed: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def band(self) -> AgeBand:
        return age_band(self.age)

    @property
    def minor(self) -> bool:
        """Under 18, or of unknown age on a form for children and youth."""
        return self.age < OF_AGE if self.age is not None else self.standard == "child_youth"


def is_of_contact(flag: str) -> bool:
    return flag in CONTACT_FLAGS or flag.startswith(CHANNEL)


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
    wished = form.preference.provider if form.preference else None
    return Reading(
        cin=number,
        age=age,
        birth_date=born,
        standard=standard(age, form.form),
        flags=tuple(_flags(form)),
        preferred=tuple(_preferred(form, referrer)),
        chosen=(wished,) if wished else (),
        claimed=_claimed(form),
        groups=groups(member),
    )


def _claimed(form: ReferralBody) -> tuple[str, ...]:
    claim = form.presumptive
    relied_on = (claim.population, *claim.also) if claim is not None else ()
    return tuple(dict.fromkeys(each.value for each in (*form.populations, *relied_on)))


def treating_until(form: ReferralBody) -> date | None:
    """The last day on which who refers expects to treat the member; none of somebody who treats nobody."""
    return form.referrer.treating_until if form.referrer.relationship in TREATING else None


def groups(member: Member) -> tuple[str, ...]:
    """The codes of the race and ethnicity the member reports; none where a word is not known (loop.md 6.7)."""
    known = {word.casefold(): code.value for code in RaceEthnicity for word in (code.value, code.label)}
    codes = [known.get(word.casefold(), "") for word in member.race_ethnicity]
    return tuple(codes) if all(codes) else ()


def _plausible(born: date, on: date) -> bool:
    return (on - born).days >= 0 and age_on(born, on) <= 120


def _flags(form: ReferralBody) -> Iterator[str]:
    """What services may know without opening anything: codes, never words of the form."""
    member = form.member
    if member.no_fixed_address:
        yield "no_fixed_address"
    if member.safe_contact is not None:
        yield "do_not_contact" if member.safe_contact.do_not_contact else "safe_contact"
        yield from (f"{CHANNEL}{channel.value}" for channel in member.safe_contact.channels)
    if form.answers.get("pre_release_services") is True and form.attestation.attested:
        yield PRE_RELEASE
    if form.referrer.relationship == Relationship.SELF:
        yield "self_referral"
    if member.language_spoken not in (None, Language.ENGLISH):
        yield "interpreter"
    for program, answer in form.programs.items():
        if answer == "yes":
            yield f"program_{program.value}"
    for program, confirmed in form.confirmed_programs.items():
        yield f"confirmed_{program.value}" if confirmed else f"not_in_{program.value}"
    for program, choice in form.member_choices.items():
        yield f"chose_{choice}_over_{program.value}" if choice == "ecm" else f"chose_{program.value}"
    if form.answers.get("transitional_rent"):
        yield "transitional_rent"
    if form.plan_change is not None:
        yield f"plan_change_{form.plan_change.how}"


def _preferred(form: ReferralBody, referrer: str) -> Iterator[str]:
    """Providers by who wishes for them: the member first, then who recommends, then who offers to serve."""
    wishes = [wish.provider for wish in (form.preference, form.recommended) if wish and wish.provider]
    if form.referrer.wants_to_serve or form.presumptive is not None:
        wishes.append(referrer)
    yield from dict.fromkeys(wishes)


def sealed_parts(form: ReferralBody, reading: Reading) -> Mapping[str, Mapping[str, Any]]:
    """What is sealed, in three parts: who the person is, how they are reached, and the form as it came."""
    member = form.member.model_dump(mode="json")
    identity = (
        "first_name", "middle_name", "last_name", "suffix", "preferred_name", "plan_member_id", "approximate_age",
    )  # fmt: skip
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
    "age-group": "The member seems to be under 21, so the child and youth criteria were used. Is the birth date right?",
    "age-group-adult": "The member seems to be 21 or older, so the adult criteria were used. Is the birth date right?",
    "caregiver": "Who cares for the member, and how can they be reached?",
    "consent-holder": "Who holds consent for this minor: the minor, a parent, a guardian, a court or the county?",
    "release-date": "On which day is, or was, the member released?",
    "language": "Which language does the member speak?",
    "county": "In which county does the member live or stay?",
    "way-to-reach": "How can the member be reached: a phone, an e-mail, an address or a usual place?",
    "referrer-contact": "How can we reach you: an e-mail or a phone? A fax alone tells you nothing that counts, unless "
    "the plan and you agreed on it in writing.",
    "relationship": "What are you to the member?",
    "npi": "The NPI does not check out. What is it?",
    "referral-date": "The date of the referral is in the future. When was it made?",
    "populations": "Which Population of Focus does the member belong to?",
    "presumptive-population": "The population relied on is not among those marked. Is it meant?",
    "attestation": "Do you attest that this is true to the best of your knowledge?",
    "programs": "Is the member in another care management program?",
    "redirect": "The plan named does not serve the member's county. Is the county right? If it is, write to the "
    "county's plan.",
    "other-birth-date": "The plan's roster has another date of birth under this number. Which is the member's?",
    "provider-change": "The provider that referred offers to serve the member, who is already served. Does the member "
    "wish to change to it? (true or false)",
    "race-ethnicity": "How does the member describe their race and ethnicity, if they wish to?",
}


# Questions about one program or plan, by the beginning of their id.
ABOUT: Mapping[str, str] = {
    "confirm": "The form says the member is in {}, which excludes ECM. Has this been confirmed? (true or false)",
    "choice": "The form or the plan's roster has the member in {}. Told of both, which does the member choose: ecm, or program?",
    "redirect": "The member seems to belong to the plan {}. Shall the referral be sent there? (true or false)",
}


def questions(
    form: ReferralBody,
    reading: Reading,
    screening: Screening,
    *,
    on: date,
    overlaps: Mapping[str, str] | None = None,
    goes_on: bool = False,
) -> tuple[Question, ...]:
    """What is missing or doubtful, with a pointer each. Only the question which population is meant blocks, when
    none is marked and none can be seen: without one nobody could decide. `overlaps` is the rule of each program.
    Of who goes on with ECM under a new plan (`goes_on`) nothing is asked but who that is (loop.md 4.9)."""
    if goes_on:
        return tuple(
            Question(id=name, pointer=pointer)
            for name, pointer in _asked(form, reading, on)
            if name in WHO_IT_IS
        )
    asked = [Question(id=name, pointer=pointer) for name, pointer in _asked(form, reading, on)]
    asked += [Question(id=f"answer-{name}", pointer=f"/answers/{name}") for name in screening.missing]
    asked += _overlapping(form, overlaps or {})
    if form.kind == "full" and not any(
        each.claimed or each.result == "met" for each in screening.populations
    ):
        asked.append(Question(id="populations", pointer="/populations", blocking=True))
    return tuple(asked)


# What tells whom a referral is about, and how they and who referred are reached: no step of an authorization.
WHO_IT_IS = frozenset(
    {"cin", "birth-date", "name", "age-group", "age-group-adult", "language", "county", "way-to-reach",
     "referrer-contact", "consent-holder", "caregiver", "referral-date", "npi"}
)  # fmt: skip


def _overlapping(form: ReferralBody, overlaps: Mapping[str, str]) -> Iterator[Question]:
    """Of each program ticked that could count against ECM: whether it is so, or what the member chose."""
    for program, answer in form.programs.items():
        rule = overlaps.get(program.value)
        if answer == "yes" and rule == "exclusive" and program not in form.confirmed_programs:
            yield Question(id=f"confirm-{program.value}", pointer=f"/confirmed_programs/{program.value}")
        if answer == "yes" and rule == "member_choice" and program not in form.member_choices:
            yield choice_of(program.value)


def sentence(question: str) -> str:
    """The question in words, by its id."""
    kind, _, about = question.partition("-")
    if kind in ABOUT and about and question not in QUESTIONS:
        return ABOUT[kind].format(Program.label_of(about) if kind in ("confirm", "choice") else about)
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
    if reading.standard != form.form:
        yield "age-group" if reading.standard == "child_youth" else "age-group-adult", "/member/birth_date"
    if member.language_spoken is None:
        yield "language", "/member/language_spoken"
    if member.county is None:
        yield "county", "/member/county"
    if not _reachable(member):
        yield "way-to-reach", "/member/phone"
    # A fax is not electronic: only a fax is a question, never a refusal (loop.md 7.4).
    if not (referrer.email or referrer.phone):
        yield "referrer-contact", "/referrer/email"
    if referrer.relationship is None:
        yield "relationship", "/referrer/relationship"
    if reading.minor:
        yield from _of_minors(member)
    if form.answers.get("pre_release_services") and form.release_on is None:
        yield "release-date", "/release_on"
    yield from _doubts(form, on)
    if not form.attestation.attested:
        yield "attestation", "/attestation/attested"
    if not form.programs:
        yield "programs", "/programs"
    if not member.race_ethnicity:
        yield "race-ethnicity", "/member/race_ethnicity"


def _of_minors(member: Member) -> Iterator[tuple[str, str]]:
    """Nobody else need be named where the minor consents alone."""
    if member.consent_holder is None:
        yield "consent-holder", "/member/consent_holder"
    if member.caregiver is None and member.consent_holder is not ConsentHolder.SELF:
        yield "caregiver", "/member/caregiver"


def _doubts(form: ReferralBody, on: date) -> Iterator[tuple[str, str]]:
    if form.referrer.npi and not npi_valid(form.referrer.npi):
        yield "npi", "/referrer/npi"
    if form.referral_date is not None and form.referral_date > on:
        yield "referral-date", "/referral_date"
    claim = form.presumptive if form.kind == "full" else None
    if claim is not None and not {claim.population, *claim.also} <= set(form.populations):
        yield "presumptive-population", "/presumptive/population"


def _reachable(member: Member) -> bool:
    at_home = member.address is not None and member.address.street
    through = member.caregiver is not None and member.caregiver.phone
    return bool(member.phone or member.email or at_home or member.usual_place or through)
