"""A plan's roster: refused rows are named with how to mend them, an import goes on where it stood, memory stays small."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.kernel.clock import HandClock
from loopkeeper.kernel.errors import Problem
from referral_intake.persistence.roster import CHUNK, Import, Loaded, load_roster
from tests.conftest import Databases
from tests.shared.stores import AT, Bench, opened

PLAN = "harbor-health-plan"


@pytest_asyncio.fixture
async def bench(databases: Databases, tmp_path: Path) -> AsyncGenerator[Bench]:
    url = await databases.make("intake", await databases.template("intake"))
    async with opened(url, tmp_path, clock=HandClock(AT)) as made:
        yield made
    await databases.drop()


def member(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "cin": f"9{number:07d}S",
        "birth_date": "1964-05-17",
        "county": "alameda",
        "covered_from": "2025-01-01",
    }
    return row | changes


def lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def sent(
    bench: Bench, body: bytes | AsyncIterator[bytes], *, name: str = "march", **changes: Any
) -> Loaded:
    upload = Import(plan=PLAN, id=name, synthetic=True, **({"as_csv": False} | changes))
    parts = pieces(body) if isinstance(body, bytes) else body
    return await load_roster(bench.store, bench.store.sealer, bench.store.clock, upload, parts)


async def members(bench: Bench) -> int:
    return await bench.count("roster")


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "pointer", "says"),
    [
        (member(1, cin="12345"), "/cin", "seven digits"),
        (member(1, birth_date="17 May"), "/birth_date", "1964-05-17"),
        (member(1, county="atlantis"), "/county", "contra-costa"),
        (member(1, covered_through="2024-12-31"), "/covered_through", "end after"),
        (member(1, shoe_size=44), "/shoe_size", "Leave this column out"),
        ({"cin": "90000001S"}, "/birth_date", "1964-05-17"),
    ],
)
async def test_a_refused_row_names_its_line_field_and_how_to_mend_it_and_the_others_are_kept(
    bench: Bench, row: dict[str, Any], pointer: str, says: str
) -> None:
    loaded = await sent(bench, lines([member(1), row, member(2)]))
    assert (loaded.accepted, loaded.refused, loaded.lines, loaded.state) == (2, 1, 3, "done")
    (error,) = loaded.errors
    assert (error["line"], error["pointer"]) == (2, pointer)
    assert says in error["fix"]
    assert "17 May" not in str(error)


async def test_a_line_that_is_no_row_is_named_too(bench: Bench) -> None:
    loaded = await sent(bench, lines([member(1)]) + b"{half\n[1]\n")
    assert [(each["line"], each["rule"]) for each in loaded.errors] == [(2, "not-a-row"), (3, "not-a-row")]


async def test_csv_with_its_header_says_the_same(bench: Bench) -> None:
    text = (
        "cin,birth_date,county,covered_from,programs\r\n90000001S,1964-05-17,alameda,2025-01-01,pace;hospice\r\n"
        "90000002S,1964-05-17,alameda\r\n90000003S,nonsense,alameda,2025-01-01,\r\n"
    )
    loaded = await sent(bench, text.encode(), as_csv=True)
    assert (loaded.accepted, [e["line"] for e in loaded.errors]) == (1, [3, 4])
    assert json.loads(await bench.pool.fetchval("SELECT programs FROM roster")) == ["pace", "hospice"]


async def test_a_dry_run_checks_everything_and_keeps_nothing(bench: Bench) -> None:
    loaded = await sent(bench, lines([member(1), member(2, cin="x")]), dry_run=True)
    assert (loaded.accepted, loaded.refused) == (1, 1)
    assert (await members(bench), await bench.count("roster_import")) == (0, 0)


async def test_a_new_import_replaces_the_old_rows_and_a_repeated_one_changes_nothing(bench: Bench) -> None:
    await sent(bench, lines([member(1), member(2)]))
    again = await sent(bench, lines([member(2), member(3)]), name="april")
    assert (again.removed, await members(bench)) == (1, 2)
    same = await sent(bench, lines([member(9)]), name="april")
    assert (same.accepted, same.removed, await members(bench)) == (2, 1, 2)


# ── parts, breaks, two at once ────────────────────────────────────────────────────────────────────────────


async def test_an_import_in_parts_keeps_the_old_rows_until_the_last_is_in(bench: Bench) -> None:
    await sent(bench, lines([member(9)]), name="february")
    first = await sent(bench, lines([member(1), member(2, cin="x")]), more=True)
    assert (first.state, first.lines, await members(bench)) == ("waiting", 2, 2)
    last = await sent(bench, lines([member(3)]), from_line=3)
    assert (last.state, last.accepted, last.refused, last.removed) == ("done", 2, 1, 1)
    assert (last.errors[0]["line"], await members(bench)) == (2, 2)


async def test_a_later_part_of_a_csv_repeats_the_header(bench: Bench) -> None:
    header = b"cin,birth_date,county,covered_from\n"
    row = b"9000000%dS,1964-05-17,alameda,2025-01-01\n"
    first = await sent(bench, header + row % 1, as_csv=True, more=True)
    assert first.lines == 2
    last = await sent(bench, header + row % 2 + b"x\n", as_csv=True, from_line=3)
    assert (last.accepted, last.errors[0]["line"], last.lines) == (2, 4, 4)


async def test_a_part_that_leaves_lines_out_is_refused(bench: Bench) -> None:
    await sent(bench, lines([member(1)]), more=True)
    with pytest.raises(Problem) as refused:
        await sent(bench, lines([member(3)]), from_line=5)
    assert refused.value.slug == "row-invalid"
    assert "line 2" in refused.value.fix


async def broken_after(body: bytes) -> AsyncIterator[bytes]:
    yield body
    raise ConnectionResetError


async def test_an_import_broken_off_goes_on_where_it_stood_by_the_same_key(bench: Bench) -> None:
    await sent(bench, lines([member(7_000_000)]), name="february")
    whole = [member(number) for number in range(CHUNK + 500)]
    with suppress(ConnectionResetError):
        await sent(bench, broken_after(lines(whole[: CHUNK + 100])))
    row = await bench.pool.fetchrow("SELECT state, lines, accepted FROM roster_import")
    assert tuple(row) == ("broken", CHUNK, CHUNK)
    # The whole file again: what is done is passed over, and nothing is counted twice.
    loaded = await sent(bench, lines(whole))
    assert (loaded.state, loaded.accepted, loaded.lines, loaded.removed) == (
        "done", CHUNK + 500, CHUNK + 500, 1,
    )  # fmt: skip
    assert await members(bench) == CHUNK + 500


async def test_while_one_import_is_under_way_another_is_refused(bench: Bench) -> None:
    going, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield lines([member(1)])
        going.set()
        await go_on.wait()
        yield lines([member(2)])

    first = asyncio.create_task(sent(bench, slow()))
    await going.wait()
    for name in ("march", "april"):
        with pytest.raises(Problem) as refused:
            await sent(bench, lines([member(3)]), name=name)
        assert (refused.value.status, refused.value.slug) == (409, "import-running")
    go_on.set()
    assert (await first).accepted == 2
    assert (await sent(bench, lines([member(3)]), name="april")).accepted == 1


async def test_an_import_that_fell_silent_is_taken_over_and_stops_if_it_wakes(bench: Bench) -> None:
    going, go_on = asyncio.Event(), asyncio.Event()

    async def stopped() -> AsyncIterator[bytes]:
        yield lines([member(1)])
        going.set()
        await go_on.wait()

    asleep = asyncio.create_task(sent(bench, stopped()))
    await going.wait()
    clock = bench.store.clock
    assert isinstance(clock, HandClock)
    clock.advance(timedelta(minutes=3))
    assert (await sent(bench, lines([member(2)]), name="april")).state == "done"
    go_on.set()
    with pytest.raises(Problem) as refused:
        await asleep
    assert refused.value.slug == "import-running"
    assert await members(bench) == 1


async def test_memory_does_not_grow_with_the_roster(bench: Bench) -> None:
    async def many(count: int) -> AsyncIterator[bytes]:
        for start in range(0, count, 500):
            yield lines(member(number) for number in range(start, start + 500))

    async def peak(count: int, name: str) -> int:
        tracemalloc.start()
        await sent(bench, many(count), name=name)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    small = await peak(2 * CHUNK, "small")
    large = await peak(12 * CHUNK, "large")
    assert large < small * 1.5
