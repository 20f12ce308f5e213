"""Which fields can a column of a file be? Ours, fixed, each with its type and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from loopkeeper.contract.vocabulary import (
    ActorKind,
    AttemptOutcome,
    Code,
    County,
    DenialReason,
    Language,
    Modality,
    Population,
    Urgency,
)

Kind = Literal["mif", "rtf", "otf", "referrals", "decisions"]
KINDS: tuple[Kind, ...] = ("mif", "rtf", "otf", "referrals", "decisions")
Type = Literal[
    "text",
    "name",
    "number",
    "day",
    "yes_no",
    "word",
    "words",
    "count",
    "minutes",
    "phone",
    "period",
    "answer",
]
# What a provider reports of a referral, and why it closed, before it is the loop's own fact.
STATUSES = ("pending", "accepted", "declined", "outreach_initiated", "closed")
REASONS = (
    "services_received",
    "provider_declined",
    "unable_to_reach",
    "no_longer_eligible",
    "declined_by_member",
    "other",
)
ENGAGEMENTS = ("assigned", "outreach", "enrolled", "discontinued")
# Days of birth; every other day of a file is one of ECM.
BIRTH_DATES = frozenset({"member.birth_date", "birth_date"})
# A mass mailing is a way to write, but no attempt.
NOT_AN_ATTEMPT = "not_an_attempt"


@dataclass(frozen=True, slots=True)
class Field:
    """A field: how its cells are read, what it means, and the codes its words mean."""

    type: Type
    meaning: str
    codes: tuple[str, ...] = ()
    # The labels of the codes are words for them too.
    vocabulary: type[Code] | None = None
    # Headings under which it is often found; a guess, never a rule.
    hints: tuple[str, ...] = ()

    @property
    def allowed(self) -> frozenset[str]:
        return self.vocabulary.codes() if self.vocabulary else frozenset(self.codes)


def _word(meaning: str, *codes: str, hints: tuple[str, ...] = ()) -> Field:
    return Field("word", meaning, codes, hints=hints)


def _coded(meaning: str, vocabulary: type[Code], *hints: str, several: bool = False) -> Field:
    return Field("words" if several else "word", meaning, vocabulary=vocabulary, hints=hints)


_MEMBER: Mapping[str, Field] = {
    "plan.number": Field(
        "number", "The plan's number in its files.", hints=("plan", "plan id", "payer identifier", "mcp identifier")
    ),
    "plan.name": Field("text", "The plan's name.", hints=("health plan", "plan name", "mcp name")),
    "member.cin": Field(
        "number",
        "The member's CIN, by which the member is found.",
        hints=("cin", "member cin", "client index number", "medi cal id", "medi cal number", "medi cal", "mcp cin", "member client index number", "client index number cin"),
    ),
    "member.plan_member_id": Field(
        "number", "The plan's own number of the member.", hints=("mrn", "member id", "plan member id")
    ),
    "member.last_name": Field(
        "name", "Last name.", hints=("last name", "member last name", "lname", "client last name")
    ),
    "member.first_name": Field(
        "name", "First name.", hints=("first name", "member first name", "fname", "client first name")
    ),
    "member.name": Field("name", "First and last name in one cell.", hints=("name", "member name", "client name", "name last first")),
    "member.birth_date": Field(
        "day", "Birth date.", hints=("dob", "date of birth", "birth date", "member date of birth")
    ),
    "member.gender": Field("text", "Gender.", hints=("gender", "sex")),
    "member.language": _coded("Spoken language.", Language, "language", "preferred language", "lang"),
    "member.phone": Field("phone", "Phone as the plan has it.", hints=("phone", "phone number", "primary phone number")),
    "member.email": Field("text", "E-mail as the plan has it.", hints=("email", "e mail")),
    "member.street": Field("text", "Street.", hints=("address", "residential address", "street", "addr1")),
    "member.city": Field("text", "City.", hints=("city", "residential city")),
    "member.state": Field("text", "State.", hints=("state", "residential state")),
    "member.zip": Field("number", "ZIP.", hints=("zip", "zip code", "residential zip")),
    "member.county": _coded("County of residence.", County, "county", "member county", "coverage county", "cnty"),
    "member.homeless": Field("yes_no", "Whether homeless.", hints=("homelessness indicator", "homeless", "housing status")),
    "member.medicare": Field("yes_no", "Whether in Medicare too.", hints=("medicare", "dually enrolled in medicare")),
    "member.new": Field("yes_no", "Whether offered since the last file.", hints=("new member indicator", "new")),
    "member.populations": _coded(
        "Populations of Focus.", Population, "pof", "member pof", "population of focus", several=True
    ),
    "member.ecm_status": _word(
        "Where the member is with ECM; never read back.", *ENGAGEMENTS, hints=("ecm status", "status of member engagement", "engagement status")
    ),
    "member.contact_rule": Field("text", "How the member may be contacted, in words.", hints=("contact instructions",)),
    "member.notice": Field("text", "What must be known before anything is passed on.", hints=("confidentiality notice",)),
    "member.consent_holder": Field("text", "Who consents for the member.", hints=("consent holder", "legal guardian")),
    "provider.npi": Field("number", "The ECM provider's NPI.", hints=("npi", "provider npi", "ecm provider npi", "prov npi", "national provider identifier npi")),
    "provider.name": Field("text", "The ECM provider's name.", hints=("provider name", "ecm provider name")),
    "provider.tin": Field("number", "The ECM provider's tax id.", hints=("tin", "tax id", "ecm provider tax id number tin")),
    "provider.phone": Field("phone", "The ECM provider's phone.", hints=("provider phone", "ecm provider phone number")),
    "file.produced_on": Field("day", "The day the file was made.", hints=("production date", "file date")),
    "file.period": Field("period", "First and last day the file speaks of.", hints=("reporting period", "rpt prd")),
    "authorization.number": Field(
        "number", "The plan's authorization number.", hints=("authorization number", "auth no", "auth number", "authorization")
    ),
}  # fmt: skip
_MIF: Mapping[str, Field] = {
    "authorization.from": Field(
        "day", "First day of the term.", hints=("authorization start date", "auth start")
    ),
    "authorization.through": Field(
        "day", "Last day of the term.", hints=("authorization end date", "auth end")
    ),
    "referral.received_on": Field(
        "day", "The day the referral came.", hints=("date of referral", "referral date")
    ),
    "referral.source": Field("text", "Who referred.", hints=("referring entity", "referring organization")),
}
_RTF: Mapping[str, Field] = {
    "contact.new_address": Field("yes_no", "Yes: the address is a correction.", hints=("new address indicator", "new address", "new addr")),
    "contact.street": Field("text", "Street, if the address is new.", hints=("new street", "residential address")),
    "contact.city": Field("text", "City, if the address is new.", hints=("new city",)),
    "contact.state": Field("text", "State, if the address is new.", hints=("new state",)),
    "contact.zip": Field("number", "ZIP, if the address is new.", hints=("new zip",)),
    "contact.new_phone": Field("yes_no", "Yes: the phone is a correction.", hints=("new phone number indicator", "new phone", "new ph")),
    "contact.phone": Field("phone", "Phone, if it is new.", hints=("phone now",)),
    "ecm.start": Field("day", "The day of the first ECM service.", hints=("ecm enrollment start date", "ecm benefit start date", "ecm beg")),
    "ecm.end": Field("day", "Last day of enrollment; never read.", hints=("ecm enrollment end date",)),
    "ecm.last_encounter": Field("day", "Last encounter; never read.", hints=("date of most recent encounter with member",)),
    "ecm.ended_on": Field("day", "The day services ended.", hints=("discontinuation date", "disc dt")),
    "ecm.end_code": Field("number", "The state's discontinuation code.", hints=("discontinuation reason code", "disc cd")),
    "ecm.end_reason": Field("text", "The code in words; never read.", hints=("discontinuation reason",)),
    "lead.name": Field("name", "Lead care manager.", hints=("lead care manager", "ecm lead care manager name", "lcm")),
    "lead.phone": Field("phone", "The lead's phone; never read.", hints=("lead care manager phone",)),
    "lead.email": Field("text", "The lead's e-mail; never read.", hints=("lead care manager email",)),
    "count.in_person": Field("count", "Encounters in person in the period.", hints=("in person", "visits in person", "in person encounters count")),
    "count.remote": Field("count", "Encounters by phone or video.", hints=("telephonic video", "visits by phone or video", "encounters telephonic video", "remote encounters count", "telephonic encounters")),
    "referral.status": _word("The closed-loop status the provider reports.", *STATUSES, hints=("referral status", "ref stat", "status", "closed loop status")),
    "referral.status_on": Field("day", "The day of that status.", hints=("date of referral status update", "status date", "ref stat dt", "referral status effective date")),
    "referral.closing_reason": _word(
        "Why the loop closed.", *REASONS, hints=("reason for referral loop closure", "why closed", "close rsn", "referral status reason", "closure reason")
    ),
    "referral.closing_text": Field("text", "Why, in words, where the reason is other.", hints=("other closure reason", "close txt")),
}  # fmt: skip
_OTF: Mapping[str, Field] = {
    "attempt.on": Field("day", "The day of the attempt.", hints=("date of outreach attempt", "attempt date", "att dt", "outreach date", "contact date", "when")),
    "attempt.method": Field(
        "word", "How it was tried.", (*sorted(Modality.codes()), NOT_AN_ATTEMPT), hints=("outreach attempt method", "method", "att meth", "how", "how attempted", "type of contact", "attempt type")
    ),
    "attempt.successful": Field("yes_no", "Whether the member was reached.", hints=("outreach attempt successful", "reached", "att succ", "contact made", "successful contact")),
    "attempt.outcome": _coded("What came of it.", AttemptOutcome, "contact outcome", "outcome", "result", "outreach outcome"),
    "attempt.by": _coded("Who tried.", ActorKind, "provider type", "staff", "who", "staff type", "performed by"),
    "attempt.minutes": Field("minutes", "How long it took.", hints=("time spent", "minutes", "how long", "mins", "time spent performing outreach")),
}  # fmt: skip
_REFERRALS: Mapping[str, Field] = {
    "plan": Field("word", "The plan the person belongs to.", hints=("health plan", "plan")),
    "name": Field("name", "Last name, a comma, first name.", hints=("member last first", "name", "full name", "name last first")),
    "first_name": Field("name", "First name.", hints=("first name", "fname")),
    "last_name": Field("name", "Last name.", hints=("last name", "lname")),
    "cin": Field("number", "CIN, if it is known.", hints=("cin", "medi cal number cin", "medi cal id", "client index number", "medi cal number", "medi cal")),
    "birth_date": Field("day", "Birth date.", hints=("dob", "date of birth", "born", "birth date")),
    "approximate_age": Field("count", "About how old, where the birth date is not known.", hints=("about how old", "age")),
    "usual_place": Field("text", "Where the person usually is.", hints=("usual place", "location")),
    "can_find": Field("yes_no", "Whether the referrer can find the person.", hints=("can you find them",)),
    "county": _coded("County.", County, "county", "lives in", "cnty"),
    "language": _coded("Spoken language.", Language, "language", "speaks", "lang"),
    "phone": Field("phone", "Phone.", hints=("phone", "call")),
    "email": Field("text", "E-mail.", hints=("email",)),
    "street": Field("text", "Street.", hints=("address", "street")),
    "city": Field("text", "City.", hints=("city",)),
    "zip": Field("number", "ZIP.", hints=("zip", "zip code")),
    "populations": _coded("Populations of Focus.", Population, "population of focus", "why ecm", "pof", several=True),
    "urgency": _coded("How fast it must be decided.", Urgency, "urgency", "how fast", "urg"),
    "referral_date": Field("day", "The day of the referral.", hints=("date of referral", "referral date", "sent on")),
    "agrees": Field("yes_no", "Whether the member agrees; never demanded.", hints=("member agrees",)),
    "referrer_name": Field("text", "Who refers.", hints=("referred by", "referrer")),
    "referrer_email": Field("text", "Where the referrer hears what became of it.", hints=("referrer email", "your e mail")),
    "referrer_phone": Field("phone", "The referrer's phone.", hints=("referrer phone",)),
    "attested": Field("yes_no", "True to the best of the referrer's knowledge.", hints=("i attest", "attestation")),
    "comments": Field("text", "Anything else.", hints=("comments", "notes")),
}  # fmt: skip
_DECISIONS: Mapping[str, Field] = {
    "decision.outcome": _word(
        "What was decided.",
        "approved",
        "denied",
        "modified",
        hints=("decision", "decision outcome", "decision status"),
    ),
    "decision.on": Field("day", "The day it was decided.", hints=("decision date",)),
    "decision.reason": _coded("Why it was denied.", DenialReason, "denial reason", "reason"),
    "decision.criterion": Field("text", "The criterion that is not met.", hints=("criterion",)),
    "decision.why": Field(
        "text", "Why it is not met; the member reads it too.", hints=("why not met", "rationale")
    ),
    "decision.by": Field(
        "name", "Who decided.", hints=("decided by", "reviewer", "reviewer name", "decision maker")
    ),
    "decision.license": Field(
        "number",
        "The license of who decided.",
        hints=("license", "license number", "reviewer license number"),
    ),
    "referral.id": Field(
        "number",
        "Our number of the referral.",
        hints=("referral id", "referral number", "loopkeeper referral"),
    ),
}
# One column for each population, or for each question of the form.
POPULATION, ANSWER = "population.", "answer."
# What a population is often called, for a guess.
POPULATION_HINTS: Mapping[str, str] = {
    "homelessness": "homelessness", "homeless": "homelessness", "experiencing homelessness": "homelessness", "pof1": "homelessness",
    "avoidable hospital ed use": "avoidable_utilization", "pof2": "avoidable_utilization",
    "smh sud": "smi_sud", "smi sud": "smi_sud", "pof3": "smi_sud",
    "justice involved": "incarceration", "pof4": "incarceration",
    "ltc at risk": "ltc_community", "pof5": "ltc_community",
    "nf transition": "nf_transition", "pof6": "nf_transition",
    "ccs": "ccs", "pof7": "ccs",
    "child welfare": "child_welfare", "pof8": "child_welfare",
    "birth equity": "birth_equity", "pof9": "birth_equity",
}  # fmt: skip

_FIELDS: Mapping[Kind, Mapping[str, Field]] = {
    "mif": _MEMBER | _MIF,
    "rtf": _MEMBER | _RTF,
    "otf": _MEMBER | _OTF,
    "referrals": _REFERRALS,
    "decisions": _MEMBER | _DECISIONS | _MIF,
}
# The universal standard: nothing beyond it may be demanded of who refers (loop.md 2.15).
DEMANDABLE = frozenset({"plan", "name", "first_name", "last_name", "cin", "birth_date", "populations"})


def kind_named(name: str) -> Kind | None:
    """The kind of file of this name, None where there is none."""
    return next((kind for kind in KINDS if kind == name), None)


def fields_of(kind: Kind) -> Mapping[str, Field]:
    """The fields of a kind of file by name, those of each population and question apart."""
    return _FIELDS[kind]


def field_of(kind: Kind, name: str) -> Field | None:
    """A field by its name; None where this kind of file has no such field."""
    if name.startswith(POPULATION) and kind in ("mif", "rtf", "referrals", "decisions"):
        code = name.removeprefix(POPULATION)
        if code not in Population.codes():
            return None
        return Field("yes_no", f"Yes: belongs to the Population of Focus {Population(code).label}.")
    if name.startswith(ANSWER) and kind == "referrals" and len(name) > len(ANSWER):
        return Field("answer", f"The form's answer `{name.removeprefix(ANSWER)}`.")
    return _FIELDS[kind].get(name)
