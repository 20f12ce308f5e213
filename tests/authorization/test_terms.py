"""The term: how it is prolonged, how it ends with its notice, what may end it, and a denial that was overturned."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from authorization.domain.commands import NoteFact
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization, status
from authorization.persistence.columns import FOR_NOW, columns
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.calendar import end_of_la_day
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationOverturned,
    AuthorizationReauthorizationDue,
    AuthorizationReauthorizationRequested,
    Event,
    Lead,
    OutreachServiceEnded,
)
from loopkeeper.contract.vocabulary.decisions import Discontinuation
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, given
from tests.builders import facts
from tests.builders.authorization import (
    RULES,
    TEAM,
    UNSURE,
    approve,
    ask_again,
    comes,
    deny,
    end,
    go_on,
    looked_up,
    opened,
    overturn,
    pend,
    pending,
    received,
)
from tests.builders.facts import closed
from tests.builders.organizations import CLINIC, MARIA, NOBODY

DEMO = Path(__file__).parents[2] / "demo" / "policy"
DAY = timedelta(days=1)
TERM = RULES.model_copy(update={"prompt_days": (60, 30), "notice_days": 10})
# Approved on 2 March 2026: through 1 March 2027; prompted on 31 December and 30 January, noticed on 19 February.
THROUGH, FIRST, SECOND, NOTICE = date(2027, 3, 1), date(2026, 12, 31), date(2027, 1, 30), date(2027, 2, 19)
AGAIN = TERM.model_copy(
    update={
        "term_months": 6,
        "due_at": datetime(2027, 2, 9, 8, tzinfo=UTC),
        "cap_at": datetime(2027, 2, 9, 8, tzinfo=UTC),
    }
)


def began(day: date) -> datetime:
    return end_of_la_day(day - DAY)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed(), DEMO)


def served() -> Authorization:
    """Approved by rule, accepted by the street team, first service given: the loop is closed, the term runs."""
    fact = received(claim=None)
    taken = facts.accepted()
    return given(DECIDER, fact, *opened(fact, TERM), taken, closed("services_received")).state


def ended(events: list[Event]) -> AuthorizationEnded:
    (found,) = [event for event in events if isinstance(event, AuthorizationEnded)]
    return found


# ── prompted and prolonged ────────────────────────────────────────────────────────────────────────────────


def test_reauthorization_is_prompted_sixty_and_thirty_days_before_the_end_4_7() -> None:
    """loop.md 4.7."""
    state = served()
    assert timers(state) == {"reauthorization": began(FIRST), "term": began(NOTICE)}
    (first,) = given(DECIDER, state=state).when(comes("reauthorization"), began(FIRST)).events
    assert isinstance(first, AuthorizationReauthorizationDue)
    assert (first.through, first.due_at) == (THROUGH, end_of_la_day(THROUGH))
    once = given(DECIDER, first, state=state).state
    assert timers(once)["reauthorization"] == began(SECOND)
    twice = given(DECIDER, state=once).when(comes("reauthorization"), began(SECOND)).state
    assert timers(twice) == {"term": began(NOTICE)}


def test_after_an_outage_one_prompt_is_enough() -> None:
    state = given(DECIDER, state=served()).when(comes("reauthorization"), began(SECOND) + DAY).state
    assert "reauthorization" not in timers(state)


def test_the_dates_are_policy_rows_4_7(policy: Policy) -> None:
    fact = received(claim=None, eligibility=UNSURE)
    state = given(DECIDER, fact, *opened(fact)).state
    filled: Any = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, approve())
    assert (filled.rules.term_months, filled.rules.prompt_days, filled.rules.notice_days) == (
        12,
        (60, 30),
        10,
    )


def asked(on: date = SECOND) -> Authorization:
    return given(DECIDER, state=served()).when(ask_again(AGAIN), began(on)).state


def test_who_serves_asks_before_the_end_and_the_term_lives_until_it_is_decided_4_7() -> None:
    (said,) = given(DECIDER, state=served()).when(ask_again(AGAIN), began(SECOND)).events
    assert isinstance(said, AuthorizationReauthorizationRequested)
    assert (said.provider, said.through, said.due_at) == (TEAM, THROUGH, AGAIN.due_at)
    state = asked()
    assert not set(timers(state)) & {"term", "reauthorization"}
    given(DECIDER, state=state).when(comes("term"), began(NOTICE)).then()
    assert columns(state)["approved_through"] == FOR_NOW.isoformat()
    assert columns(state)["waits_for"] == "reauthorization"


def test_a_reauthorization_is_decided_within_the_same_clocks_4_5() -> None:
    state = asked()
    assert timers(state)["due"] == AGAIN.due_at
    given(DECIDER, state=state).when(comes("due"), AGAIN.due_at).then("authorization.overdue")
    deemed = given(DECIDER, state=state).when(comes("cap"), AGAIN.cap_at).state
    # Adverse by law, and yet the term lives on: only a person ends it.
    assert deemed.reauthorization is not None
    assert deemed.term is not None
    assert deemed.term.ending is None


def test_the_yes_prolongs_by_six_months_from_the_end_of_the_first_term_4_7(policy: Policy) -> None:
    state = asked()
    command: Any = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, approve(), began(NOTICE))
    (longer,) = given(DECIDER, state=state).when(command.asking, began(NOTICE)).events
    assert isinstance(longer, AuthorizationExtended)
    assert (longer.from_, longer.through, longer.acted_by) == (date(2027, 3, 2), date(2027, 9, 1), MARIA)
    assert longer.policy == ("clocks/term-reauthorized@2023-07-01",)
    now = given(DECIDER, longer, state=state).state
    assert now.reauthorization is None
    assert now.term is not None
    assert (now.term.renewals, now.term.last_day) == (1, date(2027, 9, 1))
    assert "term" in timers(now)


def test_a_yes_after_the_end_leaves_no_gap() -> None:
    (longer,) = given(DECIDER, state=asked()).when(approve(AGAIN), began(date(2027, 3, 20))).events
    assert isinstance(longer, AuthorizationExtended)
    assert longer.from_ == date(2027, 3, 2)


def test_a_reauthorization_is_not_denied_but_ended_by_discontinuation_criteria() -> None:
    """A reassessed member is held against those, never against population criteria (ECMG26 p58, 116)."""
    for command in (deny(), pend("county")):
        answer = given(DECIDER, state=asked()).when(command).refusal
        assert (answer.slug, answer.allowed) == ("already-decided", ("approve", "end"))
    over = ended(given(DECIDER, state=asked()).when(end(13), began(date(2027, 3, 20))).events)
    assert over.on == date(2027, 3, 30)


@pytest.mark.parametrize(
    ("command", "at", "slug"),
    [
        (ask_again(AGAIN, NOBODY), SECOND, "person-required"),
        (ask_again(AGAIN, provider=CLINIC), SECOND, "not-found"),
        (ask_again(AGAIN), THROUGH + DAY, "term-ended"),
    ],
)
def test_who_may_ask_and_until_when(command: Any, at: date, slug: str) -> None:
    given(DECIDER, state=served()).when(command, began(at)).refused(slug)


def test_on_the_last_day_it_is_in_time() -> None:
    last = end_of_la_day(THROUGH) - timedelta(minutes=1)
    given(DECIDER, state=served()).when(ask_again(AGAIN), last).then(
        "authorization.reauthorization_requested"
    )


def test_it_is_asked_once_at_a_time_and_only_of_what_was_approved() -> None:
    given(DECIDER, state=asked()).when(ask_again(AGAIN)).refused("already-requested")
    held = AssignmentAccepted(
        occurred_at=MONDAY, assignment="a", provider=TEAM, lead=Lead(person="l", name="L")
    )
    given(DECIDER, held, state=pending(claim=None)).when(ask_again()).refused("term-ended")
    given(DECIDER).when(ask_again()).refused("not-found")


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_term_nobody_asked_to_renew_ends_with_its_last_day_code_13_4_7() -> None:
    """loop.md 4.7 and domain.md 10: said ten days ahead, so that the member's notice is old enough."""
    given(DECIDER, state=served()).when(comes("term"), began(NOTICE) - DAY).then()
    over = ended(given(DECIDER, state=served()).when(comes("term"), began(NOTICE)).events)
    assert (over.code, over.on, over.acted_by) == (13, THROUGH, None)
    assert over.notice_due_at == end_of_la_day(NOTICE)
    state = given(DECIDER, over, state=served()).state
    assert timers(state) == {}
    assert columns(state)["approved_through"] == THROUGH.isoformat()


def test_after_an_outage_the_effect_waits_for_the_notice() -> None:
    over = ended(given(DECIDER, state=served()).when(comes("term"), began(date(2027, 2, 26))).events)
    assert over.on == date(2027, 3, 8)


def test_who_asks_after_that_notice_and_before_the_end_takes_it_back_4_7() -> None:
    noticed = given(DECIDER, state=served()).when(comes("term"), began(NOTICE)).state
    state = given(DECIDER, state=noticed).when(ask_again(AGAIN), began(date(2027, 2, 25))).state
    assert state.term is not None
    assert state.term.ending is None
    assert state.reauthorization is not None


@pytest.mark.parametrize("code", sorted(int(code) for code in Discontinuation.codes()))
def test_a_named_person_ends_by_each_of_the_fifteen_codes_ten_days_ahead(policy: Policy, code: int) -> None:
    """domain.md 3; loop.md 7.2: notice of action at least ten calendar days ahead."""
    command = end(code)
    filled: Any = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", served(), command)
    over = ended(given(DECIDER, state=served()).when(filled.asking).events)
    assert (over.code, over.on, over.acted_by) == (code, date(2026, 3, 12), MARIA)
    assert over.notice_due_at == end_of_la_day(date(2026, 3, 2))
    assert over.rights is not None
    assert (over.rights.appeal_by, over.rights.continues_if_by) == (date(2026, 5, 1), over.on)


@pytest.mark.parametrize(
    ("command", "slug"),
    [
        (end(0), "code-unknown"),
        (end(16), "code-unknown"),
        (end(acted_by=NOBODY), "person-required"),
        (end(on=date(2026, 3, 11)), "illegal-move"),
        (end(on=THROUGH + DAY), "illegal-move"),
    ],
)
def test_what_does_not_end_a_term(command: Any, slug: str) -> None:
    given(DECIDER, state=served()).when(command).refused(slug)


def test_a_later_day_may_be_named_and_the_term_ends_once() -> None:
    over = ended(given(DECIDER, state=served()).when(end(on=date(2026, 6, 30))).events)
    state = given(DECIDER, over, state=served()).state
    assert over.on == date(2026, 6, 30)
    given(DECIDER, state=state).when(end()).refused("term-ended")
    given(DECIDER, state=state).when(ask_again(AGAIN), MONDAY + DAY).refused("term-ended")
    given(DECIDER, state=state).when(comes("term"), began(NOTICE)).then()


def test_what_was_never_approved_has_no_term_to_end() -> None:
    denied = given(DECIDER, state=pending()).when(deny()).state
    for state in (pending(), denied):
        given(DECIDER, state=state).when(end()).refused("term-ended")
    given(DECIDER, closed("withdrawn")).when(end()).refused("not-found")


# ── what may end it ───────────────────────────────────────────────────────────────────────────────────────

GONE = OutreachServiceEnded(occurred_at=MONDAY + DAY, assignment="asg_1", code=2, on=date(2026, 3, 3))


def approved() -> Authorization:
    fact = received(claim=None)
    return given(DECIDER, fact, *opened(fact, TERM)).state


def test_services_that_end_open_the_discontinuation_for_a_person_to_judge_7_2() -> None:
    given(DECIDER, state=served()).when(NoteFact(fact=GONE)).then()
    state = given(DECIDER, GONE, state=served()).state
    assert state.discontinuation is not None
    assert (state.discontinuation.why, state.discontinuation.code) == ("service_ended", 2)
    assert columns(state)["waits_for"] == "discontinuation"
    assert status(state) == "approved"


@pytest.mark.parametrize(
    "outcome",
    ["unable_to_reach", "declined_by_member", "no_longer_eligible", "withdrawn", "provider_declined"],
)
def test_a_closing_without_service_after_authorization_opens_it_too_7_2(outcome: str) -> None:
    state = given(DECIDER, closed(outcome), state=approved()).state
    assert state.discontinuation is not None
    assert state.discontinuation.why == outcome
    assert state.term is not None
    assert state.term.ending is None


def test_first_services_and_closings_before_authorization_open_none_7_2() -> None:
    assert served().discontinuation is None
    assert given(DECIDER, closed("withdrawn"), state=pending()).state.discontinuation is None
    # Only the first closing counts (loop.md 7.1).
    assert given(DECIDER, closed("unable_to_reach"), state=served()).state.discontinuation is None


def test_a_person_judges_that_it_ends_or_goes_on_7_2() -> None:
    state = given(DECIDER, GONE, state=served()).state
    over = given(DECIDER, state=state).when(end(2)).state
    assert over.discontinuation is None
    (extended,) = given(DECIDER, state=state).when(go_on()).events
    assert isinstance(extended, AuthorizationExtended)
    still = given(DECIDER, extended, state=state).state
    assert (still.discontinuation, still.term) == (None, served().term)


def test_a_notice_of_the_end_is_taken_back_by_a_person_before_its_day() -> None:
    over = given(DECIDER, state=served()).when(end(1)).state
    back = given(DECIDER, state=over).when(go_on(), MONDAY + 5 * DAY).state
    assert back.term is not None
    assert back.term.ending is None
    given(DECIDER, state=over).when(go_on(), MONDAY + 11 * DAY).refused("term-ended")
    given(DECIDER, state=served()).when(go_on()).refused("illegal-move")
    given(DECIDER, state=over).when(go_on(NOBODY)).refused("person-required")


def test_the_outcome_of_a_closing_ends_no_term_by_itself_4_1() -> None:
    state = given(DECIDER, closed("unable_to_reach"), state=approved()).state
    given(DECIDER, state=state).when(comes("reauthorization"), began(FIRST)).then(
        "authorization.reauthorization_due"
    )


# ── overturned ────────────────────────────────────────────────────────────────────────────────────────────

DENIED = given(DECIDER, state=pending()).when(deny()).state
ON = date(2026, 4, 20)
LATER = datetime(2026, 4, 21, 17, 0, tzinfo=UTC)


def test_an_overturned_denial_calls_for_a_linked_referral_within_a_business_day_4_8(policy: Policy) -> None:
    """loop.md 4.8."""
    command = overturn(ON)
    filled: Any = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", DENIED, command, LATER)
    (found,) = given(DECIDER, state=DENIED).when(filled.asking, LATER).events
    assert isinstance(found, AuthorizationOverturned)
    assert (found.on, found.due_at, found.acted_by) == (ON, end_of_la_day(date(2026, 4, 22)), MARIA)
    state = given(DECIDER, found, state=DENIED).state
    assert status(state) == "denied"
    given(DECIDER, state=state).when(overturn(ON), LATER).refused("already-decided")


@pytest.mark.parametrize(
    ("state", "command", "slug"),
    [
        (pending(), overturn(ON), "not-denied"),
        (approved(), overturn(ON), "not-denied"),
        (None, overturn(ON), "not-found"),
        (DENIED, overturn(ON, NOBODY), "person-required"),
        (DENIED, overturn(date(2026, 3, 1)), "illegal-move"),
        (DENIED, overturn(date(2026, 4, 22)), "illegal-move"),
    ],
)
def test_only_a_denial_is_overturned_by_a_named_person_and_not_before_it_was_made(
    state: Authorization | None, command: Any, slug: str
) -> None:
    given(DECIDER, state=state).when(command, LATER).refused(slug)
