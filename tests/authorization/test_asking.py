"""A person asks for what is missing, approves in part, or denies: what may be asked, what a clock does, what is said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from authorization.domain.commands import OpenReview
from authorization.domain.deadlines import due, timers
from authorization.domain.state import Authorization
from authorization.persistence import policy_lookup
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationExpedited,
    AuthorizationPended,
    AuthorizationResumed,
    Event,
    Question,
)
from loopkeeper.contract.vocabulary.decisions import ForbiddenAsk, ForbiddenReason
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, command_of
from tests.builders.authorization import (
    FREQUENT,
    RIGHTS,
    RULES,
    UNSURE,
    after,
    amend,
    amended,
    approval,
    approve,
    comes,
    deny,
    looked_up,
    modify,
    opened,
    pend,
    pending,
    received,
    refused,
    resume,
    when,
    wires,
)
from tests.builders.facts import HOMELESS, closed
from tests.builders.organizations import MARIA, NOBODY

DEMO = Path(__file__).parents[2] / "demo" / "policy"
DAY = timedelta(days=1)
BY = MONDAY + 14 * DAY
LATER = RULES.model_copy(update={"due_at": MONDAY + 20 * DAY, "at_risk_at": MONDAY + 18 * DAY})


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed(), DEMO)


def paused(*asks: str, **changes: Any) -> Authorization:
    state = pending(claim=None, **changes)
    return after(state, *when(state, pend(*asks or ("birth-date",))))


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_named_person_asks_for_elements_of_the_standard_4_1() -> None:
    """loop.md 4.1: only a named person pends."""
    (asked,) = when(pending(claim=None), pend("birth-date", "county", "birth-date"))
    assert isinstance(asked, AuthorizationPended)
    assert (asked.asks, asked.by, asked.acted_by) == (("birth-date", "county"), BY, MARIA)


def test_nobody_pends_without_a_name_4_1() -> None:
    assert refused(pending(), pend("birth-date", acted_by=NOBODY)).slug == "person-required"


@pytest.mark.parametrize("ask", [*sorted(ForbiddenAsk.codes()), "credit-score", "", "answer-blood_type"])
def test_nothing_beyond_the_standard_may_be_asked_2_15(ask: str) -> None:
    """loop.md 2.15, ECMG26 p99-100: no ICD-10 code, no TAR, no proof of homelessness, whichever plan asks."""
    answer = refused(pending(), pend("birth-date", ask))
    assert answer.slug == "reason-forbidden"
    assert "birth-date" in answer.fix


def test_what_may_be_asked_is_data_and_holds_every_criterion_2_15(policy: Policy) -> None:
    known = policy_lookup.askable(policy, date(2026, 3, 2))
    assert {"birth-date", "county", "answer-complex_need", "answer-avoidable_ed_visits_6m"} <= known
    assert not known & ForbiddenAsk.codes()
    assert not {"answer-age", "answer-disparity_group"} & known


def test_one_question_at_a_time_and_none_after_the_decision() -> None:
    assert refused(paused(), pend("county")).slug == "illegal-move"
    decided = after(pending(), *when(pending(), approve()))
    assert refused(decided, pend("county")).slug == "already-decided"
    assert refused(after(pending(), closed("withdrawn")), pend("county")).slug == "illegal-move"


def test_what_is_asked_may_be_decided_all_the_same() -> None:
    assert wires(when(paused(), approve())) == ["approved"]
    assert wires(when(paused(), deny())) == ["denied"]


# ── the pause ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_pause_stops_the_decisions_clock_and_not_the_cap_4_1() -> None:
    state = paused()
    assert set(timers(state)) == {"cap", "pause"}
    assert when(state, comes("due"), RULES.due_at) == []
    assert wires(when(state, comes("cap"), RULES.cap_at)) == ["deemed_adverse"]
    shown = due(state, MONDAY)
    assert shown is not None
    assert (shown.clock, shown.due_at) == ("decision_cap", RULES.cap_at)


@pytest.mark.parametrize("how", ["person", "time"])
def test_the_clock_runs_on_by_a_person_or_when_the_time_is_over(how: str) -> None:
    state = paused()
    command = resume(rules=LATER) if how == "person" else comes("pause", rules=LATER)
    (again,) = when(state, command, BY)
    assert isinstance(again, AuthorizationResumed)
    assert (again.due_at, again.at_risk_at) == (LATER.due_at, LATER.at_risk_at)
    running = after(state, again)
    assert timers(running)["due"] == LATER.due_at
    assert "pause" not in timers(running)


def test_before_its_time_no_pause_ends_by_itself() -> None:
    assert when(paused(), comes("pause"), BY - DAY) == []


def test_a_running_clock_cannot_be_resumed_nor_by_nobody() -> None:
    assert refused(pending(), resume()).slug == "illegal-move"
    assert refused(paused(), resume(NOBODY)).slug == "person-required"


QUESTION = Question(id="birth-date", pointer="/member/birth_date")
OTHER = Question(id="county", pointer="/member/county")


def test_the_answer_lets_the_clock_run_on_4_1() -> None:
    """A rule may resume: it asks or approves, and this does neither harm nor delay."""
    answer = amended(questions=(OTHER,))
    assert wires(when(paused(), amend(answer, LATER))) == ["resumed"]


@pytest.mark.parametrize(
    "fact",
    [amended(questions=(QUESTION,)), amended(questions=None), amended("corrected", questions=())],
    ids=["still open", "nothing said", "no answer"],
)
def test_what_was_asked_must_have_come(fact: Any) -> None:
    assert when(paused(), amend(fact, LATER)) == []


def test_an_answer_that_makes_the_case_clear_lets_a_rule_approve_4_2() -> None:
    state = paused(eligibility=UNSURE)
    fact = amended(questions=(), eligibility={"state": "confirmed"})
    assert wires(when(state, amend(fact, LATER))) == ["resumed", "approved"]


def test_what_was_drawn_for_the_sample_stays_with_a_person_4_2() -> None:
    sampled = RULES.model_copy(update={"automatic": {"homelessness": 0.05}})
    fact = received(claim=None)
    state = after(None, fact, *opened(fact, sampled, draw=0.01))
    assert when(state, amend(amended(questions=()), sampled, draw=0.9)) == []


def test_an_answer_never_denies() -> None:
    unmet = HOMELESS.model_copy(update={"result": "unmet"})
    fact = amended(populations=(unmet,), questions=(), eligibility={"state": "not_found"})
    assert when(pending(claim=None), amend(fact)) == []


# ── urgent after all ──────────────────────────────────────────────────────────────────────────────────────


SOON = RULES.model_copy(
    update={
        "clock": "expedited", "due_at": MONDAY + 3 * DAY, "cap_at": MONDAY + 3 * DAY, "at_risk_at": MONDAY + 2 * DAY
    }
)  # fmt: skip


def test_an_urgency_learned_later_shortens_the_running_clock_and_its_cap_4_5() -> None:
    """42 CFR 438.210(d): what became urgent is decided within 72 hours of that."""
    state = pending(claim=None)
    urgent = amend(amended("corrected", urgency="expedited"), SOON)
    (sooner,) = when(state, urgent)
    assert isinstance(sooner, AuthorizationExpedited)
    faster = after(state, command_of(urgent).fact, sooner)
    assert faster.review is not None
    assert (faster.review.clock, faster.review.cap_at) == ("expedited", SOON.cap_at)
    assert timers(faster)["due"] == SOON.due_at
    # Said once, and never taken back: a clock is not lengthened.
    assert when(faster, urgent) == []
    assert when(faster, amend(amended("corrected", urgency="routine"))) == []


def test_where_the_routine_clock_ends_sooner_it_stays() -> None:
    late = SOON.model_copy(update={"due_at": RULES.due_at + DAY, "cap_at": RULES.cap_at})
    assert when(pending(claim=None), amend(amended("corrected", urgency="expedited"), late)) == []


# ── how long the pause was ────────────────────────────────────────────────────────────────────────────────


def resumed_at(policy: Policy, asked: datetime, again: datetime, urgency: str = "routine") -> Any:
    """The rules with which a clock that was stopped between these runs on; the referral came on Monday, 2 March."""
    fact = received(claim=None, eligibility=UNSURE, urgency=urgency)
    state = after(None, fact)
    for command, at in ((opening(fact), MONDAY), (pend("county"), asked)):
        filled = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, command, at)
        state = after(state, *when(state, filled.asking, at))
    filled = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, resume(), again)
    return filled.rules


def opening(fact: Any) -> OpenReview:
    return OpenReview(fact=fact)


@pytest.mark.parametrize(
    ("asked", "again", "due_on", "risk_on"),
    [
        # Asked on Tuesday with four days left, answered on Thursday of the next week: four working days on.
        (MONDAY + DAY, MONDAY + 10 * DAY, date(2026, 3, 18), date(2026, 3, 16)),
        # Asked and answered within the same day: nothing changes.
        (MONDAY + DAY, MONDAY + DAY, date(2026, 3, 9), date(2026, 3, 5)),
        # Asked on the last day: none is left, and it ends with the day on which the answer comes.
        (MONDAY + 7 * DAY, MONDAY + 9 * DAY, date(2026, 3, 11), date(2026, 3, 9)),
        # Cesar Chavez Day, 31 March, counts for nobody.
        (MONDAY + DAY, MONDAY + 25 * DAY, date(2026, 4, 3), date(2026, 4, 1)),
    ],
)
def test_as_much_is_left_as_was_when_it_stopped(
    policy: Policy, asked: datetime, again: datetime, due_on: date, risk_on: date
) -> None:
    rules = resumed_at(policy, asked, again)
    hour = timedelta(hours=1)
    assert (la_date(rules.due_at - hour), la_date(rules.at_risk_at - hour)) == (due_on, risk_on)


def test_of_seventy_two_hours_those_left_run_on(policy: Policy) -> None:
    asked, again = MONDAY + timedelta(hours=10), MONDAY + timedelta(hours=40)
    rules = resumed_at(policy, asked, again, "expedited")
    assert rules.due_at == again + timedelta(hours=62)
    assert rules.at_risk_at == again + timedelta(hours=38)


def test_what_was_overdue_when_it_was_asked_stays_overdue(policy: Policy) -> None:
    rules = resumed_at(policy, MONDAY + 9 * DAY, MONDAY + 12 * DAY)
    assert rules.due_at == datetime(2026, 3, 10, 7, 0, tzinfo=UTC)


# ── a yes in part, a no, and what they say ────────────────────────────────────────────────────────────────

BOTH = (HOMELESS, FREQUENT)


def test_a_modification_carries_all_that_a_denial_does_4_1() -> None:
    decided = approval(when(pending(populations=BOTH), modify(("homelessness",))))
    assert decided.modified
    assert decided.adverse is not None
    assert decided.adverse.populations == ("avoidable_utilization",)
    assert (decided.adverse.reason, decided.adverse.rights) == ("criteria_not_met", RIGHTS)
    assert decided.adverse.citation == "ECM Policy Guide"
    assert decided.adverse.notice_due_at == MONDAY + 2 * DAY


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"acted_by": NOBODY}, "person-required"),
        ({"licensed": False, "denial": {"needs_license": True}}, "person-required"),
        ({"reason": "other"}, "reason-unknown"),
        *(({"reason": reason}, "reason-forbidden") for reason in sorted(ForbiddenReason.codes())),
    ],
)
def test_a_modification_is_refused_for_what_a_denial_is(changes: dict[str, Any], slug: str) -> None:
    assert refused(pending(populations=BOTH), modify(("homelessness",), **changes)).slug == slug


@pytest.mark.parametrize("kept", [(), ("homelessness", "avoidable_utilization"), ("birth_equity",)])
def test_a_modification_keeps_some_of_what_was_asked_and_not_all(kept: tuple[str, ...]) -> None:
    assert refused(pending(populations=BOTH), modify(kept)).slug == "illegal-move"


def test_fewer_populations_are_no_plain_approval() -> None:
    answer = refused(pending(populations=BOTH), approve(populations=("homelessness",)))
    assert answer.slug == "illegal-move"
    assert ":modify" in answer.fix


def test_a_denial_says_why_by_what_right_and_until_when_it_can_be_fought(policy: Policy) -> None:
    command = deny("criteria_not_met", citation="", licensed=True)
    filled = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", pending(), command)
    denied, *_ = when(pending(), filled.asking)
    assert isinstance(denied, AuthorizationDenied)
    assert (denied.reason, denied.citation) == ("criteria_not_met", "ECM Policy Guide, Populations of Focus")
    assert denied.rights is not None
    assert (denied.rights.appeal_by, denied.rights.hearing_days, denied.rights.unanswered_days) == (
        date(2026, 5, 1),
        120,
        30,
    )
    assert denied.appeal_by == denied.rights.appeal_by
    assert {"clocks/appeal@2022-01-01", "clocks/hearing@2022-01-01"} <= set(denied.policy)


def test_decisions_of_the_plans_own_system_keep_its_number_everywhere() -> None:
    """loop.md 4.6."""
    both = pending(populations=BOTH)
    made: list[Event] = [
        *when(both, approve(external_number="HHP-1")),
        *when(both, modify(("homelessness",), external_number="HHP-1")),
        *when(both, deny(external_number="HHP-1")),
    ]
    decisions = [e for e in made if isinstance(e, AuthorizationApproved | AuthorizationDenied)]
    assert [decided.external_number for decided in decisions] == ["HHP-1"] * 3
