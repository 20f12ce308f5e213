"""What each rule of assignment may know beyond the referral: the ranking of providers, the limits, the member's other
assignment. `Asked` is the closed union that `rules.decide` takes.

A part is None where the command, in this state, asks for nothing of the kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from assignment.domain.commands import (
    Accept,
    AskPlan,
    AssignByHand,
    ChangeLead,
    Decline,
    End,
    EndTerm,
    NoteFact,
    ProviderLeft,
    ProviderReturned,
    RequestChange,
    Start,
    Watch,
    Withdraw,
)
from assignment.domain.matching import Ranking
from loopkeeper.contract.decider import Context, InvariantBroken, Plain

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A clock's deadline, when it is at risk, and the row that says so."""

    due_at: datetime
    at_risk_at: datetime
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAssignment:
    """The member's live assignment through another referral, the first that was made."""

    assignment: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """Whom to ask, and by when they answer. `told`: by when some provider must have been told whom to serve, which is
    the plan's to see to."""

    ranking: Ranking
    answer_due_at: datetime
    answer_at_risk_at: datetime
    told: Limit
    other_assignment: OtherAssignment | None
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Whether the member has two providers, and by when the plan must say which."""

    told: Limit
    other_assignment: OtherAssignment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Obliged:
    """For whom a must rule speaks although the plan chose another, by which factor, and for what reasons it yields."""

    provider: str
    factor: str
    yields_to: tuple[str, ...]


# ── contexts ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferContext(Context):
    """The offer that may follow."""

    offering: Offering | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleContext(Context):
    """What may follow a fact: an offer, the question which of two assignments counts, a wish for another provider."""

    offering: Offering | None
    conflict: Conflict | None
    change: Limit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeContext(Context):
    """What may follow a wish for another provider: an offer, or the plan's task by `change`."""

    offering: Offering | None
    change: Limit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandContext(Context):
    offering: Offering | None
    obliged: Obliged | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceContext(Context):
    """What follows silence: the plan is asked, by `told` where an authorization still carries the offer; `offering` is
    the next one, where the plan lets silence go on to it."""

    told: Limit | None
    offering: Offering | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptContext(Context):
    """Whether the provider is still under contract, and by when the PCP, if another, must be told."""

    contracted: bool
    pcp_due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftContext(Context):
    """Whether the provider may serve all the same, and by when the plan has another."""

    contracted: bool
    change: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContext(Context):
    conflict: Conflict | None


Asked = (
    tuple[NoteFact, SettleContext]
    | tuple[Accept, AcceptContext]
    | tuple[Decline | Withdraw | End, OfferContext]
    | tuple[AssignByHand, HandContext]
    | tuple[RequestChange, ChangeContext]
    | tuple[AskPlan, SilenceContext]
    | tuple[Start, StartContext]
    | tuple[ProviderLeft | ProviderReturned, LeftContext]
    | tuple[ChangeLead | Watch | EndTerm, Plain]
)


def needed(part: P | None) -> P:
    """A part that this rule cannot do without. Raises `InvariantBroken` where the command came without it."""
    if part is None:
        raise InvariantBroken("a command of assignment came without a part of its context")
    return part
