"""A term that begins with a release tells its day, and the day tells custody: who sees the term's days (loop.md 3.7)."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import uuid4

import pytest

from loopkeeper.contract.events import (
    ActedBy,
    AssignmentStarted,
    AuthorizationApproved,
    AuthorizationExtended,
    Event,
    ReferralAmended,
    ReferralBackInCustody,
)
from loopkeeper.security.organizations import Client, Role
from loopkeeper.testing.rules import MONDAY
from referral_intake.api.views import knows_release, reader, show, show_event
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from tests.builders.intake import ACCEPTED, MADE, RECEIVED, REVIEW

PLAN, JAIL, CLINIC, SERVES, STRANGERS = (
    RECEIVED.plan,
    "county-jail",
    "eastside-clinic",
    MADE.provider,
    "operations",
)
DAY = date(2026, 9, 1)
TERM = {"authorization": "auth_1", "number": "ECM-1", "from": DAY, "through": date(2027, 8, 31)}
FROM_RELEASE = AuthorizationApproved.model_validate({"occurred_at": MONDAY, "must": "release_day", **TERM})
TOLD = ReferralAmended(
    occurred_at=MONDAY, cause="release_date", release_on=DAY,
    acted_by=ActedBy(organization=JAIL, person="ana"),
)  # fmt: skip
ROLES = {
    PLAN: Role.PLAN, JAIL: Role.REFERRER, CLINIC: Role.REFERRER, SERVES: Role.PROVIDER, STRANGERS: Role.OPERATIONS,
}  # fmt: skip


def given(*facts: Event) -> Referral:
    state = DECIDER.fold(facts)
    assert state is not None
    return state


def client(organization: str) -> Client:
    return Client("key_1", organization, "", frozenset({ROLES[organization]}))


def shown(organization: str, *facts: Event, referrer: str = CLINIC) -> Any:
    received = RECEIVED.model_copy(update={"referrer": referrer})
    row = {"id": "ref_1", "at": MONDAY, "created_at": MONDAY}
    return show(client(organization), row, given(received, REVIEW, *facts), MONDAY)


@pytest.mark.parametrize(
    ("organization", "referrer", "facts", "sees"),
    [
        (PLAN, CLINIC, (TOLD, FROM_RELEASE), True),
        (JAIL, JAIL, (TOLD, FROM_RELEASE), True),
        (SERVES, CLINIC, (TOLD, FROM_RELEASE, MADE, ACCEPTED), True),
        (CLINIC, CLINIC, (TOLD, FROM_RELEASE), False),
        (CLINIC, CLINIC, (TOLD, FROM_RELEASE, MADE, ACCEPTED), False),
        (STRANGERS, CLINIC, (TOLD, FROM_RELEASE), False),
        # Where no day of release was ever told, a term tells nothing.
        (CLINIC, CLINIC, (FROM_RELEASE.model_copy(update={"must": ""}),), True),
    ],
    ids=["the plan", "who told it", "who accepted", "who referred", "who referred, once served", "operations", "another term"],
)  # fmt: skip
def test_the_days_of_a_term_are_shown_to_who_may_know_the_day_of_release_3_7(
    organization: str, referrer: str, facts: tuple[Event, ...], sees: bool
) -> None:
    found = shown(organization, *facts, referrer=referrer)
    # That there is an authorization, and its number, everybody concerned may know.
    assert found.authorization.number == "ECM-1"
    days = (found.authorization.from_, found.authorization.through)
    assert days == ((DAY, date(2027, 8, 31)) if sees else (None, None))
    assert DAY.isoformat() in found.model_dump_json() or not sees
    assert sees or DAY.isoformat() not in found.model_dump_json()


TELLING = {
    "the approval from that day": FROM_RELEASE,
    "the day": TOLD,
    "custody": ReferralBackInCustody(occurred_at=MONDAY, on=DAY, due_at=MONDAY),
    "a planned assignment": MADE.model_copy(update={"starts_on": DAY}),
    "its start": AssignmentStarted(occurred_at=MONDAY, assignment="asg_1", provider=SERVES, on=DAY),
    "the term moved": AuthorizationExtended.model_validate({"occurred_at": MONDAY, **TERM}),
}


@pytest.mark.parametrize("name", TELLING)
def test_no_line_of_the_timeline_tells_the_day_to_anybody_else_3_7(name: str) -> None:
    event = TELLING[name]
    entry = {
        "type": event.wire_type(), "payload": event.payload(), "id": uuid4(), "source": "/intake", "at": MONDAY,
        "traceparent": "",
    }  # fmt: skip
    state = given(RECEIVED.model_copy(update={"referrer": CLINIC}), TOLD)
    for organization in (CLINIC, PLAN):
        who = reader(client(organization), state)
        knows = knows_release(client(organization), who, state)
        line = show_event(who, client(organization), entry, knows=knows)
        assert (line is None) is (organization == CLINIC)
