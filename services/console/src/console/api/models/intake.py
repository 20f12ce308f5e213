"""What intake answers: written by `make docs` from its OpenAPI document; change the service instead."""

from __future__ import annotations
from pydantic import AwareDatetime, BaseModel, Field
from typing import Any
from uuid import UUID
from datetime import date


class Now(BaseModel):
    now: AwareDatetime


class OpenedMember(BaseModel):
    contact: dict[str, Any]
    identity: dict[str, Any]
    other_factors: dict[str, str] = {}


class ReplayResult(BaseModel):
    applied: int
    dry_run: bool
    error: str
    left: int
    stream: str


class ShownSupport(BaseModel):
    allowed: list[str]
    code: str
    id: str
    name: str
    provider: str | None = None
    referral: str
    status: str
    updated_at: AwareDatetime


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


class Due(BaseModel):
    actor: str
    clock: str
    due_at: AwareDatetime
    state: str = "on_track"
    step: str


class Links(BaseModel):
    referral: str
    timeline: str


class ReceivedClaim(BaseModel):
    covered: bool
    note: str
    population: str


class ShownQuestion(BaseModel):
    asks: str
    blocking: bool
    id: str
    pointer: str


class RowError(BaseModel):
    fix: str
    line: int
    pointer: str
    rule: str


class ShownAuthorization(BaseModel):
    decision_due_at: AwareDatetime | None = None
    denied: bool = False
    from_: date | None = None
    id: str = ""
    number: str = ""
    presumptive_through: date | None = None
    through: date | None = None


class ShownChild(BaseModel):
    code: str
    id: str
    status: str


class ShownClosing(BaseModel):
    at: AwareDatetime
    clr_reason: str
    outcome: str
    text: str
    told_at: AwareDatetime | None = None


class ShownDue(BaseModel):
    clock: str
    due_at: AwareDatetime
    state: str


class ShownLink(BaseModel):
    to: str
    why: str


class ShownOverdue(BaseModel):
    clock: str
    due_at: AwareDatetime
    state: str


class ShownPopulation(BaseModel):
    claimed: bool
    code: str
    met_by: str | None = None
    result: str


class ShownStep(BaseModel):
    actor: str
    due_at: AwareDatetime | None = None
    step: str


class ShownEvent(BaseModel):
    acted_by: str | None = None
    assignment: str | None = None
    at: AwareDatetime
    authorization: str | None = None
    event_id: str
    occurred_at: AwareDatetime
    person: str | None = None
    policy: list[str] = []
    sentence: str
    source: str
    trace_id: str | None = None
    type: str


class ScreenedCriterion(BaseModel):
    answer: str
    asks: str
    result: str


class LostCommand(BaseModel):
    claim: UUID
    referral: str


class ListingShownSupport(BaseModel):
    items: list[ShownSupport]
    next_cursor: str | None = None


class ParkedDetail(BaseModel):
    facts: list[ParkedFact]
    stream: ParkedReferral


class ParkedList(BaseModel):
    items: list[ParkedReferral]
    next_cursor: str | None = None


class Proof(BaseModel):
    flaws: list[Flaw]
    sound: bool


class RosterResult(BaseModel):
    accepted: int
    dry_run: bool
    errors: list[RowError]
    lines: int
    refused: int
    removed: int
    state: str


class ShownReferral(BaseModel):
    authorization: ShownAuthorization
    closing: ShownClosing | None = None
    consent_holder: str | None = None
    county: str | None = None
    due: ShownDue | None = None
    eligibility: str | None = None
    form: str | None = None
    id: str
    language: str | None = None
    lead: str | None = None
    linked: ShownLink | None = None
    next_step: ShownStep
    overdue: list[ShownOverdue] = Field([], validate_default=True)
    plan: str
    populations: list[ShownPopulation] | None = None
    possible_duplicate_of: str | None = None
    provider: str | None = None
    questions: list[ShownQuestion] | None = None
    received_at: AwareDatetime
    referrer: str | None = None
    release_on: date | None = None
    status: str
    supports: list[ShownChild] | None = None
    updated_at: AwareDatetime
    urgency: str | None = None


class Timeline(BaseModel):
    items: list[ShownEvent]
    next_cursor: str | None = None


class Screened(BaseModel):
    claimed: bool
    code: str
    criteria: list[ScreenedCriterion]
    notes: list[str]
    result: str
    suggested: bool


class SetBack(BaseModel):
    at: AwareDatetime
    finished_at: AwareDatetime | None
    lost: list[LostCommand]
    rebuilt: int
    unread: int
    why: str


class ListingShownReferral(BaseModel):
    items: list[ShownReferral]
    next_cursor: str | None = None


class Receipt(BaseModel):
    due: list[Due]
    eligibility: str
    id: str
    links: Links
    presumptive: ReceivedClaim | None
    questions: list[ShownQuestion]
    received_at: AwareDatetime
    screening: list[Screened]
    status: str
    write_to: list[str] = []


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