"""What each later event of a referral tells to whom: given these facts, then these hear that."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from loopkeeper.contract import events
from loopkeeper.contract.events import Event
from loopkeeper.testing.rules import MONDAY
from notification.domain.outreach.deadlines import timers
from notification.domain.outreach.rules import DECIDER
from tests.builders.every_event import DAY, LATER, PCP, RIGHTS, SECOND, make
from tests.builders.facts import closed
from tests.builders.notification import accepted, approved, made, received
from tests.builders.organizations import HARBOR, OTHER, REFERRER, STREET
from tests.notification.telling import POLICY, Said, said

e = events
OPEN = (received(), made(), accepted())
SERVED = (*OPEN, approved(), make(e.OutreachServicesStarted, assignment="asg_1", on=DAY), closed())
GRANT: dict[str, Any] = {"provider": STREET, "population": "homelessness", "from": DAY}
GRANTED = make(
    e.AuthorizationPresumptiveGranted, grant="grt_1", provider=STREET, provider_version=1, population="homelessness",
    **{"from": DAY, "through": DAY},
)  # fmt: skip
JOINED = make(e.ReferralAmended, cause="joined", joined="ref_2", joined_referrer=SECOND)


def told(*facts: Event) -> list[Said]:
    """What the last of these facts tells."""
    return [each for each in said(facts) if each.event is facts[-1]]


def to(*facts: Event) -> set[tuple[str, str, str]]:
    return {(each.notice.code, each.notice.variant, each.notice.recipient) for each in told(*facts)}


def words(code: str, kind: str, *facts: Event) -> str:
    (found,) = [each for each in told(*facts) if (each.notice.code, each.kind) == (code, kind)]
    return found.text


def test_questions_reach_the_referrer_without_what_they_ask() -> None:
    """loop.md 2.2, 6.3."""
    asked = make(e.ReferralQuestionsAsked, questions=[{"id": "answer-smhs_access", "pointer": "/answers/smhs_access"}],
                 due_at=LATER)  # fmt: skip
    assert to(received(), asked) == {("questions", "usual", REFERRER)}
    (one,) = told(received(), asked)
    assert "smhs" not in one.whole
    reminded = asked.model_copy(update={"reminder": 1})
    assert to(received(), reminded) == {("questions", "reminder", REFERRER)}


def test_a_pend_is_told_to_who_can_answer_and_to_the_member_who_waits() -> None:
    """loop.md 4.1."""
    pended = make(e.AuthorizationPended, authorization="auth_1", asks=("birth-date",), by=LATER)
    assert to(received(), pended) == {("pended", "usual", REFERRER), ("pended", "usual", HARBOR)}
    resumed = make(e.AuthorizationResumed, authorization="auth_1", due_at=LATER)
    assert to(received(), pended, resumed) == {("resumed", "usual", REFERRER)}


def test_a_decision_that_came_too_late_is_told_as_a_denial_is_with_the_laws_own_day() -> None:
    """loop.md 4.5: to the member and to who asked."""
    deemed = make(e.AuthorizationDeemedAdverse, authorization="auth_1", cap_at=LATER, appeal_by=DAY,
                  notice_due_at=LATER, rights=RIGHTS)  # fmt: skip
    found = told(received(), deemed)
    assert {(each.notice.code, each.kind) for each in found} == {
        ("deemed_adverse", "referrer"), ("deemed_adverse", "member"),
    }  # fmt: skip
    assert {each.duty.due_at for each in found} == {LATER}


def test_a_denial_gives_the_member_reason_rule_and_rights() -> None:
    """N4: reason, citation, appeal and hearing rights, dates."""
    denied = make(e.AuthorizationDenied, authorization="auth_1", reason="no_active_medi_cal", citation="22 CCR 51303",
                  appeal_by=DAY, notice_due_at=LATER, rights=RIGHTS)  # fmt: skip
    text = words("not_authorized", "member", received(), denied)
    for part in (
        "your Medi-Cal is not active",
        "22 CCR 51303",
        "May 1, 2026",
        "120 days",
        "30 days",
        "State Hearing",
    ):
        assert part in text


def test_of_the_dead_nobody_writes_a_letter() -> None:
    denied = make(e.AuthorizationDenied, reason="deceased", citation="x", appeal_by=DAY, notice_due_at=LATER)
    assert {each.kind for each in told(received(), denied)} == {"referrer"}
    assert {each.kind for each in told(received(), denied, closed("not_authorized"))} == {"referrer"}
    over = make(e.AuthorizationEnded, authorization="auth_1", code=14, on=DAY)
    assert "member" not in {each.kind for each in told(*OPEN, approved(), over)}


def test_an_approval_in_part_tells_both_parts() -> None:
    adverse = {"populations": ("homelessness",), "reason": "criteria_not_met", "citation": "x", "notice_due_at": LATER,
               "rights": RIGHTS}  # fmt: skip
    partly = approved().model_copy(update={"adverse": e.Adverse.model_validate(adverse)})
    assert to(received(), partly) == {
        ("authorized", "usual", REFERRER), ("not_authorized", "in_part", REFERRER), ("authorized", "usual", HARBOR),
        ("not_authorized", "in_part", HARBOR),
    }  # fmt: skip


def test_an_overturned_denial_is_told_to_all_who_heard_the_denial() -> None:
    """loop.md 4.8."""
    overturned = make(e.AuthorizationOverturned, authorization="auth_1", on=DAY, due_at=LATER)
    found = told(received(claim=GRANT), GRANTED, overturned)
    assert {each.kind for each in found} == {"referrer", "member", "provider"}


def test_who_refers_and_serves_is_told_a_thing_once() -> None:
    """loop.md 4.8: one notice in its mailbox and one entry in its feed, under one id."""
    overturned = make(e.AuthorizationOverturned, authorization="auth_1", on=DAY, due_at=LATER)
    found = told(received(referrer=STREET, claim=GRANT), GRANTED, overturned)
    assert [each.kind for each in found if each.notice.recipient == STREET] == ["referrer"]
    assert {each.kind for each in found} == {"referrer", "member"}


def test_a_member_hears_who_will_call_once_both_the_yes_and_the_provider_are_there() -> None:
    """N1: the service, and the provider's name and contact."""
    yes_first = (received(), approved(), made(), accepted())
    assert "Maria Lopez is your lead care manager" in words("assigned", "member", *yes_first)
    provider_first = (*OPEN, approved())
    assert "415-555-0101" in words("assigned", "member", *provider_first)
    assert "assigned" not in {each.notice.code for each in told(*OPEN) if each.kind == "member"}


def test_the_primary_care_provider_hears_who_coordinates_by_the_day_the_assignment_names() -> None:
    """N9, loop.md 5.8."""
    one = accepted().model_copy(update={"pcp": PCP, "pcp_due_at": LATER})
    (found,) = [each for each in told(received(), made(), one) if each.kind == "pcp"]
    assert found.notice.recipient == PCP
    assert "Harbor Street Medicine coordinates" in found.text
    assert found.duty.due_at == LATER
    own = accepted(PCP, "asg_1")
    assert "pcp" not in {each.kind for each in told(received(pcp=PCP), made(PCP, "asg_1"), own)}
    hidden = accepted(OTHER, "asg_1")
    (discreet,) = [e for e in told(received(pcp=PCP), made(OTHER, "asg_1"), hidden) if e.kind == "pcp"]
    assert "Bayview" not in discreet.whole


@pytest.mark.parametrize(("flag", "variant"), [("safe_contact", "careful"), ("do_not_contact", "forbidden")])
def test_who_accepts_hears_of_the_rules_of_contact_at_once(flag: str, variant: str) -> None:
    """loop.md 6.2, N8."""
    found = to(received(flags=(flag,)), made(), accepted())
    assert ("yours", variant, STREET) in found


def test_n8_is_due_ten_business_days_after_the_authorization_and_not_after_the_acceptance() -> None:
    """ECMG26 p112."""
    weeks_ago = MONDAY - timedelta(days=14)
    earlier = approved().model_copy(update={"occurred_at": weeks_ago})
    (yours,) = [each for each in told(received(), earlier, made(), accepted()) if each.notice.code == "yours"]
    assert yours.duty.due_at == POLICY.due("notice_provider", weeks_ago).at
    assert yours.duty.due_at is not None
    assert yours.duty.due_at - weeks_ago > timedelta(days=13)


@pytest.mark.parametrize("missing", ["referral", "decision"])
def test_a_grant_that_runs_out_is_told_with_what_is_missing(missing: str) -> None:
    """loop.md 3.4."""
    reminded = make(e.AuthorizationPresumptiveReminded, grant="grt_1", provider=STREET, day=20, missing=missing,
                    through=DAY)  # fmt: skip
    assert to(received(claim=GRANT), GRANTED, reminded) == {("presumptive_reminded", missing, STREET)}


def test_where_another_provider_has_an_open_authorization_the_way_on_is_said() -> None:
    """loop.md 3.3."""
    refused = make(e.AuthorizationPresumptiveRefused, reason="other_provider")
    assert "Ask the member whom they want" in words(
        "presumptive_refused", "provider", received(claim=GRANT), refused
    )


def test_the_day_of_a_release_is_told_to_who_accepted_and_to_nobody_who_is_only_asked_3_7() -> None:
    """loop.md 3.7: the date tells custody."""
    planned = made().model_copy(update={"starts_on": DAY})
    started = make(e.AssignmentStarted, assignment="asg_1", provider=STREET, on=DAY)
    for facts in ((received(), planned), (received(), planned, started)):
        (one,) = [each for each in told(*facts) if each.kind == "provider"]
        assert DAY.isoformat() not in one.whole
        assert "begin" not in one.text
        assert "live" not in one.text
    assert DAY.isoformat() in str(told(received(), planned, accepted(), started)[0].notice.facts)


def test_the_clocks_of_outreach_stand_still_until_the_release_and_move_with_it_3_7() -> None:
    def first_due(*facts: Event) -> datetime:
        state = DECIDER.fold(facts)
        assert state is not None
        return timers(POLICY)(state)["first_outreach"]

    inside = made().model_copy(update={"starts_on": DAY + timedelta(days=12)})
    usual = first_due(received(), made(), accepted())
    later = first_due(received(), inside, accepted())
    assert later > usual
    moved = make(e.ReferralAmended, cause="release_date", release_on=DAY + timedelta(days=42))
    assert first_due(received(), inside, accepted(), moved) > later + timedelta(days=28)
    # What is not planned is not moved.
    assert first_due(received(), made(), accepted(), moved) == usual


def test_a_choice_of_another_program_after_the_yes_is_told_to_both_programs_4_4() -> None:
    """ECMG26 p65-66. Before the yes it is the plan's to judge; one who chose ECM changes nothing."""
    held = (received(flags=["program_alw"], program_providers={"alw": OTHER}), made(), accepted())
    chose = make(e.ReferralAmended, cause="corrected", flags=["program_alw", "chose_alw"])
    both = {("program_chosen", "usual", STREET), ("program_chosen", "other_program", OTHER)}
    assert to(*held, approved(), chose) == both
    assert to(*held, chose) == set()
    stays = chose.model_copy(update={"flags": ("program_alw", "chose_ecm_over_alw")})
    assert to(*held, approved(), stays) == set()
    assert to(*held, approved(), chose, chose.model_copy()) == set()


OVER = closed("merged")


def test_a_claim_that_joined_is_answered_to_its_claimant_under_its_own_id_3_3() -> None:
    """loop.md 3.3: of that referral nothing is known here but that it was over as it came in."""
    refused = make(e.AuthorizationPresumptiveRefused, reason="other_provider", provider=OTHER, plan=HARBOR)
    assert to(OVER, refused) == {("presumptive_refused", "other_provider", OTHER)}
    assert "Harbor Health Plan" in words("presumptive_refused", "provider", OVER, refused)
    # In the loop that it joined, the same is noted and told to nobody.
    assert to(*OPEN, refused.model_copy(update={"claimed_by": "ref_2"})) == set()


def test_a_grant_for_a_claim_that_joined_names_the_claimants_own_referral_and_is_told_once() -> None:
    granted = GRANTED.model_copy(update={"claimed_by": "ref_2"})
    (one,) = told(received(), granted)
    assert (one.notice.recipient, one.notice.referral) == (STREET, "ref_2")
    assert "ref_2" in one.text
    assert to(OVER, GRANTED.model_copy(update={"carried_by": "ref_1"})) == set()


def test_who_offers_to_serve_a_member_already_served_is_asked_under_its_own_id_2_11() -> None:
    asks = JOINED.model_copy(update={"joined_asked": "provider_change"})
    (asked,) = [each for each in told(*SERVED, asks) if each.notice.code == "questions"]
    assert (asked.notice.recipient, asked.notice.referral) == (SECOND, "ref_2")


def test_a_grant_that_expired_is_told_to_provider_and_member() -> None:
    """domain.md 2.3."""
    ended = make(e.AuthorizationPresumptiveEnded, grant="grt_1", reason="expired", through=DAY)
    assert {each.kind for each in told(received(claim=GRANT), GRANTED, ended)} == {"provider", "member"}
    followed = ended.model_copy(update={"reason": "approved"})
    assert {each.kind for each in told(received(claim=GRANT), GRANTED, followed)} == {"provider"}


def test_a_decision_is_told_to_who_serves_already_and_that_is_news_for_the_others() -> None:
    """loop.md 3.4: the grant ends when the decision is told."""
    (decided,) = [each for each in told(*OPEN, approved()) if each.notice.code == "decided"]
    assert (decided.notice.recipient, decided.duty.published) == (STREET, True)


def test_the_term_is_told_to_who_serves_and_its_end_to_the_member_ten_days_ahead() -> None:
    """loop.md 4.7, 7.2; N10."""
    due = make(e.AuthorizationReauthorizationDue, authorization="auth_1", through=DAY, due_at=LATER)
    assert to(*SERVED, due) == {("reauthorization_due", "usual", STREET)}
    extended = make(
        e.AuthorizationExtended, authorization="auth_1", number="A-2", **{"from": DAY, "through": DAY}
    )
    assert to(*SERVED, extended) == {("extended", "usual", STREET), ("extended", "usual", HARBOR)}
    ended = make(
        e.AuthorizationEnded, authorization="auth_1", code=1, on=DAY, notice_due_at=LATER, rights=RIGHTS
    )
    found = {each.kind: each for each in told(*SERVED, ended)}
    assert set(found) == {"provider", "member"}
    assert found["member"].duty.due_at == LATER
    assert "you met your goals" in found["member"].text
    assert "March 12, 2026" in found["member"].text


def test_a_new_lead_care_manager_is_told_to_the_member_only() -> None:
    """loop.md 5.4."""
    changed = make(e.AssignmentLeadChanged, assignment="asg_1", provider=STREET,
                   lead={"person": "joe.kim", "name": "Joe Kim"})  # fmt: skip
    assert to(*SERVED, changed) == {("lead_changed", "usual", HARBOR)}
    assert "Joe Kim" in words("lead_changed", "member", *SERVED, changed)
    state = DECIDER.fold((*SERVED, changed))
    assert state is not None
    assert state.assignment is not None
    assert state.assignment.lead is not None
    assert state.assignment.lead.name == "Joe Kim"


def test_a_community_supports_referral_is_asked_of_its_provider_and_answered_to_its_sender() -> None:
    asked = make(
        e.ReferralSupportMoved, support="sup_1", code="sobering_centers", status="asked", provider=OTHER
    )
    done = asked.model_copy(update={"status": "done"})
    assert to(*SERVED, asked) == {("support_asked", "usual", OTHER)}
    assert to(*SERVED, done) == {("support_moved", "usual", STREET)}
    assert "sobering" not in str([each.whole for each in (*told(*SERVED, asked), *told(*SERVED, done))])


def test_a_second_referrer_hears_that_its_referral_joined_another_and_what_stands_there() -> None:
    """loop.md 2.9."""
    found = told(*OPEN, approved(), JOINED)
    mine = [each for each in found if each.notice.recipient == SECOND]
    # Who serves is alerted where the member receives services already, not by every referral that joins.
    assert mine == found
    assert [(each.notice.code, each.notice.variant) for each in mine] == [
        ("closed", "merged"), ("authorized", "served"), ("assigned", "usual"),
    ]  # fmt: skip
    assert mine[0].notice.stream == mine[0].notice.referral == "ref_2"
    assert {each.notice.referral for each in mine} == {"ref_2"}


def test_who_refers_a_member_in_ecm_hears_so_and_the_provider_is_named_to_treating_referrers_only() -> None:
    """loop.md 2.11: the lead care manager is alerted."""
    found = told(*SERVED, JOINED)
    assert {(each.notice.code, each.notice.variant, each.notice.recipient) for each in found} == {
        ("closed", "already", SECOND), ("referred_again", "usual", STREET),
    }  # fmt: skip
    assert "Harbor Street" not in found[0].whole
    treating = JOINED.model_copy(update={"joined_referrer": PCP})
    assert "Harbor Street Medicine" in words("closed", "referrer", *SERVED, treating)


def test_a_referral_that_was_split_off_again_hears_nothing_more() -> None:
    """loop.md 2.10."""
    split = make(e.ReferralAmended, cause="split", joined="ref_2", joined_referrer=SECOND)
    assert SECOND in {each.notice.recipient for each in told(received(), JOINED, approved())}
    assert SECOND not in {each.notice.recipient for each in told(received(), JOINED, split, approved())}


def test_a_changed_contact_is_told_to_who_serves_unless_they_changed_it() -> None:
    """loop.md 6.2."""
    changed = make(e.OutreachContactChanged, flags=("safe_contact",), acted_by={"organization": STREET})
    assert to(*OPEN, changed) == set()
    amended = make(e.ReferralAmended, cause="corrected", flags=("safe_contact",), sealed={"contact": "new"})
    assert to(*OPEN, amended) == {("contact_changed", "careful", STREET)}
    moved = make(e.ReferralAmended, cause="release_date", release_on=DAY)
    assert to(*OPEN, moved) == {("start_moved", "usual", STREET)}


def test_an_offer_that_waits_too_long_reminds_its_provider_alone() -> None:
    """loop.md 5.6: silence is not a no."""
    waiting = make(
        e.AssignmentOverdue, assignment="asg_1", clock="provider_answer", due_at=LATER, state="at_risk"
    )
    assert to(received(), made(), waiting) == {("offer_reminded", "usual", STREET)}
    assert to(*OPEN, waiting) == set()


@pytest.mark.parametrize(
    ("outcome", "helped"),
    [
        ("unable_to_reach", True),
        ("provider_declined", True),
        ("services_received", False),
        ("already_in_ecm", False),
    ],
)
def test_a_member_left_without_service_is_told_where_help_is(outcome: str, helped: bool) -> None:
    """N6."""
    codes = {each.notice.code for each in told(*OPEN, closed(outcome)) if each.kind == "member"}
    assert codes == ({"help"} if helped else set())


@pytest.mark.parametrize(
    "event",
    [
        make(e.ReferralOverdue, clock="questions", due_at=LATER, state="breached"),
        make(e.AuthorizationOverdue, authorization="auth_1", clock="routine", due_at=LATER, state="breached"),
        make(e.AssignmentPlanAsked, reason="none_left", due_at=LATER),
        make(e.AuthorizationReauthorizationRequested, authorization="auth_1", provider=STREET, through=DAY),
        make(e.OutreachServiceEnded, assignment="asg_1", code=1, on=DAY),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_the_plan_must_do_is_told_to_the_plan_alone_as_the_event_itself(event: Event) -> None:
    """loop.md 7.5."""
    assert to(*SERVED, event) == set()
