"""What may be asked of the outreach to a member, and what each rule may know beyond the row: the closed union `Asked`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from loopkeeper.contract.decider import Command, Context, Plain
from loopkeeper.contract.events import ActedBy, Consent, Lead
from notification.domain.outreach.state import Part


class ReachPolicy(Part):
    """What must have been tried before a plan's member counts as unreachable; `ref` names the policy row."""

    attempts: int
    days: int
    modalities: int
    in_person: int
    ref: str = ""


class NoteFact(Command):
    """Another service's event about this referral."""


class ProviderCommand(Command):
    """What the provider that holds the assignment may say. `provider` is the caller's organization, `person` who of it
    acts; `proved` where they signed in."""

    provider: str
    person: str = ""
    proved: Literal[True] | None = None


class RecordAttempt(ProviderCommand):
    tried_at: datetime
    actor_kind: str
    modality: str
    outcome: str
    reached: bool
    minutes: int | None = None
    # Of which assignment a file tells, a former one too (loop.md 8.6); empty: of the newest.
    assignment: str = ""


class StartServices(ProviderCommand):
    on: date | None


class DeclineForMember(ProviderCommand):
    on: date | None
    how: str


class ReportUnableToReach(ProviderCommand):
    on: date | None


class ChangeContact(ProviderCommand):
    """A correction, sealed at the edge over what was read there: `seen`. `flags` are all of the referral's."""

    flags: tuple[str, ...]
    sealed: Mapping[str, str]
    seen: str
    consent: Consent | None = None


class EndService(ProviderCommand):
    """Under a term: the plan decides about the term (loop.md 7.2)."""

    code: int
    on: date | None


# What may be taken back of outreach, and why.
Fact = Literal[
    "attempted", "services_started", "member_declined", "unable_to_reach", "service_ended", "initiated"
]
Because = Literal["did_not_happen", "another_member", "another_day", "recorded_twice", "another_outcome"]


class TakeBack(ProviderCommand):
    """A fact was recorded in error: its author, or the plan (then `provider` is the plan), takes it back."""

    what: Fact
    number: int | None = None
    because: Because


# ── what a provider's file says, and no route takes ──────────────────────────────────────────────────────


class ReportAnswer(ProviderCommand):
    """What the file says of the provider's own offer; assignment decides."""

    assignment: str
    answer: Literal["accepted", "declined", "lead_changed"]
    on: date
    lead: Lead | None = None
    reason: str = ""


class ReportInitiated(ProviderCommand):
    on: date | None


class ReportClosing(ProviderCommand):
    """Why the provider would close the loop, where only the plan closes it. `sealed`: its own words."""

    reason: Literal["provider_declined", "no_longer_eligible", "unable_to_reach", "other"]
    on: date | None
    sealed: Mapping[str, str] = {}


class CountMonth(ProviderCommand):
    """`month` is YYYY-MM. A number that is None is not said, and keeps what was counted before."""

    month: str
    in_person: int | None = None
    remote: int | None = None
    # As of an attempt.
    assignment: str = ""


class Delivery(Command):
    """That one notice was told."""

    notice: str
    code: str
    recipient_kind: str
    delivered_at: datetime


class RecordDelivered(Delivery):
    """A notice was taken by its recipient's endpoint, or opened by its recipient: it never raises."""

    how: Literal["webhook", "mailbox"] = "webhook"


class RecordHandOver(Delivery):
    """A person says that they told it. Raises 409 `already-told`. `told_by` is kept with the notice."""

    acted_by: ActedBy
    told_by: Mapping[str, str | bool]


class TakeBackHandOver(Command):
    """A hand-over was recorded in error: who recorded it, or the plan, takes it back. Raises 409 `nothing-to-take-back`."""

    notice: str
    because: Literal["did_not_happen", "another_member", "another_recipient"]
    acted_by: ActedBy


class RaiseClock(Command):
    """A deadline of outreach has come; the rule looks whether it still runs."""

    clock: str
    due_at: datetime


class RaiseNotice(Command):
    """A notice's deadline has come."""

    notice: str
    due_at: datetime


# ── contexts ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachContext(Context):
    """What the plan asks to be tried first."""

    reach: ReachPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedContext(Context):
    """By when a named person of the plan answers what a provider reports, by the policy row `refs`."""

    due_at: datetime
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Untold:
    """A notice that was not told yet: what it is, and to whom."""

    code: str
    recipient_kind: str


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A notice that a person of `by` said was told. `heard_at`: its recipient's endpoint took it all the same."""

    code: str
    recipient_kind: str
    by: str
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverContext(Context):
    """What is on record of the hand-over; None where there is none."""

    handed_over: HandedOver | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeContext(Context):
    """The notice whose deadline has come; None where it was told before."""

    untold: Untold | None


Asked = (
    tuple[
        NoteFact | RecordAttempt | StartServices | DeclineForMember | ChangeContact | EndService | TakeBack
        | ReportAnswer | ReportInitiated | CountMonth | RecordDelivered | RecordHandOver | RaiseClock,
        Plain,
    ]
    | tuple[ReportUnableToReach, ReachContext]
    | tuple[ReportClosing, JudgedContext]
    | tuple[TakeBackHandOver, HandOverContext]
    | tuple[RaiseNotice, NoticeContext]
)  # fmt: skip
