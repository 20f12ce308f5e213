"""Corrections of how a member is reached, and the end of services: who may say them, what is sealed, what others hear."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.contract import events
from loopkeeper.contract.decider import Refused
from loopkeeper.testing.rules import MONDAY, decided
from notification.domain.outreach.commands import ChangeContact, EndService
from notification.domain.outreach.contact import corrected, flags_of
from notification.domain.outreach.rules import DECIDER
from notification.domain.outreach.state import addressee, restricted
from tests.builders.facts import closed
from tests.builders.notification import DAVID, accepted, approved, made, received
from tests.builders.organizations import HARBOR, OTHER, STREET
from tests.databases import Migrated
from tests.notification.house import House, house

PHONE = "555-0143"
TODAY = date(2026, 3, 2)
STARTED = events.OutreachServicesStarted(occurred_at=MONDAY, assignment="asg_1", on=TODAY)


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path) as found:
        yield found


async def serve(opened: House, contact: dict[str, Any]) -> None:
    sealed = opened.context.sealer.seal(HARBOR, DAVID, "contact", contact)
    await opened.hear(received(sealed={"contact": sealed}), made(), accepted())


async def act(opened: House, action: str, body: Any, who: str = STREET, status: int = 200) -> Any:
    async with opened.caller(who) as caller:
        answer = await caller.post(f"/v1/outreach/{DAVID}:{action}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def last(opened: House, wire: str) -> dict[str, Any]:
    import orjson

    rows = await opened.rows(
        "SELECT payload FROM journal WHERE type = $1 ORDER BY n DESC LIMIT 1", f"ecm.{wire}.v1"
    )
    return orjson.loads(rows[0]["payload"])


async def test_a_correction_keeps_what_it_does_not_name_and_is_sealed_whole(opened: House) -> None:
    await serve(opened, {"phone": "555-0100", "usual_place": "a green tent at 5th and Alder"})
    shown = await act(opened, "change-contact", {"phone": PHONE, "safe_contact": {"channels": ["text"]}})
    assert shown["contact_rules"] == ["safe_contact", "channel_text"]
    event = await last(opened, "outreach.contact_changed")
    assert PHONE not in str(event)
    contact = opened.context.sealer.open(HARBOR, DAVID, "contact", event["sealed"]["contact"])
    assert contact["phone"] == PHONE
    assert contact["usual_place"] == "a green tent at 5th and Alder"
    assert event["flags"] == ["safe_contact", "channel_text"]
    assert event["acted_by"] == {"organization": STREET, "person": "maria.lopez"}


async def test_each_opening_for_a_correction_is_written_down(opened: House) -> None:
    """loop.md 1.7."""
    await serve(opened, {"phone": "555-0100"})
    await act(opened, "change-contact", {"phone": PHONE})
    (row,) = await opened.rows("SELECT organization, stream, parts, why FROM audit")
    assert (row["organization"], row["stream"], row["parts"]) == (STREET, DAVID, "contact")
    assert row["why"] == "to correct how the member is reached"


async def test_a_correction_stands_in_no_feed_and_no_table_readable(opened: House) -> None:
    async with opened.caller(HARBOR) as caller:
        await caller.post("/v1/subscriptions", json={})
    await serve(opened, {"phone": "555-0100"})
    await act(opened, "change-contact", {"phone": PHONE, "usual_place": "behind the zebra house"})
    bodies = await opened.rows("SELECT body FROM feed")
    states = await opened.rows("SELECT state::text AS body FROM referral")
    assert not [row for row in (*bodies, *states) if PHONE in row["body"] or "zebra" in row["body"]]
    assert not [row for row in bodies if '"sealed"' in row["body"]]


async def test_who_does_not_serve_corrects_nothing(opened: House) -> None:
    await serve(opened, {"phone": "555-0100"})
    await act(opened, "change-contact", {"phone": PHONE}, OTHER, 404)
    await act(opened, "change-contact", {"phone": PHONE}, HARBOR, 403)
    assert await opened.rows("SELECT * FROM audit") == []


async def test_a_consent_to_share_is_recorded_with_its_scope(opened: House) -> None:
    """loop.md 6.5."""
    await serve(opened, {})
    consent = {"scope": "named", "to": [HARBOR], "on": "2026-03-01"}
    await act(opened, "change-contact", {"consent": consent})
    assert (await last(opened, "outreach.contact_changed"))["consent"] == consent


def test_a_correction_over_something_older_is_refused_as_stale() -> None:
    state = DECIDER.fold((received(sealed={"contact": "newer"}), made(), accepted()))
    command = ChangeContact(provider=STREET, flags=(), sealed={}, seen="older")
    with pytest.raises(Refused) as refused:
        decided(DECIDER, state, command, MONDAY)
    assert (refused.value.slug, refused.value.status) == ("stale", 412)


def test_flags_are_made_anew_from_the_contact_and_others_stay() -> None:
    before = ("program_ihss", "safe_contact", "channel_call", "no_fixed_address")
    contact = corrected({"no_fixed_address": True}, {"safe_contact": {"do_not_contact": True}})
    assert flags_of(contact, before) == ("program_ihss", "no_fixed_address", "do_not_contact")
    lifted = corrected(contact, {"safe_contact": None, "no_fixed_address": False})
    assert flags_of(lifted, before) == ("program_ihss",)
    hours = flags_of({"safe_contact": {"channels": ["text"], "hours": "after 6 pm"}}, ())
    assert hours == ("safe_contact", "channel_text", "restricted_hours")


@pytest.mark.parametrize(
    "late",
    [
        events.ReferralAmended(occurred_at=MONDAY, cause="corrected", flags=("safe_contact",)),
        events.OutreachContactChanged(occurred_at=MONDAY, flags=("do_not_contact",)),
    ],
)
def test_contact_rules_that_come_later_hold_from_then_on(late: events.Event) -> None:
    """loop.md 6.2."""
    before = DECIDER.fold((received(), made(), accepted()))
    after = DECIDER.fold((received(), made(), accepted(), late))
    assert before is not None
    assert after is not None
    assert not restricted(before)
    assert restricted(after)


def test_an_amended_consent_holder_changes_who_is_told() -> None:
    """loop.md 6.6."""
    minor = received(age_band="child_youth", consent_holder="parent")
    moved = events.ReferralAmended(occurred_at=MONDAY, cause="corrected", consent_holder="court")
    state = DECIDER.fold((minor, moved))
    assert state is not None
    assert addressee(state) == "court"


# ── the end of services ───────────────────────────────────────────────────────────────────────────────────


def ending(code: int = 1, on: date | None = TODAY) -> EndService:
    return EndService(provider=STREET, code=code, on=on)


def test_services_end_by_one_of_the_states_codes_and_once() -> None:
    """loop.md 7.2: the plan decides about the term."""
    state = DECIDER.fold((received(), made(), accepted(), STARTED, closed()))
    (event,) = decided(DECIDER, state, ending(), MONDAY)
    assert isinstance(event, events.OutreachServiceEnded)
    assert (event.assignment, event.code, event.on) == ("asg_1", 1, TODAY)
    after = DECIDER.evolve(state, event)
    with pytest.raises(Refused, match="already over"):
        decided(DECIDER, after, ending(), MONDAY)


@pytest.mark.parametrize(("code", "slug"), [(0, "code-unknown"), (16, "code-unknown"), (3, "")])
def test_a_code_is_one_of_fifteen(code: int, slug: str) -> None:
    state = DECIDER.fold((received(), made(), accepted(), STARTED, closed()))
    if not slug:
        assert decided(DECIDER, state, ending(code), MONDAY)
        return
    with pytest.raises(Refused) as refused:
        decided(DECIDER, state, ending(code), MONDAY)
    assert refused.value.slug == slug
    assert len(refused.value.allowed) == 15


def test_what_has_not_begun_does_not_end() -> None:
    with pytest.raises(Refused) as refused:
        decided(DECIDER, DECIDER.fold((received(), made(), accepted())), ending(), MONDAY)
    assert refused.value.slug == "not-started"


async def test_a_provider_says_over_http_that_its_services_ended(opened: House) -> None:
    await opened.hear(received(), approved(), made(), accepted())
    await act(opened, "end-service", {"code": 1, "on": "2026-03-02"}, status=409)
    await act(opened, "start-services", {"on": "2026-03-02"})
    shown = await act(opened, "end-service", {"code": 1, "on": "2026-03-02"})
    assert "end-service" not in shown["allowed"]
    assert (await last(opened, "outreach.service_ended"))["code"] == 1


# ── each plan's own patience ──────────────────────────────────────────────────────────────────────────────

PATIENT = f"""table: reach
rows:
  - {{id: harbor-reach, plan: {HARBOR}, step: unable_to_reach, attempts: 1, days: 0, modalities: 1, in_person: 0,
     effective_from: 2025-01-01, source: the plan's decision of 2024-12-02, confidence: ours}}
"""


@pytest_asyncio.fixture
async def with_policy(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path, policy_rows=PATIENT) as found:
        yield found


async def test_each_plan_says_itself_when_a_member_counts_as_unreachable(with_policy: House) -> None:
    """loop.md 1.9, 6.1: every attempt is recorded; policy only decides when the loop may close."""
    opened = with_policy
    attempt = {"at": MONDAY.isoformat(), "actor_kind": "peer", "modality": "phone", "outcome": "no_answer"}
    other = "ref_0193a1b2c3d47e5f8a9b0c1d2e3f4a5c"
    await opened.hear(received(), made(), accepted())
    await opened.hear(received(plan="another-plan"), made(), accepted(), stream=other)
    async with opened.caller(STREET) as caller:
        for referral, expected in ((DAVID, 200), (other, 409)):
            assert (await caller.post(f"/v1/outreach/{referral}/attempts", json=attempt)).status_code == 201
            answer = await caller.post(f"/v1/outreach/{referral}:unable-to-reach", json={"on": "2026-03-02"})
            assert answer.status_code == expected, answer.text
    event = await last(opened, "outreach.unable_to_reach")
    assert event["policy"] == [f"{HARBOR}/reach/harbor-reach@2025-01-01"]
