"""What do the facts make of a request for authorization? Its state, and how each event changes it.

    started (a grant before its form) → pending → approved → the term runs, is extended, ends
                                                → denied → overturned
                                      → closed, where the loop ended before a decision

Every date and deadline here came with an event, so folding needs neither clock nor policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.decider import State
from loopkeeper.contract.events import (
    Adverse,
    Claim,
    Eligibility,
    Linked,
    PlanChange,
    Rights,
    ScreenedPopulation,
    Unmet,
)

SERVICES_RECEIVED = "services_received"
# Of the state's discontinuation codes.
LOST_COVERAGE, NOT_REAUTHORIZED = 8, 13
# Why a term is looked at again, where its coverage is the reason.
COVERAGE_LOST, COVERAGE_RETURNED = "coverage_lost", "coverage_returned"
# Why it is judged again whether the term ends, where the member appealed against that.
APPEALED = "appealed"
# The word that the member has died, told or confirmed, and the state's code.
DEATH_TOLD, DECEASED, DECEASED_CODE = "death_told", "deceased", 14
SERVICE_ENDED = "service_ended"
# The member is in custody again, and the state's code.
IN_CUSTODY, INCARCERATED = "in_custody", 5
# What a choice of another program, made after the yes, opens (loop.md 4.4): its word, and the state's code.
PROGRAM_CHOSEN, DUPLICATIVE_PROGRAM = "program_chosen", 7
Status = Literal["", "started", "pending", "approved", "denied", "closed"]


class Fact(BaseModel):
    """A group of fields that came with one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Pause(Fact):
    """A named person asked for something; the decision's clock is paused until it comes, or until `by`."""

    asks: tuple[str, ...]
    at: datetime
    by: datetime


class Review(Fact):
    """A question before the plan, and its clocks."""

    authorization: str
    clock: str
    due_at: datetime
    cap_at: datetime
    at_risk_at: datetime | None = None
    needs_person: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    # What has been said of its clock so far: "at_risk", "breached".
    said: tuple[str, ...] = ()
    deemed: Rights | None = None
    pause: Pause | None = None
    # When the urgency arrived of what was asked for as routine.
    urgent_since: datetime | None = None


class Reauthorization(Review):
    """Asked for before the term's end; the term lives on until this is decided."""

    provider: str = ""


class Grant(Fact):
    grant: str
    provider: str
    provider_version: int
    population: str
    from_: date
    through: date
    ended: str = ""
    policy: tuple[str, ...] = ()
    referral_by: date | None = None
    remind_on: tuple[date, ...] = ()


class SecondClaim(Fact):
    """The claim of this loop, where a referral that joined it brought it: under which id it is answered, and what its
    own claimant attested."""

    referral: str
    attested: bool = False
    start: bool = False


class Decision(Fact):
    kind: Literal["approved", "denied"]
    at: datetime
    by: str = "person"
    person: str = ""
    number: str = ""
    external_number: str = ""
    populations: tuple[str, ...] = ()
    from_: date | None = None
    through: date | None = None
    reason: str = ""
    citation: str = ""
    unmet: tuple[Unmet, ...] | None = None
    appeal_by: date | None = None
    notice_due_at: datetime | None = None
    rights: Rights | None = None
    must: str = ""
    adverse: Adverse | None = None
    overturned_on: date | None = None
    policy: tuple[str, ...] = ()


class Ending(Fact):
    """The term's last day, as the member is told of it, and since when it is said."""

    code: int
    on: date
    at: datetime | None = None
    notice_due_at: datetime | None = None
    rights: Rights | None = None
    person: str = ""
    policy: tuple[str, ...] = ()


class Term(Fact):
    """When ECM is authorized; `renewals` counts how often it was extended by a reauthorization."""

    number: str
    from_: date
    through: date
    renewals: int = 0
    prompts_on: tuple[date, ...] = ()
    notice_on: date | None = None
    ending: Ending | None = None

    @property
    def last_day(self) -> date:
        return self.ending.on if self.ending is not None else self.through


class Appeal(Fact):
    """The member's appeal against the ending of the term. `continues`: until it is resolved, the term goes on."""

    on: date
    continues: bool


class Discontinuation(Fact):
    """What happened after the authorization that may end the term: a named person judges (loop.md 7.2)."""

    at: datetime
    why: str
    code: int | None = None
    # By when it is to be judged; None where the plan's usual time counts from `at`.
    due_at: datetime | None = None


class Authorization(State):
    """One referral's request for authorization, as the facts so far make it."""

    received_at: datetime | None = None
    # When the whole form was here: the decision's clocks start then.
    asked_at: datetime | None = None
    kind: str = "full"
    plan: str = ""
    referrer: str = ""
    member: str = ""
    urgency: str = ""
    county: str = ""
    age_band: str = ""
    # By which standard the referral was screened; empty of one received before this was kept.
    form: str = ""
    populations: tuple[ScreenedPopulation, ...] = ()
    attested: bool = False
    claim: Claim | None = None
    # Who claims to serve, where that is the referrer of a referral that joined this one.
    claimed_by: str = ""
    second: SecondClaim | None = None
    eligibility: Eligibility = Eligibility()
    # The day on which coverage was first confirmed, where it was not when the referral came.
    enrolled_on: date | None = None
    # Whether the roster ever confirmed coverage; and whether that it ended was asked about and not taken back.
    was_covered: bool = False
    coverage_lost: bool = False
    release_on: date | None = None
    plan_change: PlanChange | None = None
    linked: Linked | None = None
    flags: tuple[str, ...] = ()
    sealed: Mapping[str, str] = {}
    authorization: str = ""
    review: Review | None = None
    grant: Grant | None = None
    grant_refused: str = ""
    way_on: str = ""
    # Whose directory entry the claim waits for; empty where it waits for none.
    awaited: str = ""
    decision: Decision | None = None
    # The day the grant's provider was told of the decision.
    told_on: date | None = None
    term: Term | None = None
    reauthorization: Reauthorization | None = None
    discontinuation: Discontinuation | None = None
    appeal: Appeal | None = None
    holder: str = ""
    outcome: str = ""

    @property
    def grant_live(self) -> bool:
        return self.grant is not None and not self.grant.ended

    @property
    def lives_on(self) -> bool:
        """Whether the term goes on past its last day: until a reauthorization or an appeal made in time is decided."""
        return self.reauthorization is not None or (self.appeal is not None and self.appeal.continues)

    @property
    def waiting(self) -> Review | None:
        """The question that waits for the plan now: the request itself, or a reauthorization."""
        return self.review if status(self) == "pending" else self.reauthorization


def status(state: Authorization) -> Status:
    """pending until decided; started while a grant runs before its form; closed where the loop ended before a
    decision; empty for a bare tombstone."""
    over = bool(state.outcome) and state.outcome != SERVICES_RECEIVED
    if state.decision is not None:
        return state.decision.kind
    if not state.authorization:
        return ""
    if over:
        return "closed"
    return "started" if state.review is None else "pending"


def met(state: Authorization) -> tuple[str, ...]:
    return tuple(p.code for p in state.populations if p.result == "met")


def met_by_list(state: Authorization) -> tuple[str, ...]:
    """Those a rule may approve: on another factor given in words alone no rule does (loop.md 2.4)."""
    return tuple(p.code for p in state.populations if p.result == "met" and p.met_by is None)


def claimed(state: Authorization) -> tuple[str, ...]:
    return tuple(p.code for p in state.populations if p.claimed)
