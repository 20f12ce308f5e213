"""What a decision is told before it is made: the day's policy, the member's other requests, the draw of the sample."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from authorization.domain.commands import OpenReview
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.context import AuthorizationLoaded, Kept, drawn
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.store.definition import Change, Submission
from loopkeeper.testing.rules import MONDAY, SEED, given
from tests.builders.authorization import (
    ENTRY,
    FREQUENT,
    TEAM,
    LookedUp,
    Rules,
    approve,
    claim,
    deny,
    looked_up,
    opened,
    pending,
    received,
)
from tests.builders.facts import HOMELESS
from tests.builders.organizations import CLINIC, HARBOR

DEMO = Path(__file__).parents[2] / "demo" / "policy"
VALLEY = "valley-care-plan"
YESTERDAY, NEXT_YEAR = date(2026, 3, 1), date(2027, 2, 1)


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The packaged rows with those of the story's two plans."""
    return load(installed(), DEMO)


def known(policy: Policy, fact: Any, *others: Kept, at: datetime = MONDAY) -> LookedUp:
    """The command that opens this referral's review, filled in; the member has these other requests."""
    members = {(fact.plan, fact.member): {f"ref_{n}": kept for n, kept in enumerate(others)}}
    command = OpenReview(fact=fact)
    filled = looked_up(
        AuthorizationLoaded(policy, {TEAM: ENTRY}, members),
        "ref_new",
        given(DECIDER, fact).state,
        command,
        at,
    )
    return filled


# ── clocks ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_routine_decision_is_due_in_five_business_days_and_capped_at_seven_days(policy: Policy) -> None:
    rules = known(policy, received()).rules
    # Monday's referral: Tuesday to Friday, and Monday; the end of a Los Angeles day, once in winter, once in summer.
    assert rules.due_at == datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
    assert rules.cap_at == datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
    assert rules.review_refs == ("clocks/decision-routine@2022-01-01", "clocks/decision-cap@2026-01-01")


def test_an_expedited_decision_is_due_in_seventy_two_hours(policy: Policy) -> None:
    rules = known(policy, received(urgency="expedited")).rules
    assert (rules.clock, rules.due_at) == ("expedited", MONDAY + timedelta(hours=72))


def test_the_cap_was_fourteen_days_before_2026(policy: Policy) -> None:
    december = datetime(2025, 12, 1, 18, 0, tzinfo=UTC)
    rules = known(policy, received(occurred_at=december), at=december).rules
    assert rules.cap_at == datetime(2025, 12, 16, 8, 0, tzinfo=UTC)


# ── the plan's choices ────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_that_has_turned_nothing_on_lets_no_rule_approve(policy: Policy) -> None:
    assert set(known(policy, received()).rules.automatic) == {"homelessness", "avoidable_utilization"}
    assert known(policy, received(plan=VALLEY)).rules.automatic == {}


def test_the_packaged_policy_lets_no_rule_approve_and_chooses_no_first_day() -> None:
    rules = known(load(installed()), received()).rules
    assert (rules.automatic, rules.term_from) == ({}, None)


def test_each_plan_chooses_from_which_day_a_term_runs(policy: Policy) -> None:
    assert known(policy, received()).rules.term_from == "first_service"
    assert known(policy, received(plan=VALLEY)).rules.term_from == "decision"


def test_the_rows_that_let_a_rule_approve_are_named(policy: Policy) -> None:
    both = known(policy, received(populations=(HOMELESS, FREQUENT))).rules.approve_refs
    assert both == (
        "harbor-health-plan/auto_approval/harbor-homelessness@2025-01-01",
        "harbor-health-plan/auto_approval/harbor-avoidable-utilization@2025-01-01",
    )


def test_the_programs_that_exclude_ecm_are_the_states(policy: Policy) -> None:
    exclusive = {"hospice", "pace", "family_mosaic", "icf_resident", "d_snp"}
    assert set(known(policy, received()).rules.exclusive) == exclusive


# ── the member's other requests ───────────────────────────────────────────────────────────────────────────


def request(**changes: Any) -> Kept:
    fields: dict[str, Any] = {"grant_live": False, "grant_through": None, "approved_through": None}
    return Kept(**{**fields, "holder": "", **changes})


def test_a_first_referral_stands_alone(policy: Policy) -> None:
    command = known(policy, received())
    assert (command.open_with, command.member_grant_live, command.last_grant_through) == (None, False, None)
    assert command.provider == ENTRY


def test_an_open_term_belongs_to_who_serves_under_it(policy: Policy) -> None:
    served = request(approved_through=NEXT_YEAR, holder=CLINIC)
    assert known(policy, received(), served).open_with == CLINIC
    # Whom nobody serves yet is authorized all the same.
    assert known(policy, received(), request(approved_through=NEXT_YEAR)).open_with == "another provider"


def test_a_term_is_open_on_its_last_day_and_over_on_the_next(policy: Policy) -> None:
    last = request(approved_through=date(2026, 3, 2), holder=CLINIC)
    over = request(approved_through=YESTERDAY, holder=CLINIC)
    assert known(policy, received(), last).open_with == CLINIC
    assert known(policy, received(), over).open_with is None


def test_a_live_grant_and_the_last_one_that_ended_are_told(policy: Policy) -> None:
    live = request(grant_live=True, grant_through=date(2026, 3, 20))
    ended = [request(grant_through=date(2025, 6, 1)), request(grant_through=date(2026, 2, 1))]
    command = known(policy, received(), live, *ended)
    assert command.member_grant_live
    assert command.last_grant_through == date(2026, 2, 1)
    assert command.rules.again_days == 365


def test_a_request_does_not_stand_in_its_own_way(policy: Policy) -> None:
    fact = received()
    own = {(HARBOR, "mem_david"): {"ref_new": request(grant_live=True, approved_through=NEXT_YEAR)}}
    command = OpenReview(fact=fact)
    filled = looked_up(
        AuthorizationLoaded(policy, {TEAM: ENTRY}, own), "ref_new", given(DECIDER, fact).state, command
    )
    assert (filled.open_with, filled.member_grant_live) == (None, False)


def test_another_plans_requests_are_not_told(policy: Policy) -> None:
    members = {(VALLEY, "mem_david"): {"ref_0": request(approved_through=NEXT_YEAR, holder=CLINIC)}}
    fact = received()
    command = OpenReview(fact=fact)
    filled = looked_up(
        AuthorizationLoaded(policy, {}, members), "ref_new", given(DECIDER, fact).state, command
    )
    assert (filled.open_with, filled.provider) == (None, None)


def test_two_referrals_of_one_member_in_one_batch_know_of_each_other(policy: Policy) -> None:
    desk = AuthorizationLoaded(policy, {TEAM: ENTRY}, {})
    fact = received()
    first = given(DECIDER, fact, *opened(fact)).state
    desk.observe(Change("ref_1", Submission(SEED, "ref_1"), None, first, (), MONDAY))
    filled = looked_up(desk, "ref_2", given(DECIDER, fact).state, OpenReview(fact=fact))
    # Approved by rule in the same batch; nobody holds the term yet.
    assert filled.open_with == "another provider"


# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────────


def decided(policy: Policy, command: Any, state: Authorization, at: datetime = MONDAY) -> Any:
    return looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, command, at)


def test_a_denial_learns_its_licence_citation_and_dates_from_the_policy(policy: Policy) -> None:
    filled = decided(policy, deny("criteria_not_met", citation=""), pending())
    assert filled.needs_license
    assert filled.citation == "ECM Policy Guide, Populations of Focus"
    # Two business days for the notice; sixty days to appeal, the last of them named as a day.
    assert filled.notice_due_at == datetime(2026, 3, 5, 8, 0, tzinfo=UTC)
    assert filled.appeal_by == date(2026, 5, 1)


def test_a_denial_that_judges_no_criteria_needs_no_licence(policy: Policy) -> None:
    filled = decided(policy, deny("not_mcp_member", citation="Our records of today"), pending())
    assert not filled.needs_license
    assert filled.citation == "Our records of today"


def test_an_approval_learns_the_length_of_the_term(policy: Policy) -> None:
    filled = decided(policy, approve(Rules()), pending(claim=claim()))
    assert (filled.rules.term_months, filled.rules.term_from) == (12, "first_service")
    assert filled.rules.term_refs == ("harbor-health-plan/back_dating/harbor-back-dating@2025-01-01",)


# ── the sample ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_redelivery_draws_the_same_number() -> None:
    assert drawn(SEED) == drawn(UUID(int=7))
    assert drawn(SEED) != drawn(UUID(int=8))


def test_draws_are_spread_evenly_over_referrals() -> None:
    """Of 4000 referrals a sample of five in a hundred takes 200, give or take four standard deviations."""
    draws = [drawn(uuid5(SEED, str(number))) for number in range(4000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert 145 <= sum(draw < 0.05 for draw in draws) <= 255
