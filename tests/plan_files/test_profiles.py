"""Profiles: what is wrong with one is named before a file is read by it; a draft says what it guessed and why."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from loopkeeper.cli import app
from loopkeeper.plan_files.guessing import guess
from loopkeeper.plan_files.profile_folder import read_profile, read_profiles
from tests.plan_files.worlds import PLANS, SAMPLES, World

COLUMNS: list[dict[str, Any]] = [
    {"heading": "CIN", "field": "member.cin", "needed": True},
    {"heading": "Status", "field": "referral.status", "words": {"accepted": ["Taken"], "closed": ["Done"]}},
]


def profile(*columns: dict[str, Any], kind: str = "rtf", **changes: Any) -> bytes:
    layout = {"name": "{npi}.csv", "dates": ["MM/DD/YYYY"], "columns": [*COLUMNS, *columns]}
    layout |= changes.pop("layout", {})
    document = {
        "plan": "somewhere-plan", "number_in_files": "901", "effective_from": date(2026, 1, 1),
        "source": "companion guide", "confidence": "M", "files": {kind: layout},
    } | changes  # fmt: skip
    return yaml.safe_dump({name: value for name, value in document.items() if value is not None}).encode()


def wrong(content: bytes) -> str:
    _, findings = read_profile(content, "somewhere.yaml")
    assert all(found.fix for found in findings)
    return " ".join(f"{found.place}: {found.sentence}" for found in findings)


def test_a_sound_profile_has_nothing_wrong() -> None:
    assert wrong(profile()) == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (profile({"heading": "Shoe", "field": "member.shoe_size"}), "There is no field member.shoe_size"),
        (profile({"heading": "cin "}), "are the same heading"),
        (profile({"heading": "Other", "also": ["C.I.N."]}), ""),
        (profile({"heading": "Again", "field": "member.cin"}), "member.cin has 2 columns"),
        (profile({"heading": "Diagnosis", "needed": True}), "nothing is read from it"),
        (
            profile({"heading": "Why", "field": "referral.closing_reason", "words": {"other": ["X"], "tired": ["Y"]}}),
            "There is no code tired",
        ),
        (
            profile({"heading": "Why", "field": "referral.closing_reason",
                     "words": {"other": ["No"], "unable_to_reach": ["no."]}}),
            "`no.` is given twice",
        ),
        (profile({"heading": "Why", "field": "referral.closing_reason"}), "needs its words"),
        (profile({"heading": "Zip", "field": "contact.zip", "words": {"x": ["y"]}}), "contact.zip has no words"),
        (profile(effective_from=None), "effective_from"),
        (profile(source=None), "source"),
        (profile(confidence="surely"), "confidence is one of"),
        (profile(number_in_files=901), "number_in_files"),
        (profile(effective_to=date(2025, 1, 1)), "ends before it begins"),
        (profile(layout={"dates": ["MM/DD/YY"]}), "two digits"),
        (profile(layout={"encoding": "klingon"}), "no such encoding"),
        (profile(layout={"name": "{cin}.csv"}), "no part {cin}"),
        (profile(layout={"format": "xlsx"}), "names no sheet"),
        (profile(layout={"delimeter": ";"}), "delimeter"),
        (b"plan: [", "cannot be read"),
        (b"plan: a\nplan: b\n", "written twice"),
        (b"- a\n", "no profile"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(content: bytes, says: str) -> None:
    found = wrong(content)
    assert says in found if says else found == ""


def test_a_sheet_demands_nothing_beyond_the_standard() -> None:
    """loop.md 2.15: whatever else a plan likes to have may be in a sheet, but not be needed."""
    columns = [
        {"heading": "Plan", "field": "plan", "needed": True},
        {"heading": "Notes", "field": "comments", "needed": True},
    ]
    found = wrong(profile(kind="referrals", layout={"columns": columns}))
    assert "comments may not be demanded of who refers" in found


def test_of_a_plan_the_profile_of_the_day_holds_and_two_of_one_day_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    early = profile(effective_to=date(2026, 6, 30), layout={"name": "early.csv"})
    (folder / "plan.yaml").write_bytes(early + b"---\n" + profile(effective_from=date(2026, 7, 1)))
    read = read_profiles(folder)
    assert read.findings == []
    early_layout = read.layout("somewhere-plan", "rtf", date(2026, 6, 30))
    assert early_layout is not None
    assert early_layout.name == "early.csv"
    assert read.of("somewhere-plan", date(2025, 12, 31)) is None
    assert read.layout("somewhere-plan", "mif", date(2026, 7, 1)) is None
    (folder / "again.yaml").write_bytes(profile())
    assert "hold on 2026-01-01" in " ".join(found.sentence for found in read_profiles(folder).findings)


@pytest.mark.parametrize("plan", PLANS)
def test_a_draft_is_yaml_finds_most_fields_and_says_why(plan: str) -> None:
    world = World(plan)
    for said in world.expected:
        if said["kind"] == "referrals" or "file_refused" in said or said["direction"] == "out":
            continue
        text = guess(world.content(said["file"]), said["file"])
        draft = yaml.safe_load(text)
        (kind,) = draft["files"]
        layout = world.profile.files[kind]
        guessed = {column["heading"]: column.get("field") for column in draft["files"][kind]["columns"]}
        fields = {column.heading: column.field for column in layout.columns if column.field}
        right = sum(guessed.get(heading) == field for heading, field in fields.items())
        needed = [column.heading for column in layout.columns if column.field == "member.cin"]
        assert all(guessed[heading] == "member.cin" for heading in needed)
        assert right * 2 >= len(fields), (said["file"], right, len(fields))
        assert set(layout.dates) & set(draft["files"][kind]["dates"])
        assert text.count("# the heading") + text.count("# no field") == len(guessed)


def test_a_draft_repeats_nothing_that_stands_in_a_row_about_a_person() -> None:
    text = guess((SAMPLES / "sampleton" / "SHP_RTF_2000000010_202610_01.csv").read_bytes())
    assert not any(
        private in text for private in ("91000001S", "Placida", "Invented", "101 Sample Way", "555-0101")
    )


def run(home: Path, *words: str) -> Result:
    return CliRunner(env={"LOOPKEEPER_HOME": str(home)}).invoke(app, ["profile", *words])


def test_the_command_line_checks_drafts_and_writes_a_template(tmp_path: Path) -> None:
    folder = tmp_path / "policy" / "files"
    folder.mkdir(parents=True)
    (folder / "sampleton.yaml").write_bytes((SAMPLES / "sampleton" / "profile.yaml").read_bytes())
    assert (run(tmp_path, "check").exit_code, run(tmp_path, "check").output) == (
        0,
        "1 profile, nothing wrong.\n",
    )
    out = tmp_path / "month.xlsx"
    written = run(
        tmp_path, "example", "rtf", "--plan", "sampleton-health-plan", "--on", "2026-11-01", "--out", str(out)
    )
    assert (written.exit_code, out.read_bytes()[:2]) == (0, b"PK")
    draft = run(tmp_path, "guess", str(SAMPLES / "placeholder" / "PPP_ECM_OTF_20261109.xlsx"))
    assert yaml.safe_load(draft.output)["files"]["otf"]["sheet"] == "Outreach"
    (folder / "other.yaml").write_bytes(b"plan: [")
    assert run(tmp_path, "check").exit_code == 1
    for words in (
        ("guess", str(tmp_path / "nothing")),
        ("guess", str(out), "--kind", "x"),
        ("example", "x", "--plan", "y"),
    ):
        assert run(tmp_path, *words).exit_code == 2
    assert run(tmp_path, "example", "rtf", "--plan", "nobody").exit_code == 1
    assert run(tmp_path, "guess", str(SAMPLES / "sampleton" / "broken" / "bytes.csv")).exit_code == 1
