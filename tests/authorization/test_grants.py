"""Thirty days before the decision, and the term after it: when a grant is made, what ends it, what begins then."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from authorization.domain.commands import ExpireGrant, LookAgain, NoteFact
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.persistence.columns import columns
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import (
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    Event,
    ProviderRecorded,
    ScreenedPopulation,
)
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.authorization import (
    ENTRY,
    RULES,
    TEAM,
    UNSURE,
    Rules,
    approval,
    approve,
    claim,
    deny,
    look_again,
    opened,
    pending,
    received,
    wires,
)
from tests.builders.facts import HOMELESS, closed
from tests.builders.organizations import CLINIC

# Thirty days from 2 March are those through 31 March; daylight saving has begun in between.
THROUGH = date(2026, 3, 31)
OVER = datetime(2026, 4, 1, 7, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def granted(events: list[Event]) -> AuthorizationPresumptiveGranted:
    (found,) = [event for event in events if isinstance(event, AuthorizationPresumptiveGranted)]
    return found


def ended(events: list[Event]) -> AuthorizationPresumptiveEnded:
    """The one end of a grant among these."""
    (found,) = [event for event in events if isinstance(event, AuthorizationPresumptiveEnded)]
    return found


# ── made ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_good_claim_is_granted_for_thirty_days_from_the_first_service() -> None:
    grant = granted(opened(received(eligibility=UNSURE)))
    assert (grant.provider, grant.population) == (TEAM, "homelessness")
    assert (grant.from_, grant.through) == (date(2026, 3, 2), THROUGH)
    assert grant.provider_version == ENTRY.version


def test_nothing_is_granted_that_was_not_claimed() -> None:
    assert wires(opened(received(claim=None, eligibility=UNSURE))) == ["review_opened"]


UNMET = ScreenedPopulation(code="homelessness", result="unmet", claimed=True)
REFUSED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # reason, what the referral says otherwise, what else is known
    ("no_row", {}, {"rules": RULES.model_copy(update={"types": ()})}),
    ("type", {}, {"provider": ENTRY.model_copy(update={"types": ("shelter",)})}),
    ("contract", {}, {"provider": ENTRY.model_copy(update={"contracts": ()})}),
    ("criteria", {"populations": (UNMET,)}, {}),
    ("other_provider", {}, {"open_with": CLINIC}),
    ("renewal", {}, {"open_with": TEAM}),
    ("recent", {}, {"member_grant_live": True}),
    ("awaiting_provider", {}, {"provider": None}),
]


@pytest.mark.parametrize(("reason", "said", "known"), REFUSED, ids=[reason for reason, *_ in REFUSED])
def test_a_claim_is_refused_with_its_reason_and_the_way_on(
    reason: str, said: dict[str, Any], known: dict[str, Any]
) -> None:
    events = opened(received(eligibility=UNSURE, **said), **known)
    (refusal,) = [event for event in events if isinstance(event, AuthorizationPresumptiveRefused)]
    assert refusal.reason == reason
    assert refusal.way_on
    assert wires(events) == ["review_opened", "presumptive_refused"]


def test_a_refused_claim_does_not_stand_in_the_way_of_an_approval_by_rule() -> None:
    events = opened(received(), provider=ENTRY.model_copy(update={"types": ("shelter",)}))
    assert wires(events) == ["review_opened", "presumptive_refused", "approved"]


def test_no_other_grant_for_so_long_as_the_policy_says() -> None:
    """The last grant ended on 1 February; thirty days on, a claim is too early, the day after it is not."""
    rules = RULES.model_copy(update={"again_days": 30})
    last = date(2026, 2, 1)
    early = opened(
        received(eligibility=UNSURE, claim=claim(from_=date(2026, 3, 2))), rules, last_grant_through=last
    )
    late = opened(
        received(eligibility=UNSURE, claim=claim(from_=date(2026, 3, 3))), rules, last_grant_through=last
    )
    assert wires(early) == ["review_opened", "presumptive_refused"]
    assert wires(late) == ["review_opened", "presumptive_granted"]


# ── looked at again ───────────────────────────────────────────────────────────────────────────────────────


def waiting(**changes: Any) -> list[Event]:
    """A request whose provider the directory does not know yet."""
    fact = received(**{"eligibility": UNSURE, **changes})
    return [fact, *opened(fact, provider=None)]


def look(waits_for: str = TEAM, provider: ProviderRecorded | None = ENTRY) -> LookAgain:
    return look_again(waits_for, RULES, provider=provider)


def test_a_claim_that_waited_is_granted_when_the_provider_is_known() -> None:
    state = given(DECIDER, *waiting()).state
    grant = granted(given(DECIDER, state=state).when(look(), MONDAY + 3 * DAY).events)
    # Day 0 is the first service, however long the directory took.
    assert (grant.from_, grant.through) == (date(2026, 3, 2), THROUGH)


def test_a_claim_that_waited_is_judged_like_any_other() -> None:
    entry = ENTRY.model_copy(update={"types": ("shelter",)})
    (refusal,) = given(DECIDER, *waiting()).when(look(provider=entry)).events
    assert isinstance(refusal, AuthorizationPresumptiveRefused)
    assert refusal.reason == "type"


@pytest.mark.parametrize(
    "command", [look(CLINIC), look(provider=None)], ids=["another provider", "still unknown"]
)
def test_a_claim_waits_for_its_own_provider(command: Command) -> None:
    given(DECIDER, *waiting()).when(command).then()


HUB = "east-bay-access-hub"
THROUGH_HUB = ENTRY.model_copy(
    update={"contracts": tuple(each.model_copy(update={"hub": HUB}) for each in ENTRY.contracts)}
)


def test_a_claim_waits_for_the_hub_its_provider_acts_through() -> None:
    """The provider's entry has come, the hub's, which holds the contract, has not."""
    fact = received(eligibility=UNSURE)
    state = given(DECIDER, fact, *opened(fact, provider=THROUGH_HUB)).state
    assert (state.grant_refused, columns(state)["awaiting_provider"]) == ("awaiting_provider", HUB)
    known = {"rules": RULES, "provider": THROUGH_HUB}
    assert given(DECIDER, state=state).when(look_again(HUB, **known)).events == [], "the hub is not known yet"
    hub = ENTRY.model_copy(update={"provider": HUB})
    grant = granted(
        given(DECIDER, state=state).when(look_again(HUB, hubs={HUB: hub}, **known), MONDAY + 3 * DAY).events
    )
    assert (grant.provider, grant.from_) == (TEAM, date(2026, 3, 2))


def test_a_claim_that_waited_for_its_provider_may_have_to_wait_for_the_hub_too() -> None:
    (refusal,) = given(DECIDER, *waiting()).when(look(provider=THROUGH_HUB)).events
    assert isinstance(refusal, AuthorizationPresumptiveRefused)
    assert (refusal.reason, refusal.awaits) == ("awaiting_provider", HUB)


def test_a_hub_without_the_contract_is_waited_for_no_longer() -> None:
    fact = received(eligibility=UNSURE)
    state = given(DECIDER, fact, *opened(fact, provider=THROUGH_HUB)).state
    bare = ENTRY.model_copy(update={"provider": HUB, "contracts": ()})
    look = look_again(HUB, RULES, provider=THROUGH_HUB, hubs={HUB: bare})
    (refusal,) = given(DECIDER, state=state).when(look).events
    assert isinstance(refusal, AuthorizationPresumptiveRefused)
    assert (refusal.reason, columns(given(DECIDER, refusal, state=state).state)["awaiting_provider"]) == (
        "contract",
        "",
    )


def test_nothing_is_granted_after_the_decision() -> None:
    state = given(DECIDER, *waiting()).when(approve()).state
    given(DECIDER, state=state).when(look()).then()


def test_nothing_is_granted_after_the_member_withdrew() -> None:
    given(DECIDER, *waiting(), closed("withdrawn")).when(look()).then()


def test_a_claim_that_does_not_wait_is_not_looked_at() -> None:
    given(DECIDER, state=pending()).when(look()).then()
    given(DECIDER).when(look()).then()


# ── ended ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_grant_expires_as_its_thirtieth_day_is_over_and_not_before() -> None:
    assert timers(pending())["grant"] == OVER
    given(DECIDER, state=pending()).when(ExpireGrant(), OVER - OVER.resolution).then()
    end = ended(given(DECIDER, state=pending()).when(ExpireGrant(), OVER).events)
    assert (end.reason, end.through) == ("expired", THROUGH)


@pytest.mark.parametrize(
    ("command", "reason"), [(approve(), "approved"), (deny(), "denied")], ids=["approved", "denied"]
)
def test_a_decision_ends_the_grant_with_its_day(command: Command, reason: str) -> None:
    end = ended(given(DECIDER, state=pending()).when(command, MONDAY + 4 * DAY).events)
    assert (end.reason, end.through) == (reason, date(2026, 3, 6))


def test_an_approval_by_rule_ends_the_grant_in_the_same_breath() -> None:
    events = opened(received())
    assert wires(events) == ["review_opened", "presumptive_granted", "approved", "presumptive_ended"]
    assert ended(events).reason == "approved"


def test_the_day_of_a_decision_is_that_of_los_angeles() -> None:
    evening = datetime(2026, 3, 7, 4, 0, tzinfo=UTC)
    assert ended(given(DECIDER, state=pending()).when(approve(), evening).events).through == date(2026, 3, 6)


@pytest.mark.parametrize("command", [approve(), deny()], ids=["approved", "denied"])
def test_a_decision_never_makes_a_grant_longer(command: Command) -> None:
    """The last day is over, its deadline has not fired yet: thirty days stay thirty days."""
    assert ended(given(DECIDER, state=pending()).when(command, OVER + DAY).events).through == THROUGH


def test_a_claim_that_comes_late_is_granted_no_day_more() -> None:
    """Served since January, claimed in March: its thirty days were over before a rule approved."""
    end = ended(opened(received(claim=claim(from_=date(2026, 1, 5)))))
    assert (end.reason, end.through) == ("approved", date(2026, 2, 3))


@pytest.mark.parametrize("outcome", ["withdrawn", "merged", "declined_by_member", "unable_to_reach"])
def test_a_closing_before_the_decision_ends_the_grant(outcome: str) -> None:
    end = ended(given(DECIDER, state=pending()).when(NoteFact(fact=closed(outcome)), MONDAY + DAY).events)
    assert (end.reason, end.through) == ("closed", date(2026, 3, 3))


def test_first_services_end_no_grant() -> None:
    state = pending()
    given(DECIDER, state=state).when(NoteFact(fact=closed("services_received"))).then()
    served = given(DECIDER, closed("services_received"), state=state).state
    assert served.grant_live
    assert timers(served)["grant"] == OVER


def test_a_later_word_about_a_closed_loop_ends_no_grant() -> None:
    """Only the first closing counts (loop.md 7.1)."""
    served = given(DECIDER, closed("services_received"), state=pending()).state
    given(DECIDER, state=served).when(NoteFact(fact=closed("withdrawn"))).then()


ENDS: list[tuple[str, list[Event]]] = [
    ("expired", given(DECIDER, state=pending()).when(ExpireGrant(), OVER).events),
    ("approved", given(DECIDER, state=pending()).when(approve()).events),
    ("denied", given(DECIDER, state=pending()).when(deny()).events),
    (
        "closed",
        [
            closed("withdrawn"),
            *given(DECIDER, state=pending()).when(NoteFact(fact=closed("withdrawn"))).events,
        ],
    ),
]


@pytest.mark.parametrize(("how", "events"), ENDS, ids=[how for how, _ in ENDS])
def test_a_grant_ends_once(how: str, events: list[Event]) -> None:
    state = given(DECIDER, *events, state=pending()).state
    assert state.grant is not None
    assert state.grant.ended == how
    assert "grant" not in timers(state)
    given(DECIDER, state=state).when(ExpireGrant(), OVER).then()
    given(DECIDER, state=state).when(NoteFact(fact=closed("withdrawn"))).then()


def test_the_end_of_another_grant_is_not_the_end_of_this_one() -> None:
    other = AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant="grant_0", reason="expired", through=THROUGH
    )
    assert given(DECIDER, other, state=pending()).state.grant_live


def test_where_nothing_was_granted_nothing_ends() -> None:
    state = pending(claim=None)
    given(DECIDER, state=state).when(ExpireGrant(), OVER).then()
    given(DECIDER, state=state).when(deny()).then("authorization.denied")
    given(DECIDER).when(ExpireGrant(), OVER).then()
    given(DECIDER).when(NoteFact(fact=closed("withdrawn"))).then()


def test_an_expired_grant_leaves_the_request_to_be_decided() -> None:
    state = given(DECIDER, state=pending()).when(ExpireGrant(), OVER).state
    given(DECIDER, state=state).when(approve(), OVER + DAY).then("authorization.approved")


# ── the term ──────────────────────────────────────────────────────────────────────────────────────────────

FROM_DECISION = RULES.model_copy(update={"term_from": "decision"})
UNCHOSEN = RULES.model_copy(update={"term_from": None})


def term(events: list[Event]) -> tuple[date, date]:
    found = approval(events)
    return found.from_, found.through


# loop.md 3.5
@pytest.mark.parametrize(
    ("rules", "begins"), [(RULES, date(2026, 3, 2)), (FROM_DECISION, date(2026, 3, 6))], ids=["first", "decision"]
)  # fmt: skip
def test_the_term_begins_with_the_first_service_or_the_decision_as_the_plan_chose(
    rules: Rules, begins: date
) -> None:
    events = given(DECIDER, state=pending()).when(approve(rules), MONDAY + 4 * DAY).events
    assert term(events)[0] == begins


def test_without_a_grant_the_term_begins_with_the_decision() -> None:
    assert term(given(DECIDER, state=pending(claim=None)).when(approve(), MONDAY + 4 * DAY).events)[
        0
    ] == date(2026, 3, 6)
    assert term(opened(received(claim=None)))[0] == date(2026, 3, 2)


def test_a_grant_that_expired_was_first_service_all_the_same() -> None:
    state = given(DECIDER, state=pending()).when(ExpireGrant(), OVER).state
    assert term(given(DECIDER, state=state).when(approve(), OVER + DAY).events)[0] == date(2026, 3, 2)


def test_a_rule_dates_the_term_as_a_person_would() -> None:
    fact = received(claim=claim(from_=date(2026, 2, 25)))
    assert term(opened(fact))[0] == date(2026, 2, 25)
    assert term(opened(fact, FROM_DECISION))[0] == date(2026, 3, 2)


def test_a_plan_that_has_not_chosen_chooses_before_it_approves_a_grant() -> None:
    answer = given(DECIDER, state=pending()).when(approve(UNCHOSEN)).refusal
    assert answer.slug == "illegal-move"
    assert "back_dating" in answer.fix
    assert approval(given(DECIDER, state=pending(claim=None)).when(approve(UNCHOSEN)).events)


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        (date(2026, 3, 2), date(2027, 3, 1)),
        (date(2027, 3, 1), date(2028, 2, 29)),
        (date(2027, 12, 31), date(2028, 12, 30)),
        # The anniversary of 29 February falls on 1 March; the day before it ends the term.
        (date(2028, 2, 29), date(2029, 2, 28)),
    ],
)
def test_a_term_runs_twelve_months_through_the_day_before_its_anniversary(begins: date, ends: date) -> None:
    noon = datetime(begins.year, begins.month, begins.day, 20, 0, tzinfo=UTC)
    assert term(given(DECIDER, state=pending(claim=None)).when(approve(), noon).events) == (begins, ends)


def test_the_policy_rows_used_stand_on_each_event() -> None:
    rules = RULES.model_copy(
        update={
            "review_refs": ("clocks/decision-routine@2022-01-01",),
            "grant_refs": ("presumptive/homelessness-street-medicine@2025-01-01",),
            "approve_refs": ("harbor/auto_approval/harbor-homelessness@2025-01-01",),
            "term_refs": ("harbor/back_dating/harbor-back-dating@2025-01-01",),
        }
    )
    review, grant, decision, _ = opened(received(), rules)
    assert review.policy == rules.review_refs
    assert grant.policy == rules.grant_refs
    assert decision.policy == (*rules.approve_refs, *rules.term_refs)
    assert HOMELESS.code in approval([decision]).populations
