"""Told is one of three: a 2xx, a mailbox item opened by its recipient, a hand-over that a person recorded (loop.md 7.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio

from loopkeeper.contract import ids
from loopkeeper.contract.events import ReferralAmended, ReferralDeathTakenBack, ReferralDeathTold
from loopkeeper.store.definition import Submission
from loopkeeper.store.store import answered
from loopkeeper.testing.rules import MONDAY
from notification.timers import on_timer
from notification.workers import tell_once
from tests.builders.every_event import make
from tests.builders.facts import closed
from tests.builders.notification import DAVID, accepted, approved, made, received
from tests.builders.organizations import HARBOR, OPERATIONS, OTHER, PARTNER, REFERRER, STREET
from tests.databases import Migrated
from tests.notification.deliveries import partner, sender, subscribe, sweep
from tests.notification.house import House, house

LUIS = {"person": "luis-ortega", "title": "Lead care manager"}


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path) as found:
        yield found


async def ask(opened: House, who: str, path: str, status: int = 200) -> Any:
    async with opened.caller(who) as caller:
        answer = await caller.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


async def mailbox(opened: House, who: str, query: str = "") -> dict[str, Any]:
    """What lies in this organization's mailbox, by code."""
    found = await ask(opened, who, f"/v1/mailbox?{query}")
    return {each["code"]: each for each in found["items"]}


async def hand(opened: House, who: str, notice: str, status: int = 200, **said: Any) -> Any:
    body = {"acted_by": LUIS, "how": "in_person", "to": "member", "language": "en", "own_words": True} | said
    async with opened.caller(who) as caller:
        answer = await caller.post(f"/v1/notices/{notice}:hand-over", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def published(opened: House) -> list[tuple[str, str]]:
    rows = await opened.rows(
        "SELECT convert_from(payload, 'UTF8')::jsonb AS p FROM journal WHERE type = 'ecm.notice.delivered.v1' ORDER BY n"
    )
    import orjson

    return [((e := orjson.loads(row["p"]))["recipient_kind"], e["how"]) for row in rows]


async def fire(opened: House) -> list[str]:
    """Fire what is due, as the sweep does; what was raised."""
    at = on_timer(opened.context)
    rows = await opened.rows(
        "SELECT stream, kind, due_at FROM timer WHERE due_at <= $1 ORDER BY due_at, kind", opened.clock.now()
    )
    submissions = [
        Submission(
            ids.uuid(),
            row["stream"],
            command=at(row["kind"], row["due_at"]),
            timer=(row["kind"], row["due_at"]),
        )
        for row in rows
    ]
    outcomes = await opened.context.store.execute(submissions)
    return [event.wire for each in submissions for event in answered(outcomes[each.id]).events]


async def test_a_closing_is_told_when_its_recipient_opens_it_and_not_when_it_reads_the_list(
    opened: House,
) -> None:
    await opened.hear(received(), closed("withdrawn"))
    item = (await mailbox(opened, REFERRER))["closed"]
    assert item["told_at"] is None
    shown = await ask(opened, REFERRER, f"/v1/mailbox/{item['id']}")
    assert "Withdrawn" in shown["text"]
    assert shown["told_how"] == "mailbox"
    await ask(opened, REFERRER, f"/v1/mailbox/{item['id']}")
    assert await published(opened) == [("referrer", "mailbox")]
    assert set(await mailbox(opened, REFERRER, "told=true")) == {"closed"}


async def test_a_request_that_reads_no_body_opens_nothing(opened: House) -> None:
    await opened.hear(received())
    item = (await mailbox(opened, REFERRER))["received"]
    async with opened.caller(REFERRER) as caller:
        assert (await caller.head(f"/v1/mailbox/{item['id']}")).status_code == 200
    assert (await mailbox(opened, REFERRER))["received"]["told_at"] is None


async def test_a_notice_that_is_no_closing_is_told_without_news_for_the_others(opened: House) -> None:
    await opened.hear(received())
    item = (await mailbox(opened, REFERRER))["received"]
    await ask(opened, REFERRER, f"/v1/mailbox/{item['id']}")
    assert (await mailbox(opened, REFERRER))["received"]["told_how"] == "mailbox"
    assert await published(opened) == []


async def test_what_a_webhook_told_is_told_and_opening_it_later_changes_nothing(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        await subscribe(opened, REFERRER, clinic)
        await opened.hear(received(), closed("withdrawn"))
        await sweep(deliverer, rounds=2)
        await tell_once(opened.context)
        item = (await mailbox(opened, REFERRER))["closed"]
        assert item["told_how"] == "webhook"
        await ask(opened, REFERRER, f"/v1/mailbox/{item['id']}")
        assert await published(opened) == [("referrer", "webhook")]


async def test_a_members_notice_lies_with_the_plan_and_opening_it_tells_nobody(opened: House) -> None:
    await opened.hear(received(), approved())
    item = (await mailbox(opened, HARBOR))["authorized"]
    assert (item["recipient_kind"], item["addressee"], item["needs"]) == (
        "member",
        "member",
        ["approved_text"],
    )
    shown = await ask(opened, HARBOR, f"/v1/mailbox/{item['id']}")
    assert (shown["state"], shown["told_at"]) == ("draft", None)
    assert "Harbor Health Plan said yes" in shown["text"]


async def test_a_person_of_the_plan_or_of_the_serving_provider_hands_it_over_once(opened: House) -> None:
    await opened.hear(received(), approved(), made(), accepted())
    authorized = (await mailbox(opened, HARBOR))["authorized"]
    # David meets his lead care manager before the letter comes.
    told = await hand(opened, STREET, authorized["id"])
    assert told["told_how"] == "hand_over"
    (kept,) = await opened.rows("SELECT told_by FROM notice WHERE id = $1", authorized["id"])
    assert '"person": "luis-ortega"' in kept["told_by"]
    assert (await hand(opened, HARBOR, authorized["id"], 409))["type"].endswith("already-told")
    assert await published(opened) == [("member", "hand_over")]


async def take_back(opened: House, who: str, notice: str, status: int = 200) -> Any:
    async with opened.caller(who) as caller:
        body = {"acted_by": LUIS, "because": "another_member"}
        answer = await caller.post(f"/v1/notices/{notice}:take-back", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def deadline_lives(opened: House, notice: str) -> bool:
    return bool(await opened.rows("SELECT kind FROM timer WHERE kind = 'notice ' || $1", notice))


async def test_a_hand_over_recorded_in_error_is_taken_back_and_the_notice_is_to_be_told_8_7(
    opened: House,
) -> None:
    await opened.hear(received(), approved(), made(), accepted())
    letter = (await mailbox(opened, HARBOR))["authorized"]["id"]
    await hand(opened, STREET, letter)
    assert not await deadline_lives(opened, letter)
    back = await take_back(opened, STREET, letter)
    assert (back["told_at"], back["told_how"]) == (None, None)
    # Its deadline lives again, and what is not told in time is raised.
    assert await deadline_lives(opened, letter)
    assert (await take_back(opened, STREET, letter, 409))["slug"] == "nothing-to-take-back"
    # It can be told again, by anybody who may; who is not its author takes it back only as the plan.
    await hand(opened, HARBOR, letter)
    assert (await take_back(opened, STREET, letter, 409))["slug"] == "nothing-to-take-back"
    await take_back(opened, HARBOR, letter)
    assert await published(opened) == [("member", "hand_over"), ("member", "hand_over")]
    (journal,) = await opened.rows(
        "SELECT count(*) AS n FROM journal WHERE type = 'ecm.notice.taken_back.v1'"
    )
    assert journal["n"] == 2
    opened.clock.advance(timedelta(days=4))
    assert "notice.overdue" in await fire(opened)


async def test_what_an_endpoint_took_too_is_told_by_that_once_the_hand_over_is_taken_back_8_7(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        await subscribe(opened, REFERRER, clinic)
        await opened.hear(received(), closed("withdrawn"))
        notice = (await mailbox(opened, REFERRER))["closed"]["id"]
        await hand(opened, HARBOR, notice, how="call", to="recipient")
        await sweep(deliverer, rounds=2)
        await tell_once(opened.context)
        assert (await take_back(opened, HARBOR, notice))["told_how"] == "webhook"
    assert (await published(opened))[-1] == ("referrer", "webhook")


async def test_what_was_told_otherwise_is_no_hand_over_8_7(opened: House) -> None:
    await opened.hear(received(), closed("withdrawn"))
    notice = (await mailbox(opened, REFERRER))["closed"]["id"]
    assert (await take_back(opened, HARBOR, notice, 409))["slug"] == "nothing-to-take-back"
    await ask(opened, REFERRER, f"/v1/mailbox/{notice}")
    assert (await take_back(opened, HARBOR, notice, 409))["slug"] == "nothing-to-take-back"
    await take_back(opened, OTHER, notice, 404)


async def test_what_letters_to_the_dead_were_due_by_goes_and_lives_again_if_it_is_not_so_7_7(
    opened: House,
) -> None:

    await opened.hear(received(), approved(), made(), accepted())
    letter = (await mailbox(opened, HARBOR))["authorized"]["id"]
    assert await deadline_lives(opened, letter)
    await opened.hear(make(ReferralDeathTold, by="plan", due_at=MONDAY))
    assert not await deadline_lives(opened, letter)
    # Who else is to hear something still is.
    assert await opened.rows("SELECT kind FROM timer WHERE kind LIKE 'notice %'")
    opened.clock.advance(timedelta(days=4))
    await fire(opened)
    assert not (await mailbox(opened, HARBOR))["authorized"]["overdue"]
    await opened.hear(make(ReferralDeathTakenBack))
    assert await deadline_lives(opened, letter)
    assert "notice.overdue" in await fire(opened)
    assert (await mailbox(opened, HARBOR))["authorized"]["overdue"]
    assert not await deadline_lives(opened, letter)


async def test_a_changed_court_order_readdresses_what_waits_and_nothing_that_was_told_6_6(
    opened: House,
) -> None:

    await opened.hear(
        received(age_band="child_youth", consent_holder="parent"), approved(), made(), accepted()
    )
    found = {
        code: each
        for code, each in (await mailbox(opened, HARBOR)).items()
        if each["recipient_kind"] == "member"
    }
    assert {each["addressee"] for each in found.values()} == {"parent"}
    told = found.pop("authorized")["id"]
    await hand(opened, HARBOR, told, to="parent")
    await opened.hear(make(ReferralAmended, cause="corrected", consent_holder="county"))
    after = {each["id"]: each for each in (await mailbox(opened, HARBOR)).values()}
    assert after[told]["addressee"] == "parent"
    assert found
    for each in found.values():
        assert after[each["id"]]["addressee"] == "county"
        assert "consent_holder" not in after[each["id"]]["needs"]
        await hand(opened, HARBOR, each["id"], 409, to="parent")
    # Where nobody knows who holds it, nobody is told, and what is missing is said once.
    await opened.hear(make(ReferralAmended, cause="corrected", consent_holder=""))
    for each in found.values():
        now = await ask(opened, HARBOR, f"/v1/mailbox/{each['id']}")
        assert (now["addressee"], now["needs"].count("consent_holder")) == (None, 1)


async def test_two_persons_at_once_hand_over_one_notice_once(opened: House) -> None:
    await opened.hear(received(), approved(), made(), accepted())
    letter, plain = (await mailbox(opened, HARBOR))["authorized"], (await mailbox(opened, STREET))["yours"]
    for notice in (letter["id"], plain["id"]):
        body = {"acted_by": LUIS, "how": "call", "to": "member", "language": "en", "own_words": True}
        async with opened.caller(HARBOR) as caller:
            answers = await asyncio.gather(
                *(caller.post(f"/v1/notices/{notice}:hand-over", json=body) for _ in range(4))
            )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_a_repeated_request_of_one_key_is_the_same_hand_over(opened: House) -> None:
    await opened.hear(received(), approved())
    notice = (await mailbox(opened, HARBOR))["authorized"]["id"]
    body = {"acted_by": LUIS, "how": "call", "to": "member", "language": "en", "own_words": True}
    async with opened.caller(HARBOR) as caller:
        for _ in range(2):
            answer = await caller.post(
                f"/v1/notices/{notice}:hand-over", json=body, headers={"Idempotency-Key": "told-david"}
            )
            assert answer.status_code == 200
    assert len(await published(opened)) == 1


async def test_a_draft_is_handed_over_in_approved_words_only_and_in_the_members_language(
    opened: House,
) -> None:
    await opened.hear(received(language="es"), approved())
    notice = (await mailbox(opened, HARBOR))["authorized"]["id"]
    assert (await hand(opened, HARBOR, notice, 409, language="es", own_words=False))["type"].endswith(
        "text-not-approved"
    )
    assert (await hand(opened, HARBOR, notice, 409))["type"].endswith("language-mismatch")
    await hand(opened, HARBOR, notice, interpreted=True)


async def test_safe_contact_rules_bind_whoever_hands_over(opened: House) -> None:
    """loop.md 6.2."""
    flags = ("safe_contact", "channel_text")
    await opened.hear(received(flags=flags), approved())
    notice = (await mailbox(opened, HARBOR))["authorized"]["id"]
    refused = await hand(opened, HARBOR, notice, 409, how="call", safe_contact_checked=True)
    assert refused["allowed"] == ["text", "asked"]
    assert (await hand(opened, HARBOR, notice, 409, how="text"))["type"].endswith("contact-unsafe")
    await hand(opened, HARBOR, notice, how="text", safe_contact_checked=True)


async def test_a_member_who_is_not_to_be_contacted_is_told_only_on_asking(opened: House) -> None:
    """loop.md 6.2."""
    await opened.hear(received(flags=("do_not_contact",)), approved())
    notice = (await mailbox(opened, HARBOR))["authorized"]
    assert "do_not_contact" in notice["needs"]
    assert (await hand(opened, HARBOR, notice["id"], 409, safe_contact_checked=True))["allowed"] == ["asked"]
    await hand(opened, HARBOR, notice["id"], how="asked")


async def test_no_other_adult_is_told_of_a_minor(opened: House) -> None:
    """loop.md 6.6: the holder of consent, and nobody where it is not known."""
    minor = {"age_band": "child_youth"}
    await opened.hear(received(**minor, consent_holder="county"), approved())
    notice = (await mailbox(opened, HARBOR))["authorized"]
    assert notice["addressee"] == "county"
    for other in ("parent", "member"):
        assert (await hand(opened, HARBOR, notice["id"], 409, to=other))["type"].endswith("not-the-addressee")
    await hand(opened, HARBOR, notice["id"], to="county")
    unknown = ids.new("ref")
    await opened.hear(received(**minor), approved(), stream=unknown)
    (item,) = [
        each for each in (await ask(opened, HARBOR, "/v1/mailbox"))["items"]
        if each["referral"] == unknown and each["code"] == "authorized"
    ]  # fmt: skip
    assert "consent_holder" in item["needs"]
    await hand(opened, HARBOR, item["id"], 409, to="parent")


async def test_a_self_referrals_closing_is_the_members_and_counts_as_told_to_the_referrer(
    opened: House,
) -> None:
    """domain.md 5.3: N2, N3 and N5 merge into the member's notices."""
    await opened.hear(received(flags=("self_referral",)), approved(), closed("unable_to_reach"))
    assert set(await mailbox(opened, REFERRER)) == {"received"}
    item = (await mailbox(opened, HARBOR))["closed_self"]
    await hand(opened, HARBOR, item["id"])
    assert await published(opened) == [("referrer", "hand_over")]


FAX_ROW = """table: fax_agreements
rows:
  - {id: mission-fax, plan: harbor-health-plan, referrer: mission-clinic, for_referrer: Dr. Lin, for_plan: Ana Reyes,
     effective_from: 2026-03-03, effective_to: 2026-03-31, source: letter of 2026-02-20 in the contract file, confidence: ours}
"""


async def test_a_fax_tells_a_referrer_only_while_both_agreed_on_it(
    migrated: Migrated, tmp_path: Path
) -> None:
    """loop.md 7.4; domain.md 5.3 N2: electronic unless both agree otherwise, and fax is not electronic."""
    faxed = {"how": "fax", "to": "recipient"}
    async with house(await migrated("notification"), tmp_path, policy_rows=FAX_ROW) as opened:
        await opened.hear(received(), closed("withdrawn"))
        notices = {n: each["id"] for n, each in (await mailbox(opened, REFERRER)).items()}
        refused = await hand(opened, HARBOR, notices["closed"], 409, **faxed)
        assert refused["slug"] == "fax-not-agreed"
        assert "call" in refused["allowed"]
        assert "fax" not in refused["allowed"]
        assert await published(opened) == []

        opened.clock.advance(timedelta(days=1))
        told = await hand(opened, HARBOR, notices["closed"], **faxed)
        assert told["told_how"] == "hand_over"
        assert await published(opened) == [("referrer", "hand_over")]
        (row,) = await opened.rows("SELECT told_by FROM notice WHERE id = $1", notices["closed"])
        assert "harbor-health-plan/fax_agreements/mission-fax@2026-03-03" in row["told_by"]

        opened.clock.advance(timedelta(days=30))
        over = await hand(opened, HARBOR, notices["received"], 409, **faxed)
        assert over["slug"] == "fax-not-agreed"
        # A fax sent while the agreement held is told by the day on which it was sent.
        sent = "2026-03-31T20:00:00Z"
        await hand(opened, HARBOR, notices["received"], **faxed, at=sent)


async def test_another_plans_agreement_is_none_and_a_call_needs_none(opened: House) -> None:
    """loop.md 7.4."""
    await opened.hear(received(), closed("withdrawn"))
    notices = {n: each["id"] for n, each in (await mailbox(opened, REFERRER)).items()}
    assert (await hand(opened, HARBOR, notices["closed"], 409, how="fax", to="recipient"))[
        "slug"
    ] == "fax-not-agreed"
    await hand(opened, HARBOR, notices["closed"], how="call", to="recipient")


async def test_nobody_else_sees_or_hands_over_a_notice(opened: House) -> None:
    await opened.hear(received(), approved(), made(), accepted(), closed())
    rows = await opened.rows("SELECT id, recipient, recipient_kind, code FROM notice")
    for row in rows:
        may = {row["recipient"], HARBOR} | ({STREET} if row["recipient_kind"] == "member" else set())
        for who in (HARBOR, REFERRER, STREET, OTHER):
            await ask(opened, who, f"/v1/mailbox/{row['id']}", 200 if who in may else 404)
    for who in (OPERATIONS, PARTNER):
        await ask(opened, who, f"/v1/mailbox/{rows[0]['id']}", 403)
    await hand(opened, OTHER, rows[0]["id"], 404)


async def test_a_denials_letter_is_the_plans_alone(opened: House) -> None:
    from loopkeeper.contract.events import AuthorizationDenied
    from tests.builders.every_event import life

    denied = next(event for event in life() if isinstance(event, AuthorizationDenied))
    await opened.hear(received(), made(), accepted(), denied)
    assert "not_authorized" in await mailbox(opened, HARBOR)
    assert "not_authorized" not in await mailbox(opened, STREET)


async def test_a_notice_that_is_not_told_in_time_is_raised_once_and_stays_to_be_told(opened: House) -> None:
    """loop.md 7.4: waiting is not told."""
    await opened.hear(received(), approved())
    opened.clock.advance(timedelta(days=4))
    raised = await fire(opened)
    # The referrer's and the member's.
    assert raised == ["notice.overdue", "notice.overdue"]
    assert await fire(opened) == []
    item = (await mailbox(opened, HARBOR))["authorized"]
    assert item["overdue"]
    assert (await hand(opened, HARBOR, item["id"]))["told_how"] == "hand_over"


async def test_what_is_told_in_time_is_never_raised(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        await subscribe(opened, REFERRER, clinic)
        await opened.hear(received(), approved(), made(), accepted())
        await sweep(deliverer, rounds=4)
        await tell_once(opened.context)
        for item in (await mailbox(opened, HARBOR)).values():
            await hand(opened, HARBOR, item["id"])
        for who in (STREET,):
            for item in (await ask(opened, who, "/v1/mailbox"))["items"]:
                await ask(opened, who, f"/v1/mailbox/{item['id']}")
        left = await opened.rows("SELECT kind FROM timer WHERE kind LIKE 'notice %'")
        assert left == []


async def test_a_deadline_of_a_notice_told_meanwhile_fires_into_nothing(opened: House) -> None:
    await opened.hear(received(), approved())
    rows = await opened.rows("SELECT stream, kind, due_at FROM timer WHERE kind LIKE 'notice %'")
    for item in (await mailbox(opened, HARBOR)).values():
        await hand(opened, HARBOR, item["id"])
    for item in (await mailbox(opened, REFERRER)).values():
        await ask(opened, REFERRER, f"/v1/mailbox/{item['id']}")
    at = on_timer(opened.context)
    late = [Submission(ids.uuid(), r["stream"], command=at(r["kind"], r["due_at"])) for r in rows]
    outcomes = await opened.context.store.execute(late)
    assert [answered(outcomes[each.id]).events for each in late] == [(), ()]


async def test_the_first_attempt_is_due_after_the_acceptance_and_is_raised_before_and_when_it_is_late(
    opened: House,
) -> None:
    """loop.md 6.1, domain.md 10: a fact next to the status, with a warning before it."""
    await opened.hear(received(), made(), accepted())
    for days, expected in ((4, ["outreach.overdue"]), (4, ["outreach.overdue"]), (90, ["outreach.overdue"])):
        opened.clock.advance(timedelta(days=days))
        assert [each for each in await fire(opened) if each.startswith("outreach")] == expected
    codes = {row["code"] for row in await opened.rows("SELECT code FROM notice WHERE recipient = $1", STREET)}
    assert {"outreach_late", "outreach_long"} <= codes


async def test_an_attempt_in_time_keeps_the_clock_quiet(opened: House) -> None:
    await opened.hear(received(), made(), accepted())
    body = {"at": opened.clock.now().isoformat(), "actor_kind": "peer", "modality": "phone", "outcome": "no_answer",
            "minutes": 12}  # fmt: skip
    async with opened.caller(STREET) as caller:
        answer = await caller.post(f"/v1/outreach/{DAVID}/attempts", json=body)
    assert answer.json()["attempts"][0]["minutes"] == 12
    opened.clock.advance(timedelta(days=30))
    assert [each for each in await fire(opened) if each.startswith("outreach")] == []
