"""Files of plans and clinics that nobody here has seen: their oddities, and what each of them says. Nobody here exists.

Each is what a person would see who opens it: `fields` are the columns that must be found by their headings, `rows` what
is to be read of each row by its number.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import xlsxwriter
import xlwt

from loopkeeper.plan_files.fields import Kind
from tests.spreadsheets.books import ods, zipped


@dataclass(frozen=True)
class Foreign:
    """A file of somebody else, and what it says."""

    name: str
    kind: Kind
    content: bytes
    # Of each heading the field that it is.
    fields: Mapping[str, str]
    rows: Mapping[int, Mapping[str, Any]]
    # What a person writes into the draft before it is used.
    corrected: Mapping[str, str] = field(default_factory=dict[str, str])
    faults: Mapping[int, Mapping[str, str]] = field(default_factory=dict[int, "Mapping[str, str]"])
    hidden: Sequence[int] = ()
    skipped: Sequence[int] = ()


def _workbook(fill: Callable[[Any], None], options: Mapping[str, Any] | None = None) -> bytes:
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True, **(options or {})})
    fill(book)
    book.close()
    return content.getvalue()


# ── a month whose headings take two rows ──────────────────────────────────────────────────────────────────


def pinecrest() -> Foreign:
    """Merged titles, groups over the headings, one heading under two groups, formulas, error cells, a hidden row and a
    hidden column, a row that is not there in the middle, a line of totals."""

    def fill(book: Any) -> None:
        day = book.add_format({"num_format": "m/d/yyyy"})
        sheet = book.add_worksheet("Oct 2026")
        sheet.merge_range("A1:N1", "Pinecrest Community Plan - ECM Return File")
        sheet.merge_range("A2:N2", "October 2026: send by the 15th to your plan's SFTP folder")
        for cells, text in (("A4:A5", "CIN"), ("B4:B5", "Member Name"), ("C4:C5", "Date of Birth")):
            sheet.merge_range(cells, text)
        sheet.merge_range("D4:F4", "Referral Status")
        sheet.write_row("D5", ["Status", "Date", "Reason"])
        sheet.merge_range("G4:H4", "Discontinuation")
        sheet.write_row("G5", ["Date", "Reason Code"])
        sheet.merge_range("I4:J4", "Encounters")
        sheet.write_row("I5", ["In Person", "Telephonic/Video"])
        sheet.merge_range("K4:K5", "Lead Care Manager")
        sheet.write_row("L5", ["NPI", "Row Check", "Reporting Period"])
        period = "10/01/2026 - 10/31/2026"

        def row(
            at: int, cin: str, name: str, status: str, on: date | str, reason: str = "", **more: Any
        ) -> None:
            sheet.write_row(at - 1, 0, [cin, name])
            sheet.write_datetime(at - 1, 2, date(1964, 5, 17), day)
            sheet.write(at - 1, 3, status)
            if isinstance(on, str):
                sheet.write_string(at - 1, 4, on)
            else:
                sheet.write_datetime(at - 1, 4, on, day)
            sheet.write(at - 1, 5, reason)
            if "ended" in more:
                sheet.write_datetime(at - 1, 6, more["ended"], day)
                sheet.write_number(at - 1, 7, more["code"])
            sheet.write_formula(at - 1, 8, f"=COUNTIF(Log!A:A,A{at})", None, more.get("visits", 0))
            sheet.write_number(at - 1, 9, 1)
            sheet.write(at - 1, 10, more.get("lead", "Luis Ortega"))
            sheet.write_number(at - 1, 11, 2000000010)
            sheet.write_formula(at - 1, 12, "=VLOOKUP(A1,Log!A:B,2)", None, "#N/A")
            sheet.write(at - 1, 13, period)

        row(6, "95000001S", "Reyes, Ana", "Outreach Started", date(2026, 10, 5), visits=2)
        row(7, "95000002S", "Núñez, José", "Closed", date(2026, 10, 9), "Services began", visits=3)
        sheet.set_row(6, None, None, {"hidden": True})
        sheet.set_column("C:C", 12, None, {"hidden": True})
        # Row 8 is empty.
        row(9, "95000003S", "Marsh, Leo", "Accepted", "10/12/2026", lead="Carla Example")
        row(10, "95000004S", "Tran, Kim", "Closed", date(2026, 9, 1), "Services began",
            ended=date(2026, 10, 20), code=8)  # fmt: skip
        sheet.write_formula(10, 8, "=1/0", None, "#DIV/0!")
        sheet.write_row(10, 0, ["95000005S", "Okafor, Ada"])
        sheet.write(10, 3, "Accepted")
        sheet.write_formula(10, 4, "=Log!Z9", None, "#REF!")
        sheet.write(10, 10, "Luis Ortega")
        sheet.write(11, 0, "Total rows")
        sheet.write_formula(11, 1, "=COUNTA(A6:A11)", None, 5)
        log = book.add_worksheet("Log")
        log.write_row(0, 0, ["CIN", "Day", "Note"])
        log.write_row(1, 0, ["95000001S", "10/05/2026", "call"])

    born = date(1964, 5, 17)
    whole = (date(2026, 10, 1), date(2026, 10, 31))
    more = {
        "member.birth_date": born,
        "count.remote": 1,
        "provider.npi": "2000000010",
        "file.period": whole,
    }
    return Foreign(
        "Pinecrest ECM Return Oct 2026.xlsx",
        "rtf",
        _workbook(fill),
        {
            "CIN": "member.cin", "Member Name": "member.name", "Date of Birth": "member.birth_date",
            "Status": "referral.status", "Reason": "referral.closing_reason", "In Person": "count.in_person", "Telephonic/Video": "count.remote",
            "Lead Care Manager": "lead.name", "NPI": "provider.npi", "Reason Code": "ecm.end_code",
            "Reporting Period": "file.period",
        },
        {
            6: {"member.cin": "95000001S", "member.name": "Reyes, Ana", "referral.status": "outreach_initiated",
                "referral.status_on": date(2026, 10, 5), "count.in_person": 2, "lead.name": "Luis Ortega", **more},
            7: {"member.cin": "95000002S", "member.name": "Núñez, José", "referral.status": "closed",
                "referral.status_on": date(2026, 10, 9), "referral.closing_reason": "services_received",
                "count.in_person": 3, "lead.name": "Luis Ortega", **more},
            9: {"member.cin": "95000003S", "member.name": "Marsh, Leo", "referral.status": "accepted",
                "referral.status_on": date(2026, 10, 12), "count.in_person": 0, "lead.name": "Carla Example", **more},
            10: {"member.cin": "95000004S", "member.name": "Tran, Kim", "referral.status": "closed",
                 "referral.status_on": date(2026, 9, 1), "referral.closing_reason": "services_received",
                 "ecm.ended_on": date(2026, 10, 20), "ecm.end_code": "8", "count.in_person": 0,
                 "lead.name": "Luis Ortega", **more},
            11: {"member.cin": "95000005S", "member.name": "Okafor, Ada", "referral.status": "accepted",
                 "lead.name": "Luis Ortega"},
        },
        faults={11: {"referral.status_on": "cell-error", "count.in_person": "cell-error"}},
        hidden=(7,),
        skipped=(12,),
    )  # fmt: skip


# ── text of every kind ────────────────────────────────────────────────────────────────────────────────────


def alder() -> Foreign:
    """Windows letters, semicolons, quoted cells with delimiters and line breaks, days without zeros, lost zeros."""
    lines = [
        "Alder County Health Authority;;;;;;;;;",
        "ECM Member Information File;;;;;;;;;",
        "",
        "CIN;Last Name;First Name;DOB;Preferred Language;Phone Number;Address;City;Zip;Authorization Number;NPI",
        '95100001S;Núñez;José;3/7/1961;Spanish;555-0101;"12 Calle Ñandú; Apt ""B""";Sampletown;01234;0000123;2000000010',
        '95100002S;"O\'Brien";Zoë;12/31/1958;English;(555) 555-0102;"1 Sample Way\r\nRear unit";Sampletown;1235;0000124;2000000010',
        "95100003S;Peña-Ruiz;Ana María;1/1/1990;Vietnamese;5555550103;3 Sample Way;Sampletown;01236;6.45722E+12;2000000010",
        ";;;;;;;;;;",
        "Total members: 3;;;;;;;;;;",
    ]
    content = ("\r\n".join(lines) + "\r\n").encode("cp1252")
    same = {"member.city": "Sampletown", "provider.npi": "2000000010"}
    return Foreign(
        "alder mif.csv",
        "mif",
        content,
        {
            "CIN": "member.cin", "Last Name": "member.last_name", "First Name": "member.first_name",
            "DOB": "member.birth_date", "Preferred Language": "member.language", "Phone Number": "member.phone",
            "Address": "member.street", "City": "member.city", "Zip": "member.zip", "NPI": "provider.npi",
            "Authorization Number": "authorization.number",
        },
        {
            5: {"member.cin": "95100001S", "member.last_name": "Núñez", "member.first_name": "José",
                "member.birth_date": date(1961, 3, 7), "member.language": "es", "member.phone": "555-0101",
                "member.street": '12 Calle Ñandú; Apt "B"', "member.zip": "01234", "authorization.number": "0000123", **same},
            6: {"member.cin": "95100002S", "member.last_name": "O'Brien", "member.first_name": "Zoë",
                "member.birth_date": date(1958, 12, 31), "member.language": "en", "member.phone": "(555) 555-0102",
                "member.street": "1 Sample Way Rear unit", "member.zip": "01235", "authorization.number": "0000124", **same},
            7: {"member.cin": "95100003S", "member.last_name": "Peña-Ruiz", "member.first_name": "Ana María",
                "member.birth_date": date(1990, 1, 1), "member.language": "vi", "member.phone": "5555550103",
                "member.street": "3 Sample Way", "member.zip": "01236", **same},
        },
        faults={7: {"authorization.number": "cell-damaged"}},
        skipped=(8, 9),
    )  # fmt: skip


def tamarack() -> Foreign:
    """UTF-16 with tabs, codes in place of words, lengths of time of every form, an attempt twice, a trailer."""
    rows = [
        ("Tamarack Health", "", "", "", "", "", "", ""),
        (
            "Provider NPI",
            "Client Name",
            "Medi-Cal ID",
            "Attempt Date",
            "Method",
            "Successful",
            "Staff",
            "Minutes",
        ),
        ("2000000010", "Núñez, José", "95200001S", "2026-10-05", "Phone", "N", "CHW", "1:10"),
        ("2000000010", "Núñez, José", "95200001S", "2026-10-05", "Phone", "N", "CHW", "1:10"),
        (
            "2000000010",
            "Reyes, Ana",
            "95200002S",
            "2026-10-06T00:00:00",
            "In Person",
            "Y",
            "Peer",
            "1 h 5 min",
        ),
        ("2000000010", "Marsh, Leo", "95200003S", "2026-10-07 12:00 AM", "Text", "N", "CHW", "about five"),
        ("TLR", "4", "", "", "", "", "", ""),
    ]
    content = "\r\n".join("\t".join(row) for row in rows).encode("utf-16")
    npi = {"provider.npi": "2000000010"}
    jose = {
        "member.name": "Núñez, José", "member.cin": "95200001S", "attempt.on": date(2026, 10, 5),
        "attempt.method": "phone", "attempt.successful": False, "attempt.by": "community_health_worker", "attempt.minutes": 70, **npi,
    }  # fmt: skip
    return Foreign(
        "tamarack.txt",
        "otf",
        content,
        {
            "Provider NPI": "provider.npi", "Client Name": "member.name", "Medi-Cal ID": "member.cin",
            "Attempt Date": "attempt.on", "Method": "attempt.method", "Successful": "attempt.successful",
            "Staff": "attempt.by", "Minutes": "attempt.minutes",
        },
        {
            3: jose,
            4: jose,
            5: {"member.name": "Reyes, Ana", "member.cin": "95200002S", "attempt.on": date(2026, 10, 6),
                "attempt.method": "in_person", "attempt.successful": True, "attempt.by": "peer", "attempt.minutes": 65, **npi},
            6: {"member.name": "Marsh, Leo", "member.cin": "95200003S", "attempt.on": date(2026, 10, 7),
                "attempt.method": "text", "attempt.successful": False, "attempt.by": "community_health_worker", **npi},
        },
        faults={6: {"attempt.minutes": "minutes-unreadable"}},
        skipped=(7,),
    )  # fmt: skip


def manzanita() -> Foreign:
    """Pipes, a record of the file above its headings, a mark of the kind of line, a trailer that counts with zeros."""
    lines = [
        "H|MANZANITA|RTF|20261109|2000000010",
        "REC_TYPE|PLAN_ID|PROVIDER_NPI|CIN|LAST_NAME|FIRST_NAME|REFERRAL_STATUS|STATUS_DATE|CLOSE_REASON|LEAD_CARE_MANAGER|RPT_PERIOD",
        "D|0905|2000000010|95300001S|REYES|ANA|OI|20261005|||20261001-20261031",
        "D|0905|2000000010|95300002S|MARSH|LEO|CL|20261012|SR|LUIS ORTEGA|20261001-20261031",
        'D|905|2000000010|95300003S|"TRAN"|KIM|AC|20261013||LUIS ORTEGA|20261001-20261031',
        "T|0000003",
    ]
    content = ("\n".join(lines) + "\n").encode()
    same = {
        "plan.number": "0905", "provider.npi": "2000000010",
        "file.period": (date(2026, 10, 1), date(2026, 10, 31)),
    }  # fmt: skip
    return Foreign(
        "MANZ_RTF_20261109.txt",
        "rtf",
        content,
        {
            "PLAN_ID": "plan.number", "PROVIDER_NPI": "provider.npi", "CIN": "member.cin",
            "LAST_NAME": "member.last_name", "FIRST_NAME": "member.first_name", "REFERRAL_STATUS": "referral.status",
            "STATUS_DATE": "referral.status_on", "CLOSE_REASON": "referral.closing_reason",
            "LEAD_CARE_MANAGER": "lead.name", "RPT_PERIOD": "file.period",
        },
        {
            3: {"member.cin": "95300001S", "member.last_name": "REYES", "member.first_name": "ANA",
                "referral.status": "outreach_initiated", "referral.status_on": date(2026, 10, 5), **same},
            4: {"member.cin": "95300002S", "member.last_name": "MARSH", "member.first_name": "LEO",
                "referral.status": "closed", "referral.status_on": date(2026, 10, 12),
                "referral.closing_reason": "services_received", "lead.name": "LUIS ORTEGA", **same},
            5: {"member.cin": "95300003S", "member.last_name": "TRAN", "member.first_name": "KIM",
                "referral.status": "accepted", "referral.status_on": date(2026, 10, 13), "lead.name": "LUIS ORTEGA", **same},
        },
        skipped=(6,),
    )  # fmt: skip


# ── workbooks of other programs ───────────────────────────────────────────────────────────────────────────


def juniper() -> Foreign:
    """An old workbook whose days count from 1904, with a hidden sheet, a hidden column, numbers for identifiers."""
    book = xlwt.Workbook()
    book.dates_1904 = True
    hidden = book.add_sheet("Lists")
    hidden.visibility = 1
    for n, text in enumerate(("Date of Attempt", "CIN", "Method", "Outcome")):
        hidden.write(0, n, text)
    sheet = book.add_sheet("Outreach Log")
    style = xlwt.easyxf(num_format_str="M/D/YYYY h:mm")
    sheet.write_merge(0, 0, 0, 6, "JUNIPER PLAN OUTREACH TRACKING")
    headings = ("Client ID", "Client Index Number", "Client Last Name", "Client First Name", "Date of Attempt",
                "How Attempted", "Was Member Reached", "Time Spent (min)")  # fmt: skip
    for place, text in enumerate(headings):
        sheet.write(2, place, text)
    days = (datetime(2026, 10, 5, 14, 30), datetime(2026, 10, 6), datetime(2026, 10, 7))  # noqa: DTZ001 as written
    people = (("95400001s", "Reyes", "Ana", "telephone call", "No", 5.0), ("95400002S ", "Marsh", "Leo", "in-person", "Yes", 45.0),
              (" 9540 0003 S", "Tran", "Kim", "video", "No", ""))  # fmt: skip
    for n, ((cin, last, first, how, reached, minutes), on) in enumerate(zip(people, days, strict=True), 3):
        sheet.write(n, 0, 100 + n)
        sheet.write(n, 1, cin)
        sheet.write(n, 2, last)
        sheet.write(n, 3, first)
        sheet.write(n, 4, on, style)
        sheet.write(n, 5, how)
        sheet.write(n, 6, reached)
        sheet.write(n, 7, minutes)
    sheet.col(0).hidden = True
    sheet.row(4).hidden = True
    content = io.BytesIO()
    book.save(content)
    return Foreign(
        "outreach.xls",
        "otf",
        content.getvalue(),
        {
            "Client ID": "member.plan_member_id", "Client Index Number": "member.cin", "Client Last Name": "member.last_name",
            "Client First Name": "member.first_name", "Date of Attempt": "attempt.on", "How Attempted": "attempt.method",
            "Was Member Reached": "attempt.successful", "Time Spent (min)": "attempt.minutes",
        },
        {
            4: {"member.plan_member_id": "103", "member.cin": "95400001s", "member.last_name": "Reyes", "member.first_name": "Ana",
                "attempt.on": date(2026, 10, 5), "attempt.method": "phone", "attempt.successful": False, "attempt.minutes": 5},
            5: {"member.plan_member_id": "104", "member.cin": "95400002S", "member.last_name": "Marsh", "member.first_name": "Leo",
                "attempt.on": date(2026, 10, 6), "attempt.method": "in_person", "attempt.successful": True, "attempt.minutes": 45},
            6: {"member.plan_member_id": "105", "member.cin": "9540 0003 S", "member.last_name": "Tran", "member.first_name": "Kim",
                "attempt.on": date(2026, 10, 7), "attempt.method": "video", "attempt.successful": False},
        },
        hidden=(5,),
    )  # fmt: skip


def laurel() -> Foreign:
    """A clinic's OpenDocument sheet: merged title, a plan merged down, populations in columns, serial days as numbers."""

    def cell(text: str, more: str = "") -> str:
        return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"

    def row(cells: Sequence[str]) -> str:
        return f"<table:table-row>{''.join(cells)}</table:table-row>"

    def day(iso: str) -> str:
        return cell(iso, f'office:value-type="date" office:date-value="{iso}"')

    empty, covered = "<table:table-cell/>", "<table:covered-table-cell/>"
    headings = ("Plan", "Patient Last Name", "Patient First Name", "Birthdate", "Medi-Cal #", "County of Residence",
                "Preferred Language", "Cell Phone", "Homeless", "SMI/SUD", "Other POF", "Comments")  # fmt: skip
    merged = cell("Sampleton Health Plan", 'table:number-rows-spanned="2" table:number-columns-spanned="1"')
    rows = [
        row([cell("Laurel Street Clinic - people to refer", 'table:number-columns-spanned="12"'), covered * 11]),
        '<table:table-row table:number-rows-repeated="2"><table:table-cell/></table:table-row>',
        row([cell(each) for each in headings]),
        row([merged, cell("Ibarra"), cell("Rosa"), day("1970-05-02"), cell("95500001S"), cell("Alameda"), cell("Spanish"),
             cell("555-0101"), cell("x"), empty, empty, cell("Sleeps near the <text:s text:c='1'/>river")]),
        row([covered, cell("Castro"), cell("Iván"), cell("05/03/1971"), empty, cell("Alameda County"), cell("English"),
             cell("555-0102"), empty, cell("X"), cell("LTC At Risk"), empty]),
        '<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="1024"/></table:table-row>',
    ]  # fmt: skip
    plan = {"plan": "sampleton-health-plan"}
    return Foreign(
        "laurel clinic.ods",
        "referrals",
        ods("".join(rows)),
        {
            "Plan": "plan", "Patient Last Name": "last_name", "Patient First Name": "first_name", "Birthdate": "birth_date",
            "Medi-Cal #": "cin", "County of Residence": "county", "Preferred Language": "language", "Cell Phone": "phone",
            "Homeless": "population.homelessness", "SMI/SUD": "population.smi_sud", "Comments": "comments",
        },
        {
            5: {"last_name": "Ibarra", "first_name": "Rosa", "birth_date": date(1970, 5, 2), "cin": "95500001S", "county": "alameda",
                "language": "es", "phone": "555-0101", "population.homelessness": True,
                "comments": "Sleeps near the river", **plan},
            6: {"last_name": "Castro", "first_name": "Iván", "birth_date": date(1971, 5, 3), "county": "alameda", "language": "en",
                "phone": "555-0102", "population.smi_sud": True, **plan},
        },
    )  # fmt: skip


def sequoia() -> Foreign:
    """A workbook that begins with a sheet of explanations: numbers and days of every kind, a name twice, duplicates."""

    def fill(book: Any) -> None:
        day = book.add_format({"num_format": "dd-mmm-yyyy"})
        about = book.add_worksheet("READ ME")
        about.write_row(0, 0, ["Field", "Meaning"])
        about.write_column(1, 0, ["CIN", "Last Name", "First Name", "DOB", "Zip", "Gender"])
        sheet = book.add_worksheet("CS & ECM MIF")
        sheet.write(0, 0, "SEQUOIA NETWORK LEAD - MEMBER INFORMATION FILE (CONFIDENTIAL)")
        sheet.write(1, 0, "Run date:")
        sheet.write_datetime(1, 1, date(2026, 11, 9), day)
        headings = ("MCP_CIN", "MRN", "Member  Last Name", "Member First\nName", "Member Date of Birth", "Gender",
                    "Member Resdential Address", "Residential City", "Residential Zip Code", "Coverage County",
                    "Primary Phone Number", "Primary Phone Number", "Auth #", "Auth Start", "Auth End",
                    "ECM Provider NPI", "Population of Focus")  # fmt: skip
        sheet.write_row(3, 0, headings)
        sheet.autofilter(3, 0, 6, 16)
        one = ("95600001S", 1234, "Reyes", "Ana", None, "F", "1 Sample Way", "Sampletown", 1234, "Fresno County",
               5555550101, "", 645722123456, None, None, 2000000010, "Homelessness; SMI/SUD")  # fmt: skip
        two = ("95600002S", 12, "Marsh", "Leo", "1990-01-02", "M", "2 Sample Way", "Sampletown", "01235", "FRESNO",
               "", "555.555.0102", "6.45722E+12", "10/02/2026", "10/01/2027", "2000000010", "Justice Involved")  # fmt: skip
        for at, cells in ((4, one), (5, two), (6, two)):
            for place, cell in enumerate(cells):
                if cell is not None:
                    sheet.write(at, place, cell)
        sheet.write_datetime(4, 4, date(1964, 5, 17), day)
        sheet.write_datetime(4, 13, date(2026, 10, 2), day)
        sheet.write_datetime(4, 14, date(2027, 10, 1), day)
        lists = book.add_worksheet("lists")
        lists.write_column(0, 0, ["Homelessness", "Justice Involved"])
        lists.hide()

    two = {
        "member.cin": "95600002S", "member.plan_member_id": "12", "member.last_name": "Marsh", "member.first_name": "Leo",
        "member.birth_date": date(1990, 1, 2), "member.gender": "M", "member.street": "2 Sample Way", "member.city": "Sampletown",
        "member.zip": "01235", "member.county": "fresno", "member.phone": "555.555.0102", "provider.npi": "2000000010",
        "authorization.from": date(2026, 10, 2), "authorization.through": date(2027, 10, 1),
        "member.populations": ("incarceration",),
    }  # fmt: skip
    return Foreign(
        "SEQ_MIF_20261109.xlsx",
        "mif",
        _workbook(fill),
        {
            "MCP_CIN": "member.cin", "MRN": "member.plan_member_id", "Member Last Name": "member.last_name",
            "Member First Name": "member.first_name", "Member Date of Birth": "member.birth_date", "Gender": "member.gender",
            "Member Resdential Address": "member.street", "Residential City": "member.city",
            "Residential Zip Code": "member.zip", "Coverage County": "member.county",
            "Primary Phone Number": "member.phone", "Auth #": "authorization.number", "Auth Start": "authorization.from",
            "Auth End": "authorization.through", "ECM Provider NPI": "provider.npi",
            "Population of Focus": "member.populations",
        },
        {
            5: {"member.cin": "95600001S", "member.plan_member_id": "1234", "member.last_name": "Reyes", "member.first_name": "Ana",
                "member.birth_date": date(1964, 5, 17), "member.gender": "F", "member.street": "1 Sample Way",
                "member.city": "Sampletown", "member.zip": "01234", "member.county": "fresno", "member.phone": "5555550101",
                "authorization.number": "645722123456", "authorization.from": date(2026, 10, 2),
                "authorization.through": date(2027, 10, 1), "provider.npi": "2000000010",
                "member.populations": ("homelessness", "smi_sud")},
            6: two,
            7: two,
        },
        faults={6: {"authorization.number": "cell-damaged"}, 7: {"authorization.number": "cell-damaged"}},
    )  # fmt: skip


def ponderosa() -> Foreign:
    """A workbook as a reporting tool writes it: prefixes, texts within the cells, no places, no styles, absolute paths."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

    def text(said: str) -> str:
        return f'<x:c t="inlineStr"><x:is><x:r><x:t>{said[:2]}</x:t></x:r><x:r><x:t xml:space="preserve">{said[2:]}</x:t></x:r></x:is></x:c>'

    def row(cells: Sequence[str]) -> str:
        return f"<x:row>{''.join(cells)}</x:row>"

    headings = ("CIN", "Member Name", "Referral ID", "Determination", "Determination Date", "Denial Reason", "Reviewer",
                "Reviewer License Number")  # fmt: skip
    people = (
        ("95700001S", "Reyes, Ana", "R-1", "Approve", "10/05/2026", "", "Maria Chen", ""),
        (
            "95700002S",
            "Marsh, Leo",
            "R-2",
            "Deny",
            "10/06/2026",
            "Criteria not met",
            "Dr. Paul Example",
            "A00001",
        ),
    )
    formula = '<x:c t="str"><x:f>TEXT(NOW(),"mm/dd/yyyy")</x:f><x:v>{}</x:v></x:c>'
    rows = [row([text(each) for each in headings])]
    for each in people:
        cells = [text(said) if said else "<x:c/>" for said in each]
        cells[4] = formula.format(each[4])
        rows.append(row(cells))
    sheet = f'<x:worksheet xmlns:x="{main}"><x:sheetData>{"".join(rows)}</x:sheetData></x:worksheet>'
    book = (
        f'<x:workbook xmlns:x="{main}" xmlns:r="{office}"><x:sheets>'
        '<x:sheet name="Determinations" sheetId="1" r:id="rId7"/></x:sheets></x:workbook>'
    )
    links = (
        f'<Relationships xmlns="{relations}"><Relationship Id="rId7" Type="{office}/worksheet" '
        'Target="/xl/worksheets/data.xml"/></Relationships>'
    )
    content = zipped(
        {
            "xl/workbook.xml": book.encode(),
            "xl/_rels/workbook.xml.rels": links.encode(),
            "xl/worksheets/data.xml": sheet.encode(),
        }
    )
    return Foreign(
        "determinations.xlsx",
        "decisions",
        content,
        {
            "CIN": "member.cin", "Member Name": "member.name", "Referral ID": "referral.id",
            "Determination": "decision.outcome", "Determination Date": "decision.on", "Denial Reason": "decision.reason",
            "Reviewer": "decision.by", "Reviewer License Number": "decision.license",
        },
        {
            2: {"member.cin": "95700001S", "member.name": "Reyes, Ana", "referral.id": "R-1", "decision.outcome": "approved",
                "decision.on": date(2026, 10, 5), "decision.by": "Maria Chen"},
            3: {"member.cin": "95700002S", "member.name": "Marsh, Leo", "referral.id": "R-2", "decision.outcome": "denied",
                "decision.on": date(2026, 10, 6), "decision.reason": "criteria_not_met", "decision.by": "Dr. Paul Example",
                "decision.license": "A00001"},
        },
    )  # fmt: skip


def juncus() -> Foreign:
    """A clinic's UTF-16 without its mark, with a line that names its separator, and lists in one cell."""
    lines = [
        "sep=;",
        "Health Plan;Full Name (Last, First);DOB;Medi-Cal ID (CIN);County;Language Spoken;Phone #;Populations of Focus;Urgency;Referral Date;Referred By;E-mail of Referrer",
        "Sampleton Health Plan;\"Ibarra, Rosa\";05/02/1970;95800001S;Alameda;Spanish;555-0101;Homelessness, SMI/SUD;Expedited;11/02/2026;Ana Clerk;clerk@example.org",
        "Sampleton Health Plan;Castro, Iván;05/03/1971;;Alameda;Klingon;;Birth Equity;Routine;11/02/2026;Ana Clerk;clerk@example.org",
    ]  # fmt: skip
    content = ("\r\n".join(lines) + "\r\n").encode("utf-16-le")
    same = {
        "plan": "sampleton-health-plan", "county": "alameda", "referral_date": date(2026, 11, 2),
        "referrer_name": "Ana Clerk", "referrer_email": "clerk@example.org",
    }  # fmt: skip
    return Foreign(
        "clinic export.csv",
        "referrals",
        content,
        {
            "Health Plan": "plan", "Full Name (Last, First)": "name", "DOB": "birth_date", "Medi-Cal ID (CIN)": "cin",
            "County": "county", "Language Spoken": "language", "Phone #": "phone", "Populations of Focus": "populations",
            "Urgency": "urgency", "Referral Date": "referral_date", "Referred By": "referrer_name",
            "E-mail of Referrer": "referrer_email",
        },
        {
            3: {"name": "Ibarra, Rosa", "birth_date": date(1970, 5, 2), "cin": "95800001S", "language": "es", "phone": "555-0101",
                "populations": ("homelessness", "smi_sud"), "urgency": "expedited", **same},
            4: {"name": "Castro, Iván", "birth_date": date(1971, 5, 3), "populations": ("birth_equity",), "urgency": "routine", **same},
        },
        corrected={"        WHICH-CODE: ['Klingon']\n": "        es: ['Castellano']\n"},
        faults={4: {"language": "word-unknown"}},
    )  # fmt: skip


FOREIGN = (
    pinecrest(),
    alder(),
    tamarack(),
    manzanita(),
    juniper(),
    laurel(),
    sequoia(),
    ponderosa(),
    juncus(),
)
