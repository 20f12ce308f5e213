"""What may be asked of the outreach to a member, and what must be known with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy, Consent
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
    """What the provider that holds the assignment may say. `provider` is the caller's organization."""

    provider: str
    person: str = ""


class RecordAttempt(ProviderCommand):
    tried_at: datetime
    actor_kind: str
    modality: str
    outcome: str
    reached: bool
    minutes: int | None = None


class StartServices(ProviderCommand):
    on: date | None


class DeclineForMember(ProviderCommand):
    on: date | None
    how: str


class ReportUnableToReach(ProviderCommand):
    """`reach` is filled in by the store's view from the plan's policy."""

    on: date | None
    reach: ReachPolicy | None = None


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


class RecordDelivered(Command):
    """A notice was taken by its recipient's endpoint, or opened by its recipient: it never raises."""

    notice: str
    code: str
    recipient_kind: str
    delivered_at: datetime
    how: Literal["webhook", "mailbox", "hand_over"] = "webhook"


class RecordHandOver(RecordDelivered):
    """A person says that they told it. Raises 409 `already-told`. `told_by` is kept with the notice."""

    how: Literal["webhook", "mailbox", "hand_over"] = "hand_over"
    acted_by: ActedBy
    told_by: Mapping[str, str | bool]


class RaiseClock(Command):
    """A deadline of outreach has come; the rule looks whether it still stands."""

    clock: str
    due_at: datetime


class RaiseNotice(Command):
    """A notice's deadline has come. The store's view fills in what the notice is, if it is not told yet."""

    notice: str
    due_at: datetime
    code: str = ""
    recipient_kind: str = ""
