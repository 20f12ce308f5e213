"""Community Supports next to ECM: the fifteen services, and the small loop of each."""

from __future__ import annotations

from datetime import date
from itertools import product
from pathlib import Path

import pytest

import referral_intake
from loopkeeper.contract.events import AssignmentEnded, Event, ReferralClosed, ReferralSupportMoved
from loopkeeper.contract.vocabulary.supports import CommunitySupport
from loopkeeper.policy.reading import load
from loopkeeper.testing.rules import MONDAY, given
from referral_intake.domain.commands import AskSupport, Move, MoveSupport
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral, status
from referral_intake.domain.supports import FROM, moves
from tests.builders.intake import ACCEPTED, MADE, RECEIVED
from tests.builders.organizations import ROSA

POLICY = load([Path(referral_intake.__file__).parent / "policy"])
SERVED = ReferralClosed(occurred_at=MONDAY, outcome="services_received", clr_reason="services_received")
ASK = AskSupport(code="medically_tailored_meals", provider="good-meals", acted_by=ROSA)


def with_support(at: str) -> Referral:
    """A served member's loop with one support that is here."""
    moved = ReferralSupportMoved(occurred_at=MONDAY, support="sup_1", code="respite", status=at)  # pyright: ignore[reportArgumentType]
    return given(DECIDER, RECEIVED, MADE, ACCEPTED, SERVED, moved).state


def test_the_state_lists_fifteen_services_each_with_its_codes() -> None:
    rows = POLICY.rows("community_supports", on=date(2026, 3, 2))
    assert {row["support"] for row in rows} == CommunitySupport.codes()
    assert (len(rows), all(row["hcpcs"] for row in rows)) == (15, True)
    assert [row["support"] for row in rows if not row["tracked"]] == ["sobering_center"]


def test_transitional_rent_is_none_of_them_before_july_2025() -> None:
    before = {row["support"] for row in POLICY.rows("community_supports", on=date(2025, 6, 30))}
    assert CommunitySupport.codes() - before == {"transitional_rent"}


def test_a_support_is_asked_for_a_served_member_and_the_loop_stays_as_it_is() -> None:
    state = given(DECIDER, RECEIVED, MADE, ACCEPTED, SERVED).state
    (moved,) = given(DECIDER, state=state).when(ASK).events
    assert isinstance(moved, ReferralSupportMoved)
    assert (moved.status, moved.code, moved.provider) == ("asked", "medically_tailored_meals", "good-meals")
    after = DECIDER.evolve(state, moved)
    assert after is not None
    assert (status(after), after.closing) == (status(state), state.closing)


def test_what_is_given_as_it_is_asked_for_is_done_at_once() -> None:
    command = ASK.model_copy(update={"code": "sobering_center", "tracked": False})
    (moved,) = given(DECIDER, RECEIVED, MADE, ACCEPTED).when(command).events
    assert moved.status == "done"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "events",
    [
        (RECEIVED,),
        (RECEIVED, MADE),
        (RECEIVED, MADE, ACCEPTED, AssignmentEnded(occurred_at=MONDAY, assignment="asg_1", reason="x", on=MONDAY.date())),
    ],
)  # fmt: skip
def test_nobody_asks_for_a_member_nobody_serves(events: tuple[Event, ...]) -> None:
    given(DECIDER, *events).when(ASK).refused("illegal-move")


@pytest.mark.parametrize(("at", "to"), list(product(["asked", "accepted", "declined", "done"], FROM)))
def test_every_move_of_a_support_is_made_or_refused_with_what_is_allowed(at: str, to: Move) -> None:
    state = with_support(at)
    command = MoveSupport(support="sup_1", to=to, acted_by=ROSA)
    if FROM[to] == at:
        (moved,) = given(DECIDER, state=state).when(command).events
        after = DECIDER.evolve(state, moved)  # pyright: ignore[reportArgumentType]
        assert after is not None
        assert after.supports["sup_1"].status == to
        return
    refused = given(DECIDER, state=state).when(command).refusal
    assert (refused.slug, refused.allowed) == ("illegal-move", moves(at))


def test_a_support_of_another_loop_is_not_there() -> None:
    command = MoveSupport(support="sup_2", to="accepted", acted_by=ROSA)
    refused = given(DECIDER, state=with_support("asked")).when(command).refusal
    assert refused.status == 404
