"""Files nobody here has seen: a draft of their profile is right but for what only a person knows, and they are read whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache

import pytest
import yaml

from loopkeeper.plan_files.guessing import guess
from loopkeeper.plan_files.outcomes import Judged, Outcome
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.profile_folder import read_profile
from loopkeeper.plan_files.returned import returned_file
from loopkeeper.plan_files.table import Record, Table, open_table, records
from loopkeeper.plan_files.writing import write_file
from tests.plan_files.foreign import FOREIGN, Foreign

files = pytest.mark.parametrize("file", [pytest.param(each, id=each.name) for each in FOREIGN])


@cache
def draft(name: str) -> str:
    file = next(each for each in FOREIGN if each.name == name)
    return guess(file.content, file.name)


def layout(file: Foreign) -> Layout:
    """The draft, once a person has named the plan and the words that nobody could guess."""
    text = draft(file.name).replace("WHICH-PLAN", "another-plan")
    for guessed, written in file.corrected.items():
        assert guessed in text
        text = text.replace(guessed, written)
    (profile,), wrong = read_profile(text.encode(), file.name)
    assert wrong == []
    return profile.files[file.kind]


def read(file: Foreign, content: bytes, by: Layout) -> tuple[Table, Sequence[Record]]:
    table = open_table(content, file.kind, by, name=file.name)
    return table, list(records(table))


@files
def test_the_kind_the_headings_and_the_fields_of_a_file_are_found(file: Foreign) -> None:
    (kind,) = yaml.safe_load(draft(file.name))["files"]
    assert kind == file.kind
    guessed = {column.heading: column.field for column in layout(file).columns}
    assert {heading: guessed.get(heading) for heading in file.fields} == dict(file.fields)


@files
def test_a_draft_repeats_nothing_about_a_person(file: Foreign) -> None:
    text = draft(file.name)
    about = (
        "member.cin",
        "cin",
        "member.last_name",
        "last_name",
        "member.name",
        "name",
        "member.street",
        "member.phone",
        "phone",
    )
    private = {str(row[name]) for row in file.rows.values() for name in about if row.get(name)}
    assert [word for word in sorted(private) if word in text] == []


@files
def test_every_row_says_what_a_person_sees_in_it(file: Foreign) -> None:
    table, rows = read(file, file.content, layout(file))
    assert {record.row: dict(record.values) for record in rows} == dict(file.rows)
    assert {record.row: dict(record.faults) for record in rows if record.faults} == dict(file.faults)
    assert (table.hidden, table.skipped) == (list(file.hidden), list(file.skipped))


@files
def test_the_file_comes_back_and_is_read_again_by_the_same_draft(file: Foreign) -> None:
    by = layout(file)
    _, rows = read(file, file.content, by)
    answer = Judged([Outcome(record.row, "refused", code="date-required") for record in rows])
    returned = returned_file(file.content, by, answer, name=file.name)
    _, again = read(file, returned.content, by)
    assert [(each.row, dict(each.values)) for each in again] == [
        (each.row, dict(each.values)) for each in rows
    ]
    assert [dict(each.faults) for each in again] == [dict(each.faults) for each in rows]


@files
def test_what_is_written_by_the_draft_is_read_back_by_it(file: Foreign) -> None:
    by = layout(file)
    said = [dict(row) for row in file.rows.values()]
    _, again = read(file, write_file(file.kind, by, said), by)
    assert [dict(each.values) for each in again] == said


def test_a_column_of_cins_is_found_whatever_it_is_called() -> None:
    content = b"Which,Last Name,DOB,Auth Start\n90000001S,Reyes,05/17/1964,10/02/2026\n90000002S,Marsh,01/02/1990,10/02/2026\n"
    (column, *_) = yaml.safe_load(guess(content))["files"]["mif"]["columns"]
    assert column["field"] == "member.cin"


def test_what_a_person_must_decide_is_named_by_the_check() -> None:
    content = b"CIN,Attempt Date,Method,Reached\n90000001S,10/05/26,Carrier pigeon,Y\n"
    text = guess(content)
    assert "years have two digits" in text
    assert "in place of each WHICH-CODE" in text
    _, wrong = read_profile(text.encode(), "draft")
    said = " ".join(found.sentence for found in wrong)
    assert "WHICH-CODE" in said or "plan" in said


def test_the_last_line_is_looked_at_however_long_the_file_is() -> None:
    rows = "".join(f"9{n:07d}S,10/05/2026,Phone,N\n" for n in range(700))
    text = guess(f"CIN,Attempt Date,Method,Reached\n{rows}TRL,700\n".encode())
    assert yaml.safe_load(text)["files"]["otf"]["trailer"] == "TRL"


def test_an_error_that_became_text_is_an_error_and_no_value() -> None:
    content = b"CIN,Last Name,Attempt Date,Method,Reached,Minutes\n90000001S,#N/A,#REF!,Phone,N,####\n90000002S,Marsh #2,10/05/2026,Phone,N,5\n"
    (profile,), _ = read_profile(guess(content).replace("WHICH-PLAN", "another-plan").encode(), "draft")
    first, second = records(open_table(content, "otf", profile.files["otf"]))
    assert dict(first.faults) == dict.fromkeys(
        ("member.last_name", "attempt.on", "attempt.minutes"), "cell-error"
    )
    assert (second["member.last_name"], second.faults) == ("Marsh #2", {})


def test_numbered_headings_and_what_exports_do_to_days_and_zeros_are_read_as_meant() -> None:
    """`="01234"` keeps a zero, `0:00` is the midnight of a day, and 46301 is a day."""
    content = (
        b'1. CIN*,"2. Member\'s Last Name",3. DOB (MM/DD/YYYY),4. Member Zip,Referral Status,Referral Status Date,Why Closed\r\n'
        b'="90000001S",Reyes,05/17/1964 0:00,="01234",Accepted,10/5/2026 0:00,\r\n'
        b'"=""90000002S""",Marsh,1/2/1990,1235,Closed,46301,Unable to Reach\r\n'
    )
    (profile,), wrong = read_profile(guess(content).replace("WHICH-PLAN", "another-plan").encode(), "draft")
    assert wrong == []
    first, second = records(open_table(content, "rtf", profile.files["rtf"]))
    assert (first.values, first.faults) == (
        {"member.cin": "90000001S", "member.last_name": "Reyes", "member.birth_date": date(1964, 5, 17),
         "member.zip": "01234", "referral.status": "accepted", "referral.status_on": date(2026, 10, 5)}, {},
    )  # fmt: skip
    assert (second["member.cin"], second["member.zip"], second["referral.status_on"]) == (
        "90000002S", "01235", date(2026, 10, 6),
    )  # fmt: skip
