"""Two referrals of one member: what the rules make of it, and that two stores at once leave one loop."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from loopkeeper.contract.decider import EventOn
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationOverturned,
    AuthorizationPresumptiveRefused,
    Claim,
    Event,
    JoinedClaim,
    Linked,
    OutreachContactChanged,
    Question,
    ReferralAmended,
    ReferralClosed,
    ReferralQuestionsAsked,
    ReferralReceived,
    ReferralSetAside,
    ScreenedPopulation,
)
from loopkeeper.testing.rules import MONDAY, given
from referral_intake.domain.duplicates import added, authorized_there, may_pass
from referral_intake.domain.next_step import next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from tests.builders import intake
from tests.builders.intake import ACCEPTED, CLOSED, MADE, RECEIVED, SERVED, Carried, Found
from tests.builders.organizations import ROSA, STREET
from tests.databases import Migrated
from tests.intake import stored
from tests.intake.stored import reception, withdrawal
from tests.shared.stores import opened

SECOND = RECEIVED.model_copy(update={"referrer": "bayview-hospital"})


def receive(received: ReferralReceived = SECOND, **found: Any) -> list[Any]:
    return given(DECIDER).when(intake.receive(received, **found)).events


def match(state: Referral, **found: Any) -> Found:
    return Found(state=state, **found)


# ── merged (loop.md 2.9) ──────────────────────────────────────────────────────────────────────────────────


def test_a_duplicate_publishes_nothing_but_its_closing_and_joins_the_survivor() -> None:
    aside, closed, other = receive(match=match(given(DECIDER, RECEIVED).state, survivor="ref_1"))
    assert isinstance(aside, ReferralSetAside)
    assert not aside.published
    assert (closed.outcome, closed.merged_into) == ("merged", "ref_1")
    assert other == EventOn(
        "ref_1",
        ReferralAmended(
            occurred_at=MONDAY, cause="joined", joined="ref_2", joined_referrer="bayview-hospital"
        ),
    )
    row = given(DECIDER, aside, closed).state
    assert (row.plan, row.closing.outcome if row.closing else "") == (RECEIVED.plan, "merged")
    assert next_step(row).actor == ""


def test_a_new_population_and_a_claim_carry_over_and_what_was_met_stays_met() -> None:
    claim = Claim.model_validate({"provider": "bayview", "population": "ccs", "from": "2026-03-02"})
    more = (
        ScreenedPopulation(code="homelessness", result="unknown"),
        ScreenedPopulation(code="ccs", result="met", claimed=True),
    )
    second = SECOND.model_copy(update={"populations": more, "claim": claim, "chosen": ("harbor",)})
    *_, other = receive(second, match=match(given(DECIDER, RECEIVED).state, survivor="ref_1"))
    word = other.event
    assert [(p.code, p.result, p.claimed) for p in word.populations] == [
        ("homelessness", "met", True),
        ("ccs", "met", True),
    ]
    assert (word.claim, word.chosen, word.sealed) == (claim, ("harbor",), None)


def test_the_formal_referral_completes_a_presumptive_start() -> None:
    """loop.md 3.1: it joins the same loop and opens the review."""
    start = RECEIVED.model_copy(update={"kind": "presumptive_start", "populations": ()})
    state = given(DECIDER, start).state
    assert next_step(state).actor == "referrer"
    *_, other = receive(
        RECEIVED, match=match(state, survivor="ref_1", resealed={"form": "f", "identity": "i"})
    )
    word = other.event
    assert (word.kind, word.populations, word.sealed) == (
        "full",
        RECEIVED.populations,
        {"form": "f", "identity": "i"},
    )
    assert next_step(DECIDER.evolve(state, word)).actor == "loopkeeper"


def test_the_survivor_remembers_who_joined_until_they_are_split() -> None:
    *_, other = receive(match=match(given(DECIDER, RECEIVED).state, survivor="ref_1"))
    state = given(DECIDER, RECEIVED, other.event).state
    assert [(each.referral, each.referrer) for each in state.joined] == [("ref_2", "bayview-hospital")]
    before = given(DECIDER, ReferralSetAside(occurred_at=MONDAY, received=SECOND), _merged()).state
    again = Carried(why="split", old="ref_2", before=before, into="ref_1", acted_by=ROSA)
    received, apart = receive(SECOND, reopening=again)
    assert isinstance(received, ReferralReceived)
    assert DECIDER.evolve(state, apart.event).joined == ()


def _merged() -> ReferralClosed:
    return ReferralClosed(occurred_at=MONDAY, outcome="merged", clr_reason="other", merged_into="ref_1")


# ── by hand ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_person_merges_a_possible_duplicate() -> None:
    state = given(DECIDER, SECOND).state
    closed, other = (
        given(DECIDER, state=state)
        .when(intake.merge("ref_1", "ref_2", given(DECIDER, RECEIVED).state, ROSA))
        .events
    )
    assert isinstance(closed, ReferralClosed)
    assert (closed.outcome, closed.merged_into, closed.acted_by) == ("merged", "ref_1", ROSA)
    assert isinstance(other, EventOn)
    assert (other.event.joined, other.event.joined_referrer) == ("ref_2", "bayview-hospital")  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("other", "slug"),
    [
        (None, "not-same-plan"),
        (given(DECIDER, RECEIVED.model_copy(update={"plan": "valley"})).state, "not-same-plan"),
        (given(DECIDER, RECEIVED, CLOSED).state, "already-closed"),
    ],
)
def test_only_into_another_open_referral_of_the_plan(other: Referral | None, slug: str) -> None:
    given(DECIDER, SECOND).when(intake.merge("ref_1", "ref_2", other, ROSA)).refused(slug)


@pytest.mark.parametrize(
    "outcome", ["services_received", "merged", "not_authorized", "withdrawn", "nonsense"]
)
def test_what_a_person_cannot_close_a_loop_as(outcome: str) -> None:
    given(DECIDER, RECEIVED).when(intake.close(outcome, ROSA)).refused("not-by-hand")


def test_an_unreached_member_needs_the_policys_attempts() -> None:
    given(DECIDER, RECEIVED).when(intake.close("unable_to_reach", ROSA, 1)).refused("attempts-missing")


# ── already in ECM (loop.md 2.11) ─────────────────────────────────────────────────────────────────────────


def test_who_is_served_is_not_referred_again_and_the_serving_loop_hears_of_it() -> None:
    serving = given(DECIDER, RECEIVED, MADE, ACCEPTED, SERVED).state
    assert serving.in_ecm
    aside, closed, other = receive(match=match(serving, served="ref_1"))
    assert isinstance(aside, ReferralSetAside)
    assert (closed.outcome, closed.merged_into) == ("already_in_ecm", "ref_1")
    assert (other.stream, other.event.cause) == ("ref_1", "joined")


def test_an_ecm_provider_that_offers_to_serve_is_asked_under_its_own_id_and_the_serving_loop_changes() -> (
    None
):
    """loop.md 2.11, 5.7: the question is the claimant's referral's, the wish the loop's that serves."""
    serving = given(DECIDER, RECEIVED, MADE, ACCEPTED, SERVED).state
    aside, closed, asked, word = receive(match=match(serving, served="ref_1", serves_itself=True))
    assert isinstance(asked, ReferralQuestionsAsked)
    assert (word.stream, word.event.joined_asked) == ("ref_1", "provider_change")
    assert DECIDER.evolve(serving, word.event).questions == ()
    own = given(DECIDER, aside, closed, asked).state
    assert ([q.id for q in own.questions], next_step(own).actor) == (["provider-change"], "")
    # The provider that serves already changes to nobody.
    of_its_own = SECOND.model_copy(update={"referrer": STREET})
    assert len(receive(of_its_own, match=match(serving, served="ref_1", serves_itself=True))) == 3

    answered, wish = given(DECIDER, state=own).when(intake.choose("bayview-hospital", serving="ref_1")).events
    assert isinstance(answered, ReferralAmended)
    assert (answered.questions, answered.chosen) == ((), None)
    assert (wish.stream, wish.event.chosen) == ("ref_1", ("bayview-hospital",))
    assert DECIDER.evolve(serving, wish.event).closing == serving.closing
    (kept,) = (
        given(DECIDER, state=own)
        .when(intake.choose("bayview-hospital", wishes=False, serving="ref_1"))
        .events
    )
    assert (kept.questions, kept.chosen) == ((), None)


# ── claims (loop.md 3.3) ──────────────────────────────────────────────────────────────────────────────────

CLAIM = Claim.model_validate({"provider": "bayview", "population": "homelessness", "from": "2026-03-02"})
CLAIMING = SECOND.model_copy(update={"referrer": "bayview", "claim": CLAIM, "attested": True})


@pytest.mark.parametrize("how", ["survivor", "served"])
def test_a_claim_is_sent_to_be_judged_with_the_loop_it_joins_whatever_that_loop_has(how: str) -> None:
    first = given(
        DECIDER, RECEIVED.model_copy(update={"claim": CLAIM.model_copy(update={"provider": STREET})})
    ).state
    serving = given(DECIDER, RECEIVED, MADE, ACCEPTED, SERVED).state
    found = match(first, survivor="ref_1") if how == "survivor" else match(serving, served="ref_1")
    *_, word = receive(CLAIMING, match=found)
    assert word.event.joined_claim == JoinedClaim(claim=CLAIM, attested=True)
    assert word.event.claim is None


@pytest.mark.parametrize(
    ("refused", "taken"),
    [("", False), ("criteria", False), ("awaiting_provider", False), ("contract", True), ("type", True)],
)
def test_the_loop_takes_a_claim_over_where_its_own_cannot_hold_any_more(refused: str, taken: bool) -> None:
    own = RECEIVED.model_copy(update={"claim": CLAIM.model_copy(update={"provider": STREET})})
    first = given(DECIDER, own).state.model_copy(update={"grant_refused": refused})
    *_, word = receive(CLAIMING, match=match(first, survivor="ref_1"))
    assert word.event.claim == (CLAIM if taken else None)


def test_the_form_of_a_start_repeats_its_claim_and_is_not_judged_twice() -> None:
    start = RECEIVED.model_copy(update={"kind": "presumptive_start", "claim": CLAIM})
    *_, word = receive(CLAIMING, match=match(given(DECIDER, start).state, survivor="ref_1"))
    assert word.event.joined_claim is None


def refusal(reason: str, **changes: Any) -> AuthorizationPresumptiveRefused:
    return AuthorizationPresumptiveRefused(occurred_at=MONDAY, reason=reason, provider="bayview", **changes)


def test_a_claim_refused_for_another_provider_asks_under_the_claimants_own_referral_3_3() -> None:
    aside, closed, _ = receive(CLAIMING, match=match(given(DECIDER, RECEIVED).state, survivor="ref_1"))
    over = given(DECIDER, aside, closed, refusal("other_provider")).state
    (asked,) = given(DECIDER, state=over).when(intake.note(refusal("other_provider"))).events
    assert isinstance(asked, ReferralQuestionsAsked)
    after = DECIDER.evolve(over, asked)
    assert [(q.id, q.blocking) for q in after.questions] == [("provider-change", False)]
    # Said again, it asks nothing more; and nothing is asked for another reason, or for a claim that joined this loop.
    given(DECIDER, state=after).when(intake.note(refusal("other_provider"))).then()
    given(DECIDER, state=over).when(intake.note(refusal("type"))).then()
    given(DECIDER, RECEIVED).when(intake.note(refusal("other_provider", claimed_by="ref_2"))).then()


def test_an_open_referral_refused_so_is_asked_besides_its_other_questions_and_answers_for_itself() -> None:
    blocked = ReferralQuestionsAsked(
        occurred_at=MONDAY, questions=(Question(id="county", pointer="/member/county", blocking=True),),
        due_at=intake.DUE, remind_at=intake.AGAIN,
    )  # fmt: skip
    state = given(DECIDER, CLAIMING, blocked).state
    (asked,) = given(DECIDER, state=state).when(intake.note(refusal("other_provider"))).events
    assert ([q.id for q in asked.questions], asked.due_at) == (["county", "provider-change"], intake.DUE)
    (amended,) = given(DECIDER, state=DECIDER.evolve(state, asked)).when(intake.choose("bayview")).events
    assert ([q.id for q in amended.questions], amended.chosen) == (["county"], ("bayview",))


# ── opened again (loop.md 7.3, 4.8) ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("events", "days", "slug"),
    [
        ((RECEIVED,), 0, "not-closed"),
        ((RECEIVED, _merged()), 0, "not-closed"),
        ((RECEIVED, CLOSED), 31, "too-late"),
    ],
)
def test_what_cannot_be_contested(events: tuple[Event, ...], days: int, slug: str) -> None:
    again = Carried(
        why="contested",
        old="ref_1",
        before=given(DECIDER, *events).state,
        until=MONDAY + timedelta(days=30, hours=1),
    )
    command = intake.receive(RECEIVED, reopening=again)
    given(DECIDER).when(command, MONDAY + timedelta(days=days)).refused(slug)


def test_a_contested_closing_leaves_the_old_closed_and_opens_a_new_one() -> None:
    again = Carried(why="contested", old="ref_1", before=given(DECIDER, RECEIVED, CLOSED).state)
    (received,) = receive(RECEIVED, reopening=again)
    assert isinstance(received, ReferralReceived)


def test_an_overturned_denial_opens_a_referral_with_everything_carried_over() -> None:
    fact = AuthorizationOverturned(
        occurred_at=MONDAY, authorization="auth_1", on=MONDAY.date(), due_at=MONDAY + timedelta(days=1)
    )
    state = given(DECIDER, RECEIVED, CLOSED).state
    assert given(DECIDER, state=state).when(intake.note(fact, ("ref_3", RECEIVED))).events == [
        EventOn("ref_3", RECEIVED, opens=True)
    ]


# ── two at once, in two stores (loop.md 2.10) ─────────────────────────────────────────────────────────────


async def test_two_posts_of_one_member_at_once_leave_one_surviving_loop_200_times(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = await migrated("intake")
    async with (
        opened(url, tmp_path, domain=stored.intake) as one,
        opened(url, tmp_path, domain=stored.intake) as two,
    ):
        for number in range(200):
            key = f"harbor-health-plan:member-{number}"
            await asyncio.gather(*(b.store.submit(reception(key)) for b in (one, two, one, two)))
        counted = await one.pool.fetch(
            """SELECT member, count(*) FILTER (WHERE status <> 'closed') AS open,
                      count(*) FILTER (WHERE outcome = 'merged') AS merged FROM referral GROUP BY member"""
        )
        assert len(counted) == 200
        assert {(row["open"], row["merged"]) for row in counted} == {(1, 3)}
        # Every merged one is known to its survivor, and nothing of it but the closing waits to be published.
        joined = await one.pool.fetchval(
            "SELECT count(*) FROM journal WHERE type = 'ecm.referral.amended.v1' AND own"
        )
        assert joined == 600
        assert await one.count("outbox") == 200 + 600 + 600


async def test_a_merge_against_the_survivors_closing_leaves_both_told_and_nobody_stuck(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = await migrated("intake")
    async with (
        opened(url, tmp_path, domain=stored.intake) as one,
        opened(url, tmp_path, domain=stored.intake) as two,
    ):
        for number in range(40):
            key = f"harbor-health-plan:race-{number}"
            first = await one.store.submit(reception(key))
            second, _ = await asyncio.gather(
                two.store.submit(reception(key)), one.store.submit(withdrawal(first.stream))
            )
            # Either it found the loop open and was merged, or closed and goes on by itself.
            assert second.state.closing is None or second.state.closing.merged_into == first.stream


def test_a_loop_is_as_urgent_as_the_most_urgent_of_its_referrals_4_5() -> None:
    """loop.md 4.5: the urgency arrives with the second referral, and its seventy-two hours run from then."""
    first, second = RECEIVED, SECOND.model_copy(update={"urgency": "expedited"})
    assert added(first, second)["urgency"] == "expedited"
    assert "urgency" not in added(second, first)


# ── from the plan before (loop.md 4.9) ────────────────────────────────────────────────────────────────────

OLD_PLANS = given(DECIDER, RECEIVED, AuthorizationApproved.model_validate(
        {"occurred_at": MONDAY, "number": "ECM-1", "from": "2026-03-02", "through": "2027-03-01",
         "populations": ("homelessness", "ccs")}
    ), MADE, ACCEPTED, SERVED).state  # fmt: skip
VALLEY = "valley-care-plan"
CONSENTS: list[tuple[dict[str, Any] | None, bool]] = [
    (None, False),
    ({"scope": "tpo", "on": "2026-03-01"}, True),
    ({"scope": "named", "to": (VALLEY,), "on": "2026-03-01"}, True),
    ({"scope": "named", "to": ("bayview-hospital",), "on": "2026-03-01"}, False),
    ({"scope": "tpo", "on": "2026-03-03"}, False),
    ({"scope": "revoked", "on": "2026-03-01"}, False),
]


def test_what_the_old_plan_authorized_comes_along_as_a_claim_4_9() -> None:
    found = authorized_there(OLD_PLANS)
    assert [(each.code, each.claimed) for each in found] == [("homelessness", True), ("ccs", True)]
    new = SECOND.model_copy(update={"plan": VALLEY, "populations": ()})
    (received, *_) = receive(
        new, match=Found(authorized_there=found, moved_from=Linked(to="ref_1", why="plan_change"))
    )
    assert received.populations == found
    assert received.linked == Linked(to="ref_1", why="plan_change")


@pytest.mark.parametrize(("consent", "passes"), CONSENTS)
@pytest.mark.parametrize("program", [RECEIVED.referrer, ACCEPTED.provider])
def test_what_a_part_2_program_said_passes_only_by_consent_4_9_6_5(
    program: str, consent: dict[str, Any] | None, passes: bool
) -> None:
    """42 CFR 2.31: by its source, whichever organization of the old loop is such a program."""
    changed = OutreachContactChanged.model_validate({"occurred_at": MONDAY, "flags": (), "consent": consent})
    state = DECIDER.evolve(OLD_PLANS, changed)
    assert may_pass(state, VALLEY, {program}, date(2026, 3, 2)) is passes
    assert may_pass(state, VALLEY, {"somebody-else"}, date(2026, 3, 2))
