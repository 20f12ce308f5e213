"""Every row of the sample plans' files becomes what their `expected.json` says, in all kinds of file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest

from loopkeeper.plan_files.outcomes import Outcome
from loopkeeper.plan_files.table import Table
from loopkeeper.spreadsheets import Unreadable
from tests.plan_files.judging import judged
from tests.plan_files.worlds import PLANS, World

FILES = [
    pytest.param(World(plan), said, id=f"{plan}/{said['file']}")
    for plan in PLANS
    for said in World(plan).expected
    if said["direction"] == "in"
]


def plain(value: Any) -> Any:
    match value:
        case date():
            return value.isoformat()
        case Mapping():
            return {key: plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case _:
            return value


def shown(table: Table, outcome: Outcome) -> Mapping[str, Any]:
    """An outcome as `expected.json` writes it."""
    said: dict[str, Any] = {"row": outcome.row, "result": outcome.result}
    if outcome.cin and outcome.result != "refused":
        said["cin"] = outcome.cin
    if outcome.code:
        said["code"] = outcome.code
    if outcome.field:
        said["column"] = table.heading(outcome.field)
    if outcome.warnings:
        said["warnings"] = [
            {"code": warned.code, "column": table.heading(warned.field)} for warned in outcome.warnings
        ]
    if outcome.facts:
        said["facts"] = plain(outcome.facts)
    return said


def wanted(row: Mapping[str, Any], outcome: Outcome) -> Mapping[str, Any]:
    """The expected row. The samples name the person even where a clinic's row has no CIN that can be read."""
    return {key: value for key, value in row.items() if key != "cin" or outcome.cin}


@pytest.mark.parametrize(("world", "said"), FILES)
def test_every_planted_row_becomes_what_the_samples_say(world: World, said: Mapping[str, Any]) -> None:
    members = world.members
    for earlier in said.get("after", ()):
        _, _, members = judged(world, earlier, said["kind"], members)
    if "file_refused" in said:
        with pytest.raises(Unreadable) as refused:
            judged(world, said["file"], said["kind"], members)
        assert refused.value.code == said["file_refused"]["code"]
        assert refused.value.column == said["file_refused"].get("column", "")
        return
    table, found, _ = judged(world, said["file"], said["kind"], members)
    rows: Sequence[Mapping[str, Any]] = said["rows"]
    assert len(found.outcomes) == len(rows)
    for outcome, row in zip(found.outcomes, rows, strict=True):
        assert shown(table, outcome) == wanted(row, outcome)
    assert found.counts() == said["counts"]
    assert table.skipped == said.get("skipped", [])
    assert found.file_refused == ""
