"""The state of a referral as the facts so far make it, and its status.

    received → needs_information | pending_authorization → authorized → assigned → accepted
             → outreach_initiated → closed, once, with its outcome; then the referrer is told.

The status is a pure function of the facts noted, never "the last event wins": a decline steps back to authorized.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.decider import State
from loopkeeper.contract.events import (
    Claim,
    Consent,
    Eligibility,
    Linked,
    PlanChange,
    Question,
    ScreenedPopulation,
)

# Questions whose answer is no field of the form: the right plan (the id ends in its slug, or in nothing where no plan
# served here is right), and whether a member already served wishes to change to the provider that referred.
REDIRECT = "redirect"
PROVIDER_CHANGE = "provider-change"
# The roster has the number with another date of birth: who is it?
OTHER_BIRTH_DATE = "other-birth-date"
# Why a referral is linked to one that may be the same member's.
POSSIBLE = "possible_duplicate"


# What the plan may be asked while a provider holds the referral.
AUTHORIZATION_ENDED, START_WITHOUT_FORM = "authorization_ended", "start_without_form"
# What the plan is asked once what the member was served under has ended.
OF_THE_ENDED = frozenset({AUTHORIZATION_ENDED, START_WITHOUT_FORM})
# Somebody told that the member has died: the plan is asked whether it is so.
DEATH_TOLD = "death_told"
# The member is in custody again: the plan is asked how it goes on, in words that everybody may read.
START_OPEN = "start_open"
# Received before the release, as somebody attested; only then does a day of release authorize (loop.md 3.7).
PRE_RELEASE = "pre_release_services"
REPORTED = "reported_"
OF_THE_ACCEPTED = frozenset(
    {
        "conflicted", "change_requested", "provider_left", "reported_provider_declined", "reported_no_longer_eligible",
        "reported_unable_to_reach", "reported_other",
    }
)  # fmt: skip
RECEIVED_FIELDS = (
    "plan", "referrer", "member", "kind", "form", "received_via", "urgency", "age_band", "county", "language",
    "populations", "attested", "claim", "preferred", "chosen", "pcp", "program_providers", "eligibility",
    "family_of", "flags", "consent_holder", "release_on", "plan_change", "first_received_on", "linked", "sealed",
)  # fmt: skip
# What `referral.amended` may change of them; `sealed` part by part.
AMENDABLE = (
    "member", "kind", "form", "urgency", "age_band", "county", "language", "populations", "attested", "claim",
    "preferred", "chosen", "pcp", "program_providers", "eligibility", "flags", "consent_holder", "release_on",
    "plan_change", "linked", "questions",
)  # fmt: skip


class Status(StrEnum):
    RECEIVED = "received"
    NEEDS_INFORMATION = "needs_information"
    PENDING_AUTHORIZATION = "pending_authorization"
    AUTHORIZED = "authorized"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    OUTREACH_INITIATED = "outreach_initiated"
    CLOSED = "closed"


class Fact(BaseModel):
    """A group of fields that came with one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Review(Fact):
    authorization: str
    clock: str = ""
    due_at: datetime
    cap_at: datetime
    pended_until: datetime | None = None


class Grant(Fact):
    grant: str
    provider: str
    population: str
    through: date


class Decided(Fact):
    """By when the plan was to decide, and when it did."""

    clock: str
    due_at: datetime
    at: datetime


class Approval(Fact):
    number: str
    from_: date
    through: date
    populations: tuple[str, ...] = ()


class Offer(Fact):
    """The live offer or assignment: at most one."""

    assignment: str
    provider: str
    answer_due_at: datetime
    accepted_at: datetime | None = None
    lead: str = ""
    # By the number of the last attempt, and how many of them were taken back.
    attempts: int = 0
    taken_back: int = 0
    # Outreach as the provider's file reports it, with or without an attempt.
    initiated_on: date | None = None

    @property
    def tried(self) -> int:
        """The attempts that count."""
        return self.attempts - self.taken_back


class TermEnding(Fact):
    """The last day of the authorization as it was said, and by which code it ends."""

    code: int
    on: date


class Death(Fact):
    """That the member has died, as somebody told it; `confirmed` by a named person of the plan."""

    by: str
    due_at: datetime
    confirmed: bool = False


class PlanAsked(Fact):
    reason: str
    due_at: datetime | None = None
    # The day of which a provider's file says why it would close.
    on: date | None = None


class Overdue(Fact):
    """A step that took too long, or soon will have: a fact next to the status, never an end."""

    clock: str
    due_at: datetime
    state: str


class Joined(Fact):
    """A second referral of the same member that was merged into this one, and who sent it."""

    referral: str
    referrer: str


class Support(Fact):
    """A Community Supports referral of the lead care manager: its own small loop, linked to this one."""

    code: str
    status: str
    provider: str
    at: datetime


class Closing(Fact):
    outcome: str
    clr_reason: str
    at: datetime
    text: str = ""
    merged_into: str | None = None


class Referral(State):
    """The referral as the facts so far make it."""

    received_at: datetime | None = None
    plan: str = ""
    referrer: str = ""
    member: str = ""
    kind: str = "full"
    form: str = "adult"
    received_via: str = ""
    urgency: str = "routine"
    age_band: str = ""
    county: str = ""
    language: str = ""
    populations: tuple[ScreenedPopulation, ...] = ()
    attested: bool = False
    claim: Claim | None = None
    preferred: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    pcp: str | None = None
    program_providers: Mapping[str, str] = {}
    family_of: str | None = None
    eligibility: Eligibility = Eligibility()
    flags: tuple[str, ...] = ()
    consent_holder: str = ""
    release_on: date | None = None
    # Who told a day of release, and so may know it; and by when the plan judges that the member is inside again.
    release_told_by: tuple[str, ...] = ()
    custody_due_at: datetime | None = None
    plan_change: PlanChange | None = None
    # The day it was received first, where another plan was asked before.
    first_received_on: date | None = None
    linked: Linked | None = None
    sealed: Mapping[str, str] = {}
    questions: tuple[Question, ...] = ()
    questions_due_at: datetime | None = None
    remind_at: tuple[datetime, ...] = ()
    reminders: int = 0
    # The plan's own questions while a person of it waits for them (the standard's only, loop.md 2.15).
    asked_by_plan: tuple[str, ...] = ()
    joined: tuple[Joined, ...] = ()
    overdue: tuple[Overdue, ...] = ()
    supports: Mapping[str, Support] = {}
    review: Review | None = None
    grant: Grant | None = None
    grant_refused: str = ""
    approval: Approval | None = None
    decided: Decided | None = None
    denied: bool = False
    offer: Offer | None = None
    plan_asked: PlanAsked | None = None
    ending: TermEnding | None = None
    death: Death | None = None
    services_started_on: date | None = None
    closing: Closing | None = None
    told_at: datetime | None = None
    # Who served last, though it serves no more; and the consent to share what a Part 2 program knows (loop.md 6.5).
    served_by: str = ""
    consent: Consent | None = None

    @property
    def blocked(self) -> bool:
        """Whether a question must be answered before anybody can decide; past its time it holds nothing up."""
        return any(q.blocking for q in self.questions) and not self.lapsed("information")

    @property
    def in_ecm(self) -> bool:
        """Whether the member is served through this referral, its loop being closed as it should."""
        served = self.closing is not None and self.closing.outcome == "services_received"
        return served and self.offer is not None and self.offer.accepted_at is not None

    def lapsed(self, clock: str) -> bool:
        return any(o.clock == clock and o.state == "breached" for o in self.overdue)


# ── what can be read from the state ───────────────────────────────────────────────────────────────────────


def status(referral: Referral) -> Status:
    """The first that holds (loop.md 8.1)."""
    offer = referral.offer
    if referral.closing is not None:
        return Status.CLOSED
    if offer is not None and offer.accepted_at is not None:
        begun = offer.tried or offer.initiated_on is not None
        return Status.OUTREACH_INITIATED if begun else Status.ACCEPTED
    if offer is not None:
        return Status.ASSIGNED
    if referral.approval is not None:
        return Status.AUTHORIZED
    if referral.blocked:
        return Status.NEEDS_INFORMATION
    return Status.PENDING_AUTHORIZATION if referral.review is not None else Status.RECEIVED
