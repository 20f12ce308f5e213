"""What the previews for the state count, by figures worked out by hand (loop.md 8.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopkeeper.contract.calendar import noon_of
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationEnded,
    Event,
    OutreachAttempted,
    OutreachMonthCounted,
    OutreachServicesStarted,
    OutreachTakenBack,
    ReferralClosed,
    ReferralReceived,
    ReferralSupportMoved,
)
from loopkeeper.contract.vocabulary.outcomes import clr_reason
from loopkeeper.policy.reading import installed, load
from referral_intake.domain.reports.counting import Figure, Tally, at_rank, counted
from referral_intake.domain.reports.figures import Published, Value, published, values_of
from referral_intake.domain.reports.history import told
from referral_intake.domain.reports.masking import hidden
from referral_intake.domain.reports.monthly import entry
from referral_intake.domain.reports.period import Period
from referral_intake.domain.reports.sheets import HEADINGS, PlanNamed, member_row, support_row
from tests.builders import facts
from tests.builders.facts import HOMELESS
from tests.builders.organizations import NAVIGATORS, STREET

OCTOBER, QUARTER = Period.of("2026-10"), Period.of("2026-Q4")
PLAN = PlanNamed("Harbor Health Plan", "510")


def on(day: int, month: int = 10) -> datetime:
    return noon_of(date(2026, month, day))


def received(at: datetime, county: str = "alameda") -> ReferralReceived:
    return facts.received(occurred_at=at, county=county, age_band="adult", populations=(HOMELESS,))


def approved(at: datetime) -> AuthorizationApproved:
    return facts.approved(occurred_at=at, **{"from": "2026-10-02", "through": "2027-10-01"})


def made(at: datetime, assignment: str = "asg_1", provider: str = STREET) -> AssignmentMade:
    return facts.made(provider, assignment, at).model_copy(update={"occurred_at": at})


def accepted(at: datetime, assignment: str = "asg_1", provider: str = STREET) -> AssignmentAccepted:
    return facts.accepted(provider, assignment, at=at)


def tried(
    at: datetime, number: int = 1, modality: str = "phone", *, reached: bool = False
) -> OutreachAttempted:
    return OutreachAttempted(
        occurred_at=at, assignment="asg_1", number=number, actor_kind="peer", modality=modality,
        outcome="reached" if reached else "no_answer", reached=reached,
    )  # fmt: skip


def started(day: int, heard: datetime, month: int = 10) -> OutreachServicesStarted:
    return facts.services_started(date(2026, month, day)).model_copy(update={"occurred_at": heard})


def closed(at: datetime, outcome: str = "services_received") -> ReferralClosed:
    return facts.closed(outcome, at, clr_reason=clr_reason(outcome))


def served(received_on: datetime, began: int, heard: datetime) -> Sequence[Event]:
    """Referred, authorized and accepted on one day, and served from a later one on."""
    return (
        received(received_on), approved(received_on), made(received_on), accepted(received_on),
        started(began, heard), closed(heard),
    )  # fmt: skip


@pytest.fixture(scope="module")
def figures() -> Mapping[str, Sequence[Figure]]:
    """The packaged rows, by report."""
    rows = packaged()
    return {kind: [each for each in rows if each.report == kind] for kind in ("measures", "qimr", "monthly")}


def packaged() -> list[Figure]:
    policy = load(installed())
    return [
        Figure(
            row["figure"], row["counts"], row["report"], row["reason"] or "", row["from_days"] or 0,
            row["through_days"], row["part_of"] or "", row["share_of"] or "",
        )
        for row in policy.rows("report_figures", on=OCTOBER.last)
    ]  # fmt: skip


def tallied(
    told_of: Mapping[str, Sequence[Event]], figures: Sequence[Figure], period: Period = OCTOBER
) -> Mapping[tuple[str, str, str], Value]:
    tally = Tally()
    for referral, events in told_of.items():
        one = counted(told(referral, events), period, figures)
        if one is not None:
            tally.add(one)
    return {each.cell: each for each in values_of(tally, figures)}


def totals(found: Mapping[tuple[str, str, str], Value]) -> dict[str, int]:
    return {figure: each.value for (figure, by, _), each in found.items() if not by and each.value}


# ── periods ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_period_is_of_californian_days() -> None:
    assert (OCTOBER.first, OCTOBER.last) == (date(2026, 10, 1), date(2026, 10, 31))
    assert (QUARTER.first, QUARTER.last) == (date(2026, 10, 1), date(2026, 12, 31))
    assert QUARTER.months == ("2026-10", "2026-11", "2026-12")
    assert Period.of("2024-02").last == date(2024, 2, 29)
    with pytest.raises(ValueError, match="2026-10"):
        Period.of("2026-13")


def test_a_referral_of_the_evening_belongs_to_the_day_in_california(
    figures: Mapping[str, Sequence[Figure]],
) -> None:
    evening = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    found = tallied({"ref_1": [received(evening)]}, figures["measures"])
    assert totals(found) == {"received": 1, "open": 1, "open_0_14": 1}


# ── measures ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_measures_of_a_month_worked_out_by_hand(figures: Mapping[str, Sequence[Figure]]) -> None:
    found = tallied(
        {
            # 7 days from 1 to 8 October.
            "ref_1": served(on(1), 8, on(8)),
            # 30 days old on 20 October, closed on its 34th day: not within 30. No authorization.
            "ref_2": [received(on(20, 9)), closed(on(24), "unable_to_reach")],
            # 60 days old on 10 October, and open.
            "ref_3": [received(on(11, 8), county="kern")],
            # Received in November: not of October.
            "ref_4": [received(on(1, 11))],
            # Merged: counts where it went.
            "ref_5": [received(on(5)), closed(on(5), "merged")],
            # Withdrawn the next day.
            "ref_6": [received(on(12)), closed(on(13), "withdrawn")],
        },
        figures["measures"],
    )
    assert totals(found) == {
        "received": 2, "authorized": 1,
        "due_30": 2, "closed_30": 1, "due_60": 1,
        "closed": 3, "closed_as_services_received": 1, "closed_as_unable_to_reach": 1, "closed_as_other": 1,
        "closed_after_yes": 1, "closed_served": 1,
        "open": 1, "open_61_90": 1,
    }  # fmt: skip
    # 1, 7 and 34 days: the middle one, and the last.
    assert found["closed", "", ""].days == (7, 34)
    assert found["open", "county", "kern"].value == 1
    assert ("open", "county", "alameda") not in found
    assert found["closed", "provider", STREET].value == 1
    assert found["closed", "provider", "none"].value == 2


def test_due_within_thirty_days_is_judged_on_the_thirtieth(figures: Mapping[str, Sequence[Figure]]) -> None:
    on_the_day = {"ref_1": [received(on(10, 9)), closed(on(10), "withdrawn")]}
    a_day_late = {"ref_1": [received(on(10, 9)), closed(on(11), "withdrawn")]}
    assert totals(tallied(on_the_day, figures["measures"]))["closed_30"] == 1
    assert "closed_30" not in totals(tallied(a_day_late, figures["measures"]))


# loop.md 8.8
def test_a_fact_heard_late_changes_the_month_it_speaks_of(figures: Mapping[str, Sequence[Figure]]) -> None:
    told_in_october = [received(on(1)), approved(on(2)), made(on(2)), accepted(on(3))]
    as_submitted = totals(tallied({"ref_1": told_in_october}, figures["measures"]))
    assert as_submitted == {"received": 1, "authorized": 1, "due_30": 1, "open": 1, "open_15_30": 1}
    heard = on(5, 11)
    later = [*told_in_october, started(20, heard), closed(heard)]
    restated = totals(tallied({"ref_1": later}, figures["measures"]))
    assert restated == {
        "received": 1, "authorized": 1, "due_30": 1, "closed_30": 1, "closed": 1, "closed_as_services_received": 1,
        "closed_after_yes": 1, "closed_served": 1,
    }  # fmt: skip
    assert "closed" not in totals(tallied({"ref_1": later}, figures["measures"], Period.of("2026-11")))


def test_what_was_taken_back_never_happened(figures: Mapping[str, Sequence[Figure]]) -> None:
    gone = OutreachTakenBack(
        occurred_at=on(2, 11), assignment="asg_1", what="attempted", number=2, because="another_member"
    )
    events = [received(on(1)), made(on(1)), accepted(on(1)), tried(on(3)), tried(on(4), 2), gone]
    assert totals(tallied({"ref_1": events}, figures["qimr"], QUARTER))["attempts"] == 1


def test_ranks_are_nearest_ranks() -> None:
    taken = {1: 1, 7: 1, 34: 1, 90: 1}
    assert at_rank(taken, 50) == 7
    assert at_rank(taken, 95) == 90
    assert at_rank({3: 19, 50: 1}, 95) == 3


# ── published ─────────────────────────────────────────────────────────────────────────────────────────────


def by_cell(found: Sequence[Published]) -> Mapping[tuple[str, str, str], Published]:
    return {(each.figure, each.by, each.of): each for each in found}


def counties(counts: Mapping[str, int], figure: str = "received") -> list[Value]:
    return [Value(figure, "", "", sum(counts.values()))] + [
        Value(figure, "county", county, count) for county, count in counts.items()
    ]


RECEIVED = [Figure("received", "received", "measures")]


def test_a_count_under_eleven_is_hidden_and_none_is_shown_as_none() -> None:
    found = by_cell(published(counties({"alameda": 40, "kern": 7, "yolo": 6, "inyo": 0}), RECEIVED, 11))
    assert found["received", "", ""].value == 53
    assert found["received", "county", "alameda"].value == 40
    assert found["received", "county", "kern"].value is None
    assert found["received", "county", "yolo"].value is None
    assert found["received", "county", "inyo"].value == 0


def test_a_second_cell_is_hidden_where_the_total_would_give_the_first_away() -> None:
    found = by_cell(published(counties({"alameda": 40, "kern": 7, "yolo": 12}), RECEIVED, 11))
    assert found["received", "county", "kern"].value is None
    assert found["received", "county", "yolo"].value is None
    assert found["received", "county", "alameda"].value == 40


def test_two_hidden_cells_that_add_up_to_few_take_a_third_with_them() -> None:
    found = by_cell(published(counties({"alameda": 40, "kern": 1, "yolo": 1}), RECEIVED, 11))
    assert found["received", "county", "alameda"].value is None


def test_no_rate_and_no_days_of_a_hidden_count() -> None:
    figures = [
        Figure("closed", "closed", "measures"),
        Figure("services", "closed", "measures", part_of="closed", share_of="closed"),
        Figure("other", "closed", "measures", part_of="closed", share_of="closed"),
    ]
    values = [
        Value("closed", "", "", 100, (10, 90)),
        Value("services", "", "", 88, (9, 80)),
        Value("other", "", "", 12, (3, 4)),
        Value("closed", "county", "kern", 20, (5, 6)),
        Value("services", "county", "kern", 15),
        Value("other", "county", "kern", 5),
        Value("closed", "county", "alameda", 80, (5, 6)),
        Value("services", "county", "alameda", 73),
        Value("other", "county", "alameda", 7),
    ]
    found = by_cell(published(values, figures, 11))
    assert (found["other", "", ""].value, found["other", "", ""].share) == (12, 0.12)
    # Kern's five of another reason could be had from its twenty and its fifteen.
    for figure in ("services", "other"):
        assert found[figure, "county", "kern"] == Published(figure, "county", "kern", None, None, None)


def test_what_a_share_leaves_is_a_count_like_any_other() -> None:
    figures = [
        Figure("due_30", "came_of_age", "measures"),
        Figure("closed_30", "closed_within", "measures", part_of="due_30", share_of="due_30"),
    ]
    found = by_cell(published([Value("due_30", "", "", 100), Value("closed_30", "", "", 97)], figures, 11))
    # Three are left, and they would be known.
    assert found["closed_30", "", ""].value is None
    assert found["due_30", "", ""].value == 100


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=5), min_size=1, max_size=5), st.randoms())
def test_no_hidden_count_can_be_worked_out_from_what_is_shown(rows: list[list[int]], chance: Random) -> None:
    """Counties by reasons, with both their totals: no whole that is shown has one hidden part, or parts that add up to few."""
    width = max(map(len, rows))
    table = {(r, c): chance.choice(row) for r, row in enumerate(rows) for c in range(width)}
    lines = [((r, "all"), [(r, c) for c in range(width)]) for r in range(len(rows))]
    lines += [(("all", c), [(r, c) for r in range(len(rows))]) for c in range(width)]
    lines += [
        (("all", "all"), [("all", c) for c in range(width)]),
        (("all", "all"), [(r, "all") for r in range(len(rows))]),
    ]
    counts: dict[tuple[object, object], int] = dict(table)
    for whole, parts in lines:
        counts[whole] = sum(counts[part] for part in parts)
    gone = hidden(counts, lines, 11)
    assert all(key in gone for key, count in counts.items() if 0 < count < 11)
    assert all(counts[key] for key in gone)
    for whole, parts in lines:
        covered = [part for part in parts if part in gone]
        if whole in gone:
            assert covered or not counts[whole]
        elif covered:
            assert len(covered) > 1
            assert sum(counts[part] for part in covered) >= 11


# ── the quarter ───────────────────────────────────────────────────────────────────────────────────────────


WHO = {"cin": "90000001S", "first_name": "Ana", "last_name": "Okafor", "birth_date": "1964-05-17"}


def in_tab(tab: int, row: Sequence[Any]) -> Mapping[str, Any]:
    return dict(zip(HEADINGS[tab], row, strict=True))


def test_a_member_of_the_quarter_has_a_row_and_an_end_after_it_is_empty() -> None:
    ending = AuthorizationEnded(occurred_at=on(20, 12), authorization="auth_1", code=1, on=date(2027, 1, 5))
    counted_by_file = [
        OutreachMonthCounted(
            occurred_at=on(2, 11), assignment="asg_1", month="2026-10", in_person=2, remote=1
        ),
        OutreachMonthCounted(
            occurred_at=on(2, 12), assignment="asg_1", month="2026-11", in_person=1, remote=4
        ),
        OutreachMonthCounted(
            occurred_at=on(3, 12), assignment="asg_1", month="2026-11", in_person=3, remote=4
        ),
        OutreachMonthCounted(
            occurred_at=on(3, 12), assignment="asg_1", month="2027-01", in_person=9, remote=9
        ),
    ]
    history = told("ref_1", [*served(on(1), 8, on(8)), *counted_by_file, ending])
    row = member_row(history, WHO, PLAN, QUARTER, "2000000010")
    assert row is not None
    found = in_tab(0, row)
    assert (found["Plan"], found["Plan Code"], found["County"], found["Period"]) == (
        "Harbor Health Plan", "510", "alameda", "2026-Q4",
    )  # fmt: skip
    assert (found["CIN"], found["Last Name"]) == ("90000001S", "Okafor")
    assert (found["ECM Start"], found["ECM End"], found["Discontinuation Reason"]) == (
        date(2026, 10, 8),
        None,
        None,
    )
    assert (found["In Person"], found["Telephonic or Telehealth"]) == (5, 5)
    assert [name for name in found if name.startswith("POF") and found[name]] == ["POF 1 Adult"]
    assert found["Referral"] == "ref_1"
    following = member_row(history, WHO, PLAN, Period.of("2027-Q1"), "2000000010")
    assert following is not None
    assert (in_tab(0, following)["ECM End"], in_tab(0, following)["Discontinuation Reason"]) == (
        date(2027, 1, 5),
        1,
    )
    assert member_row(history, WHO, PLAN, Period.of("2027-Q2"), "") is None
    assert member_row(history, WHO, PLAN, Period.of("2026-Q3"), "") is None


def test_attempts_and_engaged_are_counted_since_january(figures: Mapping[str, Sequence[Figure]]) -> None:
    spring = [
        received(on(1, 3)), made(on(1, 3)), accepted(on(1, 3)), tried(on(2, 3)), tried(on(9, 3), 2, reached=True),
        started(10, on(10, 3), 3), closed(on(10, 3)), tried(on(2, 4), 3),
    ]  # fmt: skip
    winter = [received(datetime(2025, 12, 1, 20, tzinfo=UTC)), made(on(1, 1)), tried(datetime(2025, 12, 5, 20, tzinfo=UTC)), tried(on(3, 1), 2)]  # fmt: skip
    found = totals(tallied({"ref_1": spring, "ref_2": winter}, figures["qimr"], QUARTER))
    # Two before the first service, one of January; none of last year, none after the service began.
    assert found["attempts"] == 3
    assert found["engaged"] == 1


def test_who_serves_on_the_last_day_is_counted_by_provider(figures: Mapping[str, Sequence[Figure]]) -> None:
    navigators = NAVIGATORS
    ended = AssignmentEnded(
        occurred_at=on(2, 12),
        assignment="asg_1",
        provider=STREET,
        reason="member_change",
        on=date(2026, 12, 1),
    )
    moved = [
        *served(on(1), 8, on(8)), ended,
        made(on(2, 12), "asg_2", navigators), accepted(on(2, 12), "asg_2", navigators),
    ]  # fmt: skip
    found = tallied({"ref_1": moved}, figures["qimr"], QUARTER)
    assert found["serving", "provider", navigators].value == 1
    assert ("serving", "provider", STREET) not in found
    before = tallied({"ref_1": moved}, figures["qimr"], Period.of("2026-Q3"))
    assert totals(before) == {}


def test_community_supports_are_flagged_and_counted_each(figures: Mapping[str, Sequence[Figure]]) -> None:
    def support(name: str, code: str, status: str, at: datetime) -> ReferralSupportMoved:
        said = {"occurred_at": at, "support": name, "code": code, "status": status, "provider": "bay-kitchen"}
        return ReferralSupportMoved.model_validate(said)

    events = [
        *served(on(1), 8, on(8)),
        support("sup_1", "medically_tailored_meals", "asked", on(9)),
        support("sup_1", "medically_tailored_meals", "accepted", on(12)),
        support("sup_2", "housing_deposits", "asked", on(9)),
        support("sup_2", "housing_deposits", "declined", on(15)),
        support("sup_3", "respite", "asked", on(9)),
        support("sup_3", "respite", "accepted", on(10)),
        support("sup_3", "respite", "done", on(20)),
    ]
    found = tallied({"ref_1": events}, figures["qimr"], QUARTER)
    counts = {
        figure: each.value for (figure, by, _), each in found.items() if not by and figure.startswith("cs_")
    }
    assert counts == {
        "cs_requests": 3, "cs_requests:medically_tailored_meals": 1, "cs_requests:housing_deposits": 1,
        "cs_requests:respite": 1, "cs_denied": 1, "cs_denied:housing_deposits": 1,
        "cs_serving": 1, "cs_serving:medically_tailored_meals:bay-kitchen": 1,
    }  # fmt: skip
    row = support_row(told("ref_1", events), WHO, PLAN, QUARTER)
    assert row is not None
    said = [name for name, flag in in_tab(3, row).items() if flag == 1]
    assert [name.split()[0] for name in said] == ["Approved", "Approved", "Received"]


# ── the month ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_of_the_month_says_how_the_loop_was_on_its_last_day() -> None:
    events = [
        received(on(1)), AuthorizationDenied.model_validate({
            "occurred_at": on(2), "reason": "criteria_not_met", "citation": "", "appeal_by": "2026-12-01",
            "notice_due_at": on(4),
        }),
        approved(on(3)), made(on(3)), accepted(on(4)), tried(on(6), 1, "in_person"), tried(on(7, 11), 2, reached=True),
        started(8, on(8, 11), 11), closed(on(8, 11)),
    ]  # fmt: skip
    found = entry(told("ref_1", events), WHO, OCTOBER, "2000000010")
    assert found["authorization"] == {
        "status": "approved", "number": "ECM-1", "from": "2026-10-02", "through": "2027-10-01",
    }  # fmt: skip
    assert found["enrollment"]["status"] == "not_enrolled"
    assert found["outreach"] == {"attempts": 1, "in_person": 1, "reached": 0}
    assert found["lead_care_manager"] == "Luis Ortega"
    assert found["closed_loop_referral"]["status"] == "outreach_initiated"
    november = entry(told("ref_1", events), WHO, Period.of("2026-11"), "2000000010")
    assert (november["enrollment"]["status"], november["enrollment"]["start"]) == ("enrolled", "2026-11-08")
    assert november["closed_loop_referral"]["status"] == "loop_closed"
    assert november["closed_loop_referral"]["closing_reason"] == "services_received"


def test_a_decline_shows_until_another_is_asked() -> None:
    no = AssignmentDeclined(occurred_at=on(5), assignment="asg_1", provider=STREET, reason="no_capacity")
    events: list[Event] = [received(on(1)), approved(on(2)), made(on(3)), no]
    assert told("ref_1", events).status(OCTOBER.last) == "declined"
    events.append(made(on(6), "asg_2", NAVIGATORS))
    assert told("ref_1", events).status(OCTOBER.last) == "pending"
    assert told("ref_1", events).status(date(2026, 10, 5)) == "declined"
