"""Whatever arrives, a file is refused whole with a reason, or each of its rows is accepted, unchanged or refused."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopkeeper.plan_files.fields import Kind, field_of
from loopkeeper.plan_files.outcomes import Judged, Outcome
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.returned import returned_file
from loopkeeper.plan_files.table import open_table, records
from loopkeeper.plan_files.writing import write_file
from loopkeeper.spreadsheets.cells import Unreadable
from tests.examples import many
from tests.plan_files.judging import judge
from tests.plan_files.worlds import PLANS, World

KINDS: tuple[Kind, ...] = ("mif", "rtf", "otf", "referrals")
WORLDS = {plan: World(plan) for plan in PLANS}
SAMPLES: Sequence[tuple[World, Kind, str]] = [
    (world, said["kind"], said["file"])
    for world in WORLDS.values()
    for said in world.expected
    if said["direction"] == "in" and "file_refused" not in said and not said.get("after")
]
quick = settings(max_examples=many(40), deadline=None, suppress_health_check=list(HealthCheck))


def answered(world: World, kind: Kind, layout: Layout, content: bytes, name: str = "") -> Judged | None:
    """What becomes of these bytes; None where the file is refused whole, which it says in words."""
    try:
        table = open_table(content, kind, layout, name=name)
        judged, _ = judge(world, kind, layout, records(table))
    except Unreadable as refused:
        said = (refused.code, refused.sentence, refused.fix)
    else:
        said = ()
    if said:
        assert all(said)
        return None
    assert judged.outcomes
    for outcome in judged.outcomes:
        assert outcome.result in ("accepted", "unchanged", "refused")
        assert (outcome.result == "accepted") == bool(outcome.facts)
        assert outcome.code or outcome.result != "refused"
        assert outcome.fix or not outcome.code
    rows = [outcome.row for outcome in judged.outcomes]
    assert rows == sorted(set(rows))
    if not judged.file_refused:
        assert returned_file(content, layout, judged, name=name).content
    return judged


@quick
@given(st.sampled_from(sorted(WORLDS)), st.sampled_from(KINDS), st.binary(max_size=400))
def test_any_bytes_are_answered(plan: str, kind: Kind, content: bytes) -> None:
    world = WORLDS[plan]
    answered(world, kind, world.layout(kind), content)


@quick
@given(st.sampled_from(SAMPLES), st.integers(0, 2**32))
def test_a_file_that_was_damaged_on_its_way_is_answered(sample: tuple[World, Kind, str], seed: int) -> None:
    answer_damaged(sample, seed)


def answer_damaged(sample: tuple[World, Kind, str], seed: int) -> None:
    """Cut short, bytes changed, pieces taken out or put in twice."""
    chance = random.Random(seed)
    world, kind, name = sample
    content = bytearray(world.content(name))
    for _ in range(chance.randint(1, 4)):
        at, width = chance.randrange(len(content)), chance.randint(1, 60)
        match chance.randint(0, 3):
            case 0:
                del content[at:]
            case 1:
                content[at : at + width] = chance.randbytes(width)
            case 2:
                del content[at : at + width]
            case _:
                content[at:at] = content[at : at + width]
        if not content:
            break
    answered(world, kind, world.layout(kind), bytes(content), name)


@cache
def undamaged(plan: str, kind: Kind, name: str) -> Judged:
    world = WORLDS[plan]
    found = answered(world, kind, world.layout(kind), world.content(name), name)
    assert found is not None
    return found


CELLS = st.one_of(
    st.text(max_size=30),
    st.integers(-(10**15), 10**15).map(str),
    st.sampled_from(
        [
            "", "-", "N/A", "#REF!", "6.45722E+12", "=1+1", "'", "02/30/2026", "13/01/2026", "99999999",
            "0", "1e400", "\u00a0", "a\x00b", "\u202e", "92000001S", "Y", "maybe", "31:99", "-5", "1,000",
        ]
    ),
)  # fmt: skip


@quick
@given(st.sampled_from(SAMPLES), st.data())
def test_any_cell_is_read_left_out_or_refuses_its_row_alone(sample: Any, data: st.DataObject) -> None:
    """Rows of which no cell was changed, of members of whom no row was, become what they were."""
    world, kind, name = sample
    if not name.endswith((".csv", ".txt")):
        return
    layout: Layout = world.layout(kind)
    before = undamaged(world.name, kind, name)
    lines = world.content(name).decode(layout.encoding).splitlines()
    row = data.draw(st.sampled_from([o.row for o in before.outcomes if not o.code]))
    cells = lines[row - 1].split(layout.delimiter)
    if '"' in lines[row - 1]:
        return
    cells[data.draw(st.integers(0, len(cells) - 1))] = '"' + data.draw(CELLS).replace('"', '""') + '"'
    lines[row - 1] = layout.delimiter.join(cells)
    content = "\r\n".join([*lines, ""]).encode(layout.encoding, "replace")
    after = answered(world, kind, layout, content, name)
    if after is None or len(after.outcomes) != len(before.outcomes):
        return
    touched = {before.outcomes[at].cin for at, each in enumerate(before.outcomes) if each.row == row}
    touched |= {each.cin for each in after.outcomes if each.row == row}
    same_rows = {each.row: each for each in after.outcomes}
    for outcome in before.outcomes:
        found = same_rows.get(outcome.row)
        if found is not None and outcome.cin and {outcome.cin, found.cin}.isdisjoint(touched):
            assert (found.result, found.facts) == (outcome.result, outcome.facts)


# ── layouts ───────────────────────────────────────────────────────────────────────────────────────────────

DAYS = (
    "MM/DD/YYYY",
    "YYYY-MM-DD",
    "YYYYMMDD",
    "MMDDYYYY",
    "M/D/YYYY",
    "DD-MON-YYYY",
    "MM-DD-YYYY",
    "DD.MM.YYYY",
)
PERIODS = (
    "{start:MM/DD/YYYY}-{end:MM/DD/YYYY}",
    "{start:YYYYMMDD}{end:YYYYMMDD}",
    "{start:M/D/YYYY} to {end:M/D/YYYY}",
)


def another(layout: Layout, chance: random.Random) -> Layout:
    """The same fields as another plan might write them: other order, headings, days, words, bytes."""
    book = chance.random() < 0.25
    columns = list(layout.columns)
    chance.shuffle(columns)
    yes, no = chance.choice([("Y", "N"), ("1", "0"), ("Yes", "No"), ("Ja", "Nein"), ("TRUE", "FALSE")])
    changed = [
        each.model_copy(
            update={
                "heading": f"{chance.choice(['Col', 'Field #', 'The_'])}{at}",
                "also": (),
                "needed": each.needed,
                "group": "",
                "words": _words(each.words, chance),
            }
        )
        for at, each in enumerate(columns)
    ]
    changes: dict[str, Any] = {
        "format": "xlsx" if book else "csv",
        "sheet": "Données" if book else "",
        "encoding": chance.choice(["utf-8", "utf-8-sig", "utf-16"]),
        "delimiter": chance.choice([",", ";", "\t", "|"]),
        "line_end": chance.choice(["lf", "crlf"]),
        "titles": tuple(f"Title {n}" for n in range(chance.randint(0, 3))),
        "dates": (chance.choice(DAYS),),
        "serial_dates": False,
        "says_yes": (yes,),
        "says_no": (no,),
        "empty": chance.choice([(), ("-",), ("N/A", "none")]),
        "trailer": chance.choice(["", "TRL", "END"]),
        "period": chance.choice(PERIODS),
        "columns": tuple(changed),
    }
    return Layout.model_validate({**layout.model_dump(), **changes})


def _words(words: Mapping[str, tuple[str, ...]], chance: random.Random) -> Mapping[str, tuple[str, ...]]:
    """Codes of numbers, as some plans have them, or words of their own."""
    if chance.random() < 0.5:
        return {code: (str(at),) for at, code in enumerate(words, 1)}
    return {code: (f"Word {at} Ñ", *said) for at, (code, said) in enumerate(words.items(), 1)}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=many(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_a_file_says_the_same_in_any_layout(kind: Kind, seed: int) -> None:
    """Written as another plan might, the same rows are read, and become the same."""
    chance = random.Random(seed)
    world = WORLDS[chance.choice(PLANS)]
    layout = world.layout(kind)
    (name,) = [name for owner, each, name in SAMPLES if owner is world and each == kind]
    rows = [
        record
        for record in records(open_table(world.content(name), kind, layout, name=name))
        if not record.faults
    ]
    said = [dict(record.values) for record in rows]
    other = another(layout, chance)
    content = write_file(kind, other, said)
    back = list(records(open_table(content, kind, other)))
    assert [dict(record.values) for record in back] == [_written(kind, each) for each in said]
    was, _ = judge(world, kind, layout, iter(_renumbered(rows, back)))
    now, _ = judge(world, kind, other, iter(back))
    assert [_shown(each) for each in now.outcomes] == [_shown(each) for each in was.outcomes]


def _shown(outcome: Outcome) -> Any:
    """Which of several columns lacks a mark depends on their order."""
    field = "" if outcome.code == "population-missing" else outcome.field
    return outcome.result, outcome.code, field, outcome.facts


def _written(kind: Kind, said: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in said.items() if field_of(kind, name) is not None}


def _renumbered(rows: Sequence[Any], back: Sequence[Any]) -> Sequence[Any]:
    for row, other in zip(rows, back, strict=True):
        row.row, row.digest = other.row, other.digest
    return rows


def test_a_sheet_that_is_torn_next_to_the_one_that_was_read_is_left_out_of_the_answer() -> None:
    """Found by damaging files: the month was read, and its answer failed on the other sheet of the workbook."""
    (sample,) = [each for each in SAMPLES if each[2] == "PPP_ECM_MIF_20261109_returned.xlsx"]
    for seed in (69, 225):
        answer_damaged(sample, seed)
