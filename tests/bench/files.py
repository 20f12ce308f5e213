"""What a large file costs: seconds and the whole process's memory, each file in a process of its own. Read, 50 000 rows of
every kind of workbook; taken in, judged and acted on by a service, 5 000 rows on a database.
`python -m tests.bench.files` prints a table; a figure over the bound ends it with 1."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import xlsxwriter
import xlwt

from loopkeeper.plan_files.members import Member
from loopkeeper.plan_files.rtf import READ, judge_rtf
from loopkeeper.plan_files.table import open_table, records
from loopkeeper.spreadsheets import Limits
from tests.plan_files.worlds import World

ROWS, BOUND = 50_000, 150
FIRST = date(2026, 10, 1)
# More than this an old workbook cannot be within the bound of a file's size.
OLD_COLUMNS = 12


def cells(number: int, headings: list[str]) -> list[str]:
    """One row: no two alike."""
    day = FIRST + timedelta(days=number % 28)
    known = {
        "Member Client Index Number (CIN)": f"9{number:07d}S",
        "Referral Status": "Outreach Initiated",
        "Date of Referral Status Update": day.strftime("%m/%d/%Y"),
        "Member Last Name": f"Invented{number}",
        "In Person": str(number % 9),
    }
    return [known.get(heading, f"{heading[:6]} {number}") for heading in headings]


def write_csv(path: Path, headings: list[str]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(headings)
    writer.writerows(cells(number, headings) for number in range(ROWS))
    path.write_bytes(text.getvalue().encode())


def write_xlsx(path: Path, headings: list[str]) -> None:
    book = xlsxwriter.Workbook(str(path), {"constant_memory": False})
    sheet = book.add_worksheet("RTF")
    sheet.write_row(0, 0, headings)
    for number in range(ROWS):
        for place, text in enumerate(cells(number, headings)):
            sheet.write_string(number + 1, place, text)
    book.close()


def write_ods(path: Path, headings: list[str]) -> None:
    from tests.spreadsheets.books import ods

    def row(texts: list[str]) -> str:
        inside = "".join(f"<table:table-cell><text:p>{text}</text:p></table:table-cell>" for text in texts)
        return f"<table:table-row>{inside}</table:table-row>"

    shown = [heading.replace("&", "and") for heading in headings]
    path.write_bytes(ods(row(shown) + "".join(row(cells(number, headings)) for number in range(ROWS))))


def write_xls(path: Path, headings: list[str]) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("RTF")
    needed = ["Member Client Index Number (CIN)", "Member Last Name", "Member First Name", "Referral Status",
              "Date of Referral Status Update", "Reason for Referral Loop Closure"]  # fmt: skip
    chosen = (needed + [heading for heading in headings if heading not in needed])[:OLD_COLUMNS]
    for number in range(-1, ROWS):
        for place, text in enumerate(chosen if number < 0 else cells(number, chosen)):
            sheet.write(number + 1, place, text)
        if number % 1000 == 0:
            sheet.flush_row_data()
    book.save(str(path))


WRITERS: Mapping[str, Callable[[Path, list[str]], None]] = {
    "csv": write_csv,
    "xlsx": write_xlsx,
    "ods": write_ods,
    "xls": write_xls,
}


def most_memory() -> int:
    """The most memory this process has had, in megabytes, and nothing of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def measure(path: str, judged: bool) -> None:
    """Read the file by the layout of a plan and print what it took; `judged`: with the rules of a month file too."""
    layout = World("sampleton").layout("rtf")
    content = Path(path).read_bytes()
    start = time.perf_counter()
    # Only the size is opened wider, so that the same table can be measured in every form.
    table = open_table(content, "rtf", layout, limits=Limits(size=40 << 20))
    count = sum(1 for _ in records(table))
    if judged:
        table = open_table(content, "rtf", layout, limits=Limits(size=40 << 20))
        members = {f"9{number:07d}S": Member(f"9{number:07d}S", "accepted") for number in range(ROWS)}
        judge_rtf(records(table, READ), members, layout, World("sampleton").context)
    peak = most_memory()
    print(json.dumps({"rows": count, "seconds": round(time.perf_counter() - start, 1), "megabytes": peak}))


def in_a_process(*words: str) -> Mapping[str, Any]:
    run = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def main() -> int:
    headings = [column.heading for column in World("sampleton").layout("rtf").columns]
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WRITERS.items():
            path = Path(folder) / f"month.{name}"
            write(path, headings)
            found = in_a_process("tests.bench.files", str(path))
            worst = max(worst, found["megabytes"])
            size = path.stat().st_size / (1 << 20)
            print(
                f"{name:5} {size:5.1f} MB  {found['rows']} rows  {found['seconds']:5.1f} s  "
                f"{found['megabytes']:4} MB of memory (bound {BOUND})"
            )
    found = in_a_process("tests.bench.files_acting")
    print(
        f"acting: {found['done']} of {found['rows']} rows done in {found['seconds']} s, "
        f"{found['done'] / found['seconds']:.0f} rows a second, {found['megabytes']} MB of memory with the whole service"
    )
    return int(worst > BOUND or found["done"] < found["rows"])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], judged="judged" in sys.argv)
    else:
        sys.exit(main())
