"""Who is contacted no more, who speaks for the member, and what of outreach is taken back (loop.md 6.6, 7.7, 8.7)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

import pytest

from loopkeeper.contract import events
from loopkeeper.contract.calendar import end_of_la_day, la_date
from loopkeeper.contract.decider import Plain, Refused
from loopkeeper.contract.events import Event
from loopkeeper.testing.rules import MONDAY, SEED
from notification.domain.notices.handover import HandOver, check
from notification.domain.outreach.commands import NoticeContext, RaiseClock, RaiseNotice, TakeBack, Untold
from notification.domain.outreach.deadlines import timers
from notification.domain.outreach.rules import DECIDER, running_clocks
from notification.domain.outreach.state import Outreach, addressee, counted, dead, restricted, status
from tests.builders.facts import closed
from tests.builders.notification import accepted, made, received
from tests.builders.organizations import HARBOR, OTHER, STREET
from tests.notification.telling import POLICY

TODAY = date(2026, 3, 2)
ACCEPTED = (received(), made(), accepted())
TOLD = events.ReferralDeathTold(occurred_at=MONDAY, by="referrer", due_at=MONDAY)
TAKEN_BACK = events.ReferralDeathTakenBack(occurred_at=MONDAY)
ENDED = events.OutreachServiceEnded(occurred_at=MONDAY, assignment="asg_1", code=14, on=TODAY)
STARTED = events.OutreachServicesStarted(occurred_at=MONDAY, assignment="asg_1", on=TODAY)


def given(*facts: Event) -> Outreach:
    state = DECIDER.fold(facts)
    assert state is not None
    return state


def attempted(number: int) -> events.OutreachAttempted:
    return events.OutreachAttempted(
        occurred_at=MONDAY, assignment="asg_1", number=number, actor_kind="peer", modality="phone",
        outcome="no_answer", reached=False,
    )  # fmt: skip


# ── a death ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("told", [TOLD, ENDED], ids=["told", "ended with the state's code"])
def test_whoever_tells_a_death_all_contact_stops_at_once_7_7(told: Event) -> None:
    state = given(*ACCEPTED, told)
    assert dead(state)
    assert restricted(state)
    assert running_clocks(state) == ()
    late = (
        RaiseNotice(notice="ntc_1", due_at=MONDAY),
        NoticeContext(at=MONDAY, seed=SEED, untold=Untold("authorized", "member")),
    )
    assert DECIDER.decide(state, late) == ()
    assert len(DECIDER.decide(given(*ACCEPTED), late)) == 1
    with pytest.raises(Refused) as found:
        check(said("member"), addressee="member", language="en", draft=False, flags=(), dead=True)
    assert found.value.slug == "contact-unsafe"


def test_taken_back_contact_goes_on_as_before_7_7() -> None:
    assert given(*ACCEPTED, TOLD, TAKEN_BACK) == given(*ACCEPTED)


# ── back in custody ───────────────────────────────────────────────────────────────────────────────────────

BACK = events.ReferralBackInCustody(occurred_at=MONDAY, on=TODAY, due_at=MONDAY)


def released(on: date) -> events.ReferralAmended:
    return events.ReferralAmended(occurred_at=MONDAY, cause="release_date", release_on=on)


def test_inside_outreach_waits_and_a_new_day_of_release_takes_it_up_again_3_7() -> None:
    state = given(*ACCEPTED, BACK)
    assert running_clocks(state) == ()
    again = given(*ACCEPTED, BACK, released(date(2026, 4, 1)))
    assert again.assignment is not None
    assert (again.assignment.inside, again.assignment.starts_on) == (False, date(2026, 4, 1))
    assert running_clocks(again) == running_clocks(given(*ACCEPTED))


# ── a visit each week ─────────────────────────────────────────────────────────────────────────────────────

RENT = (received(flags=("transitional_rent",)), made(), accepted())


def late(state: Literal["at_risk", "breached"], days: int = 7) -> events.OutreachOverdue:
    at = end_of_la_day(la_date(MONDAY) + timedelta(days=days))
    return events.OutreachOverdue(
        occurred_at=at, assignment="asg_1", clock="weekly_visit", due_at=at, state=state
    )


def visit(number: int, days: int = 0, modality: str = "in_person") -> events.OutreachAttempted:
    return attempted(number).model_copy(
        update={"modality": modality, "occurred_at": MONDAY + timedelta(days=days)}
    )


def visit_due(*facts: Event, clock: str = "weekly_visit") -> date | None:
    found = timers(POLICY)(given(*facts)).get(clock)
    return (found - found.resolution).date() if found is not None else None


def test_who_is_authorized_for_transitional_rent_is_visited_in_person_each_week_6_12() -> None:
    first = visit_due(*RENT)
    assert first is not None
    assert visit_due(*RENT, visit(1, 3)) == first + timedelta(days=3)
    assert visit_due(*RENT, visit(1, 3, "phone")) == first
    # After first services too.
    assert visit_due(*RENT, visit(1, 3), STARTED, closed()) == first + timedelta(days=3)


def test_each_week_without_a_visit_is_said_once_and_two_days_before_6_12() -> None:
    first, warned, breached = visit_due(*RENT), late("at_risk", 5), late("breached")
    assert first is not None
    assert visit_due(*RENT, clock="weekly_visit_at_risk") == first - timedelta(days=2)
    assert visit_due(*RENT, warned, clock="weekly_visit_at_risk") is None
    assert visit_due(*RENT, warned) == first
    # A visit after the warning, and a week that passed without one, each begin the next week, warning and all.
    for facts, due in ((visit(1, 6),), first + timedelta(days=6)), ((breached,), first + timedelta(days=7)):
        assert visit_due(*RENT, warned, *facts) == due
        assert visit_due(*RENT, warned, *facts, clock="weekly_visit_at_risk") == due - timedelta(days=2)
    assert visit_due(*RENT, warned, breached, visit(1, 9)) == first + timedelta(days=9)
    # A visit that was later recorded for the week before does not move the week that runs.
    assert visit_due(*RENT, warned, breached, visit(1, 3)) == first + timedelta(days=7)


def test_the_warning_and_the_breach_are_raised_by_the_clock_that_runs_6_12() -> None:
    warning, end = (
        RaiseClock(clock=each, due_at=MONDAY) for each in ("weekly_visit_at_risk", "weekly_visit")
    )
    (warned,) = raised_by(given(*RENT), warning)
    assert (warned.clock, warned.state) == ("weekly_visit", "at_risk")
    assert raised_by(given(*RENT, warned), warning) == []
    (breached,) = raised_by(given(*RENT, warned), end)
    assert (breached.clock, breached.state) == ("weekly_visit", "breached")


def raised_by(state: Outreach, command: RaiseClock) -> list[Any]:
    return list(DECIDER.decide(state, (command, Plain(at=MONDAY, seed=SEED))))


@pytest.mark.parametrize(
    "facts",
    [
        ACCEPTED,
        RENT[:2],
        (*RENT, TOLD),
        (*RENT, BACK),
        (*RENT, closed("withdrawn")),
        (received(flags=("transitional_rent", "safe_contact")), made(), accepted()),
    ],
    ids=["of nobody else", "before acceptance", "dead", "inside", "over", "where contact may endanger"],
)
def test_no_visit_is_awaited_6_12(facts: tuple[Event, ...]) -> None:
    assert visit_due(*facts) is None


# ── who speaks for the member ─────────────────────────────────────────────────────────────────────────────


def said(to: str) -> HandOver:
    return HandOver(to, "in_person", "en", own_words=True, interpreted=False, safe_contact_checked=True)


def may_be_told(to: str, holder: str) -> bool:
    try:
        check(said(to), addressee=holder, language="en", draft=False, flags=())
    except Refused:
        return False
    return True


@pytest.mark.parametrize("holder", ["conservator", "authorized_representative"])
def test_who_speaks_for_an_adult_is_told_6_6(holder: str) -> None:
    state = given(received(age_band="adult", consent_holder=holder))
    assert addressee(state) == holder
    assert may_be_told(holder, holder)
    assert not may_be_told("parent", holder)
    # A representative is the member's own choice, so the member may be told as well; a conservator is a court's.
    assert may_be_told("member", holder) is (holder == "authorized_representative")


# ── recorded in error ─────────────────────────────────────────────────────────────────────────────────────


def take_back(what: Any, number: int | None = None, by: str = STREET) -> TakeBack:
    return TakeBack(provider=by, person="maria.lopez", what=what, number=number, because="another_member")


def asked(state: Outreach, command: TakeBack) -> Outreach:
    (event,) = DECIDER.decide(state, (command, Plain(at=MONDAY, seed=SEED)))
    assert isinstance(event, events.OutreachTakenBack)
    return DECIDER.evolve(state, event)


@pytest.mark.parametrize("by", [STREET, HARBOR])
def test_an_attempt_taken_back_by_its_author_or_the_plan_counts_no_more_and_keeps_its_number_8_7(
    by: str,
) -> None:
    state = asked(given(*ACCEPTED, attempted(1), attempted(2)), take_back("attempted", 1, by))
    assert [each.number for each in counted(state, "asg_1")] == [2]
    assert [each.taken_back for each in state.attempts] == [True, False]


@pytest.mark.parametrize(
    ("fact", "what"),
    [
        (STARTED, "services_started"),
        (
            events.OutreachMemberDeclined(
                occurred_at=MONDAY, assignment="asg_1", on=TODAY, how="phone", attempts=1
            ),
            "member_declined",
        ),
        (
            events.OutreachUnableToReach(occurred_at=MONDAY, assignment="asg_1", on=TODAY, attempts=3),
            "unable_to_reach",
        ),
        (events.OutreachInitiated(occurred_at=MONDAY, assignment="asg_1", on=TODAY), "initiated"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_fact_taken_back_leaves_what_was_before_it_8_7(fact: Event, what: str) -> None:
    assert asked(given(*ACCEPTED, fact), take_back(what)) == given(*ACCEPTED)


def test_an_ending_of_services_taken_back_takes_its_death_back_too_8_7() -> None:
    state = asked(given(*ACCEPTED, STARTED, ENDED), take_back("service_ended"))
    assert state == given(*ACCEPTED, STARTED)


def test_a_closing_stays_8_7() -> None:
    state = asked(given(*ACCEPTED, STARTED, closed()), take_back("services_started"))
    assert status(state) == "closed"


@pytest.mark.parametrize(
    ("command", "slug"),
    [
        (take_back("attempted", 9), "nothing-to-take-back"),
        (take_back("attempted"), "nothing-to-take-back"),
        (take_back("services_started"), "nothing-to-take-back"),
        (take_back("service_ended"), "nothing-to-take-back"),
        (take_back("attempted", 1, OTHER), "not-found"),
    ],
)
def test_what_is_not_on_record_or_another_ones_is_not_taken_back(command: TakeBack, slug: str) -> None:
    with pytest.raises(Refused) as found:
        DECIDER.decide(given(*ACCEPTED, attempted(1)), (command, Plain(at=MONDAY, seed=SEED)))
    assert found.value.slug == slug


def test_it_is_taken_back_once() -> None:
    state = asked(given(*ACCEPTED, attempted(1)), take_back("attempted", 1))
    with pytest.raises(Refused) as found:
        DECIDER.decide(state, (take_back("attempted", 1), Plain(at=MONDAY, seed=SEED)))
    assert found.value.slug == "nothing-to-take-back"
