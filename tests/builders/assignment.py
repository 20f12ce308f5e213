"""What assignment's rules are asked about David in his tent, and what the directory shows of the three providers that
could take him."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from assignment.domain.commands import Accept, AskPlan, AssignByHand, Decline, NoteFact, RequestChange, Start
from assignment.domain.contexts import (
    AcceptContext,
    ChangeContext,
    Conflict,
    HandContext,
    Limit,
    Obliged,
    OfferContext,
    Offering,
    OtherAssignment,
    SettleContext,
    SilenceContext,
    StartContext,
)
from assignment.domain.matching import Need, Ranking
from assignment.domain.offers import need
from assignment.domain.state import Assignment
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import (
    AuthorizationPresumptiveEnded,
    Event,
    Ranked,
    ScreenedPopulation,
    Skipped,
)
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand, command_of
from tests.builders.facts import HOMELESS, IN_A_WEEK, accepted, approved, granted, made, received
from tests.builders.organizations import HOSPITAL, LEAD, MARIA, NAVIGATORS, STREET

ANSWER_DUE = IN_A_WEEK
PLAN_DUE = MONDAY + timedelta(days=14)

RECEIVED = received(
    referrer=HOSPITAL,
    county="alameda",
    age_band="adult",
    language="en",
    populations=(HOMELESS, ScreenedPopulation(code="avoidable_utilization", result="unknown")),
)
APPROVED = approved(populations=["homelessness"])
GRANTED = granted(provider_version=3)


def grant_over(reason: Any, grant: str = "grant_1") -> AuthorizationPresumptiveEnded:
    return AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant=grant, reason=reason, through=date(2026, 3, 31)
    )


TIMES: dict[str, Any] = {"at": MONDAY, "seed": SEED}


@dataclass(frozen=True)
class Market:
    """What the directory and the limits show, in one piece, as these tests tell it; contexts get the parts they need."""

    ranking: Ranking = field(default_factory=Ranking)
    answer_due_at: datetime = ANSWER_DUE
    answer_at_risk_at: datetime | None = None
    plan_due_at: datetime = PLAN_DUE
    plan_at_risk_at: datetime | None = None
    refs: tuple[str, ...] = ()
    assigned_elsewhere: bool = False
    other_assignment: str = ""
    elsewhere_since: datetime = MONDAY - timedelta(days=365)
    contracted: bool = True
    pcp_due_at: datetime = PLAN_DUE
    change_due_at: datetime = PLAN_DUE
    change_at_risk_at: datetime | None = None
    re_offer: bool = False
    obliged: str = ""
    obliged_by: str = ""
    yields_to: tuple[str, ...] = ()

    def told(self) -> Limit:
        risk: Any = self.plan_at_risk_at
        return Limit(due_at=self.plan_due_at, at_risk_at=risk, refs=())

    def change(self) -> Limit:
        risk: Any = self.change_at_risk_at
        return Limit(due_at=self.change_due_at, at_risk_at=risk, refs=())

    def other(self) -> OtherAssignment | None:
        found = OtherAssignment(assignment=self.other_assignment, since=self.elsewhere_since)
        return found if self.assigned_elsewhere else None

    def offering(self) -> Offering:
        risk: Any = self.answer_at_risk_at
        return Offering(
            ranking=self.ranking, answer_due_at=self.answer_due_at, answer_at_risk_at=risk, told=self.told(),
            other_assignment=self.other(), refs=self.refs,
        )  # fmt: skip

    def conflict(self) -> Conflict:
        return Conflict(told=self.told(), other_assignment=self.other())

    def for_(self, command: Command) -> AskedCommand:
        """This command, with the context that this market makes."""
        match command:
            case NoteFact():
                return command, SettleContext(
                    **TIMES, offering=self.offering(), conflict=self.conflict(), change=self.change()
                )
            case Accept():
                return command, AcceptContext(**TIMES, contracted=self.contracted, pcp_due_at=self.pcp_due_at)
            case AssignByHand():
                obliged = Obliged(provider=self.obliged, factor=self.obliged_by, yields_to=self.yields_to)
                return command, HandContext(
                    **TIMES, offering=self.offering(), obliged=obliged if self.obliged else None
                )
            case RequestChange():
                return command, ChangeContext(**TIMES, offering=self.offering(), change=self.change())
            case AskPlan():
                offering = self.offering() if self.re_offer else None
                return command, SilenceContext(**TIMES, told=self.told(), offering=offering)
            case Start():
                return command, StartContext(**TIMES, conflict=self.conflict())
            case _:
                return command, OfferContext(**TIMES, offering=self.offering())


def market(
    *providers: str, skipped: Sequence[Skipped] = (), because: tuple[str, ...] = (), **changes: Any
) -> Market:
    """What the directory shows for a command: these providers, best first."""
    ranking = Ranking(tuple(Ranked(provider=each, because=because) for each in providers), tuple(skipped))
    return Market(ranking=ranking, **changes)


def heard(fact: Event, found: Market | None = None) -> AskedCommand:
    return (found or market(STREET, NAVIGATORS)).for_(NoteFact(fact=fact))


def accept(
    provider: str = STREET, assignment: str = "asg_1", found: Market | None = None, **changes: Any
) -> AskedCommand:
    command = Accept(**{"assignment": assignment, "provider": provider, "lead": LEAD, **changes})
    return (found or Market()).for_(command)


def decline(
    reason: str = "no_capacity",
    found: Market | None = None,
    provider: str = STREET,
    assignment: str = "asg_1",
) -> AskedCommand:
    command = Decline(assignment=assignment, provider=provider, reason=reason)
    return (found or market(NAVIGATORS)).for_(command)


def by_hand(provider: str = NAVIGATORS, found: Market | None = None, because: Any = "") -> AskedCommand:
    command = AssignByHand(provider=provider, acted_by=MARIA, because=because)
    return (found or market(provider)).for_(command)


def ask_plan(found: Market | None = None) -> AskedCommand:
    return (found or Market()).for_(AskPlan())


def start(found: Market | None = None) -> AskedCommand:
    return (found or Market()).for_(Start())


def needs(state: Assignment, asking: AskedCommand) -> Need:
    """What the member needs of the provider that this command looks for."""
    return need(state, command_of(asking))


OFFERED = (RECEIVED, APPROVED, made())
TAKEN = (*OFFERED, accepted())


def wires(events: list[Event]) -> list[str]:
    return [event.wire.removeprefix("assignment.") for event in events]
