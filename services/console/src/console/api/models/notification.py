"""What notification answers: written by `make docs` from its OpenAPI document; change the service instead."""

from __future__ import annotations
from pydantic import AwareDatetime, BaseModel, Field
from typing import Any, Literal
from datetime import date
from uuid import UUID


class Item(BaseModel):
    id: str
    referral: str
    code: str
    recipient_kind: str
    addressee: str | None
    needs: list[str]
    at: AwareDatetime
    due_at: AwareDatetime | None
    overdue: bool
    told_at: AwareDatetime | None
    told_how: str | None


class ListingItem(BaseModel):
    items: list[Item]
    next_cursor: str | None = None


class MemberFile(BaseModel):
    id: str
    plan: str
    provider: str
    written_at: AwareDatetime
    rows: int
    bytes: int
    digest: str
    fetched_at: AwareDatetime | None = None
    tell_by: AwareDatetime | None = None
    at_risk: bool = False
    forgotten_at: AwareDatetime | None = None


class NewSubscription(BaseModel):
    id: str
    organization: str
    url: str | None
    description: str
    state: str
    disabled_why: str | None
    disabled_at: AwareDatetime | None
    old_secret_until: AwareDatetime | None
    epoch: str
    sequence: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    secret: str


class Now(BaseModel):
    now: AwareDatetime


class Opened(BaseModel):
    id: str
    referral: str
    code: str
    recipient_kind: str
    addressee: str | None
    needs: list[str]
    at: AwareDatetime
    due_at: AwareDatetime | None
    overdue: bool
    told_at: AwareDatetime | None
    told_how: str | None
    language: str
    state: str
    text: str
    facts: dict[str, str]
    part2: dict[str, Any] | None = None


class Recovered(BaseModel):
    count: int
    dry_run: bool


class ReplayResult(BaseModel):
    stream: str
    applied: int
    left: int
    error: str
    dry_run: bool


class Resent(BaseModel):
    delivery: str
    webhook_id: str


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


class Subscription(BaseModel):
    id: str
    organization: str
    url: str | None
    description: str
    state: str
    disabled_why: str | None
    disabled_at: AwareDatetime | None
    old_secret_until: AwareDatetime | None
    epoch: str
    sequence: int
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Tested(BaseModel):
    webhook_id: str
    sequence: int


class GrantShown(BaseModel):
    row: str
    plan: str
    population: str
    county: str | None


class ReferralShown(BaseModel):
    referral: str
    seen: bool
    because: list[str]
    events: dict[str, list[str]]


class FeedEntry(BaseModel):
    cursor: str
    id: str
    type: str
    timestamp: AwareDatetime
    data: dict[str, Any]


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


class DeliveryAttemptShown(BaseModel):
    id: str
    delivery: str
    webhook_id: str
    type: str
    referral: str
    number: int
    trigger: str
    at: AwareDatetime
    outcome: str
    status: int | None
    error: str | None
    duration_ms: int
    response: str
    next_attempt_at: AwareDatetime | None


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


class OutreachAttemptShown(BaseModel):
    assignment: str
    number: int
    at: AwareDatetime
    actor_kind: str
    modality: str
    outcome: str
    reached: bool
    minutes: int | None = None
    taken_back: bool = False


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


class WarnedCell(BaseModel):
    code: str
    column: str


class ShownDelivery(BaseModel):
    id: str
    state: str
    attempts: int
    next_attempt_at: AwareDatetime | None
    delivered_at: AwareDatetime | None


class ShownKey(BaseModel):
    id: str
    roles: list[str]
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None


class LostCommand(BaseModel):
    claim: UUID
    referral: str


class Explained(BaseModel):
    partner: str
    on: date
    grants: list[GrantShown]
    referral: ReferralShown | None = None


class FeedPage(BaseModel):
    items: list[FeedEntry]
    next_cursor: str


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


class ListingDeliveryAttemptShown(BaseModel):
    items: list[DeliveryAttemptShown]
    next_cursor: str | None = None


class ListingMemberFile(BaseModel):
    items: list[MemberFile]
    next_cursor: str | None = None


class ListingShownFile(BaseModel):
    items: list[ShownFile]
    next_cursor: str | None = None


class ListingShownOpening(BaseModel):
    items: list[ShownOpening]
    next_cursor: str | None = None


class ListingShownRow(BaseModel):
    items: list[ShownRow]
    next_cursor: str | None = None


class ListingSubscription(BaseModel):
    items: list[Subscription]
    next_cursor: str | None = None


class OutreachShown(BaseModel):
    referral: str
    status: str
    assignment: str | None = None
    provider: str | None = None
    attempts: list[OutreachAttemptShown] = Field([], validate_default=True)
    contact_rules: list[str] = []
    consent_holder: str | None = None
    overdue: list[str] = []
    ended_on: date | None = None
    outcome: str | None = None
    told_dead: bool = False
    allowed: list[str] = []
    updated_at: AwareDatetime | None = None


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


class ShownNotice(BaseModel):
    id: str
    referral: str
    code: str
    recipient: str
    recipient_kind: str
    needs: list[str]
    at: AwareDatetime
    due_at: AwareDatetime | None
    overdue: bool
    told_at: AwareDatetime | None
    told_how: str | None
    told_by: str | None
    proved: bool
    deliveries: list[ShownDelivery]


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


class FileRows(BaseModel):
    items: list[FileRow]
    next_after: int | None = None


class ListingOutreachShown(BaseModel):
    items: list[OutreachShown]
    next_cursor: str | None = None


class ListingShownNotice(BaseModel):
    items: list[ShownNotice]
    next_cursor: str | None = None


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