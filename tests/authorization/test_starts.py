"""A grant before its form, what it is reminded of, how it ends, and who is authorized from the day of release."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from authorization.domain.commands import ExpireGrant, NoteFact, OpenReview
from authorization.domain.deadlines import due, timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization, status
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.calendar import end_of_la_day
from loopkeeper.contract.events import (
    AuthorizationExtended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationPresumptiveReminded,
    Eligibility,
    Event,
    NoticeDelivered,
    ScreenedPopulation,
)
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.authorization import (
    ENTRY,
    RULES,
    TEAM,
    UNSURE,
    amend,
    amended,
    approval,
    approve,
    claim,
    comes,
    deny,
    look_again,
    looked_up,
    open_review,
    opened,
    pending,
    received,
    revoke,
    wires,
)
from tests.builders.facts import HOMELESS, TODAY, closed
from tests.builders.organizations import CLINIC, NOBODY

DAY = timedelta(days=1)
# The day after a sent-alone start's reminders: day 20, the fifth working day before the end, day 25.
REMIND = (date(2026, 3, 22), date(2026, 3, 24), date(2026, 3, 27))
STARTED = RULES.model_copy(update={"remind_on": REMIND, "referral_by": date(2026, 3, 24)})
RELIED_ON = ScreenedPopulation(code="homelessness", result="unknown", claimed=True)


def began(day: date) -> datetime:
    """The first instant of this day in Los Angeles."""
    return end_of_la_day(day - DAY)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


def start(**changes: Any) -> Any:
    """Attestation, the population relied on, the date of the first service; nothing else yet."""
    return received(
        **{"kind": "presumptive_start", "populations": (RELIED_ON,), "eligibility": UNSURE, **changes}
    )


def started(**changes: Any) -> Authorization:
    fact = start(**changes)
    return given(DECIDER, fact, *opened(fact, STARTED)).state


FORM: Mapping[str, Any] = {"kind": "full", "populations": (HOMELESS,), "attested": True}


# ── a start sent alone ────────────────────────────────────────────────────────────────────────────────────


def test_a_start_alone_is_granted_and_opens_no_review_3_1() -> None:
    """loop.md 3.1."""
    events = opened(start(), STARTED)
    assert wires(events) == ["presumptive_granted"]
    state = given(DECIDER, start(), *events).state
    assert (status(state), state.review) == ("started", None)
    assert state.authorization.startswith("auth_")


def test_a_start_that_is_not_attested_or_says_that_the_criteria_fail_is_not_granted_3_2() -> None:
    unmet = RELIED_ON.model_copy(update={"result": "unmet"})
    for fact in (start(attested=False), start(populations=(unmet,))):
        (refusal,) = opened(fact, STARTED)
        assert isinstance(refusal, AuthorizationPresumptiveRefused)
        assert refusal.reason == "criteria"
        assert status(given(DECIDER, fact, refusal).state) == "started"


def test_nothing_is_decided_before_the_form_is_here() -> None:
    answer = given(DECIDER, state=started()).when(approve()).refusal
    assert (answer.slug, answer.allowed) == ("illegal-move", ("revoke-grant",))
    given(DECIDER, state=started()).when(deny()).refused("illegal-move")


def test_the_form_joins_the_same_loop_and_opens_the_review_3_1() -> None:
    state = started()
    events = (
        given(DECIDER, state=state)
        .when(amend(amended("joined", joined="ref_2", **FORM)), MONDAY + 4 * DAY)
        .events
    )
    assert wires(events) == ["review_opened"]
    joined = given(DECIDER, amended("joined", **FORM), *events, state=state).state
    assert joined.review is not None
    assert joined.review.authorization == state.authorization
    assert status(joined) == "pending"
    assert joined.grant_live


def test_a_form_that_is_clear_is_approved_by_rule_and_ends_the_grant() -> None:
    fact = amended("joined", eligibility=Eligibility(state="confirmed"), **FORM)
    given(DECIDER, state=started()).when(amend(fact)).then(
        "authorization.review_opened", "authorization.approved", "authorization.presumptive_ended"
    )


def test_the_form_comes_after_first_services_closed_the_loop_7_2() -> None:
    """First service on day 1 closes the loop; the review is decided all the same."""
    served = given(DECIDER, closed("services_received"), state=started()).state
    given(DECIDER, state=served).when(amend(amended("joined", **FORM))).then("authorization.review_opened")


def test_nothing_opens_for_a_loop_that_ended_otherwise() -> None:
    over = given(DECIDER, closed("withdrawn"), state=started()).state
    given(DECIDER, state=over).when(amend(amended("joined", **FORM))).then()
    assert status(over) == "closed"


def test_the_form_mends_what_the_start_lacked_3_2() -> None:
    fact = start(attested=False)
    state = given(DECIDER, fact, *opened(fact, STARTED)).state
    given(DECIDER, state=state).when(amend(amended("joined", **FORM))).then(
        "authorization.review_opened", "authorization.presumptive_granted"
    )


def test_what_was_refused_once_is_not_said_twice() -> None:
    shelter = ENTRY.model_copy(update={"types": ("shelter",)})
    state = given(DECIDER, start(), *opened(start(), STARTED, provider=shelter)).state
    given(DECIDER, state=state).when(amend(amended("joined", **FORM), provider=shelter)).then(
        "authorization.review_opened"
    )


def test_a_start_waits_for_a_provider_nobody_knows_yet_3_6() -> None:
    state = given(DECIDER, start(), *opened(start(), STARTED, provider=None)).state
    look = look_again(TEAM, STARTED, provider=ENTRY)
    given(DECIDER, state=state).when(look, MONDAY + DAY).then("authorization.presumptive_granted")


def test_the_clocks_of_the_decision_start_with_the_form(policy: Policy) -> None:
    state = given(DECIDER, amended("joined", MONDAY + 9 * DAY, **FORM), state=started()).state
    command = amend(amended("joined", MONDAY + 9 * DAY, **FORM))
    filled: Any = looked_up(
        AuthorizationLoaded(policy, {TEAM: ENTRY}, {}), "ref_1", state, command, MONDAY + 9 * DAY
    )
    # Wednesday, 11 March: due as Wednesday a week later ends.
    assert filled.rules.due_at == datetime(2026, 3, 19, 7, 0, tzinfo=UTC)


def test_until_its_form_is_here_the_clock_is_that_of_the_form() -> None:
    shown = due(started(), MONDAY)
    assert shown is not None
    assert (shown.clock, shown.due_at, shown.state) == (
        "presumptive_referral",
        end_of_la_day(date(2026, 3, 24)),
        "on_track",
    )


# ── reminders ─────────────────────────────────────────────────────────────────────────────────────────────


def reminded(events: list[Event]) -> AuthorizationPresumptiveReminded:
    (found,) = events
    assert isinstance(found, AuthorizationPresumptiveReminded)
    return found


def test_reminders_come_on_day_20_25_and_five_working_days_before_the_end_3_4(policy: Policy) -> None:
    """loop.md 3.4. The grant of 2 March ends with 31 March, itself a holiday: five working days before is the 24th."""
    state = given(DECIDER, start()).state
    command = OpenReview(fact=start())
    filled: Any = looked_up(AuthorizationLoaded(policy, {TEAM: ENTRY}, {}), "ref_1", state, command)
    assert (filled.rules.referral_by, filled.rules.remind_on) == (date(2026, 3, 24), REMIND)


def test_each_reminder_says_which_is_missing_3_4() -> None:
    state = started()
    assert timers(state)["reminder"] == began(REMIND[0])
    given(DECIDER, state=state).when(comes("reminder"), began(REMIND[0]) - DAY).then()
    first = reminded(given(DECIDER, state=state).when(comes("reminder"), began(REMIND[0])).events)
    assert (first.day, first.missing, first.through) == (20, "referral", date(2026, 3, 31))
    joined = given(
        DECIDER,
        first,
        amended("joined", **FORM),
        *given(DECIDER, state=state).when(amend(amended("joined", **FORM))).events,
        state=state,
    ).state
    second = reminded(given(DECIDER, state=joined).when(comes("reminder"), began(REMIND[1])).events)
    assert (second.day, second.missing) == (22, "decision")
    last = given(DECIDER, second, state=joined).state
    third = reminded(given(DECIDER, state=last).when(comes("reminder"), began(REMIND[2])).events)
    assert third.day == 25
    assert "reminder" not in timers(given(DECIDER, third, state=last).state)


def test_after_an_outage_one_reminder_stands_for_all_that_passed() -> None:
    late = reminded(given(DECIDER, state=started()).when(comes("reminder"), began(date(2026, 3, 26))).events)
    assert late.day == 22
    assert timers(given(DECIDER, late, state=started()).state)["reminder"] == began(REMIND[2])


def test_a_claim_that_comes_late_is_reminded_of_what_lies_ahead() -> None:
    fact = start()
    events = given(DECIDER).when(open_review(fact, STARTED, provider=ENTRY), began(REMIND[1])).events
    assert timers(given(DECIDER, fact, *events).state)["reminder"] == began(REMIND[2])


@pytest.mark.parametrize("command", [approve(), deny(provider_told=False)], ids=["approved", "denied"])
def test_what_is_decided_is_reminded_of_no_more(command: Any) -> None:
    fact = received(eligibility=UNSURE)
    state = given(DECIDER, fact, *opened(fact, STARTED)).state
    assert "reminder" in timers(state)
    assert "reminder" not in timers(given(DECIDER, state=state).when(command).state)


# ── the sooner of day 30 and the day the decision is made and told ────────────────────────────────────────


def told(on: date, kind: str = "provider", code: str = "decided") -> NoteFact:
    noon = end_of_la_day(on) - timedelta(hours=12)
    notice = NoticeDelivered(occurred_at=noon, notice="ntc_1", code=code, recipient_kind=kind, how="webhook")
    return NoteFact(fact=notice)


def denied() -> Authorization:
    """Denied on Friday, 6 March; the provider has not heard of it."""
    return given(DECIDER, state=pending()).when(deny(provider_told=False), MONDAY + 4 * DAY).state


def test_a_denial_ends_the_grant_with_the_day_the_provider_is_told_3_4() -> None:
    """loop.md 3.4, ECMG26 p109: decided on Friday, told on Monday, covered through Monday."""
    state = denied()
    assert state.grant_live
    (over,) = given(DECIDER, state=state).when(told(date(2026, 3, 9)), MONDAY + 7 * DAY).events
    assert isinstance(over, AuthorizationPresumptiveEnded)
    assert (over.reason, over.through) == ("denied", date(2026, 3, 9))
    given(DECIDER, told_fact(date(2026, 3, 9)), over, state=state).when(told(date(2026, 3, 10))).then()


def told_fact(on: date) -> Event:
    fact = told(on).fact
    assert fact is not None
    return fact


def test_a_denial_nobody_told_ends_the_grant_with_its_thirtieth_day_3_4() -> None:
    over_at = end_of_la_day(date(2026, 3, 31))
    (over,) = given(DECIDER, state=denied()).when(ExpireGrant(), over_at).events
    assert isinstance(over, AuthorizationPresumptiveEnded)
    assert (over.reason, over.through) == ("expired", date(2026, 3, 31))
    (late,) = given(DECIDER, state=denied()).when(told(date(2026, 4, 2))).events
    assert isinstance(late, AuthorizationPresumptiveEnded)
    assert late.through == date(2026, 3, 31)


@pytest.mark.parametrize(
    "notice", [told(TODAY, "referrer"), told(TODAY, code="offer")], ids=["another reader", "another notice"]
)
def test_only_the_decision_told_to_the_provider_counts(notice: NoteFact) -> None:
    given(DECIDER, state=denied()).when(notice).then()


def test_what_is_told_before_a_decision_ends_nothing() -> None:
    given(DECIDER, state=pending()).when(told(TODAY)).then()


def test_a_plan_that_told_the_provider_itself_ends_it_the_same_day() -> None:
    events = given(DECIDER, state=pending()).when(deny(provider_told=True), MONDAY + 4 * DAY).events
    assert wires(events) == ["denied", "presumptive_ended"]


def test_the_closing_that_follows_a_denial_does_not_cut_the_grant_short_3_4() -> None:
    given(DECIDER, state=denied()).when(NoteFact(fact=closed("not_authorized"))).then()


# ── revoked ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", [pending(), started()], ids=["with its form", "alone"])
def test_a_named_person_revokes_a_grant_and_the_request_stays(state: Authorization) -> None:
    (over,) = given(DECIDER, state=state).when(revoke(), MONDAY + DAY).events
    assert isinstance(over, AuthorizationPresumptiveEnded)
    assert (over.reason, over.through) == ("revoked", date(2026, 3, 3))
    assert over.acted_by is not None
    assert status(given(DECIDER, over, state=state).state) == status(state)


def test_nobody_revokes_without_a_name_nor_what_is_over() -> None:
    given(DECIDER, state=pending()).when(revoke(NOBODY)).refused("person-required")
    given(DECIDER, state=pending(claim=None)).when(revoke()).refused("no-live-grant")
    over = given(DECIDER, state=pending()).when(revoke()).state
    given(DECIDER, state=over).when(revoke()).refused("no-live-grant")
    given(DECIDER).when(revoke()).refused("not-found")


# ── from the day of release ───────────────────────────────────────────────────────────────────────────────

RELEASE = date(2026, 3, 16)
RELEASED = RULES.model_copy(
    update={
        "automatic": {},
        "must": {"release_day": "must_authorize/release-day@2025-01-01"},
        "term_from": None,
    }
)
LEAVING = ScreenedPopulation(code="incarceration", result="met", claimed=True)


def leaving(**changes: Any) -> Any:
    return received(**{"claim": None, "populations": (LEAVING,), "release_on": RELEASE, **changes})


def test_who_received_pre_release_services_is_authorized_from_the_day_of_release_3_7() -> None:
    """loop.md 3.7, ECMG26 p106 n.74: neither switch nor sample holds it up."""
    decided = approval(opened(leaving(), RELEASED, draw=0.0))
    assert (decided.from_, decided.through) == (RELEASE, date(2027, 3, 15))
    assert (decided.must, decided.populations, decided.by) == ("release_day", ("incarceration",), "rule")
    assert decided.policy == ("must_authorize/release-day@2025-01-01",)


def test_who_is_enrolled_later_is_authorized_from_that_day_3_7() -> None:
    fact = leaving(eligibility=UNSURE)
    state = given(DECIDER, fact, *opened(fact, RELEASED)).state
    assert status(state) == "pending"
    enrolled = amended("corrected", MONDAY + 20 * DAY, eligibility=Eligibility(state="confirmed"))
    decided = approval(given(DECIDER, state=state).when(amend(enrolled, RELEASED), MONDAY + 20 * DAY).events)
    assert decided.from_ == date(2026, 3, 22)


def test_who_is_enrolled_before_the_release_is_authorized_from_the_release() -> None:
    fact = leaving(eligibility=UNSURE)
    state = given(DECIDER, fact, *opened(fact, RELEASED)).state
    enrolled = amended("corrected", MONDAY + DAY, eligibility=Eligibility(state="confirmed"))
    assert (
        approval(given(DECIDER, state=state).when(amend(enrolled, RELEASED), MONDAY + DAY).events).from_
        == RELEASE
    )


def test_a_person_who_approves_says_when_the_enrolment_was() -> None:
    fact = leaving(eligibility=UNSURE)
    state = given(DECIDER, fact, *opened(fact, RELEASED)).state
    assert approval(given(DECIDER, state=state).when(approve(RELEASED)).events).from_ == RELEASE
    assert approval(
        given(DECIDER, state=state).when(approve(RELEASED, enrolled_on=date(2026, 4, 1))).events
    ).from_ == date(2026, 4, 1)


def authorized() -> Authorization:
    return given(DECIDER, leaving(), *opened(leaving(), RELEASED)).state


@pytest.mark.parametrize("moved", [date(2026, 3, 9), date(2026, 3, 30)], ids=["earlier", "later"])
def test_a_release_that_moves_moves_the_term_3_7(moved: date) -> None:
    fact = amended("release_date", MONDAY + DAY, release_on=moved)
    (extended,) = given(DECIDER, state=authorized()).when(amend(fact, RELEASED), MONDAY + DAY).events
    assert isinstance(extended, AuthorizationExtended)
    assert extended.from_ == moved
    term = given(DECIDER, fact, extended, state=authorized()).state.term
    assert term is not None
    assert (term.from_, term.number, term.renewals) == (moved, extended.number, 0)


def test_a_term_that_has_begun_does_not_move() -> None:
    late = amended("release_date", MONDAY + 20 * DAY, release_on=date(2026, 4, 20))
    given(DECIDER, state=authorized()).when(amend(late, RELEASED), MONDAY + 20 * DAY).then()


def test_another_correction_moves_nothing() -> None:
    given(DECIDER, state=authorized()).when(amend(amended("corrected", county="alameda"), RELEASED)).then()


def test_incarceration_has_no_row_and_the_way_on_names_the_release_3_7() -> None:
    fact = received(claim=claim(population="incarceration"), populations=(LEAVING,), eligibility=UNSURE)
    events = opened(fact, RULES.model_copy(update={"types": ()}))
    (refusal,) = [event for event in events if isinstance(event, AuthorizationPresumptiveRefused)]
    assert refusal.reason == "no_row"
    assert "day of release" in refusal.way_on


def test_an_open_authorization_elsewhere_is_no_grant_and_the_way_on_is_said_3_3() -> None:
    (refusal,) = opened(start(), STARTED, open_with=CLINIC)
    assert isinstance(refusal, AuthorizationPresumptiveRefused)
    assert refusal.reason == "other_provider"
    assert "Ask the member" in refusal.way_on
    assert "change of provider" in refusal.way_on


def test_a_grant_says_by_when_its_form_is_asked_for() -> None:
    (granted,) = opened(start(), STARTED)
    assert isinstance(granted, AuthorizationPresumptiveGranted)
    assert granted.referral_by == date(2026, 3, 24)


@pytest.mark.parametrize(
    ("on", "name"), [(date(2025, 12, 31), "presumptive"), (date(2026, 1, 1), "streamlined")]
)
def test_people_are_shown_the_name_the_state_uses_on_the_day_3(policy: Policy, on: date, name: str) -> None:
    words = policy.row("presumptive_words", on=on)
    assert words["name"] == f"{name} authorization"
    assert "p103, 109" in words.source


def test_a_claim_that_joins_is_that_of_who_sent_it_2_9() -> None:
    """loop.md 2.9: a hospital referred first; the street team's referral joins it, with its claim."""
    first = received(referrer="bayview-hospital", claim=None, eligibility=UNSURE)
    state = given(DECIDER, first, *opened(first)).state
    joined = amended("joined", joined="ref_2", joined_referrer=TEAM, claim=claim())
    given(DECIDER, state=state).when(amend(joined)).then("authorization.presumptive_granted")
    stranger = amended("joined", joined="ref_2", joined_referrer=CLINIC, claim=claim())
    (refusal,) = given(DECIDER, state=state).when(amend(stranger)).events
    assert isinstance(refusal, AuthorizationPresumptiveRefused)
    assert refusal.reason == "contract"
