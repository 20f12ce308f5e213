"""What the services say to each other: every event, its one publisher and its data.

An event is minimal and additive: a new optional field is fine, anything else is a `.v2` beside the old one.
`occurred_at` is when it happened; when we learned it is the envelope's time. The wire type is `ecm.<name>.v1`.
Sealed parts travel in `referral.received` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import ClassVar, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A value inside an event."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ActedBy(Part):
    """Who decided: the organization, and that organization's own id of the person."""

    organization: str
    person: str = ""


class Event(BaseModel):
    """The part every event has. `policy` names the policy rows a decision used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    wire: ClassVar[str] = ""

    occurred_at: datetime
    acted_by: ActedBy | None = None
    policy: tuple[str, ...] = ()

    @classmethod
    def wire_type(cls) -> str:
        return f"ecm.{cls.wire}.v1"

    def payload(self) -> bytes:
        """The bytes that are journaled and published: fields without a value are left out."""
        return orjson.dumps(self.model_dump(mode="json", exclude_none=True))


class ScreenedPopulation(Part):
    code: str
    result: Literal["met", "unmet", "unknown"]
    claimed: bool = False


class Claim(Part):
    """A presumptive claim: who will serve, under which population, from which first service on."""

    provider: str
    population: str
    from_: date = Field(alias="from")

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class Eligibility(Part):
    """What the plan's roster said when intake asked: `unknown` never denies."""

    state: Literal["confirmed", "not_found", "ended", "unknown"] = "unknown"
    programs: tuple[str, ...] = ()


class Linked(Part):
    to: str
    why: str


class Question(Part):
    id: str
    pointer: str
    blocking: bool = False


class Contract(Part):
    """A plan's contract with a provider for these populations, in force from `from` through `through`."""

    plan: str
    populations: tuple[str, ...] = ()
    hub: str | None = None
    from_: date = Field(alias="from")
    through: date | None = None

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class Lead(Part):
    """The lead care manager: the provider's own id of the person, and the name the member will ask for."""

    person: str
    name: str


class Skipped(Part):
    provider: str
    reason: str


class Ranked(Part):
    """A candidate that could have taken the referral, and what spoke for it, in the order of the ranking."""

    provider: str
    because: tuple[str, ...] = ()


# ── intake ────────────────────────────────────────────────────────────────────────────────────────────────


class ReferralReceived(Event):
    wire = "referral.received"
    plan: str
    referrer: str
    member: str
    kind: Literal["full"] = "full"
    form: Literal["adult", "child_youth"] = "adult"
    received_via: str = "api"
    entered_by: str = ""
    urgency: Literal["routine", "expedited"] = "routine"
    age_band: str = "unknown"
    county: str = ""
    language: str = ""
    populations: tuple[ScreenedPopulation, ...] = ()
    attested: bool = False
    claim: Claim | None = None
    preferred: tuple[str, ...] = ()
    pcp: str | None = None
    eligibility: Eligibility = Eligibility()
    flags: tuple[str, ...] = ()
    linked: Linked | None = None
    sealed: Mapping[str, str] = Field(default_factory=dict)


class ReferralQuestionsAsked(Event):
    wire = "referral.questions_asked"
    questions: tuple[Question, ...]
    due_at: datetime | None = None
    reminder: int = 0


class ReferralClosed(Event):
    wire = "referral.closed"
    outcome: str
    clr_reason: str
    text: str = ""
    merged_into: str | None = None
    assignment: str | None = None
    # Whether the plan had authorized before: then what lives on, and how it ends, is the plan's own act.
    authorized: bool = False


# ── authorization ─────────────────────────────────────────────────────────────────────────────────────────


class AuthorizationReviewOpened(Event):
    wire = "authorization.review_opened"
    authorization: str
    clock: str
    due_at: datetime
    cap_at: datetime
    # Why no rule could approve it at once, as codes; none if one did in the same breath.
    needs_person: tuple[str, ...] = ()


class AuthorizationPresumptiveGranted(Event):
    wire = "authorization.presumptive_granted"
    grant: str
    provider: str
    provider_version: int
    population: str
    from_: date = Field(alias="from")
    through: date

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class AuthorizationPresumptiveRefused(Event):
    wire = "authorization.presumptive_refused"
    reason: str
    way_on: str = ""


class AuthorizationPresumptiveEnded(Event):
    wire = "authorization.presumptive_ended"
    grant: str
    reason: Literal["expired", "approved", "denied", "revoked", "closed"]
    # The last day the grant covers.
    through: date


class AuthorizationApproved(Event):
    wire = "authorization.approved"
    authorization: str = ""
    number: str
    external_number: str | None = None
    populations: tuple[str, ...] = ()
    modified: bool = False
    by: Literal["rule", "person"] = "person"
    from_: date = Field(alias="from")
    through: date

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class AuthorizationDenied(Event):
    wire = "authorization.denied"
    authorization: str = ""
    external_number: str | None = None
    reason: str
    citation: str
    appeal_by: date
    notice_due_at: datetime


# ── assignment ────────────────────────────────────────────────────────────────────────────────────────────


class AssignmentMade(Event):
    wire = "assignment.made"
    assignment: str
    provider: str
    kind: Literal["ecm", "presumptive"] = "ecm"
    basis: str = ""
    answer_due_at: datetime
    skipped: tuple[Skipped, ...] = ()
    ranked: tuple[Ranked, ...] = ()


class AssignmentAccepted(Event):
    wire = "assignment.accepted"
    assignment: str
    provider: str
    lead: Lead


class AssignmentDeclined(Event):
    wire = "assignment.declined"
    assignment: str
    provider: str = ""
    reason: str


class AssignmentWithdrawn(Event):
    wire = "assignment.withdrawn"
    assignment: str
    provider: str = ""
    reason: str


class AssignmentPlanAsked(Event):
    wire = "assignment.plan_asked"
    reason: Literal["none_left", "no_answer", "member_already_assigned", "conflicted"]
    assignment: str | None = None
    due_at: datetime | None = None


class AssignmentEnded(Event):
    wire = "assignment.ended"
    assignment: str
    provider: str = ""
    reason: str
    on: date


class ProviderRecorded(Event):
    wire = "provider.recorded"
    provider: str
    version: int
    active: bool = True
    name: str = ""
    phone: str = ""
    types: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()
    age_bands: tuple[str, ...] = ()
    counties: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    contracts: tuple[Contract, ...] = ()
    capacity: int = 0
    answers_by: Literal["api", "file"] = "api"
    verified_at: datetime | None = None


# ── notification ──────────────────────────────────────────────────────────────────────────────────────────


class OutreachAttempted(Event):
    wire = "outreach.attempted"
    assignment: str
    number: int
    actor_kind: str
    modality: str
    outcome: str
    reached: bool


class OutreachServicesStarted(Event):
    wire = "outreach.services_started"
    assignment: str
    on: date


class OutreachMemberDeclined(Event):
    wire = "outreach.member_declined"
    assignment: str
    on: date
    how: str
    attempts: int


class OutreachUnableToReach(Event):
    wire = "outreach.unable_to_reach"
    assignment: str
    on: date
    how: str = ""
    attempts: int


class NoticeDelivered(Event):
    wire = "notice.delivered"
    notice: str
    code: str
    recipient_kind: str
    how: Literal["webhook", "mailbox", "hand_over"]


PUBLISHERS: Mapping[str, str] = {
    "referral": "intake",
    "authorization": "authorization",
    "assignment": "assignment",
    "provider": "assignment",
    "outreach": "notification",
    "notice": "notification",
}


@cache
def by_type() -> Mapping[str, type[Event]]:
    """Every event class by its wire type."""
    return {kind.wire_type(): kind for kind in Event.__subclasses__()}


def publisher(kind: type[Event]) -> str:
    """The one service that owns this event's noun."""
    return PUBLISHERS[kind.wire.partition(".")[0]]


def read(wire_type: str, data: bytes) -> Event | None:
    """The event in these bytes, None where the type is unknown here (a newer publisher).
    Raises `pydantic.ValidationError` where the bytes are not that event."""
    kind = by_type().get(wire_type)
    return kind.model_validate_json(data) if kind is not None else None
