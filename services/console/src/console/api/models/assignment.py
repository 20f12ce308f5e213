"""What assignment answers: written by `make docs` from its OpenAPI document; change the service instead."""

from __future__ import annotations
from pydantic import AwareDatetime, BaseModel, Field
from typing import Any, Literal
from datetime import date
from uuid import UUID


class Now(BaseModel):
    now: AwareDatetime


class OpenedMember(BaseModel):
    contact: dict[str, Any]
    identity: dict[str, Any]


class ReplayResult(BaseModel):
    applied: int
    dry_run: bool
    error: str
    left: int
    stream: str


class ShownAssignment(BaseModel):
    accepted_at: AwareDatetime | None = None
    age_band: str | None = None
    answer_due_at: AwareDatetime
    basis: str | None = None
    conflicted: bool = False
    county: str | None = None
    id: str
    kind: str | None = None
    language: str | None = None
    lead: str | None = None
    needs: list[str] | None = None
    plan: str | None = None
    provider: str | None = None
    reason: str | None = None
    referral: str | None = None
    starts_on: date | None = None
    status: str
    updated_at: AwareDatetime


class Ranked(BaseModel):
    because: list[str] = []
    provider: str


class Skipped(BaseModel):
    provider: str
    reason: str


class RowError(BaseModel):
    fix: str
    line: int
    pointer: str
    rule: str


class RowResult(BaseModel):
    id: str
    line: int
    result: Literal["created", "changed", "unchanged"]


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


class ShownContract(BaseModel):
    hub: str | None = None
    plan: str
    populations: list[str]


class LostCommand(BaseModel):
    claim: UUID
    referral: str


class Explanation(BaseModel):
    lines: list[str]
    policy: list[str]
    ranked: list[Ranked]
    skipped: list[Skipped]


class Imported(BaseModel):
    changed: int = 0
    created: int = 0
    dry_run: bool = False
    errors: list[RowError] = Field([], validate_default=True)
    refused: int = 0
    rows: list[RowResult] = Field([], validate_default=True)
    unchanged: int = 0


class ListingShownAssignment(BaseModel):
    items: list[ShownAssignment]
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


class ShownEntry(BaseModel):
    active: bool
    age_bands: list[str]
    contracts: list[ShownContract]
    counties: list[str]
    id: str
    languages: list[str]
    name: str
    note: str = "Enhanced Care Management needs the plan's authorization before it is provided; reaching out to a member does not."
    phone: str
    populations: list[str]
    types: list[str]
    verified_at: AwareDatetime | None
    version: int


class ShownProvider(BaseModel):
    active: bool
    age_bands: list[str]
    contracts: list[ShownContract]
    counties: list[str]
    id: str
    languages: list[str]
    name: str
    phone: str
    populations: list[str]
    types: list[str]
    verified_at: AwareDatetime | None
    version: int


class SetBack(BaseModel):
    at: AwareDatetime
    finished_at: AwareDatetime | None
    lost: list[LostCommand]
    rebuilt: int
    unread: int
    why: str


class PublicDirectory(BaseModel):
    items: list[ShownProvider]
    next_cursor: str | None = None
    note: str = "Enhanced Care Management needs the plan's authorization before it is provided; reaching out to a member does not."


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