"""What is written is read back: member files, month files, returned files and templates, in every layout."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from loopkeeper.plan_files.fields import KINDS, Kind
from loopkeeper.plan_files.mif import Provider, Told, mif_rows
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.returned import ADDED, returned_file
from loopkeeper.plan_files.rtf import judge_rtf
from loopkeeper.plan_files.table import open_table, records
from loopkeeper.plan_files.template import template
from loopkeeper.plan_files.writing import file_name, write_file
from loopkeeper.spreadsheets.book import opened
from loopkeeper.spreadsheets.cells import Unreadable
from loopkeeper.spreadsheets.headings import locate
from tests.plan_files.worlds import PLANS, World

ENGAGED = {"offered": "assigned", "accepted": "assigned", "outreach": "outreach", "serving": "enrolled"}
PERIOD = (date(2026, 10, 1), date(2026, 10, 31))
worlds = pytest.mark.parametrize("world", [World(plan) for plan in PLANS], ids=PLANS)


def told(said: Mapping[str, Any], **changes: Any) -> Told:
    term = said["authorization"]
    known: dict[str, Any] = {
        name: said[name]
        for name in (
            "cin", "first_name", "last_name", "plan_member_id", "language", "phone", "street", "city", "zip",
            "county", "homeless", "medicare", "source",
        )
    }  # fmt: skip
    known |= {
        "birth_date": date.fromisoformat(said["birth_date"]),
        "populations": tuple(said["populations"]),
        "engagement": ENGAGED[said["state"]],
        "new": said["state"] == "offered",
        "state": "CA",
        "authorization": term["number"],
        "term_from": date.fromisoformat(term["from"]),
        "term_through": date.fromisoformat(term["through"]),
        "received_on": date.fromisoformat(said["received_on"]),
    }
    return Told(**known | changes)


def provider(world: World) -> Provider:
    sender = world.said["sender"]
    return Provider(**{name: sender[name] for name in ("slug", "name", "npi", "tin", "phone")})


def read(content: bytes, kind: Kind, layout: Layout) -> list[Mapping[str, Any]]:
    return [dict(record.values) for record in records(open_table(content, kind, layout))]


@worlds
def test_the_member_file_says_what_the_sample_of_the_plan_says(world: World) -> None:
    layout = world.layout("mif")
    (golden,) = [said for said in world.expected if said["direction"] == "out"]
    members = [told(said) for said in world.said["members"] if said["state"] in ENGAGED]
    context = World(world.name).context
    rows = mif_rows(members, context, provider(world), PERIOD)
    written = read(write_file("mif", layout, rows), "mif", layout)
    wanted = read(world.content(golden["file"]), "mif", layout)
    # The samples were made a week before they arrive.
    for row in (*written, *wanted):
        if "file.produced_on" in row:
            row.pop("file.produced_on")
    assert len(written) == golden["rows_written"]
    assert written == wanted


@worlds
def test_a_restricted_member_is_told_with_the_designated_contact_alone(world: World) -> None:
    """loop.md 6.2: phone, e-mail and home stay out; the rule's words go along where the layout has a column."""
    said = next(each for each in world.said["members"] if each["state"] == "serving")
    member = told(
        said, restricted=True, designated_contact="Box 9, Sampletown", contact_rule="Only by letter"
    )
    layout = world.layout("mif")
    content = write_file("mif", layout, mif_rows([member], world.context, provider(world), PERIOD))
    (row,) = read(content, "mif", layout)
    assert row["member.street"] == "Box 9, Sampletown"
    assert not {"member.phone", "member.city", "member.zip", "member.email"} & set(row)


@worlds
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "decisions"])
def test_what_is_read_from_a_file_can_be_written_and_read_again_without_loss(
    world: World, kind: Kind
) -> None:
    layout = world.layout(kind)
    for said in world.expected:
        if said["kind"] != kind or "file_refused" in said:
            continue
        rows = read(world.content(said["file"]), kind, layout)
        assert read(write_file(kind, layout, rows), kind, layout) == rows


@worlds
def test_the_month_comes_back_with_the_result_of_each_row_and_only_corrected_rows_act(world: World) -> None:
    layout = world.layout("rtf")
    said = next(each for each in world.expected if each["kind"] == "rtf")
    content = world.content(said["file"])
    judged, after = judge_rtf(
        records(open_table(content, "rtf", layout)), world.members, layout, world.context
    )
    back = returned_file(content, layout, judged, name=said["file"])
    _, found, below = locate(opened(back.content), layout.headings, layout.sheet)
    assert found.shown[-3:] == ADDED
    first = len(found.shown) - len(ADDED)
    results = {
        row.number: tuple(str(cell or "") for cell in (*row.cells, None, None, None)[first : first + 3])
        for row in below
    }
    for outcome in judged.outcomes:
        result, code, fix = results[outcome.row]
        assert (result, code) == (
            outcome.result,
            ", ".join(filter(None, [outcome.code, *(w.code for w in outcome.warnings)])),
        )
        assert bool(fix) == bool(code)
    # The very same file is read by the same layout: what was accepted is unchanged, what was refused still is.
    table = open_table(back.content, "rtf", layout)
    again, _ = judge_rtf(records(table), after, layout, world.context)
    assert {o.row: o.result for o in again.outcomes} == {
        o.row: "unchanged" if o.result == "accepted" else o.result for o in judged.outcomes
    }
    assert table.skipped == said.get("skipped", [])
    # Answered twice, it has the three columns once.
    twice = returned_file(back.content, layout, again)
    assert locate(opened(twice.content), layout.headings, layout.sheet)[1].shown == found.shown


@worlds
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "decisions"])
def test_a_template_is_read_by_its_layout_and_has_no_row_yet(world: World, kind: Kind) -> None:
    with pytest.raises(Unreadable) as refused:
        list(records(open_table(template(kind, world.profile), kind, world.layout(kind))))
    assert refused.value.code == "no-rows"
    book = opened(template(kind, world.profile))
    assert [sheet.name for sheet in book.sheets if sheet.visible][1:] == ["How to fill it in"]


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x")', "+1", "-2+3", "@cmd", "'quoted", "=1+1"])
@worlds
def test_no_text_is_written_as_a_formula_and_none_is_changed(world: World, text: str) -> None:
    layout = world.layout("referrals")
    row = {"plan": "sampleton-health-plan", "cin": "90000001S", "usual_place": text, "city": text}
    name = "name" if layout.has("name") else "last_name"
    content = write_file("referrals", layout, [row | {name: text}])
    (back,) = read(content, "referrals", layout)
    assert back[name] == text
    if layout.format == "csv" and text[0] != "'":
        assert f"{layout.delimiter}{text[0]}".encode() not in content.replace(b'"', b"")
    elif layout.format == "xlsx":
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            assert not any(b"<f>" in parts.read(name) for name in parts.namelist())


def test_a_files_name_is_the_plans_and_says_nothing_of_a_person() -> None:
    layout = World("sampleton").layout("rtf")
    assert file_name(layout, date(2026, 11, 9), npi="2000000010") == "SHP_RTF_2000000010_202611_01.csv"
