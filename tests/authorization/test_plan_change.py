"""Who received ECM under another plan goes on under this one, with no further step (loop.md 4.9; ECMG26 p110-111).

The rows are those of `shared/src/loopkeeper/policy/plan_change.yaml`; this is their truth table.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from authorization.domain.commands import OpenReview
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.context import AuthorizationLoaded, Kept
from loopkeeper.contract.events import Eligibility, Event, PlanChange
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, AskedCommand, given
from tests.builders.authorization import UNSURE, amend, amended, approval, looked_up, pend, received, wires
from tests.builders.facts import HOMELESS

DAY = timedelta(days=1)
# The last day under the plan before, and the first that still lies in its last 90.
OLD_END = date(2026, 2, 28)
EARLIEST = date(2025, 12, 1)
WAYS = ("old_plan", "data_feed", "member", "provider", "other")
CONTRARY = ("graduated_or_stopped", "not_wished", "not_recommended")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


def follows(policy: Policy, state: Authorization, asking: AskedCommand, *others: Kept) -> list[Event]:
    members = {(state.plan, state.member): {f"ref_{n}": kept for n, kept in enumerate(others)}}
    loaded = AuthorizationLoaded(policy, {}, members)
    return given(DECIDER, state=state).when(looked_up(loaded, "ref_new", state, asking).asking).events


def moved(policy: Policy, change: PlanChange, **said: Any) -> list[str]:
    """What follows of a referral that says nothing but that the member moved here."""
    fact = received(**{"claim": None, "attested": False, "populations": (), "plan_change": change, **said})
    return wires(follows(policy, given(DECIDER, fact).state, OpenReview(fact=fact)))


# What each way is barred by, and by nothing else (ECMG26 p111, 1 to 5).
BARS = {
    "old_plan": "graduated_or_stopped", "data_feed": None, "member": "not_wished", "provider": "not_recommended",
    "other": None,
}  # fmt: skip


@pytest.mark.parametrize("stated", [None, *CONTRARY])
@pytest.mark.parametrize("how", WAYS)
def test_each_way_has_its_own_condition_and_only_its_own_4_9(
    policy: Policy, how: Any, stated: str | None
) -> None:
    """Nothing is asked of attestation, criteria or population; what nobody stated counts against nothing."""
    change = PlanChange(how=how, stated=(stated,) if stated else ())
    expected = ["review_opened"] if stated and BARS[how] == stated else ["review_opened", "approved"]
    assert moved(policy, change) == expected


SERVICE_DAYS = [
    # last service, last day of the old enrolment, authorized at once
    (None, None, True),
    (None, OLD_END, True),
    (OLD_END, None, True),
    (OLD_END, OLD_END, True),
    (EARLIEST, OLD_END, True),
    (EARLIEST - DAY, OLD_END, False),
    (OLD_END + DAY, OLD_END, False),
]


@pytest.mark.parametrize(("served", "through", "at_once"), SERVICE_DAYS)
@pytest.mark.parametrize("how", WAYS)
def test_a_day_of_service_if_given_lies_in_the_last_90_days_of_the_old_enrolment_4_9(
    policy: Policy, how: Any, served: date | None, through: date | None, at_once: bool
) -> None:
    change = PlanChange(how=how, last_service_on=served, enrolled_through=through)
    assert (moved(policy, change)[1:] == ["approved"]) is at_once


def test_who_is_not_on_the_roster_yet_goes_to_a_person_by_a_date_4_9(policy: Policy) -> None:
    change = PlanChange(how="member")
    fact = received(claim=None, populations=(), plan_change=change, eligibility=UNSURE)
    state = given(DECIDER, fact).state
    state = given(DECIDER, *follows(policy, state, OpenReview(fact=fact)), state=state).state
    assert state.review is not None
    assert state.review.needs_person == ("eligibility_unconfirmed",)
    assert state.review.due_at > MONDAY


def test_it_waits_for_no_answer_a_person_asked_for_4_9(policy: Policy) -> None:
    """Learned later, while the clock is stopped."""
    fact = received(claim=None, attested=False, populations=())
    state = given(DECIDER, fact).state
    state = given(DECIDER, *follows(policy, state, OpenReview(fact=fact)), state=state).state
    state = given(DECIDER, state=state).when(pend("county")).state
    learned = amended("corrected", plan_change={"how": "data_feed"})
    assert wires(follows(policy, given(DECIDER, learned, state=state).state, amend(learned))) == ["approved"]


def test_a_claim_to_serve_holds_nothing_up_4_9(policy: Policy) -> None:
    """A plan that chose no day for its terms to run from authorizes from the decision on."""
    fact = received(plan_change=PlanChange(how="provider"))
    state = given(DECIDER, fact).state
    decided = approval(follows(policy, state, OpenReview(fact=fact)))
    assert (decided.must, decided.from_) == ("plan_change", date(2026, 3, 2))


@pytest.mark.parametrize(
    ("flags", "roster", "at_once"),
    [
        (("program_hospice",), (), True),
        (("program_hospice", "confirmed_hospice"), (), False),
        ((), ("pace",), False),
        (("program_ccs",), ("ccs",), True),
    ],
)
def test_only_a_program_that_is_confirmed_stands_against_it_4_4(
    policy: Policy, flags: tuple[str, ...], roster: tuple[str, ...], at_once: bool
) -> None:
    known = Eligibility(state="confirmed", programs=roster)
    happened = moved(policy, PlanChange(how="member"), flags=flags, eligibility=known)
    assert (happened[1:] == ["approved"]) is at_once


def test_what_the_old_plan_authorized_is_authorized_again_4_9(policy: Policy) -> None:
    claimed = HOMELESS.model_copy(update={"result": "unknown"})
    fact = received(claim=None, populations=(claimed,), plan_change=PlanChange(how="old_plan"))
    decided = approval(follows(policy, given(DECIDER, fact).state, OpenReview(fact=fact)))
    assert decided.populations == ("homelessness",)
    assert decided.policy == ("must_authorize/plan-change@2024-01-01",)
