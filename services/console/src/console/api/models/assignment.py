"""What assignment answers: written by `make docs` from its OpenAPI document; change the service instead."""

from __future__ import annotations
from typing import Any, Literal
from pydantic import AwareDatetime, BaseModel, Field
from datetime import date
from uuid import UUID


class AssignedMember(BaseModel):
    identity: dict[str, Any]
    contact: dict[str, Any]


class Now(BaseModel):
    now: AwareDatetime


class ReplayResult(BaseModel):
    stream: str
    applied: int
    left: int
    error: str
    dry_run: bool


class ShownAssignment(BaseModel):
    id: str
    status: str
    answer_due_at: AwareDatetime
    updated_at: AwareDatetime
    starts_on: date | None = None
    conflicted: bool = False
    plan: str | None = None
    kind: str | None = None
    age_band: str | None = None
    county: str | None = None
    language: str | None = None
    needs: list[str] | None = None
    referral: str | None = None
    provider: str | None = None
    basis: str | None = None
    lead: str | None = None
    accepted_at: AwareDatetime | None = None
    reason: str | None = None


class ShownPlaces(BaseModel):
    provider: str
    capacity: int
    taken: int
    answers_by: str


class ProviderRowError(BaseModel):
    line: int
    pointer: str
    rule: str
    fix: str


class RowResult(BaseModel):
    line: int
    id: str
    result: Literal["created", "changed", "unchanged"]


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


class Ranked(BaseModel):
    provider: str
    because: list[str] = []


class Skipped(BaseModel):
    provider: str
    reason: str


class ShownContract(BaseModel):
    plan: str
    populations: list[str]
    hub: str | None = None


class ShownKey(BaseModel):
    id: str
    roles: list[str]
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None


class LostCommand(BaseModel):
    claim: UUID
    referral: str


class Imported(BaseModel):
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    dry_run: bool = False
    rows: list[RowResult] = Field([], validate_default=True)
    errors: list[ProviderRowError] = Field([], validate_default=True)


class ListingShownAssignment(BaseModel):
    items: list[ShownAssignment]
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


class RankingExplanation(BaseModel):
    lines: list[str]
    ranked: list[Ranked]
    skipped: list[Skipped]
    policy: list[str]


class ShownEntry(BaseModel):
    id: str
    name: str
    phone: str
    types: list[str]
    populations: list[str]
    age_bands: list[str]
    counties: list[str]
    languages: list[str]
    contracts: list[ShownContract]
    active: bool
    version: int
    verified_at: AwareDatetime | None
    note: str = "Enhanced Care Management needs the plan's authorization before it is provided; reaching out to a member does not."


class ShownProvider(BaseModel):
    id: str
    name: str
    phone: str
    types: list[str]
    populations: list[str]
    age_bands: list[str]
    counties: list[str]
    languages: list[str]
    contracts: list[ShownContract]
    active: bool
    version: int
    verified_at: AwareDatetime | None


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


class Organizations(BaseModel):
    items: list[OrganizationWithKeys]


class PublicDirectory(BaseModel):
    items: list[ShownProvider]
    next_cursor: str | None = None
    note: str = "Enhanced Care Management needs the plan's authorization before it is provided; reaching out to a member does not."


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