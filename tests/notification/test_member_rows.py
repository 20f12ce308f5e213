"""What a row of the member file tells of a member, and what it keeps from going further."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from loopkeeper.contract.events import Consent
from loopkeeper.plan_files.mif import Told
from loopkeeper.plan_files.profile import Column, Layout
from notification.domain.notices.visibility import REDISCLOSURE
from notification.domain.outreach.state import Joined, Outreach, Term
from notification.files.member_rows import Reader, changed, ended_row, row_of, with_interval

TODAY = date(2026, 3, 2)
PROGRAM, PROVIDER = "harbor-recovery", "harbor-street-medicine"
READER = Reader(
    PROVIDER, TODAY, frozenset({PROGRAM}), {"mission-clinic": "Mission Clinic", PROGRAM: "Harbor Recovery"}
)
IDENTITY = {"first_name": "Ana", "last_name": "Reyes", "birth_date": "1964-05-17"}
CONTACT = {
    "phone": "555-0101",
    "county": "alameda",
    "address": {"street": "1 Elm St", "city": "Oakland", "zip": "94607"},
}
WHOLE = ("member.cin", "member.phone", "member.street", "member.contact_rule", "member.notice")


def layout(*fields: str) -> Layout:
    columns = tuple(Column(heading=field, field=field) for field in fields)
    return Layout(name="mif.csv", dates=("MM/DD/YYYY",), columns=columns)


def told(now: Outreach, contact: Mapping[str, Any] = CONTACT, *, fields: tuple[str, ...] = WHOLE) -> Told:
    return row_of(
        "90000001S", IDENTITY, contact, now, "offered", READER, layout(*fields), received_on=TODAY, new=True
    )


def loop(**changes: Any) -> Outreach:
    return Outreach(**{"referrer": "mission-clinic", "populations": ("homelessness",), **changes})


def test_an_offer_is_told_with_identity_contact_and_term() -> None:
    term = Term(at="2026-03-02T17:00:00Z", from_=TODAY, through=date(2027, 3, 1), number="ECM-1")  # pyright: ignore[reportArgumentType]
    row = told(loop(term=term))
    assert (row.engagement, row.phone, row.street, row.authorization) == (
        "assigned",
        "555-0101",
        "1 Elm St",
        "ECM-1",
    )
    assert (row.source, row.populations, row.homeless) == ("Mission Clinic", ("homelessness",), True)


# loop.md 6.2
@pytest.mark.parametrize("flag", ["safe_contact", "do_not_contact"])
def test_a_flagged_member_has_no_usual_contact_and_none_at_all_where_the_rule_cannot_be_said(
    flag: str,
) -> None:
    rules = {"designated_address": "PO Box 7", "hours": "after 6 pm"}
    row = told(loop(flags=(flag,)), {**CONTACT, "safe_contact": rules})
    assert (row.restricted, row.county, row.homeless) == (True, "", None)
    said = (row.designated_contact, row.contact_rule)
    if flag == "do_not_contact":
        assert said == ("", "Nobody may contact the member.")
    else:
        assert said == ("PO Box 7", "Contact only as this says. When: after 6 pm.")
    without = told(
        loop(flags=(flag,)), {**CONTACT, "safe_contact": rules}, fields=("member.cin", "member.street")
    )
    assert (without.designated_contact, without.contact_rule, without.restricted) == ("", "", True)


# loop.md 6.5
@pytest.mark.parametrize(
    "source",
    [
        {"referrer": PROGRAM},
        {"claimed_by": PROGRAM},
        {"joined": (Joined(referral="ref_2", referrer=PROGRAM),)},
    ],
)
def test_what_a_part_2_program_said_goes_with_notice_and_scope_or_not_at_all(
    source: Mapping[str, Any],
) -> None:
    silent = told(loop(**source))
    assert (silent.source, silent.populations, silent.homeless, silent.notice) == ("", (), None, "")
    consent = Consent(scope="named", to=(PROVIDER,), on=TODAY, through=date(2026, 12, 31))
    row = told(loop(**source, consent=consent))
    assert row.populations == ("homelessness",)
    assert row.notice == f"{REDISCLOSURE} Consent: named, 2026-03-02 through 2026-12-31."
    assert told(loop(**source, consent=consent), fields=("member.cin",)).populations == ()
    other = Consent(scope="named", to=("somebody-else",), on=TODAY)
    assert told(loop(**source, consent=other)).populations == ()


def test_of_a_deceased_member_nobody_is_told_how_to_reach_them() -> None:
    assert told(loop(deceased=True)).restricted


def test_who_is_gone_is_named_and_nothing_else_is_said() -> None:
    row = ended_row("90000001S", IDENTITY)
    assert row == Told("90000001S", "Ana", "Reyes", date(1964, 5, 17), (), "discontinued")


def test_a_file_is_due_where_it_says_what_the_last_one_did_not() -> None:
    before = {"a": {"engagement": "assigned"}, "b": {"engagement": "discontinued"}}
    assert not changed(before, {"a": {"engagement": "assigned"}})
    assert changed(before, {"a": {"engagement": "outreach"}})
    assert changed(before, {"a": {"engagement": "assigned"}, "c": {"engagement": "assigned"}})


def test_parts_of_a_download_that_meet_are_one() -> None:
    assert with_interval([(0, 5)], 5, 9) == [(0, 9)]
    assert with_interval([(6, 9)], 0, 4) == [(0, 4), (6, 9)]
    assert with_interval([(0, 4), (6, 9)], 3, 7) == [(0, 9)]
    assert with_interval([], 3, 3) == []
