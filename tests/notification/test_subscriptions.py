"""Subscriptions whole: new secrets with grace, endpoints that fail for days, what was missed and is sent after all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.contract import ids
from loopkeeper.testing.partner import Answer
from notification.persistence import feed
from tests.builders.notification import approved, received
from tests.builders.organizations import HARBOR, OPERATIONS, REFERRER
from tests.databases import Migrated
from tests.notification.deliveries import attempts, heard, partner, sender, subscribe, sweep
from tests.notification.house import House, house

DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path) as found:
        yield found


async def act(opened: House, path: str, body: Any = None, who: str = REFERRER, status: int = 200) -> Any:
    async with opened.caller(who) as caller:
        answer = await caller.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def shown(opened: House, subscription: str, who: str = REFERRER) -> Any:
    async with opened.caller(who) as caller:
        return (await caller.get(f"/v1/subscriptions/{subscription}")).json()


async def test_while_the_grace_of_a_new_secret_lasts_both_secrets_sign_and_afterwards_the_new_one_alone(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        (old,) = clinic.secrets
        path = f"/v1/subscriptions/{subscription}:rotate"
        rotated = await act(opened, path, {"grace_period_seconds": 3600})
        assert rotated["secret"] != old
        for secrets, later in (
            (old, timedelta()),
            (rotated["secret"], timedelta()),
            (old, timedelta(hours=1)),
        ):
            clinic.secrets[:] = [secrets]
            opened.clock.advance(later)
            await opened.hear(received(), stream=ids.new("ref"))
            await sweep(deliverer)
        both, also_both, new_only = heard(clinic)
        assert both.signed
        assert also_both.signed
        assert len(both.headers["webhook-signature"].split()) == 2
        assert not new_only.signed
        assert len(new_only.headers["webhook-signature"].split()) == 1


async def test_a_disabled_endpoint_is_not_called_and_hears_everything_when_it_is_enabled_again(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        assert (await act(opened, f"/v1/subscriptions/{subscription}:disable"))["disabled_why"] == "owner"
        await opened.hear(received(), approved())
        assert await sweep(deliverer) == 0
        await act(opened, f"/v1/subscriptions/{subscription}:enable")
        await sweep(deliverer, rounds=2)
        types = [taken.json()["type"] for taken in heard(clinic)]
        assert types == ["ecm.notice.received.v1", "ecm.notice.authorized.v1"]
        assert [taken.json()["data"]["sequence"] for taken in heard(clinic)] == [1, 2]


async def test_five_days_of_nothing_but_failure_disable_an_endpoint_and_its_owner_and_operations_see_it(
    opened: House,
) -> None:
    async with partner(opened) as clinic, partner(opened) as second, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        await subscribe(opened, REFERRER, second, "/second")
        clinic.answer = Answer(500)
        await opened.hear(received())
        for _ in range(4):
            await sweep(deliverer)
            assert (await shown(opened, subscription))["state"] == "enabled"
            opened.clock.advance(DAY)
        opened.clock.advance(DAY)
        await opened.hear(received(), stream=ids.new("ref"))
        await sweep(deliverer)
        found = await shown(opened, subscription)
        assert (found["state"], found["disabled_why"]) == ("disabled", "failing")
        async with opened.caller(OPERATIONS) as caller:
            (listed,) = (await caller.get("/v1/subscriptions?state=disabled")).json()["items"]
        assert (listed["id"], listed["organization"], listed["url"]) == (subscription, REFERRER, None)
        await sweep(deliverer, rounds=2)
        told = [taken.json() for taken in heard(second) if "endpoint.disabled" in taken.json()["type"]]
        assert [each["data"]["why"] for each in told] == ["failing"]
        # What arises is kept, and sent when the endpoint is back.
        await opened.hear(approved())
        clinic.answer = Answer(204)
        before = len(heard(clinic))
        assert (await act(opened, f"/v1/subscriptions/{subscription}:enable"))["state"] == "enabled"
        await sweep(deliverer, rounds=3)
        assert len(heard(clinic)) > before


async def test_one_success_forgets_the_failures_before_it(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        for answer in (500, 204, 500):
            clinic.next_answers.append(Answer(answer))
            await opened.hear(received(), stream=ids.new("ref"))
            await sweep(deliverer)
            opened.clock.advance(3 * DAY)
        assert (await shown(opened, subscription))["state"] == "enabled"


async def test_what_failed_for_good_is_counted_first_and_then_sent_again_under_its_old_ids(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        since = opened.clock.now()
        clinic.answer = Answer(500)
        await opened.hear(received())
        await sweep(deliverer)
        opened.clock.advance(timedelta(seconds=1))
        path, body = f"/v1/subscriptions/{subscription}:recover", {"since": since.isoformat()}
        assert await act(opened, path, body) == {"count": 1, "dry_run": True}
        assert await sweep(deliverer) == 0
        clinic.answer = Answer(204)
        assert await act(opened, path, body | {"dry_run": False}) == {"count": 1, "dry_run": False}
        assert await sweep(deliverer) == 1
        assert await act(opened, path, body) == {"count": 0, "dry_run": True}
        assert len({taken.webhook_id for taken in heard(clinic)}) == 1
        told = await attempts(opened, REFERRER, subscription)
        assert [each["trigger"] for each in told] == ["scheduled", "recovery"]


async def test_a_feed_that_gets_an_address_later_can_be_sent_from_its_beginning(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer, opened.caller(REFERRER) as caller:
        made = (await caller.post("/v1/subscriptions", json={})).json()
        since = opened.clock.now()
        await opened.hear(received())
        opened.clock.advance(timedelta(seconds=1))
        path = f"/v1/subscriptions/{made['id']}"
        etag = (await caller.get(path)).headers["etag"]
        await caller.put(path, json={"url": clinic.url}, headers={"If-Match": etag})
        clinic.secrets.append(made["secret"])
        await act(opened, f"{path}:verify")
        assert await sweep(deliverer) == 0
        await act(opened, f"{path}:recover", {"since": since.isoformat(), "dry_run": False})
        assert await sweep(deliverer) == 1
        assert heard(clinic)[0].json()["data"]["sequence"] == 1


async def test_a_delivery_is_sent_again_on_its_owners_word_and_on_nobody_elses(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        await opened.hear(received())
        await sweep(deliverer)
        (first,) = await attempts(opened, REFERRER, subscription)
        path = f"/v1/deliveries/{first['delivery']}:resend"
        await act(opened, path, who=HARBOR, status=404)
        assert (await act(opened, path))["webhook_id"] == first["webhook_id"]
        assert await sweep(deliverer) == 1
        assert len({taken.webhook_id for taken in heard(clinic)}) == 1
        async with opened.caller(REFERRER) as caller:
            stale = await caller.post(path, headers={"If-Match": '"0"'})
            assert (stale.status_code, stale.json()["slug"]) == (412, "stale")
            etag = (await caller.get(f"/v1/subscriptions/{subscription}")).headers["etag"]
            assert (await caller.post(path, headers={"If-Match": etag})).status_code == 200
            await caller.delete(f"/v1/subscriptions/{subscription}", headers={"If-Match": etag})
        assert (await act(opened, path, status=409))["type"].endswith("not-kept")


async def test_attempts_are_found_by_outcome_class_type_and_time(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer, opened.caller(REFERRER) as caller:
        subscription = await subscribe(opened, REFERRER, clinic)
        clinic.next_answers.extend([Answer(503), Answer(404), Answer(manner="drop")])
        for _ in range(4):
            await opened.hear(received(), stream=ids.new("ref"))
            await sweep(deliverer)
            opened.clock.advance(timedelta(seconds=1))

        async def count(query: str) -> int:
            answer = await caller.get(f"/v1/subscriptions/{subscription}/attempts?{query}")
            return len(answer.json()["items"])

        assert await count("status=delivered") == 1
        assert await count("status=failed") == 3
        assert [await count(f"status_class={each}") for each in ("2xx", "4xx", "5xx", "none")] == [1, 1, 1, 1]
        assert await count("event_type=ecm.notice.received.v1") == 4
        assert await count("event_type=ecm.notice.closed.v1") == 0
        middle = (opened.clock.now() - timedelta(seconds=2)).isoformat().replace("+", "%2B")
        assert await count(f"before={middle}") + await count(f"after={middle}") == 4
        assert await count(f"before={middle}") == 2


async def test_a_disabled_endpoint_that_asked_never_to_be_called_must_prove_itself_anew(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        clinic.next_answers.append(Answer(410))
        await opened.hear(received())
        await sweep(deliverer)
        assert (await shown(opened, subscription))["disabled_why"] == "gone"
        refused = await act(opened, f"/v1/subscriptions/{subscription}:enable", status=409)
        assert refused["allowed"] == ["verify"]


async def test_a_feed_stays_without_a_gap_through_test_events_rotations_and_recoveries(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        path = f"/v1/subscriptions/{subscription}"
        await act(opened, f"{path}:test")
        await opened.hear(received())
        await act(opened, f"{path}:rotate", {})
        await act(opened, f"{path}:disable")
        await opened.hear(approved())
        await act(opened, f"{path}:enable")
        await act(opened, f"{path}:recover", {"since": "2026-01-01T00:00:00Z", "dry_run": False})
        await sweep(deliverer, rounds=3)
        rows = await opened.rows("SELECT sequence FROM feed ORDER BY sequence")
        assert [row["sequence"] for row in rows] == [1, 2, 3]
        assert (await shown(opened, subscription))["sequence"] == 3


# ── how many ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_organization_has_at_most_twenty_subscriptions_however_many_it_asks_for_at_once(
    opened: House,
) -> None:
    async def ask(caller: Any) -> Any:
        return await caller.post("/v1/subscriptions", json={"description": "feed only"})

    async with opened.caller(REFERRER) as caller, opened.caller(HARBOR) as other:
        answers = await asyncio.gather(*(ask(caller) for _ in range(25)))
        made = [each for each in answers if each.status_code == 201]
        refused = [each.json() for each in answers if each.status_code == 409]
        assert (len(made), len(refused)) == (20, 5)
        assert {each["slug"] for each in refused} == {"too-many-subscriptions"}
        assert all(each["fix"] for each in refused)
        assert (await ask(other)).status_code == 201
        subscription = made[0].json()["id"]
        version = {"If-Match": made[0].headers["ETag"]}
        ended = await caller.delete(f"/v1/subscriptions/{subscription}", headers=version)
        assert ended.status_code == 204
        assert (await ask(caller)).status_code == 201


async def test_a_batch_that_would_write_too_many_rows_into_feeds_is_taken_in_halves(
    opened: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_ROWS", 3)
    await act(opened, "/v1/subscriptions", {"description": "one"}, status=201)
    await act(opened, "/v1/subscriptions", {"description": "two"}, status=201)
    facts = [opened.message(received(), ids.new("ref")) for _ in range(8)]
    outcomes = await opened.take(facts)
    assert not any(outcome.parked for outcome in outcomes)
    assert opened.context.store.halved > 0
    counts = await opened.rows(
        "SELECT subscription, count(*) AS n, max(sequence) AS last FROM feed GROUP BY 1"
    )
    assert [(row["n"], row["last"]) for row in counts] == [(8, 8), (8, 8)]
