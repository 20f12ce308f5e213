"""What authorization answers: written by `make docs` from its OpenAPI document; change the service instead."""

from __future__ import annotations
from pydantic import AwareDatetime, BaseModel
from uuid import UUID
from datetime import date


class Explanation(BaseModel):
    lines: list[str]
    needs_person: list[str]
    policy: list[str]


class LookedUp(BaseModel):
    open: bool
    phone: str
    plan: str


class Now(BaseModel):
    now: AwareDatetime


class OpenedMember(BaseModel):
    approximate_age: int | None = None
    birth_date: str | None = None
    cin: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    middle_name: str | None = None
    plan_member_id: str | None = None
    preferred_name: str | None = None
    suffix: str | None = None


class ReplayResult(BaseModel):
    applied: int
    dry_run: bool
    error: str
    left: int
    stream: str


class ParkedFact(BaseModel):
    at: AwareDatetime
    error: str
    event_id: UUID
    offset: int
    partition: int
    type: str


class ParkedReferral(BaseModel):
    error: str
    facts: int
    next_retry_at: AwareDatetime | None
    since: AwareDatetime
    stream: str
    tries: int


class Flaw(BaseModel):
    n: int
    stream: str
    what: str


class Rights(BaseModel):
    appeal_by: date
    continues_if_by: date | None = None
    hearing_days: int
    unanswered_days: int


class ShownDiscontinuation(BaseModel):
    code: int | None
    since: AwareDatetime
    why: str


class ShownDue(BaseModel):
    clock: str
    due_at: AwareDatetime
    state: str


class ShownGrant(BaseModel):
    ended: str
    from_: date
    id: str
    name: str
    payment: str
    payment_source: str
    population: str
    provider: str
    referral_by: date | None
    through: date


class ShownPause(BaseModel):
    asks: list[str]
    by: AwareDatetime
    since: AwareDatetime


class ShownPopulation(BaseModel):
    claimed: bool
    code: str
    met_by: str | None = None
    result: str


class ShownTerm(BaseModel):
    code: int | None
    ends_on: date | None
    from_: date
    notice_due_at: AwareDatetime | None
    number: str
    renewals: int
    rights: Rights | None
    state: str
    through: date
    why: str


class Adverse(BaseModel):
    citation: str
    notice_due_at: AwareDatetime
    populations: list[str]
    reason: str
    rights: Rights


class LostCommand(BaseModel):
    claim: UUID
    referral: str


class ParkedDetail(BaseModel):
    facts: list[ParkedFact]
    stream: ParkedReferral


class ParkedList(BaseModel):
    items: list[ParkedReferral]
    next_cursor: str | None = None


class Proof(BaseModel):
    flaws: list[Flaw]
    sound: bool


class ShownDecision(BaseModel):
    adverse: Adverse | None
    appeal_by: date | None
    at: AwareDatetime
    by: str
    citation: str
    external_number: str
    from_: date | None
    kind: str
    must: str
    notice_due_at: AwareDatetime | None
    number: str
    overturned_on: date | None
    person: str
    populations: list[str]
    reason: str
    rights: Rights | None
    through: date | None


class SetBack(BaseModel):
    at: AwareDatetime
    finished_at: AwareDatetime | None
    lost: list[LostCommand]
    rebuilt: int
    unread: int
    why: str


class ShownAuthorization(BaseModel):
    allowed: list[str] | None = None
    cap_at: AwareDatetime | None
    decision: ShownDecision | None = None
    deemed_adverse: Rights | None = None
    discontinuation: ShownDiscontinuation | None = None
    due: ShownDue | None
    due_at: AwareDatetime | None
    eligibility: str | None = None
    grant: ShownGrant | None = None
    grant_refused: str | None = None
    id: str
    needs_person: list[str] | None = None
    pause: ShownPause | None = None
    plan: str
    populations: list[ShownPopulation] | None = None
    reauthorization_asked_by: str | None = None
    referral: str
    status: str
    term: ShownTerm | None = None
    updated_at: AwareDatetime
    urgency: str | None = None
    waits_for: str
    way_on: str | None = None


class Standing(BaseModel):
    closed: str = ""
    lag: int | None
    next_timer_at: AwareDatetime | None
    now: AwareDatetime
    outbox: int
    parked: int
    service: str
    set_back: SetBack | None = None
    tasks: dict[str, str]
    timers_due: int
    working: int = 0


class ListingShownAuthorization(BaseModel):
    items: list[ShownAuthorization]
    next_cursor: str | None = None