"""What each reader is shown of a request, and what its events say in words: nothing that the reader may not see."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from authorization.api.explanation import explain
from authorization.api.views import ShownAuthorization, show
from authorization.domain.commands import NoteFact
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from loopkeeper.contract.event_text import sentence
from loopkeeper.contract.events import (
    AuthorizationAppealResolved,
    AuthorizationApproved,
    AuthorizationCoverageLost,
    AuthorizationCoverageReturned,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationEndingConfirmed,
    AuthorizationExpedited,
    AuthorizationExtended,
    AuthorizationOverdue,
    AuthorizationPended,
    AuthorizationPresumptiveReminded,
    Event,
    OutreachServiceEnded,
    by_type,
)
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, given
from tests.builders import facts
from tests.builders.authorization import (
    FREQUENT,
    RULES,
    TEAM,
    UNMET_FREQUENT,
    UNMET_HOMELESS,
    UNSURE,
    appeal,
    ask_again,
    comes,
    deny,
    end,
    modify,
    opened,
    overturn,
    pend,
    pending,
    received,
    resume,
    revoke,
)
from tests.builders.facts import HOMELESS, TODAY
from tests.builders.organizations import CLINIC, HARBOR

DEMO = Path(__file__).parents[2] / "demo" / "policy"
DAY = timedelta(days=1)
TAKEN = facts.accepted()


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed(), DEMO)


def served() -> Authorization:
    fact = received(claim=None)
    terms = RULES.model_copy(update={"prompt_days": (60, 30), "notice_days": 10})
    return given(DECIDER, fact, *opened(fact, terms), TAKEN).state


def seen(policy: Policy, state: Authorization, reader: str, now: datetime = MONDAY) -> ShownAuthorization:
    return show("ref_1", state, reader=reader, policy=policy, now=now, updated_at=MONDAY)


def test_a_plan_sees_its_request_whole_and_a_provider_the_term_it_serves_under_1_6(policy: Policy) -> None:
    """loop.md 1.6, 6.3."""
    plan, provider, stranger = (seen(policy, served(), reader) for reader in (HARBOR, TEAM, CLINIC))
    assert plan.populations is not None
    assert plan.decision is not None
    assert provider.term is not None
    assert (provider.populations, provider.decision, provider.grant, provider.eligibility) == (None,) * 4
    assert (stranger.term, stranger.populations) == (None, None)
    assert provider.due == plan.due


def test_a_discontinuation_is_to_be_judged_within_ten_business_days_7_2(policy: Policy) -> None:
    gone = OutreachServiceEnded(occurred_at=MONDAY, assignment="asg_1", code=2, on=date(2026, 3, 2))
    state = given(DECIDER, gone, state=served()).state
    shown = seen(policy, state, HARBOR)
    assert shown.discontinuation is not None
    assert shown.due is not None
    assert (shown.due.clock, shown.due.state) == ("discontinuation_judged", "on_track")
    late = seen(policy, state, HARBOR, MONDAY + 15 * DAY).due
    assert late is not None
    assert late.state == "breached"
    assert any("must judge" in line for line in explain(state).lines)
    given(DECIDER, state=state).when(NoteFact(fact=gone)).then()


@pytest.mark.parametrize(
    ("now", "standing"),
    [
        (MONDAY - 3 * DAY, "not_yet"),
        (MONDAY, "running"),
        (MONDAY + 364 * DAY, "running"),
        (MONDAY + 366 * DAY, "over"),
    ],
)
def test_a_term_says_where_it_stands(policy: Policy, now: datetime, standing: str) -> None:
    term = seen(policy, served(), HARBOR, now).term
    assert term is not None
    assert term.state == standing


def test_a_term_whose_reauthorization_waits_is_extended_and_not_over(policy: Policy) -> None:
    asked = given(DECIDER, state=served()).when(ask_again(), MONDAY + 360 * DAY).state
    term = seen(policy, asked, HARBOR, MONDAY + 380 * DAY).term
    assert term is not None
    assert term.state == "extended"


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────────

STARTED = RULES.model_copy(update={"remind_on": (date(2026, 3, 22),), "at_risk_at": MONDAY + DAY})
TOLD = received(eligibility=UNSURE, populations=(HOMELESS, FREQUENT))
OPEN = given(DECIDER, TOLD, *opened(TOLD, STARTED)).state
DENIED = given(DECIDER, state=pending()).when(deny()).state
PAUSED = given(DECIDER, state=OPEN).when(pend("answer-complex_need")).state
NOTICED = MONDAY + 355 * DAY
# Every kind of event that authorization publishes, as some command makes it.
MADE: list[Event] = [
    *opened(TOLD, STARTED),
    *opened(received(claim=None)),
    *opened(received(eligibility=UNSURE), provider=None),
    *given(DECIDER, state=OPEN).when(comes("reminder"), MONDAY + 21 * DAY).events,
    *given(DECIDER, state=OPEN).when(comes("at_risk"), MONDAY + 2 * DAY).events,
    *given(DECIDER, state=OPEN).when(comes("due"), MONDAY + 9 * DAY).events,
    *given(DECIDER, state=OPEN).when(comes("cap"), MONDAY + 9 * DAY).events,
    *given(DECIDER, state=OPEN).when(pend("answer-complex_need")).events,
    *given(DECIDER, state=PAUSED).when(resume()).events,
    *given(DECIDER, state=OPEN).when(modify(("homelessness",))).events,
    *given(DECIDER, state=OPEN)
    .when(deny("criteria_not_met", licensed=True, unmet=(UNMET_HOMELESS, UNMET_FREQUENT)))
    .events,
    *given(DECIDER, state=OPEN).when(revoke()).events,
    AuthorizationExpedited(occurred_at=MONDAY, authorization="auth_1", due_at=MONDAY),
    *given(DECIDER, state=DENIED).when(overturn(date(2026, 3, 2))).events,
    *given(DECIDER, state=served()).when(comes("reauthorization"), NOTICED).events,
    *given(DECIDER, state=served()).when(ask_again(), NOTICED).events,
    *given(DECIDER, state=served()).when(end(5)).events,
    *given(DECIDER, state=given(DECIDER, state=served()).when(end(5)).state).when(appeal(TODAY)).events,
    AuthorizationAppealResolved(occurred_at=MONDAY, authorization="auth_1", upheld=True),
    AuthorizationCoverageLost(occurred_at=MONDAY, authorization="auth_1", answer="ended", due_at=MONDAY),
    AuthorizationCoverageReturned(occurred_at=MONDAY, authorization="auth_1", due_at=MONDAY),
    AuthorizationEndingConfirmed(occurred_at=MONDAY, authorization="auth_1"),
    AuthorizationExtended.model_validate(
        {
            "occurred_at": MONDAY,
            "authorization": "auth_1",
            "number": "ECM-1",
            "from": "2027-03-02",
            "through": "2027-09-01",
        }
    ),
]
# What only the plan may read: populations, criteria, reasons of its decisions (loop.md 6.3).
SECRET = ("homeless", "avoidable", "complex need", "incarcerated", "criteria")


def test_every_event_of_authorization_is_said_here() -> None:
    kinds = {kind for name, kind in by_type().items() if name.startswith("ecm.authorization.")}
    assert {type(event) for event in MADE} == kinds


@pytest.mark.parametrize("event", MADE, ids=lambda event: event.wire)
def test_every_event_is_one_sentence_and_tells_only_the_plan_why_6_3(event: Event) -> None:
    told, whole = sentence(event), sentence(event, whole=True)
    for words in (told, whole):
        assert words.endswith(".")
        assert "was recorded" not in words
    if not hasattr(event, "way_on"):
        assert not [word for word in SECRET if word in told.lower()], told


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (AuthorizationPended, "answer complex need"),
        (AuthorizationDenied, "criteria not met"),
        (AuthorizationEnded, "incarcerated (code 5)"),
        (AuthorizationApproved, "Part of what was asked for was not approved"),
        (AuthorizationPresumptiveReminded, "the plan's decision is still missing"),
        (AuthorizationOverdue, "has not been made"),
    ],
)
def test_the_plan_is_told_the_reason(kind: type[Event], says: str) -> None:
    assert any(says in sentence(event, whole=True) for event in MADE if isinstance(event, kind))


@pytest.mark.parametrize(
    "state", [OPEN, PAUSED, DENIED, served()], ids=["open", "paused", "denied", "approved"]
)
def test_every_state_is_explained_with_its_rows(state: Authorization) -> None:
    found: Any = explain(state)
    assert found.lines
    assert all(line.endswith(".") for line in found.lines)
