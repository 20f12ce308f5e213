"""What notification answers: written by `make docs` from its OpenAPI document; change the service instead."""

from __future__ import annotations
from pydantic import AwareDatetime, BaseModel, Field
from typing import Any
from uuid import UUID
from datetime import date


class Item(BaseModel):
    addressee: str | None
    at: AwareDatetime
    code: str
    due_at: AwareDatetime | None
    id: str
    needs: list[str]
    overdue: bool
    recipient_kind: str
    referral: str
    told_at: AwareDatetime | None
    told_how: str | None


class ListingItem(BaseModel):
    items: list[Item]
    next_cursor: str | None = None


class NewSubscription(BaseModel):
    created_at: AwareDatetime
    description: str
    disabled_at: AwareDatetime | None
    disabled_why: str | None
    epoch: str
    id: str
    old_secret_until: AwareDatetime | None
    organization: str
    secret: str
    sequence: int
    state: str
    updated_at: AwareDatetime
    url: str | None


class Now(BaseModel):
    now: AwareDatetime


class Opened(BaseModel):
    addressee: str | None
    at: AwareDatetime
    code: str
    due_at: AwareDatetime | None
    facts: dict[str, str]
    id: str
    language: str
    needs: list[str]
    overdue: bool
    part2: dict[str, Any] | None = None
    recipient_kind: str
    referral: str
    state: str
    text: str
    told_at: AwareDatetime | None
    told_how: str | None


class Recovered(BaseModel):
    count: int
    dry_run: bool


class ReplayResult(BaseModel):
    applied: int
    dry_run: bool
    error: str
    left: int
    stream: str


class Resent(BaseModel):
    delivery: str
    webhook_id: str


class Subscription(BaseModel):
    created_at: AwareDatetime
    description: str
    disabled_at: AwareDatetime | None
    disabled_why: str | None
    epoch: str
    id: str
    old_secret_until: AwareDatetime | None
    organization: str
    sequence: int
    state: str
    updated_at: AwareDatetime
    url: str | None


class Tested(BaseModel):
    sequence: int
    webhook_id: str


class GrantShown(BaseModel):
    county: str | None
    plan: str
    population: str
    row: str


class ReferralShown(BaseModel):
    because: list[str]
    events: dict[str, list[str]]
    referral: str
    seen: bool


class FeedEntry(BaseModel):
    cursor: str
    data: dict[str, Any]
    id: str
    timestamp: AwareDatetime
    type: str


class DeliveryAttemptShown(BaseModel):
    at: AwareDatetime
    delivery: str
    duration_ms: int
    error: str | None
    id: str
    next_attempt_at: AwareDatetime | None
    number: int
    outcome: str
    referral: str
    response: str
    status: int | None
    trigger: str
    type: str
    webhook_id: str


class OutreachAttemptShown(BaseModel):
    actor_kind: str
    assignment: str
    at: AwareDatetime
    minutes: int | None = None
    modality: str
    number: int
    outcome: str
    reached: bool


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


class LostCommand(BaseModel):
    claim: UUID
    referral: str


class Explained(BaseModel):
    grants: list[GrantShown]
    on: date
    partner: str
    referral: ReferralShown | None = None


class FeedPage(BaseModel):
    items: list[FeedEntry]
    next_cursor: str


class ListingDeliveryAttemptShown(BaseModel):
    items: list[DeliveryAttemptShown]
    next_cursor: str | None = None


class ListingSubscription(BaseModel):
    items: list[Subscription]
    next_cursor: str | None = None


class OutreachShown(BaseModel):
    allowed: list[str] = []
    assignment: str | None = None
    attempts: list[OutreachAttemptShown] = Field([], validate_default=True)
    consent_holder: str | None = None
    contact_rules: list[str] = []
    ended_on: date | None = None
    outcome: str | None = None
    overdue: list[str] = []
    provider: str | None = None
    referral: str
    status: str
    updated_at: AwareDatetime | None = None


class ParkedDetail(BaseModel):
    facts: list[ParkedFact]
    stream: ParkedReferral


class ParkedList(BaseModel):
    items: list[ParkedReferral]
    next_cursor: str | None = None


class Proof(BaseModel):
    flaws: list[Flaw]
    sound: bool


class SetBack(BaseModel):
    at: AwareDatetime
    finished_at: AwareDatetime | None
    lost: list[LostCommand]
    rebuilt: int
    unread: int
    why: str


class ListingOutreachShown(BaseModel):
    items: list[OutreachShown]
    next_cursor: str | None = None


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