"""Identity is readable nowhere but where somebody entitled opens it: a thousand people with words of their own.

Searched are plain texts: see `canaries`. The search is proved in the same run: a control word is written openly into
every kind of place, and must be all that is found there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import orjson
import pytest
import pytest_asyncio

from loopkeeper.postgres.embedded import Server
from tests.databases import Databases
from tests.security.eventful import REFERRALS, Day, eventful_day

CONTROL = {"the control"}
# The tables that hold the control, and those which must have held something of that day, or the search was of nothing.
WITH_CONTROL = {"intake.claim", "authorization.claim", "assignment.claim", "notification.claim", "log.log"}
BUSY = {
    "intake.referral", "intake.journal", "intake.claim", "intake.roster", "intake.member", "authorization.referral",
    "authorization.journal", "authorization.claim", "authorization.parked", "authorization.parked_stream",
    "authorization.audit", "assignment.referral", "assignment.journal", "assignment.claim", "assignment.assignment",
    "assignment.audit", "notification.referral", "notification.journal", "notification.claim", "notification.notice",
    "notification.feed", "notification.delivery", "notification.attempt", "log.log",
}  # fmt: skip
# What the day was made of, next to what went well.
MISFORTUNES = {
    ("not identifiable", 422), ("unknown plan", 422), ("cut off", 422), ("wrong kind", 415), ("too large", 413),
    ("wrong fields", 422), ("NUL", 422), ("defect", 500), ("key reused", 422), ("bad key", 422), ("look-up", 404),
    ("look-up", 422), ("nobody's key", 401), ("too early", 404), ("replay", 409),
}  # fmt: skip
# What says who somebody is, how they are reached, or who speaks of them.
IDENTITY = {
    "/member/first_name", "/member/last_name", "/member/cin", "/member/birth_date", "/member/plan_member_id",
    "/member/address/street", "/member/address/city", "/member/address/zip", "/member/usual_place", "/member/phone",
    "/member/email", "/member/best_time", "/member/caregiver/name", "/member/caregiver/relationship",
    "/member/caregiver/phone", "/member/race_ethnicity/0", "/member/gender", "/member/safe_contact/designated_address",
    "/member/safe_contact/hours", "/member/safe_contact/words_to_avoid", "/referrer/name", "/referrer/title",
    "/referrer/npi", "/referrer/phone", "/referrer/email", "/referrer/fax", "/recommended/note", "/preference/note",
    "/attestation/name", "/entered_by", "/comments",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def day(
    databases: Databases, postgres: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Day]:
    yield await eventful_day(databases, postgres, tmp_path_factory.mktemp("day"))
    await databases.drop()


async def test_the_day_had_every_misfortune_and_most_of_it_went_well(day: Day) -> None:
    kinds = day.kinds()
    assert kinds.keys() >= MISFORTUNES
    assert kinds["received", 201] == len(day.numbers) > REFERRALS * 8 // 10
    assert kinds["decided", 200] == 2
    assert kinds["declined", 200] == 2
    assert kinds["accepted", 200] == kinds["served", 200] == 4
    assert not {kind for kind, status in kinds if status >= 500} - {"defect"}
    assert {table for table in BUSY if not day.rows[table]} == set()


async def test_every_field_in_which_anything_may_be_written_carried_a_word_of_its_own(day: Day) -> None:
    assert set(day.canaries.given.values()) >= IDENTITY


async def test_what_was_sent_is_kept_whole_under_the_seal(day: Day) -> None:
    assert len(day.forms) == len(day.numbers)
    for number, form in day.forms.items():
        assert day.canaries.found(orjson.dumps(form)) >= IDENTITY, f"referral {number} lost something"


async def test_whoever_is_entitled_opens_the_identity_and_each_opening_is_written_down(day: Day) -> None:
    assert len(day.opened) == 10
    for number, opened in day.opened:
        text = orjson.dumps(opened)
        assert {"/member/first_name", "/member/cin"} <= day.canaries.found(text)
        assert day.canaries.cin(number).encode() in text, f"somebody else than {number} was opened"
    # A decision is written down next to the openings.
    decisions = day.kinds()["decided", 200]
    assert day.rows["authorization.audit"] + day.rows["assignment.audit"] == len(day.opened) + decisions


@pytest.mark.parametrize("place", ["the log", "the spans", "the figures", "files of the home"])
async def test_nothing_readable_leaves_in_logs_spans_figures_or_files(day: Day, place: str) -> None:
    assert day.found[place] == CONTROL


async def test_no_answer_repeats_what_was_sent(day: Day) -> None:
    repeated = {said.kind: found for said in day.said if (found := day.canaries.found(said.text))}
    assert repeated == {}


async def test_partners_hear_no_identity_and_so_can_echo_none(day: Day) -> None:
    assert len(day.heard) > 50
    assert day.canaries.found(b"\n".join(day.heard)) == set()


async def test_no_table_holds_anything_readable(day: Day) -> None:
    tables = {place: found for place, found in day.found.items() if place in day.rows and found}
    assert tables == dict.fromkeys(WITH_CONTROL, CONTROL)


@pytest.mark.parametrize("place", ["files of the databases", "the write-ahead log"])
async def test_nothing_readable_ever_reached_the_disk(day: Day, place: str) -> None:
    """The write-ahead log has everything that was written in between, older versions of rows included."""
    assert day.found[place] == CONTROL


async def test_postgresql_says_nothing_readable_of_rows_it_refused(day: Day) -> None:
    assert day.found["other files of the server"] == set()
