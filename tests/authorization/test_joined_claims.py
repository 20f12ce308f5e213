"""A second provider claims to serve a member whose loop runs: each claim is judged, and answered under its own id
(loop.md 2.11, 3.2, 3.3; ECMG26 p109-112)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from authorization.domain.presumptive import end_when_told, end_with_loop
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from loopkeeper.contract.decider import EventOn
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentEnded,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    Claim,
    ClaimResult,
    Contract,
    Event,
    JoinedClaim,
    Lead,
    ReferralAmended,
    ScreenedPopulation,
)
from loopkeeper.testing.rules import MONDAY, decided, given
from tests.builders.authorization import (
    ENTRY,
    TEAM,
    UNSURE,
    amend,
    amended,
    approve,
    claim,
    look_again,
    opened,
    received,
)
from tests.builders.facts import HOMELESS, TODAY, closed
from tests.builders.organizations import CLINIC, HARBOR

DAY = timedelta(days=1)
CLINICS = ENTRY.model_copy(update={"provider": CLINIC, "version": 9})
SERVED = closed("services_received")


def accepted(provider: str) -> AssignmentAccepted:
    lead = Lead(person="luis", name="Luis Ortega")
    return AssignmentAccepted(occurred_at=MONDAY, assignment="asg_1", provider=provider, lead=lead)


def ended(provider: str) -> AssignmentEnded:
    return AssignmentEnded(
        occurred_at=MONDAY, assignment="asg_1", provider=provider, reason="by_plan", on=TODAY
    )


def loop(*events: Event, **changes: Any) -> Authorization:
    """The team's loop of this member, as these make it."""
    fact = received(**{"eligibility": UNSURE, **changes})
    return given(DECIDER, fact, *opened(fact), *events).state


UNCLAIMED = {"claim": None}


def approved(*events: Event, **changes: Any) -> Authorization:
    state = loop(**changes)
    return given(DECIDER, *given(DECIDER, state=state).when(approve()).events, *events, state=state).state


def expired(state: Authorization) -> Authorization:
    assert state.grant is not None
    over = AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant=state.grant.grant, reason="expired", through=TODAY - DAY
    )
    return given(DECIDER, over, state=state).state


def joins(by: str = CLINIC, *, adopted: bool = False, **changes: Any) -> ReferralAmended:
    """The clinic's referral ref_2 joins the loop and claims."""
    made = claim(by, **changes)
    joined = JoinedClaim(claim=made, attested=True)
    return amended(
        "joined", joined="ref_2", joined_referrer=by, joined_claim=joined, claim=made if adopted else None
    )


def judged(state: Authorization, fact: ReferralAmended, **known: Any) -> list[Event | EventOn]:
    known = {"joined_provider": CLINICS, "opens": frozenset({"ref_2"}), **known}
    return list(decided(DECIDER, given(DECIDER, fact, state=state).state, amend(fact, **known)))


def answer(made: list[Event | EventOn]) -> Any:
    """What the claimant is told, under its own referral."""
    (found,) = [each for each in made if isinstance(each, EventOn)]
    assert (found.stream, found.opens) == ("ref_2", True)
    return found.event


def verdict(state: Authorization, fact: ReferralAmended, **known: Any) -> str:
    event = answer(judged(state, fact, **known))
    return "granted" if isinstance(event, AuthorizationPresumptiveGranted) else event.reason


# ── the truth table ───────────────────────────────────────────────────────────────────────────────────────

TABLE: dict[str, tuple[Authorization, str, str]] = {
    # the status of the loop, who claims, what becomes of it
    "waits, nobody claimed": (loop(**UNCLAIMED), CLINIC, "granted"),
    "granted to another": (loop(), CLINIC, "other_provider"),
    "granted to the claimant itself": (loop(), TEAM, "recent"),
    "another's grant expired": (expired(loop()), CLINIC, "granted"),
    "authorized, nobody accepted the offer": (approved(**UNCLAIMED), CLINIC, "granted"),
    "authorized after another's grant": (approved(), CLINIC, "other_provider"),
    "another accepted": (approved(accepted(TEAM), **UNCLAIMED), CLINIC, "other_provider"),
    "another serves, the loop is closed": (approved(accepted(TEAM), SERVED), CLINIC, "other_provider"),
    "the claimant itself serves": (approved(accepted(CLINIC), SERVED, **UNCLAIMED), CLINIC, "renewal"),
    "another served, its assignment ended": (
        approved(accepted(TEAM), SERVED, ended(TEAM), **UNCLAIMED), CLINIC, "granted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_what_becomes_of_a_claim_that_joins_a_loop_3_3(case: str) -> None:
    state, by, expected = TABLE[case]
    provider = CLINICS if by == CLINIC else ENTRY
    assert verdict(state, joins(by), joined_provider=provider) == expected


def test_what_stands_through_another_referral_refuses_alike() -> None:
    assert verdict(loop(**UNCLAIMED), joins(), open_with=TEAM) == "other_provider"
    assert verdict(loop(**UNCLAIMED), joins(), open_with=CLINIC) == "renewal"


def test_of_two_claims_at_once_the_first_is_granted_and_the_second_answered() -> None:
    state = loop(**UNCLAIMED)
    first = joins(adopted=True)
    granted, _ = judged(state, first)
    assert isinstance(granted, AuthorizationPresumptiveGranted)
    now = given(DECIDER, first, granted, state=state).state
    assert verdict(now, joins(TEAM), joined_provider=ENTRY) == "other_provider"


# ── what is said, and where ───────────────────────────────────────────────────────────────────────────────


def test_a_refusal_is_the_claimants_alone_and_says_who_claimed_of_which_plan() -> None:
    made = judged(loop(), joins())
    assert len(made) == 1
    refusal = answer(made)
    assert isinstance(refusal, AuthorizationPresumptiveRefused)
    assert (refusal.provider, refusal.plan, refusal.claimed_by) == (CLINIC, HARBOR, "")
    assert "Ask the member" in refusal.way_on


def test_a_grant_is_the_loops_and_is_told_under_the_claimants_referral() -> None:
    state, fact = loop(**UNCLAIMED), joins(adopted=True)
    granted, told = judged(state, fact)
    assert isinstance(granted, AuthorizationPresumptiveGranted)
    assert (granted.provider, granted.provider_version, granted.claimed_by) == (CLINIC, 9, "ref_2")
    assert isinstance(told, EventOn)
    answered: Any = told.event
    assert (answered.grant, answered.carried_by) == (granted.grant, "ref_1")
    # There it counts for nothing: one grant, of the loop.
    assert given(DECIDER, answered).state.grant is None
    assert given(DECIDER, fact, granted, state=state).state.grant_live


@pytest.mark.parametrize(
    ("attested", "start", "result", "expected"),
    [
        (True, False, "met", "granted"),
        (False, False, "met", "criteria"),
        (True, False, "unknown", "criteria"),
        (True, True, "unknown", "granted"),
        (False, True, "unknown", "criteria"),
        (True, True, "unmet", "criteria"),
    ],
)
def test_the_claimants_own_attestation_counts_never_the_first_referrers_3_2(
    attested: bool, start: bool, result: Any, expected: str
) -> None:
    populations = (ScreenedPopulation(code="homelessness", result=result),)
    state = loop(claim=None, populations=populations, attested=not attested)
    joined = JoinedClaim(claim=claim(CLINIC), attested=attested, start=start)
    fact = joins(adopted=True).model_copy(update={"joined_claim": joined})
    assert verdict(state, fact) == expected


def test_a_claim_that_waits_for_its_provider_is_looked_at_again_and_answered_under_its_id() -> None:
    state, fact = loop(**UNCLAIMED), joins(adopted=True)
    refused, told = judged(state, fact, joined_provider=None)
    assert isinstance(refused, AuthorizationPresumptiveRefused)
    assert (refused.reason, refused.awaits, refused.claimed_by) == ("awaiting_provider", CLINIC, "ref_2")
    assert isinstance(told, EventOn)
    waiting = given(DECIDER, fact, refused, state=state).state
    again = list(decided(DECIDER, waiting, look_again(CLINIC, provider=CLINICS, opens=frozenset())))
    assert [type(each).__name__ for each in again] == ["AuthorizationPresumptiveGranted", "EventOn"]


def test_a_claim_beside_anothers_that_still_waits_is_not_promised_a_second_look() -> None:
    fact = received(eligibility=UNSURE)
    waiting = given(DECIDER, fact, *opened(fact, provider=None)).state
    refusal = answer(judged(waiting, joins(), joined_provider=None))
    assert (refusal.reason, refusal.awaits) == ("contract", "")


def test_a_grant_after_the_yes_ends_with_its_loop_and_not_with_a_notice_of_the_yes() -> None:
    state, fact = approved(**UNCLAIMED), joins(adopted=True)
    granted, _ = judged(state, fact)
    assert isinstance(granted, AuthorizationPresumptiveGranted)
    now = given(DECIDER, fact, granted, closed("withdrawn"), state=state).state
    (over,) = end_with_loop(now, MONDAY)
    assert isinstance(over, AuthorizationPresumptiveEnded)
    assert end_when_told(now.model_copy(update={"told_on": TODAY}), MONDAY) == []


# ── one claim, several populations ────────────────────────────────────────────────────────────────────────

BOTH = Claim.model_validate(
    {
        "provider": TEAM,
        "population": "avoidable_utilization",
        "from": TODAY,
        "also": ("homelessness", "smi_sud"),
    }
)
WIDE = ENTRY.model_copy(
    update={
        "populations": ("homelessness", "avoidable_utilization"),
        "contracts": (
            Contract.model_validate(
                {
                    "plan": HARBOR,
                    "populations": ["homelessness", "avoidable_utilization"],
                    "from": "2025-01-01",
                }
            ),
        ),
    }
)


def test_each_population_of_a_claim_is_judged_by_itself_and_one_grant_is_made_3_3() -> None:
    fact = received(eligibility=UNSURE, claim=BOTH, populations=(HOMELESS,))
    (granted,) = [e for e in opened(fact, provider=WIDE) if isinstance(e, AuthorizationPresumptiveGranted)]
    assert granted.population == "homelessness"
    assert granted.results == (
        ClaimResult(population="avoidable_utilization", result="criteria"),
        ClaimResult(population="homelessness", result="granted"),
        ClaimResult(population="smi_sud", result="contract"),
    )


def test_where_none_holds_the_first_reason_is_told_with_each_ones_own() -> None:
    fact = received(eligibility=UNSURE, claim=BOTH, populations=())
    (refused,) = [e for e in opened(fact, provider=WIDE) if isinstance(e, AuthorizationPresumptiveRefused)]
    assert refused.reason == "criteria"
    assert [each.result for each in refused.results] == ["criteria", "criteria", "contract"]


def test_a_claim_of_one_population_says_no_list() -> None:
    (granted,) = [
        e for e in opened(received(eligibility=UNSURE)) if isinstance(e, AuthorizationPresumptiveGranted)
    ]
    assert granted.results == ()
    assert granted.from_ == date(2026, 3, 2)
