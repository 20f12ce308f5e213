"""What authorization answers: written by `make docs` from its OpenAPI document; change the service instead."""

from __future__ import annotations
from pydantic import AwareDatetime, BaseModel
from datetime import date
from typing import Any, Literal
from uuid import UUID


class DecisionExplanation(BaseModel):
    lines: list[str]
    needs_person: list[str]
    policy: list[str]


class LookedUp(BaseModel):
    open: bool
    plan: str
    phone: str


class MemberToDecide(BaseModel):
    cin: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None
    suffix: str | None = None
    preferred_name: str | None = None
    birth_date: str | None = None
    approximate_age: int | None = None
    plan_member_id: str | None = None


class Now(BaseModel):
    now: AwareDatetime


class QueueCounts(BaseModel):
    now: AwareDatetime
    waiting: int
    free: int
    waits_for: dict[str, int]
    due: dict[str, int]


class Released(BaseModel):
    released: int


class ReplayResult(BaseModel):
    stream: str
    applied: int
    left: int
    error: str
    dry_run: bool


class ShownFile(BaseModel):
    id: str
    kind: str
    organization: str
    plan: str | None
    state: str
    dry_run: bool
    received_at: AwareDatetime
    done_at: AwareDatetime | None
    period_from: date | None
    period_through: date | None
    rows: int
    done: int
    counts: dict[str, int]
    code: str | None = None
    sentence: str | None = None
    fix: str | None = None
    column: str | None = None


class SenderOfMonth(BaseModel):
    organization: str
    status: Literal["on_time", "late", "missing", "waited_for", "not_expected"]
    days_late: int = 0
    first_at: AwareDatetime | None = None
    files: int = 0
    sent_again: int = 0
    same_bytes: int = 0
    refused_whole: int = 0
    held: int = 0
    taken_back: int = 0
    rows_sent: int = 0
    rows_that_count: int = 0
    rows_unchanged: int = 0
    rows_refused: int = 0


class ShownOpening(BaseModel):
    id: str
    at: AwareDatetime
    organization: str
    plan: str
    referral: str
    parts: list[str]
    fields: list[str]
    why: str
    reason: str | None = None
    person: str | None = None
    proved: bool
    client: str | None = None


class ShownRow(BaseModel):
    ref: str
    table: str
    about: str
    plan: str | None
    effective_from: date
    effective_to: date | None
    source: str
    confidence: str
    note: str
    values: dict[str, Any]


class ParkedCause(BaseModel):
    error: str
    type: str
    referrals: int
    facts: int
    since: AwareDatetime
    next_retry_at: AwareDatetime | None
    longest: str


class ParkedFact(BaseModel):
    partition: int
    offset: int
    event_id: UUID
    type: str
    error: str
    field: str = ""
    at: AwareDatetime


class ParkedReferral(BaseModel):
    stream: str
    since: AwareDatetime
    tries: int
    next_retry_at: AwareDatetime | None
    error: str
    facts: int


class Flaw(BaseModel):
    stream: str
    n: int
    what: str


class PopulationToDecide(BaseModel):
    code: str
    result: str
    claimed: bool
    met_by: str | None = None
    criteria: list[str] | None = None


class Rights(BaseModel):
    appeal_by: date
    hearing_days: int
    unanswered_days: int
    continues_if_by: date | None = None


class ShownClaim(BaseModel):
    person: str
    until: AwareDatetime


class ShownDiscontinuation(BaseModel):
    why: str
    code: int | None
    since: AwareDatetime


class ShownDue(BaseModel):
    clock: str
    due_at: AwareDatetime
    state: str


class ShownGrant(BaseModel):
    id: str
    name: str
    provider: str
    population: str
    from_: date
    through: date
    ended: str
    referral_by: date | None
    payment: str
    payment_source: str


class ShownPause(BaseModel):
    asks: list[str]
    since: AwareDatetime
    by: AwareDatetime


class ShownTerm(BaseModel):
    number: str
    from_: date
    through: date
    state: str
    renewals: int
    ends_on: date | None
    code: int | None
    why: str
    notice_due_at: AwareDatetime | None
    rights: Rights | None


class WarnedCell(BaseModel):
    code: str
    column: str


class ShownKey(BaseModel):
    id: str
    roles: list[str]
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None


class LostCommand(BaseModel):
    claim: UUID
    referral: str


class Unmet(BaseModel):
    population: str
    criterion: str
    why: str


class FilesOfMonth(BaseModel):
    plan: str
    kind: str
    month: str
    due_on: date
    late: list[str]
    sent_again: list[str]
    rows_sent: int
    rows_that_count: int
    senders: list[SenderOfMonth]


class ListingShownFile(BaseModel):
    items: list[ShownFile]
    next_cursor: str | None = None


class ListingShownOpening(BaseModel):
    items: list[ShownOpening]
    next_cursor: str | None = None


class ListingShownRow(BaseModel):
    items: list[ShownRow]
    next_cursor: str | None = None


class ParkedCauses(BaseModel):
    items: list[ParkedCause]


class ParkedDetail(BaseModel):
    stream: ParkedReferral
    facts: list[ParkedFact]


class ParkedList(BaseModel):
    items: list[ParkedReferral]
    next_cursor: str | None = None


class Proof(BaseModel):
    sound: bool
    flaws: list[Flaw]


class FileRow(BaseModel):
    row: int
    state: str
    result: str
    code: str | None
    column: str | None
    fix: str
    warnings: list[WarnedCell]
    referral: str | None
    receipt: dict[str, Any]


class OrganizationWithKeys(BaseModel):
    id: str
    name: str
    kind: str
    phone: str
    revoked: bool
    keys: list[ShownKey]


class SetBack(BaseModel):
    at: AwareDatetime
    finished_at: AwareDatetime | None
    why: str
    unread: int
    rebuilt: int
    lost: list[LostCommand]


class Adverse(BaseModel):
    populations: list[str]
    reason: str
    citation: str
    notice_due_at: AwareDatetime
    rights: Rights
    unmet: list[Unmet] | None = None


class FileRows(BaseModel):
    items: list[FileRow]
    next_after: int | None = None


class Organizations(BaseModel):
    items: list[OrganizationWithKeys]


class ServiceStatus(BaseModel):
    service: str
    now: AwareDatetime
    outbox: int
    lag: int | None
    parked: int
    timers_due: int
    next_timer_at: AwareDatetime | None
    working: int = 0
    closed: str = ""
    set_back: SetBack | None = None
    tasks: dict[str, str]


class ShownDecision(BaseModel):
    kind: str
    by: str
    person: str
    at: AwareDatetime
    number: str
    external_number: str
    populations: list[str]
    from_: date | None
    through: date | None
    must: str
    reason: str
    citation: str
    unmet: list[Unmet] | None
    appeal_by: date | None
    notice_due_at: AwareDatetime | None
    rights: Rights | None
    adverse: Adverse | None
    overturned_on: date | None


class ShownAuthorization(BaseModel):
    id: str
    referral: str
    plan: str
    status: str
    waits_for: str
    due: ShownDue | None
    due_at: AwareDatetime | None
    cap_at: AwareDatetime | None
    updated_at: AwareDatetime
    term: ShownTerm | None = None
    urgency: str | None = None
    populations: list[PopulationToDecide] | None = None
    needs_person: list[str] | None = None
    eligibility: str | None = None
    grant: ShownGrant | None = None
    grant_refused: str | None = None
    way_on: str | None = None
    decision: ShownDecision | None = None
    pause: ShownPause | None = None
    deemed_adverse: Rights | None = None
    reauthorization_asked_by: str | None = None
    discontinuation: ShownDiscontinuation | None = None
    allowed: list[str] | None = None
    claim: ShownClaim | None = None


class ListingShownAuthorization(BaseModel):
    items: list[ShownAuthorization]
    next_cursor: str | None = None