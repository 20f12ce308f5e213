"""A plan's list of decisions: found, checked and told row by row, as the rules of the routes will decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import yaml

from loopkeeper.plan_files.checks import FileContext
from loopkeeper.plan_files.decisions import Request, Requests, judge_decisions
from loopkeeper.plan_files.outcomes import Judged
from loopkeeper.plan_files.profile_folder import read_profile
from loopkeeper.plan_files.table import open_table, records
from loopkeeper.plan_files.writing import write_file

PROFILE = Path(__file__).parents[1] / "loop" / "files" / "harbor-health-plan.yaml"
(HARBOR,), _ = read_profile(PROFILE.read_bytes(), PROFILE.name)
LAYOUT = HARBOR.files["decisions"]
CONTEXT = FileContext(HARBOR.plan, "Harbor Health Plan", "510", date(2026, 3, 2), synthetic=True)
ANA = Request("ref_ana", "auth_ana", "90000001S", "Ana", "Reyes", date(1964, 5, 17))
LEO = Request("ref_leo", "auth_leo", "90000002S", "Leo", "Marsh", decided="approved")


def row(request: Request, outcome: str, **more: object) -> Mapping[str, object]:
    given = {"member.cin": request.cin, "member.last_name": request.last_name, "decision.outcome": outcome,
             "decision.by": "Maria Chen"}  # fmt: skip
    return given | {name.replace("__", "."): value for name, value in more.items()}


def judged(rows: Sequence[Mapping[str, object]], *requests: Request) -> tuple[Judged, Mapping[int, str]]:
    content = write_file("decisions", LAYOUT, rows)
    read = records(open_table(content, "decisions", LAYOUT))
    return judge_decisions(read, Requests.of(requests), LAYOUT, CONTEXT)


def said(rows: Sequence[Mapping[str, object]], *requests: Request) -> list[tuple[str, str]]:
    return [(each.result, each.code) for each in judged(rows, *requests)[0].outcomes]


def test_a_decision_names_its_request_its_person_and_for_a_denial_a_reason() -> None:
    denial = row(ANA, "denied", decision__reason="criteria_not_met", decision__license="A1")
    found, referrals = judged([denial], ANA)
    assert referrals == {2: "ref_ana"}
    assert found.outcomes[0].facts == [
        {
            "fact": "decided",
            "outcome": "denied",
            "by": "Maria Chen",
            "license": "A1",
            "reason": "criteria_not_met",
            "unmet": [],
        }
    ]
    assert said([row(ANA, "denied")], ANA) == [("refused", "reason-required")]
    assert said([row(ANA, "")], ANA) == [("refused", "decision-required")]
    assert said([row(ANA, "approved", decision__by="")], ANA) == [("refused", "decider-required")]
    assert said([row(ANA, "approved", decision__on=date(2026, 3, 3))], ANA) == [("refused", "in-the-future")]


def test_a_denial_for_unmet_criteria_names_the_populations_whose_row_has_the_criterion_4_3() -> None:
    asked = replace(
        ANA, criteria={"homelessness": ("no_home", "complex_need"), "avoidable_utilization": ("visits",)}
    )
    denial = row(asked, "denied", decision__reason="criteria_not_met", decision__license="A1",
                 decision__criterion="Complex Need", decision__why="Nothing complex is told.")  # fmt: skip
    found, _ = judged([denial], asked)
    assert found.outcomes[0].facts[0]["unmet"] == [
        {"population": "homelessness", "criterion": "complex_need", "why": "Nothing complex is told."}
    ]


def test_what_is_decided_already_is_unchanged_and_otherwise_stays() -> None:
    assert said([row(LEO, "approved")], LEO) == [("unchanged", "known")]
    denial = row(LEO, "denied", decision__reason="deceased")
    assert said([denial], LEO) == [("refused", "already-decided")]


def test_a_number_of_ours_finds_the_request_and_a_slip_in_it_or_beside_it_decides_nothing() -> None:
    assert said([row(ANA, "approved", referral__id="ref_ana")], ANA, LEO) == [("accepted", "")]
    assert said([row(ANA, "approved", referral__id="ref_nobody")], ANA) == [("refused", "not-found")]
    assert said([row(ANA, "approved", referral__id="ref_leo")], ANA, LEO) == [("refused", "member-differs")]
    slip = {**row(ANA, "approved"), "member.cin": LEO.cin}
    assert said([slip], ANA, LEO) == [("refused", "member-differs")]


def test_two_rows_that_differ_are_both_refused_and_alike_they_are_one() -> None:
    approval = row(ANA, "approved")
    assert said([approval, {**approval, "member.last_name": "REYES"}], ANA) == [
        ("accepted", ""), ("unchanged", "repeated-row"),
    ]  # fmt: skip
    denial = row(ANA, "denied", decision__reason="deceased")
    assert said([approval, denial], ANA) == [("refused", "contradiction")] * 2


def test_of_several_requests_of_one_member_the_one_that_waits_is_meant() -> None:
    before = Request("ref_old", "auth_old", ANA.cin, "Ana", "Reyes", decided="denied")
    assert judged([row(ANA, "approved")], before, ANA)[1] == {2: "ref_ana"}
    second = Request("ref_two", "auth_two", ANA.cin, "Ana", "Reyes")
    assert said([row(ANA, "approved")], ANA, second) == [("refused", "several-open")]


def test_the_layout_of_the_tests_is_a_sound_profile() -> None:
    profiles, wrong = read_profile(yaml.safe_dump(HARBOR.model_dump(mode="json")).encode(), "again")
    assert (len(profiles), wrong) == (1, [])
