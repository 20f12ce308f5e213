"""What a plan must do when it assigns (loop.md 5.7): whose program, clinic or wish comes first, and what yields to what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from assignment.domain.commands import NoteFact
from assignment.domain.matching import Ranking
from assignment.domain.rules import DECIDER
from assignment.domain.state import Assignment
from assignment.persistence.context import MEMBER, PROVIDER, AssignmentLoaded
from assignment.persistence.prior_providers import Families, Served
from loopkeeper.contract.decider import Plain
from loopkeeper.contract.events import (
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentPlanAsked,
    Event,
    Linked,
    ProviderRecorded,
    ReferralAmended,
    ReferralReceived,
)
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand, command_of, given
from tests.builders.assignment import APPROVED, RECEIVED, by_hand, heard
from tests.builders.facts import TODAY, entry, made
from tests.builders.organizations import CLINIC, HOSPITAL, NAVIGATORS, STREET

POLICY = load(installed())
COUNTY_BH, CCS_CLINIC, ICC_TEAM, NURSES = (
    "alameda-county-bh",
    "harbor-ccs-clinic",
    "alameda-icc",
    "alameda-foster-nurses",
)
EVERYBODY = (STREET, NAVIGATORS, CLINIC, COUNTY_BH, CCS_CLINIC, ICC_TEAM, NURSES)
BOTH = ("homelessness", "smi_sud")


def directory(**changes: Mapping[str, Any]) -> dict[str, ProviderRecorded]:
    """Seven providers of which nothing speaks for one over another but the name. Changes by the name's first word."""
    contract = {"plan": "harbor-health-plan", "populations": list(BOTH), "from": "2025-01-01"}
    usual: dict[str, Any] = {
        "populations": BOTH,
        "contracts": (contract,),
        "age_bands": ("adult", "child_youth"),
    }
    return {slug: entry(slug, **{**usual, **changes.get(slug.replace("-", "_"), {})}) for slug in EVERYBODY}


def places(
    entries: Mapping[str, ProviderRecorded], served: Served | None = None, families: Families | None = None
) -> AssignmentLoaded:
    locked = {(MEMBER, RECEIVED.member)} | {(PROVIDER, each) for each in EVERYBODY}
    return AssignmentLoaded(POLICY, entries, {}, {}, locked, served, families)


def received(**changes: Any) -> ReferralReceived:
    return RECEIVED.model_copy(update=changes)


def ranked(
    *facts: Event,
    populations: tuple[str, ...] = ("homelessness",),
    entries: Mapping[str, ProviderRecorded] | None = None,
    served: Served | None = None,
    families: Families | None = None,
) -> Ranking:
    """The ranking once the plan approves these populations."""
    approved = APPROVED.model_copy(update={"populations": populations})
    state = given(DECIDER, *facts, approved).state
    return places(entries or directory(), served, families).ranking(state, NoteFact(fact=approved), MONDAY)


def first(found: Ranking) -> tuple[str, str]:
    """Who comes first, and by which factor."""
    assert found.first is not None
    return found.first.provider, next(iter(found.first.because), "")


def completed(
    state: Assignment, asking: AskedCommand, entries: Mapping[str, ProviderRecorded]
) -> AskedCommand:
    """The command with the context that the service gives it."""
    plain = Plain(at=MONDAY, seed=SEED)
    found: Any = places(entries).with_context("ref_1", state, command_of(asking), plain)
    return found


# ── the order ─────────────────────────────────────────────────────────────────────────────────────────────

CCS: Mapping[str, str] = {"ccs": CCS_CLINIC}
EARLIER_FIRST: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ("member_choice", {"chosen": (STREET,)}, {"program_providers": CCS}, ("homelessness",)),
    ("program", {"program_providers": CCS}, {"pcp": CLINIC}, ("homelessness",)),
    ("pcp", {"pcp": STREET}, {"program_providers": {"smhs_tcm": COUNTY_BH}}, ("homelessness",)),
    ("behavioral_health", {"program_providers": {"dmc_coordination": STREET}}, {"pcp": CLINIC}, ("smi_sud",)),
    ("behavioral_health", {"program_providers": {"full_service_partnership": STREET}}, {}, ("homelessness",)),
    ("self_recommending", {"referrer": STREET, "preferred": (CLINIC, STREET)}, {}, ("homelessness",)),
    ("should_program", {"program_providers": {"hcpcfc": STREET}}, {"preferred": (CLINIC,)}, ("homelessness",)),
    ("should_program", {"program_providers": {"cbas": STREET}}, {"preferred": (CLINIC,)}, ("homelessness",)),
    ("preference", {"preferred": (STREET,)}, {}, ("homelessness",)),
]  # fmt: skip


@pytest.mark.parametrize(("factor", "speaks", "against", "populations"), EARLIER_FIRST)
def test_what_a_plan_must_and_should_do_comes_in_the_order_of_its_rows(
    factor: str, speaks: dict[str, Any], against: dict[str, Any], populations: tuple[str, ...]
) -> None:
    """loop.md 5.7, domain.md 4.1: STREET is the one spoken for, though the last by name."""
    both = {**against, **speaks}
    expected = CCS_CLINIC if factor == "program" else STREET
    assert first(ranked(received(**both), populations=populations)) == (expected, factor)


def test_of_several_programs_the_one_the_member_names_is_assigned() -> None:
    """loop.md 5.7, ECMG26 p113."""
    both = {"ccs": CCS_CLINIC, "smhs_icc": ICC_TEAM}
    assert first(ranked(received(program_providers=both)))[1] == "program"
    for named in both.values():
        assert first(ranked(received(program_providers=both, chosen=(named,)))) == (named, "member_choice")


def test_what_the_member_named_first_comes_first() -> None:
    assert first(ranked(received(chosen=(STREET, CLINIC))))[0] == STREET
    assert first(ranked(received(chosen=(CLINIC, STREET))))[0] == CLINIC


def test_a_recommendation_of_the_referrer_is_not_the_members_own_wish() -> None:
    found = ranked(received(preferred=(STREET, CLINIC), chosen=(CLINIC,), referrer=HOSPITAL))
    spoken = {each.provider: each.because for each in found.ranked}
    assert (spoken[CLINIC][0], spoken[STREET][0]) == ("member_choice", "preference")


def test_after_a_plan_change_who_is_contracted_for_any_population_can_serve_one_of_whom_none_is_known_4_9() -> (
    None
):
    moved = received(linked=Linked(to="ref_old", why="plan_change"), populations=())
    assert first(ranked(moved, populations=(), served={"ref_old": {STREET}})) == (
        STREET,
        "same_after_plan_change",
    )


def test_after_a_plan_change_the_same_provider_stays_where_it_is_in_the_network() -> None:
    """loop.md 4.9."""
    moved = received(linked=Linked(to="ref_old", why="plan_change"), pcp=CLINIC)
    assert first(ranked(moved, served={"ref_old": {STREET}})) == (STREET, "same_after_plan_change")
    itself = received(referrer=STREET, flags=("plan_change_provider",), pcp=CLINIC)
    assert first(ranked(itself)) == (STREET, "same_after_plan_change")
    wished = received(linked=Linked(to="ref_old", why="plan_change"), chosen=(NAVIGATORS,))
    assert first(ranked(wished, served={"ref_old": {STREET}}))[0] == NAVIGATORS


@pytest.mark.parametrize(
    ("why", "same"),
    [("contested", True), ("overturned", True), ("possible_duplicate", False), ("split", False)],
)
def test_only_a_link_that_is_certain_carries_the_provider_over(why: str, same: bool) -> None:
    found = ranked(received(linked=Linked(to="ref_old", why=why), pcp=""), served={"ref_old": {STREET}})
    assert (first(found) == (STREET, "continuity")) is same


def test_who_served_the_member_before_comes_ahead_of_a_recommendation() -> None:
    assert first(ranked(received(preferred=(CLINIC,)), served={"mem_david": {STREET}})) == (
        STREET,
        "continuity",
    )


def test_plan_staff_are_offered_nobody_until_the_plan_turned_it_on_and_then_come_last() -> None:
    """domain.md 2.2b."""
    staff = directory(harbor_street_medicine={"types": ("plan_staff",)})
    found = ranked(received(chosen=(STREET,)), entries=staff)
    assert ("plan_staff", STREET) in {(skip.reason, skip.provider) for skip in found.skipped}
    row = POLICY.row("plan_staff", on=TODAY, plan="harbor-health-plan")
    assert row["switched_on"] is False


# ── what yields ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_members_objection_passes_over_even_who_must_come_first_and_is_kept() -> None:
    """loop.md 5.7: each unless the member objects."""
    objected = (
        AssignmentMade(occurred_at=MONDAY, assignment="asg_1", provider=CLINIC, answer_due_at=MONDAY),
        AssignmentDeclined(occurred_at=MONDAY, assignment="asg_1", reason="member_prefers_another"),
    )
    found = ranked(received(pcp=CLINIC), *objected)
    assert found.first is not None
    assert found.first.provider != CLINIC
    assert {skip.reason for skip in found.skipped if skip.provider == CLINIC} == {"declined"}
    asked_away = (
        AssignmentMade(occurred_at=MONDAY, assignment="asg_1", provider=CLINIC, answer_due_at=MONDAY),
        AssignmentEnded(occurred_at=MONDAY, assignment="asg_1", reason="member_change", on=TODAY),
    )
    found = ranked(received(pcp=CLINIC), *asked_away)
    assert {skip.reason for skip in found.skipped if skip.provider == CLINIC} == {"member_objects"}


def test_whoever_was_named_and_cannot_be_asked_is_passed_over_with_the_reason_first() -> None:
    """Every skip's reason is kept, the named ones before a long list is cut."""
    entries = directory(
        alameda_county_bh={"capacity": 0},
        eastside_community_clinic={"active": False},
        alameda_icc={"capacity": 0},
    )
    found = ranked(
        received(pcp=CLINIC, chosen=("sunset-care",), program_providers={"smhs_tcm": COUNTY_BH}),
        entries=entries,
    )
    reasons = [(skip.provider, skip.reason) for skip in found.skipped]
    assert set(reasons[:3]) == {(COUNTY_BH, "full"), (CLINIC, "inactive"), ("sunset-care", "not_in_network")}
    assert reasons[3:] == [(ICC_TEAM, "full")]


YIELDS: list[tuple[str, dict[str, Any], str, set[str]]] = [
    ("member_choice", {"chosen": (CLINIC,)}, CLINIC, {"member_wish", "not_practicable"}),
    ("program", {"program_providers": CCS}, CCS_CLINIC, {"member_wish"}),
    ("pcp", {"pcp": CLINIC}, CLINIC, {"member_wish", "fits_better"}),
    ("behavioral_health", {"program_providers": {"smhs_tcm": COUNTY_BH}}, COUNTY_BH, {"member_wish", "fits_better"}),
]  # fmt: skip
REASONS = ("", "member_wish", "fits_better", "not_practicable")


@pytest.mark.parametrize("because", REASONS)
@pytest.mark.parametrize(("factor", "needs", "obliged", "yields"), YIELDS, ids=[row[0] for row in YIELDS])
def test_by_hand_another_is_chosen_for_the_reasons_its_rule_allows_and_the_reason_is_kept(
    factor: str, needs: dict[str, Any], obliged: str, yields: set[str], because: str
) -> None:
    """loop.md 5.7: for PCP and behavioral health another may fit better; a program yields to the member's wish only."""
    state = given(DECIDER, received(**needs), APPROVED).state
    choosing = by_hand(NAVIGATORS, because=because)
    command = completed(state, choosing, directory())
    if because not in yields:
        answer = given(DECIDER, state=state).when(command).refusal
        assert (answer.slug, set(answer.allowed)) == ("reason-required", yields)
        return
    (offer,) = given(DECIDER, state=state).when(command).events
    assert isinstance(offer, AssignmentMade)
    assert (offer.provider, offer.skipped[0].provider, offer.skipped[0].reason) == (
        NAVIGATORS,
        obliged,
        because,
    )
    assert any(ref.startswith("must_rules/") for ref in offer.policy)


def test_whom_a_must_rule_speaks_for_is_chosen_by_hand_without_a_reason() -> None:
    state = given(DECIDER, received(pcp=NAVIGATORS), APPROVED).state
    (offer,) = given(DECIDER, state=state).when(completed(state, by_hand(NAVIGATORS), directory())).events
    assert isinstance(offer, AssignmentMade)
    assert (offer.provider, offer.basis) == (NAVIGATORS, "by_hand")


def test_a_must_rule_for_who_did_not_answer_binds_nobody_any_more() -> None:
    silent = AssignmentPlanAsked(occurred_at=MONDAY, reason="no_answer", assignment="asg_1")
    state = given(DECIDER, received(pcp=CLINIC), APPROVED, made(CLINIC), silent).state
    assert [event.wire for event in given(DECIDER, state=state).when(completed(state, by_hand(NAVIGATORS), directory())).events] == [
        "assignment.withdrawn", "assignment.made",
    ]  # fmt: skip


# ── what is kept ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_offer_says_which_rows_it_used() -> None:
    entries = directory(harbor_street_medicine={"types": ("street_medicine",)})
    state = given(DECIDER, received(chosen=(STREET,), program_providers=CCS), APPROVED).state
    (offer,) = given(DECIDER, state=state).when(completed(state, heard(APPROVED), entries)).events
    assert isinstance(offer, AssignmentMade)
    named = {ref.split("@")[0] for ref in offer.policy}
    assert named >= {
        "clocks/provider-answer", "ranking/member-choice", "ranking/pcp", "program_ties/ccs",
        "presumptive/homelessness-street-medicine",
    }  # fmt: skip
    assert all(POLICY.by_ref(ref) is not None for ref in offer.policy)


def test_of_a_long_list_of_skips_the_counts_tell_the_rest() -> None:
    entries = directory(
        alameda_icc={"capacity": 0},
        alameda_county_bh={"capacity": 0},
        bay_housing_navigators={"active": False},
    )
    (offer,) = (
        given(DECIDER, RECEIVED, APPROVED)
        .when(completed(given(DECIDER, RECEIVED, APPROVED).state, heard(APPROVED), entries))
        .events
    )
    assert isinstance(offer, AssignmentMade)
    assert offer.skipped_for == {"full": 2, "inactive": 1}


def test_where_nobody_is_left_the_question_keeps_who_was_passed_over() -> None:
    entries = directory(**{slug.replace("-", "_"): {"capacity": 0} for slug in EVERYBODY})
    state = given(DECIDER, RECEIVED, APPROVED).state
    (question,) = given(DECIDER, state=state).when(completed(state, heard(APPROVED), entries)).events
    assert isinstance(question, AssignmentPlanAsked)
    assert question.reason == "none_left"
    assert {skip.provider for skip in question.skipped or ()} == set(EVERYBODY)
    assert question.policy


def test_news_of_the_member_that_bring_a_candidate_go_on_by_themselves() -> None:
    """Nobody served Fresno; the member turns out to live in Alameda."""
    nobody = AssignmentPlanAsked(occurred_at=MONDAY, reason="none_left")
    state = given(DECIDER, received(county="fresno"), APPROVED, nobody).state
    news = ReferralAmended(occurred_at=MONDAY, cause="corrected", county="alameda")
    changed = given(DECIDER, news, state=state).state
    (offer,) = given(DECIDER, state=state).when(completed(changed, NoteFact(fact=news), directory())).events
    assert isinstance(offer, AssignmentMade)
    still = ReferralAmended(occurred_at=MONDAY, cause="corrected", county="kern")
    given(DECIDER, state=state).when(
        completed(given(DECIDER, still, state=state).state, NoteFact(fact=still), directory())
    ).then()


def test_who_serves_a_sibling_comes_before_whom_somebody_recommends_and_behind_who_served_the_member() -> (
    None
):
    """domain.md 4.1: a family is best served by one team (ECMG26 p18-19); not a must, so it ranks behind."""
    sister = received(family_of="ref_brother", preferred=(NAVIGATORS,), referrer=HOSPITAL)
    ours = {("ref_brother", sister.plan, HOSPITAL): {STREET}}
    assert first(ranked(sister, families=ours)) == (STREET, "family")
    served = {RECEIVED.member: {CLINIC}}
    assert first(ranked(sister, families=ours, served=served)) == (CLINIC, "continuity")
    # Whom a flagged member is to be kept safe from may be family (loop.md 6.2).
    for flag in ("safe_contact", "do_not_contact"):
        flagged = sister.model_copy(update={"flags": (flag,)})
        assert first(ranked(flagged, families=ours)) == (NAVIGATORS, "preference")
    # A referral of another referrer's, or of another plan's, makes nobody a relative.
    for plan, referrer in ((sister.plan, CLINIC), ("valley-care-plan", HOSPITAL)):
        foreign = {("ref_brother", plan, referrer): {STREET}}
        assert first(ranked(sister, families=foreign)) == (NAVIGATORS, "preference")
