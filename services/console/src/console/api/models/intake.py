"""What intake answers: written by `make docs` from its OpenAPI document; change the service instead."""

from __future__ import annotations
from pydantic import AwareDatetime, BaseModel, Field
from typing import Any
from datetime import date
from uuid import UUID


class Clock(BaseModel):
    now: AwareDatetime
    movable: bool


class Now(BaseModel):
    now: AwareDatetime


class ReferralCounts(BaseModel):
    now: AwareDatetime
    open: int
    status: dict[str, int]
    actor: dict[str, int]
    step: dict[str, int]
    due: dict[str, int]
    plan: dict[str, int] | None = None
    county: dict[str, int] | None = None


class ReferredMember(BaseModel):
    identity: dict[str, Any]
    contact: dict[str, Any]
    other_factors: dict[str, str] = {}


class ReplayResult(BaseModel):
    stream: str
    applied: int
    left: int
    error: str
    dry_run: bool


class Report(BaseModel):
    id: str
    plan: str
    kind: str
    period: str
    state: str
    preview: str = "preview: the official layout is not public"
    sources: list[str]
    known_through: AwareDatetime
    due_on: date | None = None
    ready_at: AwareDatetime | None
    submitted_at: AwareDatetime | None
    referrals: int
    bytes: int
    digest: str
    code: str | None = None
    forgotten_at: AwareDatetime | None = None


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


class ShownSupport(BaseModel):
    id: str
    referral: str
    code: str
    name: str
    status: str
    allowed: list[str]
    updated_at: AwareDatetime
    provider: str | None = None


class CountedReferral(BaseModel):
    referral: str
    times: int


class Definition(BaseModel):
    figure: str
    definition: str
    source: str
    confidence: str


class ShownFigure(BaseModel):
    figure: str
    by: str
    of: str
    value: int | None
    share: float | None
    median_days: int | None
    p95_days: int | None
    submitted: int | None = None


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


class ShownOrganization(BaseModel):
    id: str
    name: str
    kind: str
    phone: str | None = None


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


class Due(BaseModel):
    actor: str
    step: str
    clock: str
    due_at: AwareDatetime
    state: str = "on_track"


class Links(BaseModel):
    referral: str
    timeline: str


class ShownQuestion(BaseModel):
    id: str
    pointer: str
    asks: str
    blocking: bool


class RosterRowError(BaseModel):
    line: int
    pointer: str
    rule: str
    fix: str


class ReferralAuthorization(BaseModel):
    id: str = ""
    decision_due_at: AwareDatetime | None = None
    number: str = ""
    from_: date | None = None
    through: date | None = None
    denied: bool = False
    presumptive_through: date | None = None


class ReferralDue(BaseModel):
    clock: str
    due_at: AwareDatetime
    state: str


class ShownChild(BaseModel):
    id: str
    code: str
    status: str


class ShownClosing(BaseModel):
    outcome: str
    clr_reason: str
    text: str
    at: AwareDatetime
    told_at: AwareDatetime | None = None


class ShownLink(BaseModel):
    to: str
    why: str


class ShownOverdue(BaseModel):
    clock: str
    due_at: AwareDatetime
    state: str


class ShownPopulation(BaseModel):
    code: str
    result: str
    claimed: bool
    met_by: str | None = None


class ShownStep(BaseModel):
    actor: str
    step: str
    due_at: AwareDatetime | None = None
    code: str = ""
    values: dict[str, str] = {}
    organization: str | None = None
    since: AwareDatetime | None = None


class ShownEvent(BaseModel):
    event_id: str
    type: str
    source: str
    at: AwareDatetime
    occurred_at: AwareDatetime
    sentence: str
    values: dict[str, Any] = {}
    policy: list[str] = []
    acted_by: str | None = None
    person: str | None = None
    proved: bool = False
    authorization: str | None = None
    assignment: str | None = None
    trace_id: str | None = None


class BatchError(BaseModel):
    pointer: str
    rule: str
    fix: str


class WarnedCell(BaseModel):
    code: str
    column: str


class ScreenedCriterion(BaseModel):
    answer: str
    asks: str
    result: str


class ShownKey(BaseModel):
    id: str
    roles: list[str]
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None


class ClaimedPopulation(BaseModel):
    population: str
    covered: bool


class LostCommand(BaseModel):
    claim: UUID
    referral: str


class Behind(BaseModel):
    items: list[CountedReferral]
    next_after: str | None = None


class Figures(BaseModel):
    preview: str = "preview: the official layout is not public"
    sources: list[str]
    definitions: list[Definition]
    submitted: str | None = None
    items: list[ShownFigure]


class ListingReport(BaseModel):
    items: list[Report]
    next_cursor: str | None = None


class ListingShownFile(BaseModel):
    items: list[ShownFile]
    next_cursor: str | None = None


class ListingShownOpening(BaseModel):
    items: list[ShownOpening]
    next_cursor: str | None = None


class ListingShownOrganization(BaseModel):
    items: list[ShownOrganization]
    next_cursor: str | None = None


class ListingShownRow(BaseModel):
    items: list[ShownRow]
    next_cursor: str | None = None


class ListingShownSupport(BaseModel):
    items: list[ShownSupport]
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


class RosterResult(BaseModel):
    state: str
    lines: int
    accepted: int
    refused: int
    removed: int
    dry_run: bool
    errors: list[RosterRowError]


class ShownReferral(BaseModel):
    id: str
    status: str
    plan: str
    received_at: AwareDatetime
    updated_at: AwareDatetime
    next_step: ShownStep
    due: ReferralDue | None = None
    authorization: ReferralAuthorization
    referrer: str | None = None
    form: str | None = None
    urgency: str | None = None
    county: str | None = None
    language: str | None = None
    consent_holder: str | None = None
    release_on: date | None = None
    first_received_on: date | None = None
    linked: ShownLink | None = None
    possible_duplicate_of: str | None = None
    overdue: list[ShownOverdue] = Field([], validate_default=True)
    populations: list[ShownPopulation] | None = None
    questions: list[ShownQuestion] | None = None
    eligibility: str | None = None
    provider: str | None = None
    lead: str | None = None
    supports: list[ShownChild] | None = None
    closing: ShownClosing | None = None


class Timeline(BaseModel):
    items: list[ShownEvent]
    next_cursor: str | None = None


class BatchLine(BaseModel):
    line: int
    referral: str | None = None
    status: str | None = None
    questions: list[ShownQuestion] = Field([], validate_default=True)
    code: str | None = None
    fix: str | None = None
    errors: list[BatchError] = Field([], validate_default=True)


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


class Screened(BaseModel):
    code: str
    result: str
    claimed: bool
    suggested: bool
    notes: list[str]
    criteria: list[ScreenedCriterion]


class OrganizationWithKeys(BaseModel):
    id: str
    name: str
    kind: str
    phone: str
    revoked: bool
    keys: list[ShownKey]


class ReceivedClaim(BaseModel):
    population: str
    covered: bool
    note: str
    also: list[ClaimedPopulation] = Field([], validate_default=True)


class SetBack(BaseModel):
    at: AwareDatetime
    finished_at: AwareDatetime | None
    why: str
    unread: int
    rebuilt: int
    lost: list[LostCommand]


class BatchResult(BaseModel):
    received: int
    refused: int
    lines: list[BatchLine]


class FileRows(BaseModel):
    items: list[FileRow]
    next_after: int | None = None


class ListingShownReferral(BaseModel):
    items: list[ShownReferral]
    next_cursor: str | None = None


class OpenedForm(BaseModel):
    form: str
    form_version: str
    referral_date: date | None
    received_via: str
    entered_by: str
    urgency: str
    populations: list[str]
    answers: dict[str, Any]
    programs: dict[str, str]
    confirmed_programs: dict[str, bool]
    member_choices: dict[str, str]
    attestation: dict[str, Any]
    member_agrees: bool | None
    referrer: dict[str, Any]
    presumptive: dict[str, Any] | None
    release_on: date | None
    plan_change: dict[str, Any] | None
    recommended: dict[str, Any] | None
    preference: dict[str, Any] | None
    comments: str
    safety_notes: str
    attachments: list[str]
    extra: list[dict[str, Any]]
    screening: list[Screened]
    policy: list[str]


class Organizations(BaseModel):
    items: list[OrganizationWithKeys]


class Receipt(BaseModel):
    id: str
    received_at: AwareDatetime
    status: str
    eligibility: str
    screening: list[Screened]
    questions: list[ShownQuestion]
    presumptive: ReceivedClaim | None
    due: list[Due]
    write_to: list[str] = []
    links: Links


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