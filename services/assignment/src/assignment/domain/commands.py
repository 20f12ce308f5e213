"""What may be asked of an assignment: by a fact, a deadline, a provider, the plan, or the person who heard the member."""

from __future__ import annotations

from typing import Literal

from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy, Lead


class NoteFact(Command):
    """Another service's event about this referral."""


# ── providers ─────────────────────────────────────────────────────────────────────────────────────────────


class Accept(Command):
    assignment: str
    provider: str
    lead: Lead | None = None
    # Who of the provider signed in; without it the lead care manager accepts.
    acted_by: ActedBy | None = None


class Decline(Command):
    assignment: str
    provider: str
    reason: str = ""
    acted_by: ActedBy | None = None


class ChangeLead(Command):
    """The provider names another lead care manager; a member has one (loop.md 5.4)."""

    assignment: str
    provider: str
    lead: Lead
    acted_by: ActedBy


# ── people ────────────────────────────────────────────────────────────────────────────────────────────────


class AssignByHand(Command):
    """A named person of the plan chooses the provider. `because`: why not the one a must rule speaks for."""

    provider: str
    acted_by: ActedBy
    because: Literal["", "member_wish", "fits_better", "not_practicable"] = ""


class Withdraw(Command):
    """A named person of the plan takes an offer back."""

    assignment: str
    acted_by: ActedBy


class End(Command):
    """A named person of the provider or the plan ends an assignment."""

    assignment: str
    acted_by: ActedBy
    by_provider: bool = False


class RequestChange(Command):
    """The member asks for another provider, named or not; `acted_by` heard it."""

    assignment: str
    wished: str
    acted_by: ActedBy


# ── the directory ─────────────────────────────────────────────────────────────────────────────────────────


class ProviderLeft(Command):
    """The provider of this assignment left the directory, or its contract with the plan is over."""

    assignment: str
    provider: str


class ProviderReturned(Command):
    """The provider of this assignment, which had left, is under contract again."""

    assignment: str
    provider: str


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────


class AskPlan(Command):
    """The answer to an offer is overdue."""


class Watch(Command):
    """A limit is at risk, or was breached."""


class Start(Command):
    """The day has come on which a planned assignment is live."""


class EndTerm(Command):
    """The authorization's last day is over."""
