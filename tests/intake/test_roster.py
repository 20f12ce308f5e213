"""A plan's roster: refused rows are named with what to do, any dialect reads alike, an import goes on where it was,
nobody leaves unseen, memory stays small."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import xlsxwriter

from loopkeeper.contract.calendar import la_date
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.errors import Problem
from referral_intake.persistence.roster import CHUNK, Import, load_roster
from referral_intake.persistence.roster_rows import Loaded
from tests.builders.organizations import HARBOR
from tests.databases import Databases
from tests.intake.stored import intake
from tests.shared.stores import AT, Bench, opened


@pytest_asyncio.fixture
async def bench(databases: Databases, tmp_path: Path) -> AsyncGenerator[Bench]:
    url = await databases.make("intake", await databases.template("intake"))
    async with opened(url, tmp_path, clock=ManualClock(AT), domain=intake) as made:
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
    asked = {"as_csv": False, "confirm_removals": True} | changes
    upload = Import(plan=HARBOR, id=name, synthetic=True, **asked)
    parts = pieces(body) if isinstance(body, bytes) else body
    return await load_roster(bench.store, bench.store.sealer, bench.store.clock, upload, parts)


async def members(bench: Bench) -> int:
    """Who is on the roster; who has left is kept, with the day."""
    return await bench.pool.fetchval("SELECT count(*) FROM roster WHERE left_on IS NULL")


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "pointer", "says"),
    [
        (member(1, cin="12345"), "/cin", "seven digits"),
        (member(1, birth_date="17 May"), "/birth_date", "1964-05-17"),
        (member(1, county="atlantis"), "/county", "contra-costa"),
        (member(1, covered_through="2024-12-31"), "/covered_through", "end after"),
        (member(1, shoe_size=44), "", "Leave this column out"),
        (member(1, programs="pace;hospice"), "/programs", "List at most 20"),
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


async def test_a_roster_names_programs_by_code_or_name_and_who_waits_for_a_place_is_in_none(
    bench: Bench,
) -> None:
    """loop.md 4.4; ECMG26 p63-66. What names no program is refused, and not kept as free text."""
    named = ["Assisted Living Waiver", "PACE", "alw", "MSSP: Wait-Listed", "hcba: enrolled"]
    rows = [member(1, programs=named), member(2, programs=["a club"]), member(3, programs=["alw: maybe"])]
    loaded = await sent(bench, lines(rows))
    assert json.loads(await bench.pool.fetchval("SELECT programs FROM roster")) == ["alw", "pace", "hcba"]
    assert [(each["line"], each["pointer"]) for each in loaded.errors] == [
        (2, "/programs/0"),
        (3, "/programs/0"),
    ]
    assert all("wait-listed" in each["fix"] for each in loaded.errors)
    text = "cin,birth_date,county,covered_from,programs\n90000009S,1964-05-17,alameda,2025-01-01,CCT; tcm\n"
    await sent(bench, text.encode(), as_csv=True, name="april")
    found = await bench.pool.fetch("SELECT programs FROM roster WHERE left_on IS NULL")
    assert [json.loads(row["programs"]) for row in found] == [["cct", "county_tcm"]]


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


# ── any way of writing it ─────────────────────────────────────────────────────────────────────────────────

HEADER = ("CIN", "Birth date", "COUNTY", "covered_from")


def cells(*rows: tuple[str, ...], between: str = ",", end: str = "\n") -> str:
    return "".join(between.join(row) + end for row in (HEADER, *rows))


def row_cells(number: int, county: str = "alameda") -> tuple[str, ...]:
    return (f"9{number:07d}S", "1964-05-17", county, "2025-01-01")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("between", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
async def test_a_file_says_the_same_in_every_dialect(
    bench: Bench, end: str, between: str, encoding: str
) -> None:
    body = cells(row_cells(1), row_cells(2, "atlantis"), between=between, end=end).encode(encoding)
    loaded = await sent(bench, body, as_csv=True, dry_run=True)
    assert (loaded.accepted, [(e["line"], e["pointer"]) for e in loaded.errors]) == (1, [(3, "/county")])


async def test_a_workbook_says_the_same(bench: Bench, tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "roster.xlsx"))
    sheet = book.add_worksheet()
    day = book.add_format({"num_format": "mm/dd/yyyy"})
    sheet.write_row(0, 0, HEADER)
    for row, county in ((1, "alameda"), (2, "atlantis")):
        sheet.write_string(row, 0, f"9000000{row}S")
        sheet.write_datetime(row, 1, date(1964, 5, 17), day)
        sheet.write_string(row, 2, county)
        sheet.write_datetime(row, 3, date(2025, 1, 1), day)
    book.close()
    loaded = await sent(bench, (tmp_path / "roster.xlsx").read_bytes(), as_csv=True)
    assert (loaded.accepted, [(e["line"], e["pointer"]) for e in loaded.errors]) == (1, [(3, "/county")])
    assert await bench.pool.fetchval("SELECT covered_from::text FROM roster") == "2025-01-01"


@pytest.mark.parametrize(
    "header", ["cin,birth_date,county,covered_from,shoe", "cin,county", "cin,cin,birth_date"]
)
async def test_columns_nobody_knows_are_refused_with_those_that_are_known(bench: Bench, header: str) -> None:
    with pytest.raises(Problem) as refused:
        await sent(bench, f"{header}\n90000001S,1964-05-17,alameda,2025-01-01,44\n".encode(), as_csv=True)
    assert (refused.value.status, refused.value.slug) == (422, "row-invalid")
    assert "cin, birth_date, county, covered_from and any of covered_through" in refused.value.fix
    assert "shoe" not in refused.value.fix + refused.value.detail


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"9000000\xff1S,1964-05-17,alameda,2025-01-01", "not-in-encoding"),
        (b"90000001S,1964-05-17,ala\0meda,2025-01-01", "nul-character"),
        (b'"90000001S",1964-05-17,"ala\nmeda",2025-01-01', "line-break-in-cell"),
        (b'90000001S,"1964-05-17,alameda,2025-01-01', "quote-not-closed"),
        (b"90000001S,1964-05-17," + b"a" * 9000 + b",2025-01-01", "cell-too-long"),
        (b"90000001S,1964-05-17," + b"a" * 70_000 + b",2025-01-01", "line-too-long"),
        (b"90000001S,1964-05-17,alameda", "columns"),
    ],
)
async def test_a_line_that_cannot_be_read_is_refused_alone(bench: Bench, line: bytes, rule: str) -> None:
    good = ",".join(row_cells(2)).encode()
    loaded = await sent(bench, b"cin,birth_date,county,covered_from\n" + line + b"\n" + good, as_csv=True)
    assert [(e["line"], e["rule"]) for e in loaded.errors] == [(2, rule)]
    assert (loaded.accepted, loaded.lines) == (1, 2 + line.count(b"\n") + 1)


async def test_json_lines_may_begin_with_a_mark_and_come_in_any_pieces(bench: Bench) -> None:
    body = b"\xef\xbb\xbf" + lines([member(1), member(2, pcp="x" * 9000), member(3)])
    loaded = await sent(bench, pieces(*(body[at : at + 7] for at in range(0, len(body), 7))))
    assert (loaded.accepted, [(e["line"], e["pointer"]) for e in loaded.errors]) == (2, [(2, "/pcp")])


# ── who has left ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_dry_run_tells_how_many_would_leave(bench: Bench) -> None:
    await sent(bench, lines(member(number) for number in range(10)))
    twice = [member(number) for number in (0, 1, 2, 2, 3)] + [member(4, county="atlantis"), member(11)]
    loaded = await sent(bench, lines(twice), name="april", dry_run=True, confirm_removals=False)
    assert (loaded.removed, await members(bench)) == (6, 10)


async def test_an_import_by_which_more_than_a_fifth_would_leave_is_held_until_it_is_confirmed(
    bench: Bench,
) -> None:
    """loop.md 2.5. A refused line names nobody, so its member would leave too."""
    await sent(bench, lines(member(number) for number in range(10)))
    fewer = [member(number) for number in range(7)] + [member(7, county="atlantis"), member(20)]
    with pytest.raises(Problem) as held:
        await sent(bench, lines(fewer), name="april", confirm_removals=False)
    assert (held.value.status, held.value.slug) == (409, "removals-unconfirmed")
    assert held.value.members == {"removals": 3, "standing": 10}
    # The good rows are kept; nobody has left, and another import may come.
    assert await members(bench) == 11
    confirmed = await sent(bench, lines(fewer), name="april")
    assert (confirmed.state, confirmed.accepted, confirmed.refused, confirmed.removed) == ("done", 8, 1, 3)
    assert await members(bench) == 8


async def test_a_fifth_may_leave_without_asking(bench: Bench) -> None:
    await sent(bench, lines(member(number) for number in range(10)))
    loaded = await sent(
        bench, lines(member(number) for number in range(8)), name="april", confirm_removals=False
    )
    assert (loaded.removed, await members(bench)) == (2, 8)


async def test_who_has_left_is_kept_with_the_day_and_stands_again_when_named_again(bench: Bench) -> None:
    await sent(bench, lines([member(1), member(2)]))
    await sent(bench, lines([member(2)]), name="april")
    day = await bench.pool.fetchval("SELECT left_on FROM roster WHERE left_on IS NOT NULL")
    assert day == la_date(AT)
    await sent(bench, lines([member(1), member(2)]), name="may")
    assert (await members(bench), await bench.count("roster")) == (2, 2)


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
    assert isinstance(clock, ManualClock)
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
