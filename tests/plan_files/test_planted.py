"""Cases that a year of files brings: late, sent again, two providers, a plan that changes, a sibling's number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from loopkeeper.plan_files.checks import FileContext
from loopkeeper.plan_files.members import Member
from loopkeeper.plan_files.otf import judge_otf
from loopkeeper.plan_files.outcomes import Judged
from loopkeeper.plan_files.profile import Profile
from loopkeeper.plan_files.profile_folder import Profiles
from loopkeeper.plan_files.rtf import judge_rtf
from loopkeeper.plan_files.table import open_table, records
from loopkeeper.plan_files.writing import write_file
from loopkeeper.runtime.files.worker import reading_of
from loopkeeper.spreadsheets import Unreadable
from tests.plan_files.worlds import World

WORLD = World("sampleton")
RTF, OTF = WORLD.layout("rtf"), WORLD.layout("otf")
OCTOBER = (date(2026, 10, 1), date(2026, 10, 31))
ANA = Member("90000001S", "accepted", "Ana", "Reyes", date(1964, 5, 17), lead="Luis Ortega",
             offered_on=date(2026, 9, 1), accepted_on=date(2026, 9, 3))  # fmt: skip
LEO = Member("90000002S", "accepted", "Leo", "Marsh", date(1990, 1, 2), lead="Luis Ortega",
             offered_on=date(2026, 9, 1), accepted_on=date(2026, 9, 3))  # fmt: skip


def month(member: Member, status: str, on: date, **more: Any) -> Mapping[str, Any]:
    given = {
        "member.cin": member.cin, "member.last_name": member.last_name, "member.first_name": member.first_name,
        "referral.status": status, "referral.status_on": on, "lead.name": member.lead,
        "plan.name": WORLD.context.plan_name, "plan.number": WORLD.context.plan_number,
        "provider.npi": WORLD.context.npi, "file.period": OCTOBER,
    }  # fmt: skip
    return given | {name.replace("__", "."): value for name, value in more.items()}


def attempt(member: Member, on: date) -> Mapping[str, Any]:
    return {
        "member.cin": member.cin, "member.name": f"{member.first_name} {member.last_name}", "attempt.on": on,
        "attempt.method": "phone", "attempt.successful": False, "provider.npi": WORLD.context.npi,
        "plan.name": WORLD.context.plan_name, "plan.number": WORLD.context.plan_number,
    }  # fmt: skip


def told(
    rows: Sequence[Mapping[str, Any]], *members: Member, **context: Any
) -> tuple[Judged, Mapping[str, Member]]:
    known = {member.cin: member for member in members}
    content = write_file("rtf", RTF, rows)
    return judge_rtf(records(open_table(content, "rtf", RTF)), known, RTF, _context(**context))


def tried(rows: Sequence[Mapping[str, Any]], *members: Member) -> Judged:
    known = {member.cin: member for member in members}
    content = write_file("otf", OTF, rows)
    return judge_otf(records(open_table(content, "otf", OTF)), known, OTF, _context())[0]


def _context(**changes: Any) -> FileContext:
    return replace(WORLD.context, **changes)


def said(judged: Judged) -> list[tuple[str, str]]:
    return [(outcome.result, outcome.code) for outcome in judged.outcomes]


# loop.md 8.6
def test_late_an_attempt_counts_on_the_provider_s_own_days_and_never_after_them() -> None:
    former = replace(ANA, state="closed", closed_on=date(2026, 10, 20))
    assert said(tried([attempt(former, date(2026, 10, 20)), attempt(former, date(2026, 10, 21))], former)) == [
        ("accepted", ""), ("refused", "already-closed"),
    ]  # fmt: skip


# loop.md 8.6
def test_late_a_status_of_a_former_provider_changes_nothing() -> None:
    former = replace(ANA, state="closed", closed_on=date(2026, 10, 20))
    judged, _ = told([month(former, "outreach_initiated", date(2026, 10, 5))], former)
    assert said(judged) == [("unchanged", "older-than-known")]


def test_sent_again_nothing_is_told_twice_and_a_month_corrected_replaces_what_it_said() -> None:
    rows = [month(ANA, "outreach_initiated", date(2026, 10, 5), count__in_person=2)]
    first, after = told(rows, ANA)
    assert [fact["fact"] for fact in first.outcomes[0].facts] == ["outreach_initiated", "month_counted"]
    again, _ = told(rows, *after.values())
    assert said(again) == [("unchanged", "")]
    corrected, _ = told(
        [month(ANA, "outreach_initiated", date(2026, 10, 5), count__in_person=3)], *after.values()
    )
    assert corrected.outcomes[0].facts == [{"fact": "month_counted", "period": "2026-10", "in_person": 3}]


# loop.md 1.5
def test_two_providers_a_member_of_the_other_is_as_unknown_as_nobody() -> None:
    judged, _ = told(
        [month(LEO, "declined", date(2026, 10, 5)), month(ANA, "accepted", ANA.accepted_on or OCTOBER[0])],
        ANA,
    )
    assert said(judged)[0] == ("refused", "not-found")


def test_a_sibling_s_number_writes_into_nobody_s_record() -> None:
    """The CIN of a brother, another one of the provider's own members, next to the sister's name."""
    slip = {**month(ANA, "outreach_initiated", date(2026, 10, 5)), "member.cin": LEO.cin}
    judged, after = told([slip], ANA, LEO)
    assert said(judged) == [("refused", "member-differs")]
    assert after == {ANA.cin: ANA, LEO.cin: LEO}


# loop.md 6.2
def test_a_designated_contact_stays_whatever_a_file_says() -> None:
    safe = replace(ANA, designated_contact=True, phone="555-0101")
    row = month(
        safe, "outreach_initiated", date(2026, 10, 5), contact__new_phone=True, contact__phone="555-0199"
    )
    judged, after = told([row], safe)
    assert [warned.code for warned in judged.outcomes[0].warnings] == ["contact-designated"]
    assert after[safe.cin].phone == "555-0101"


def test_a_plan_that_changed_within_the_month_takes_the_rows_of_its_own_members_alone() -> None:
    """Of a member who moved to another plan the old one still takes what happened while it covered."""
    moved = replace(ANA, state="ended", services_on=date(2026, 9, 10), closed_as="services_received",
                    closed_on=date(2026, 9, 10), ended_on=date(2026, 10, 14), ended_as=8)  # fmt: skip
    assert said(tried([attempt(moved, date(2026, 10, 10)), attempt(moved, date(2026, 10, 20))], moved)) == [
        ("accepted", ""), ("refused", "already-closed"),
    ]  # fmt: skip
    other = {**month(LEO, "outreach_initiated", date(2026, 10, 5)), "plan.name": "Another Plan"}
    judged, _ = told([month(ANA, "outreach_initiated", date(2026, 10, 5)), other], ANA, LEO)
    assert said(judged) == [("accepted", ""), ("refused", "wrong-plan")]


def test_a_plan_that_was_renumbered_is_read_by_the_number_of_the_file_s_own_period() -> None:
    """The new number holds from November; October's file, sent in November, has the old one."""
    old = WORLD.profile.model_copy(update={"effective_to": date(2026, 10, 31)})
    new = WORLD.profile.model_copy(update={"effective_from": date(2026, 11, 1), "number_in_files": "955"})
    profiles = Profiles([Profile.model_validate(each.model_dump()) for each in (old, new)], [])
    content = write_file("rtf", RTF, [month(ANA, "outreach_initiated", date(2026, 10, 5))])
    reading = reading_of(profiles, WORLD.profile.plan, "rtf", content, "", date(2026, 11, 16))
    assert reading.profile.number_in_files == WORLD.context.plan_number
    now = write_file(
        "rtf",
        RTF,
        [
            {
                **month(ANA, "outreach_initiated", date(2026, 11, 5)),
                "file.period": (date(2026, 11, 1), date(2026, 11, 30)),
            }
        ],
    )
    assert (
        reading_of(profiles, WORLD.profile.plan, "rtf", now, "", date(2026, 11, 16)).profile.number_in_files
        == "955"
    )


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("TRL|1\n", "trailer-differs"),
        ("TRL|\n", ""),
        ("TRL|2\n", ""),
        ("", ""),
        ("D|cut in the midd", "trailer-missing"),
    ],
)
def test_a_trailer_that_is_wrong_or_cut_off_refuses_the_file_whole(ending: str, code: str) -> None:
    world = World("mockingbird")
    layout = world.layout("otf")
    rows = [
        {**attempt(each, date(2026, 10, 5)), "plan.name": None, "plan.number": None} for each in (ANA, LEO)
    ]
    *lines, _ = write_file("otf", layout, rows).decode(layout.encoding).splitlines()
    content = ("\n".join(lines) + "\n" + ending).encode(layout.encoding)
    if not code:
        assert len(list(records(open_table(content, "otf", layout)))) == 2
        return
    with pytest.raises(Unreadable) as refused:
        list(records(open_table(content, "otf", layout)))
    assert refused.value.code == code
