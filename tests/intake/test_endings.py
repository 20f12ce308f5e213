"""An open loop always names a person or an organization (loop.md 7.6): every ending by every status, the offer open or not.

The rows are those of `services/referral-intake/src/referral_intake/policy/endings.yaml`; this is their matrix. Codes and
labels: domain.md 3; why an ending is judged and told: ECMG26 p115-116.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from loopkeeper.contract.calendar import end_of_la_day
from loopkeeper.contract.decider import Plain
from loopkeeper.contract.events import (
    AssignmentEnded,
    AssignmentPlanAsked,
    AuthorizationApproved,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationReauthorizationRequested,
    AuthorizationReviewOpened,
    Event,
    OutreachAttempted,
    OutreachClosingReported,
    ReferralAmended,
    ReferralClosed,
    ReferralPlanAsked,
)
from loopkeeper.contract.vocabulary.outcomes import Outcome
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, SEED, given
from referral_intake.domain.commands import EndOfTerm, NoteFact
from referral_intake.domain.deadlines import TERM, timers
from referral_intake.domain.next_step import next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral, status
from referral_intake.persistence.context import IntakeLoaded
from referral_intake.persistence.queries import KnownMembers
from tests.builders.intake import ACCEPTED, MADE, RECEIVED

POLICY = load(installed())
LAST = date(2026, 6, 30)
OVER = end_of_la_day(LAST)
REVIEW = AuthorizationReviewOpened(
    occurred_at=MONDAY, authorization="auth_1", clock="routine", due_at=MONDAY, cap_at=MONDAY
)
APPROVED = AuthorizationApproved.model_validate(
    {"occurred_at": MONDAY, "number": "ECM-1", "from": "2026-03-02", "through": "2027-03-01"}
)
TRIED = OutreachAttempted(
    occurred_at=MONDAY, assignment=MADE.assignment, number=1, actor_kind="lead_care_manager", modality="telephone",
    outcome="no_answer", reached=False,
)  # fmt: skip
# Every status in which a loop is open and authorized, by what led to it; with an open offer or without.
STATUSES: dict[str, tuple[Event, ...]] = {
    "authorized": (),
    "assigned": (MADE,),
    "accepted": (MADE, ACCEPTED),
    "outreach_initiated": (MADE, ACCEPTED, TRIED),
}
SERVED = {1: "services_received", 2: "services_received"}
CLOSES = {
    4: "unable_to_reach", 6: "declined_by_member", 12: "other", 13: "other", 15: "other",
    **dict.fromkeys((5, 7, 8, 9, 10, 11, 14), "no_longer_eligible"),
}  # fmt: skip


def folded(*events: Event) -> Referral:
    state = DECIDER.fold(events)
    assert state is not None
    return state


def ended(code: int, on: date = LAST) -> AuthorizationEnded:
    return AuthorizationEnded(occurred_at=MONDAY, authorization="auth_1", code=code, on=on)


def authorized(name: str, code: int) -> Referral:
    return folded(RECEIVED, REVIEW, APPROVED, *STATUSES[name], ended(code))


def happens(state: Referral, command: Any, at: datetime) -> list[Any]:
    """What follows, with the context that the service gives the command."""
    if command.fact is not None:
        state = DECIDER.evolve(state, command.fact)
    loaded = IntakeLoaded(KnownMembers(), (), POLICY, None)  # pyright: ignore[reportArgumentType]
    return list(DECIDER.decide(state, loaded.with_context("ref_1", state, command, Plain(at=at, seed=SEED))))


@pytest.mark.parametrize("code", range(1, 16))
@pytest.mark.parametrize("name", STATUSES)
@pytest.mark.parametrize("served", [False, True], ids=["unserved", "served"])
def test_every_ending_closes_the_open_loop_with_its_reason_or_asks_the_plan_by_a_date_7_6(
    name: str, code: int, served: bool
) -> None:
    state = authorized(name, code)
    if served:
        state = state.model_copy(update={"services_started_on": date(2026, 3, 9)})
    assert status(state).value == name
    assert timers(state)[TERM] == OVER
    (follows,) = happens(state, EndOfTerm(due_at=OVER), OVER)
    expected = (SERVED if served else {}).get(code) or CLOSES.get(code)
    done = given(DECIDER, follows, state=state).state
    if expected is None:
        assert isinstance(follows, ReferralPlanAsked)
        assert (follows.reason, follows.code) == ("authorization_ended", code)
        step = next_step(done)
        assert (step.actor, step.due_at) == ("plan", POLICY.due("ending_answered", OVER).at)
    else:
        assert isinstance(follows, ReferralClosed)
        assert (follows.outcome, bool(follows.text)) == (expected, True)
    assert TERM not in timers(done)
    # Whatever of the assignment ends with it, nobody waits for us.
    gone = AssignmentEnded(
        occurred_at=OVER,
        assignment=MADE.assignment,
        provider=MADE.provider,
        reason="authorization_ended",
        on=LAST,
    )
    assert next_step(given(DECIDER, gone, state=done).state).actor == ("plan" if expected is None else "")


LATE: dict[str, tuple[Event, ...]] = {
    "an offer": (MADE,),
    "an acceptance": (MADE, ACCEPTED),
    "a wish for another provider": (
        MADE, ACCEPTED, AssignmentPlanAsked(occurred_at=MONDAY, reason="change_requested", assignment=MADE.assignment),
    ),
    "a closing that its provider reports": (
        MADE, ACCEPTED,
        OutreachClosingReported(occurred_at=MONDAY, assignment=MADE.assignment, reason="provider_declined", on=LAST),
    ),
}  # fmt: skip


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_what_a_provider_did_before_the_end_and_comes_behind_it_does_not_answer_how_it_goes_on_7_6(
    late: Sequence[Event],
) -> None:
    state = authorized("authorized", 2)
    (asked,) = happens(state, EndOfTerm(due_at=OVER), OVER)
    gone = AssignmentEnded(
        occurred_at=OVER, assignment=MADE.assignment, provider=MADE.provider, reason="authorization_ended",
        on=LAST,
    )  # fmt: skip
    for event in (asked, *late, gone):
        state = given(DECIDER, event, state=state).state
        step = next_step(state)
        assert (step.actor, step.step, step.due_at) == ("plan", "authorization_ended", asked.due_at)


def test_every_row_is_tried_here_and_closes_as_an_outcome_there_is() -> None:
    rows = [row for row in POLICY.rows("endings", on=LAST) if not row["ending"].startswith("grant_")]
    assert {(int(row["ending"]), row["served"]) for row in rows} == {
        (code, served) for code in range(1, 16) for served in (False, True)
    }
    assert {row["closes_as"] for row in rows} - {None} <= Outcome.codes()


def test_before_its_last_day_is_over_nothing_is_closed_or_asked() -> None:
    assert happens(authorized("accepted", 4), EndOfTerm(due_at=OVER - timedelta(days=1)), OVER) == []


LONGER = AuthorizationExtended.model_validate(
    {
        "occurred_at": MONDAY,
        "authorization": "auth_1",
        "number": "ECM-1",
        "from": "2026-03-02",
        "through": "2027-03-01",
    }
)
AGAIN = AuthorizationReauthorizationRequested(
    occurred_at=MONDAY, authorization="auth_1", provider="harbor-street-medicine", through=LAST
)


@pytest.mark.parametrize("news", [LONGER, AGAIN], ids=["extended", "reauthorization asked for"])
@pytest.mark.parametrize("asked", [False, True], ids=["before", "after the plan was asked"])
def test_an_ending_that_is_taken_back_closes_and_asks_nothing_4_7(news: Event, asked: bool) -> None:
    state = authorized("accepted", 3)
    if asked:
        state = given(DECIDER, *happens(state, EndOfTerm(due_at=OVER), OVER), state=state).state
    state = given(DECIDER, news, state=state).state
    assert TERM not in timers(state)
    assert next_step(state).actor == "provider"


def test_a_loop_that_closed_before_is_closed_once_7_1() -> None:
    state = given(
        DECIDER,
        ReferralClosed(occurred_at=MONDAY, outcome="services_received", clr_reason="services_received"),
        state=authorized("accepted", 4),
    ).state
    assert timers(state) == {}
    assert happens(state, EndOfTerm(due_at=OVER), OVER) == []


# ── a grant whose form never came ─────────────────────────────────────────────────────────────────────────

GRANTED = AuthorizationPresumptiveGranted.model_validate(
    {"occurred_at": MONDAY, "grant": "grt_1", "provider": MADE.provider, "provider_version": 1,
     "population": "homelessness", "from": "2026-03-02", "through": "2026-03-31"}
)  # fmt: skip
START = RECEIVED.model_copy(update={"kind": "presumptive_start"})


def over(reason: Any) -> AuthorizationPresumptiveEnded:
    return AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant="grt_1", reason=reason, through=date(2026, 3, 31)
    )


def test_while_the_grant_of_a_start_lives_its_referrer_owes_the_form_by_its_end_7_6() -> None:
    step = next_step(folded(START, GRANTED))
    assert (step.actor, step.due_at) == ("referrer", end_of_la_day(date(2026, 3, 31)))


@pytest.mark.parametrize("reason", ["expired", "revoked"])
def test_once_it_has_ended_without_its_form_the_plan_is_asked_by_a_date_7_6(reason: str) -> None:
    state, news = folded(START, GRANTED), over(reason)
    (asked,) = happens(state, NoteFact(fact=news), MONDAY)
    assert isinstance(asked, ReferralPlanAsked)
    state = given(DECIDER, news, asked, state=state).state
    step = next_step(state)
    assert (step.actor, step.due_at) == ("plan", POLICY.due("ending_answered", MONDAY).at)
    # The form that comes after all takes the question back.
    formed = given(
        DECIDER, ReferralAmended(occurred_at=MONDAY, cause="joined", kind="full"), REVIEW, state=state
    ).state
    assert next_step(formed).step == "decide"


@pytest.mark.parametrize("reason", ["expired", "revoked"])
def test_where_the_review_is_open_its_decision_is_what_is_waited_for(reason: str) -> None:
    state = folded(RECEIVED, REVIEW, GRANTED)
    assert happens(state, NoteFact(fact=over(reason)), MONDAY) == []
    assert next_step(given(DECIDER, over(reason), state=state).state).actor == "plan"
