"""What people change about a turn: withdraw, end, another lead, another provider, and what is learned late."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from assignment.domain.commands import ChangeLead, End, RequestChange, Watch, Withdraw
from assignment.domain.deadlines import timers
from assignment.domain.rules import DECIDER
from assignment.domain.state import status
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentOverdue,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    Event,
    Lead,
    OutreachContactChanged,
    ReferralAmended,
    Skipped,
)
from loopkeeper.testing.rules import MONDAY, AskedCommand, command_of, given
from tests.builders.assignment import (
    APPROVED,
    GRANTED,
    OFFERED,
    RECEIVED,
    TAKEN,
    Market,
    by_hand,
    decline,
    grant_over,
    heard,
    market,
    needs,
    wires,
)
from tests.builders.facts import TODAY, accepted, closed, made
from tests.builders.organizations import CLINIC, MARIA, NAVIGATORS, STREET

DAY = timedelta(days=1)
CHANGE_DUE, CHANGE_RISK = MONDAY + 30 * DAY, MONDAY + 23 * DAY
ROSA = ActedBy(organization=STREET, person="rosa-diaz")
ANA = Lead(person="ana-reyes", name="Ana Reyes")
SERVED = (*TAKEN, closed("services_received"))


def withdraw(found: Market | None = None) -> AskedCommand:
    return (found or market(NAVIGATORS)).for_(Withdraw(assignment="asg_1", acted_by=MARIA))


def end(found: Market | None = None, **changes: Any) -> AskedCommand:
    said = {"assignment": "asg_1", "acted_by": ROSA, "by_provider": True, **changes}
    return (found or market(NAVIGATORS)).for_(End(**said))


def change(wished: str = NAVIGATORS, found: Market | None = None) -> AskedCommand:
    chosen = found or market(wished, change_due_at=CHANGE_DUE, change_at_risk_at=CHANGE_RISK)
    return chosen.for_(RequestChange(assignment="asg_1", wished=wished, acted_by=ROSA))


def lead(to: Lead = ANA, **changes: Any) -> ChangeLead:
    return ChangeLead(**{"assignment": "asg_1", "provider": STREET, "lead": to, "acted_by": ROSA, **changes})


def question(events: list[Event]) -> AssignmentPlanAsked:
    (found,) = [event for event in events if isinstance(event, AssignmentPlanAsked)]
    return found


# ── withdraw and end ──────────────────────────────────────────────────────────────────────────────────────


def test_the_plan_takes_an_offer_back_and_the_next_is_asked() -> None:
    events = given(DECIDER, *OFFERED).when(withdraw()).events
    assert wires(events) == ["withdrawn", "made"]
    gone = events[0]
    assert isinstance(gone, AssignmentWithdrawn)
    assert (gone.reason, gone.acted_by) == ("by_plan", MARIA)
    state = given(DECIDER, *OFFERED, *events).state
    assert needs(state, decline(provider=NAVIGATORS)).barred == {STREET: "taken_back"}


def test_an_assignment_ends_and_the_authorized_member_gets_another_provider() -> None:
    """loop.md 7.2: closing is not ending; the authorization goes on after first services too."""
    for facts in (TAKEN, SERVED):
        events = given(DECIDER, *facts).when(end()).events
        assert wires(events) == ["ended", "made"]
        gone = events[0]
        assert isinstance(gone, AssignmentEnded)
        assert (gone.reason, gone.on, gone.acted_by) == ("ended_by_provider", TODAY, ROSA)
    by_plan = given(DECIDER, *TAKEN).when(end(acted_by=MARIA, by_provider=False)).events[0]
    assert isinstance(by_plan, AssignmentEnded)
    assert by_plan.reason == "by_plan"


@pytest.mark.parametrize("command", [withdraw(market()), change(found=market())], ids=["withdraw", "change"])
def test_where_nobody_is_left_after_an_offer_the_plan_is_asked(command: AskedCommand) -> None:
    """loop.md 7.6: every loop left open names the next actor."""
    assert question(given(DECIDER, *OFFERED).when(command).events).reason == "none_left"
    assert question(given(DECIDER, *TAKEN).when(end(market())).events).reason == "none_left"


NOT_HELD = [
    ("withdraw", withdraw(), (*OFFERED, AssignmentWithdrawn(occurred_at=MONDAY, assignment="asg_1", reason="by_hand"))),
    ("end", end(), (*TAKEN, AssignmentEnded(occurred_at=MONDAY, assignment="asg_1", reason="by_plan", on=TODAY))),
    ("end an offer", end(), OFFERED),
    ("lead of an offer", lead(), OFFERED),
    ("change", change(), (*TAKEN, AssignmentEnded(occurred_at=MONDAY, assignment="asg_1", reason="by_plan", on=TODAY))),
]  # fmt: skip


@pytest.mark.parametrize(("what", "command", "facts"), NOT_HELD, ids=[row[0] for row in NOT_HELD])
def test_what_is_not_held_cannot_be_changed(what: str, command: Command, facts: tuple[Event, ...]) -> None:
    given(DECIDER, *facts).when(command).refused("not-live")


def test_an_accepted_offer_is_ended_and_not_withdrawn() -> None:
    answer = given(DECIDER, *TAKEN).when(withdraw()).refusal
    assert (answer.slug, answer.allowed) == ("not-offered", ("end",))


@pytest.mark.parametrize("command", [withdraw(), end(), change(), lead()])
def test_of_what_is_not_known_here_nothing_is_said(command: Command) -> None:
    assert given(DECIDER, RECEIVED, APPROVED).when(command).refusal.status == 404


# ── the lead care manager ─────────────────────────────────────────────────────────────────────────────────


def test_the_provider_names_another_lead_care_manager_and_the_member_has_one() -> None:
    """loop.md 5.4."""
    (changed,) = given(DECIDER, *TAKEN).when(lead()).events
    assert isinstance(changed, AssignmentLeadChanged)
    state = given(DECIDER, *TAKEN, changed).state
    assert state.live is not None
    assert state.live.lead == ANA
    given(DECIDER, state=state).when(lead()).then()


def test_no_other_provider_names_the_lead() -> None:
    assert given(DECIDER, *TAKEN).when(lead(provider=NAVIGATORS)).refusal.status == 404


# ── another provider ──────────────────────────────────────────────────────────────────────────────────────


def test_a_member_who_is_served_asks_for_another_and_keeps_the_first_until_the_plan_has_one() -> None:
    """loop.md 5.7: done within 30 days."""
    (asked,) = given(DECIDER, *TAKEN).when(change()).events
    assert isinstance(asked, AssignmentPlanAsked)
    assert (asked.reason, asked.wished, asked.due_at) == ("change_requested", NAVIGATORS, CHANGE_DUE)
    state = given(DECIDER, *TAKEN, asked).state
    assert status(state) == "accepted"
    assert timers(state)["watch"] == CHANGE_RISK
    events = given(DECIDER, state=state).when(by_hand(NAVIGATORS)).events
    assert wires(events) == ["ended", "made"]
    gone = events[0]
    assert isinstance(gone, AssignmentEnded)
    assert gone.reason == "member_change"


def test_the_change_is_watched_until_another_provider_has_accepted() -> None:
    state = given(DECIDER, *TAKEN).when(change()).state
    (at_risk,) = given(DECIDER, state=state).when(Watch(), CHANGE_RISK).events
    assert isinstance(at_risk, AssignmentOverdue)
    assert (at_risk.clock, at_risk.state, at_risk.due_at) == ("provider_change", "at_risk", CHANGE_DUE)
    offered = given(
        DECIDER, at_risk, *given(DECIDER, at_risk, state=state).when(by_hand(NAVIGATORS)).events, state=state
    ).state
    (late,) = given(DECIDER, state=offered).when(Watch(), CHANGE_DUE).events
    assert isinstance(late, AssignmentOverdue)
    assert late.state == "breached"
    new = offered.offers[-1].assignment
    done = given(
        DECIDER,
        AssignmentAccepted(occurred_at=MONDAY, assignment=new, provider=NAVIGATORS, lead=ANA),
        state=offered,
    ).state
    assert (done.change, "watch" in timers(done)) == (None, False)


def test_asked_for_again_the_time_runs_on_from_the_first_asking() -> None:
    state = given(DECIDER, *TAKEN).when(change()).state
    given(DECIDER, state=state).when(change()).then()
    later = market(CLINIC, change_due_at=CHANGE_DUE + 5 * DAY)
    (again,) = given(DECIDER, state=state).when(change(CLINIC, later), MONDAY + 5 * DAY).events
    assert isinstance(again, AssignmentPlanAsked)
    assert (again.wished, again.due_at) == (CLINIC, CHANGE_DUE)


@pytest.mark.parametrize("facts", [OFFERED, TAKEN, SERVED], ids=["offered", "accepted", "served"])
def test_a_wish_that_is_learned_later_is_a_change_asked_for(facts: tuple[Event, ...]) -> None:
    """loop.md 2.11, 5.7: in an answer, or with another referral of the member."""
    found = market(change_due_at=CHANGE_DUE, change_at_risk_at=CHANGE_RISK)
    for chosen, wished in (((NAVIGATORS, CLINIC), [NAVIGATORS]), ((STREET,), []), ((), [])):
        news = ReferralAmended(occurred_at=MONDAY, cause="answered", chosen=chosen)
        events = given(DECIDER, *facts).when(heard(news, found)).events
        assert [each.wished for each in events if isinstance(each, AssignmentPlanAsked)] == wished
        if wished:
            given(DECIDER, *facts, news, *events).when(heard(news, found)).then()


def test_an_offer_nobody_answered_goes_to_the_one_asked_for_at_once() -> None:
    command = change()
    state = given(
        DECIDER,
        *OFFERED,
    ).state
    assert needs(state, command).chosen == (NAVIGATORS,)
    assert needs(state, command).barred == {STREET: "member_objects"}
    given(DECIDER, state=state).when(command).then("assignment.withdrawn", "assignment.made")


def test_a_member_who_changes_their_mind_gets_the_first_provider_back() -> None:
    gone = AssignmentWithdrawn(
        occurred_at=MONDAY, assignment="asg_0", provider=NAVIGATORS, reason="member_change"
    )
    state = given(
        DECIDER,
        RECEIVED,
        APPROVED,
        made(NAVIGATORS, "asg_0"),
        gone,
        made(),
    ).state
    assert needs(state, change(NAVIGATORS)).barred == {STREET: "member_objects"}


def test_nobody_is_changed_for_the_provider_they_have() -> None:
    given(DECIDER, *TAKEN).when(change(STREET)).refused("not-eligible")
    asked = given(DECIDER, *TAKEN).when(change()).state
    given(DECIDER, state=asked).when(by_hand(STREET)).refused("member-already-assigned")


# ── identity that arrives late ────────────────────────────────────────────────────────────────────────────


def identified(since: datetime) -> AskedCommand:
    amended = ReferralAmended(occurred_at=MONDAY, cause="answered", member="mem_david_known")
    found = market(assigned_elsewhere=True, other_assignment="asg_9", elsewhere_since=since)
    return heard(amended, found)


@pytest.mark.parametrize(
    ("since", "younger"), [(MONDAY - DAY, "asg_1"), (MONDAY + DAY, "asg_9")], ids=["ours", "the other"]
)
def test_a_late_identity_that_gives_a_second_live_assignment_asks_the_plan_about_the_younger(
    since: datetime, younger: str
) -> None:
    """loop.md 2.12: the fact applies."""
    (asked,) = given(DECIDER, *TAKEN).when(identified(since)).events
    assert isinstance(asked, AssignmentPlanAsked)
    assert (asked.reason, asked.assignment) == ("conflicted", younger)
    state = given(DECIDER, *TAKEN, command_of(identified(since)).fact or RECEIVED, asked).state
    assert (state.member, status(state)) == ("mem_david_known", "accepted")


def test_a_contact_that_was_corrected_is_what_is_opened() -> None:
    """loop.md 6.2: who looks for the member looks where they are."""
    first = RECEIVED.model_copy(update={"sealed": {"identity": "i1", "contact": "c1", "form": "f1"}})
    changed = OutreachContactChanged(occurred_at=MONDAY, flags=("safe_contact",), sealed={"contact": "c2"})
    state = given(DECIDER, first, changed).state
    assert (dict(state.sealed), state.flags) == ({"identity": "i1", "contact": "c2"}, ("safe_contact",))


def test_news_of_the_referral_replace_what_was_known() -> None:
    news = ReferralAmended(
        occurred_at=MONDAY, cause="joined", county="kern", pcp=CLINIC, chosen=(CLINIC,),
        program_providers={"ccs": CLINIC}, sealed={"contact": "c2"},
    )  # fmt: skip
    state = given(DECIDER, RECEIVED, news).state
    assert (state.county, state.pcp, state.chosen, dict(state.programs)) == (
        "kern",
        CLINIC,
        (CLINIC,),
        {"ccs": CLINIC},
    )
    assert state.language == "en"


def test_a_reason_by_hand_stands_beside_the_others() -> None:
    passed = market(
        NAVIGATORS,
        skipped=[Skipped(provider=CLINIC, reason="full")],
        obliged=STREET,
        yields_to=("fits_better",),
    )
    command = by_hand(NAVIGATORS, passed, "fits_better")
    (offer,) = given(DECIDER, RECEIVED, APPROVED).when(command).events
    assert isinstance(offer, AssignmentMade)
    assert [skip.reason for skip in offer.skipped] == ["fits_better", "full"]


# ── under a grant alone, and after it ─────────────────────────────────────────────────────────────────────


def test_under_a_grant_alone_no_person_hands_the_member_to_a_provider_without_one() -> None:
    """loop.md 3.2: a grant is the serving organization's own; another provider has nothing to serve under."""
    state = given(DECIDER, RECEIVED, GRANTED).state
    given(DECIDER, state=state).when(by_hand(NAVIGATORS)).refused("not-eligible")
    given(DECIDER, state=state).when(by_hand(STREET, market(STREET))).then("assignment.made")
    given(DECIDER, APPROVED, state=state).when(by_hand(NAVIGATORS)).then("assignment.made")


def test_a_term_approved_after_the_grant_lapsed_and_the_loop_closed_is_somebodys_to_serve() -> None:
    """loop.md 7.2: the term lives on. First services closed the loop, the grant lapsed and took the assignment along."""
    state = given(DECIDER, RECEIVED, GRANTED, made(), accepted(), closed("services_received")).state
    over = grant_over("expired")
    lapsed = given(DECIDER, over, *given(DECIDER, state=state).when(heard(over)).events, state=state).state
    assert lapsed.held_offer is None
    given(DECIDER, state=lapsed).when(heard(APPROVED)).then("assignment.made")
    given(DECIDER, state=lapsed).when(heard(APPROVED, market())).then("assignment.plan_asked")
    # Who still serves goes on, and nobody else is asked.
    given(DECIDER, state=state).when(heard(APPROVED)).then()
