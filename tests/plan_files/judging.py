"""Judge a sample file as its plan's profile says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.members import Member
from loopkeeper.plan_files.mif import judge_mif
from loopkeeper.plan_files.otf import judge_otf
from loopkeeper.plan_files.outcomes import Judged
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.referral_sheets import judge_referrals
from loopkeeper.plan_files.rtf import judge_rtf
from loopkeeper.plan_files.table import Record, Table, open_table, records
from tests.plan_files.worlds import World


def judge(world: World, kind: Kind, layout: Layout, rows: Iterator[Record]) -> tuple[Judged, Any]:
    """What becomes of these rows, judged against the members of the world."""
    match kind:
        case "rtf":
            return judge_rtf(rows, world.members, layout, world.context)
        case "otf":
            return judge_otf(rows, world.members, layout, world.context)
        case "mif":
            return judge_mif(rows, world.providers, layout, world.context), world.members
        case _:
            return judge_referrals(rows, layout, world.sheet)[0], world.members


def judged(world: World, file: str, kind: Any, members: Mapping[str, Member]) -> tuple[Table, Judged, Any]:
    layout = world.layout(kind)
    table = open_table(world.content(file), kind, layout, name=file)
    rows = records(table)
    match kind:
        case "rtf":
            return table, *judge_rtf(rows, members, layout, world.context)
        case "otf":
            return table, *judge_otf(rows, members, layout, world.context)
        case "mif":
            return table, judge_mif(rows, world.providers, layout, world.context), members
        case _:
            return table, judge_referrals(rows, layout, world.sheet)[0], members
