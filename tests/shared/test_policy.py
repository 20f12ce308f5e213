"""Policy is dated rows: which one holds, and what `loopkeeper policy check` refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from loopkeeper.policy import Finding, Policy, check
from loopkeeper.policy.reading import installed, load

NEW_YEAR = date(2026, 1, 1)

TABLES = """
table: pofs
about: Who meets a population.
key: [population]
columns:
  population: {type: text, vocabulary: population}
  condition: {type: condition, one_of: [ed_visits, stays, tent]}
plans: {may: broaden, only: {population: [avoidable_utilization]}}
rows:
  - {id: visits, population: avoidable_utilization, effective_from: 2022-01-01, source: ECMG26 p19, confidence: C,
     condition: {any: [{count: ed_visits, at_least: 5}, {count: stays, at_least: 3}]}}
  - {id: tent, population: homelessness, effective_from: 2022-01-01, source: ECMG26 p12, confidence: C,
     condition: {answer: tent}}
---
table: choices
about: What every plan chooses for itself.
key: []
columns: {day_zero: {one_of: [first_service, decision]}}
plans: {may: required}
---
table: fences
about: What nobody may weaken.
key: [reason]
columns: {reason: {type: text}}
plans: {may: add}
rows:
  - {id: proof, reason: proof, effective_from: 2022-01-01, source: ECMG26 p99, confidence: C}
---
table: ranks
about: What a plan may set.
key: [rank]
columns: {rank: {type: text}, weight: {type: whole}, share: {type: share, optional: true}}
plans: {may: replace}
rows:
  - {id: near, rank: near, weight: 1, effective_from: 2022-01-01, effective_to: 2025-12-31, source: ours,
     confidence: ours}
  - {id: near, rank: near, weight: 2, effective_from: 2026-01-01, source: ours, confidence: ours}
---
table: clocks
rows:
  - {id: decision, clock: decision, amount: 5, unit: business_days, starts: complete, ends: decided,
     effective_from: 2022-01-01, source: ECMG26 p103, confidence: C}
  - {id: cap, clock: cap, amount: 14, unit: calendar_days, starts: received, ends: decided,
     effective_from: 2022-01-01, effective_to: 2025-12-31, source: 42 CFR 438.210, confidence: c2}
  - {id: cap, clock: cap, amount: 7, unit: calendar_days, starts: received, ends: decided,
     effective_from: 2026-01-01, source: 42 CFR 438.210, confidence: c2}
"""

HARBOR_CHOSE = """
table: choices
rows:
  - {id: harbor, plan: harbor-health-plan, day_zero: decision, effective_from: 2026-01-01, source: the plan,
     confidence: ours}
"""

Reading = Callable[..., Policy]


@pytest.fixture
def read(tmp_path: Path) -> Reading:
    """The tables above (or others), with these files of the operator."""

    def reading(*own: str, tables: str = TABLES) -> Policy:
        packaged, folder = tmp_path / "packaged" / "policy", tmp_path / "own"
        for each in (packaged, folder):
            each.mkdir(parents=True, exist_ok=True)
        (packaged / "tables.yaml").write_text(dedent(tables))
        for number, text in enumerate(own):
            (folder / f"{number}.yaml").write_text(dedent(text))
        return load([packaged], folder)

    return reading


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, [str(each) for each in findings]
    return findings[0]


def row(text: str) -> str:
    """One row of the operator for the plan Harbor, with what every row needs."""
    return f"{{plan: harbor-health-plan, effective_from: 2026-01-01, source: the plan, confidence: ours, {text}}}"


# ── which row holds ───────────────────────────────────────────────────────────────────────────────────────


def test_the_row_of_the_day_of_the_fact_holds(read: Reading) -> None:
    policy = read()
    assert policy.row("ranks", on=date(2025, 12, 31), rank="near")["weight"] == 1
    assert policy.row("ranks", on=NEW_YEAR, rank="near")["weight"] == 2


def test_before_its_first_day_a_row_does_not_hold(read: Reading) -> None:
    with pytest.raises(LookupError, match="no row of ranks"):
        read().row("ranks", on=date(2021, 12, 31), rank="near")


def test_a_reference_names_table_row_and_day_and_finds_the_row_again(read: Reading) -> None:
    found = read().row("ranks", on=NEW_YEAR, rank="near")
    assert found.ref == "ranks/near@2026-01-01"
    assert read().by_ref(found.ref) == found
    assert read().by_ref("ranks/near@1999-01-01") is None


def test_a_plans_own_row_stands_over_the_packaged_one_for_that_plan_alone(read: Reading) -> None:
    policy = read("table: ranks\nrows:\n  - " + row("id: near, rank: near, weight: 9"))
    assert policy.row("ranks", on=NEW_YEAR, plan="harbor-health-plan", rank="near")["weight"] == 9
    assert policy.row("ranks", on=NEW_YEAR, plan="valley-care", rank="near")["weight"] == 2
    assert policy.row("ranks", on=NEW_YEAR, rank="near")["weight"] == 2
    own = policy.row("ranks", on=NEW_YEAR, plan="harbor-health-plan", rank="near")
    assert own.ref == "harbor-health-plan/ranks/near@2026-01-01"


def test_where_a_plan_only_adds_both_rows_hold(read: Reading) -> None:
    policy = read("table: fences\nrows:\n  - " + row("id: photo, reason: photo"))
    reasons = [each["reason"] for each in policy.rows("fences", on=NEW_YEAR, plan="harbor-health-plan")]
    assert reasons == ["proof", "photo"]


def test_the_operator_may_restate_a_packaged_row_once(read: Reading) -> None:
    restated = """
        table: clocks
        rows:
          - {id: decision, clock: decision, amount: 3, unit: business_days, starts: complete, ends: decided,
             effective_from: 2022-01-01, source: the state, confidence: C}
        """
    assert read(restated).row("clocks", on=NEW_YEAR, clock="decision")["amount"] == 3
    twice = read(restated, restated)
    assert "two rows clocks/decision@2022-01-01" in only(check(twice)).sentence


def test_a_clock_sets_a_deadline_and_names_its_row(read: Reading) -> None:
    received = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
    due = read().due("decision", received)
    assert due.at == datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
    assert due.ref == "clocks/decision@2022-01-01"


def test_a_clock_that_changed_with_the_year_leaves_older_referrals_as_they_were(read: Reading) -> None:
    policy = read()
    old = policy.due("cap", datetime(2026, 1, 1, 7, 59, tzinfo=UTC))
    new = policy.due("cap", datetime(2026, 1, 1, 8, 0, tzinfo=UTC))
    assert old == (datetime(2026, 1, 15, 8, 0, tzinfo=UTC), "clocks/cap@2022-01-01")
    assert new == (datetime(2026, 1, 9, 8, 0, tzinfo=UTC), "clocks/cap@2026-01-01")


# ── what a check refuses ──────────────────────────────────────────────────────────────────────────────────


def test_a_sound_policy_has_nothing_to_mend(read: Reading) -> None:
    assert check(read(HARBOR_CHOSE), ["harbor-health-plan"]) == []


def test_what_is_packaged_with_the_services_is_sound() -> None:
    policy = load(installed())
    assert check(policy) == []
    assert all(row.source and row.confidence for row in policy.all_rows)


@pytest.mark.parametrize(
    ("left_out", "sentence"),
    [
        ("source", "The row has no source."),
        ("confidence", "The row does not say how sure it is."),
        ("effective_from", "The row's dates are wrong: expected is a date such as 2026-01-01."),
        ("id", "The row has no id."),
        ("weight", "The row has no weight."),
    ],
)
def test_a_row_without_what_every_row_needs_is_refused(read: Reading, left_out: str, sentence: str) -> None:
    fields = {
        "id": "far",
        "rank": "far",
        "weight": "1",
        "effective_from": "2026-01-01",
        "source": "ours",
        "confidence": "ours",
    }
    written = ", ".join(f"{name}: {value}" for name, value in fields.items() if name != left_out)
    finding = only(check(read(f"table: ranks\nrows:\n  - {{{written}}}")))
    assert finding.sentence == sentence
    assert finding.place.startswith("0.yaml, ranks/")
    assert finding.fix


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("weight: one", "weight is wrong: expected is a whole number."),
        ("weight: true", "weight is wrong: expected is a whole number."),
        ("weight: 1, share: 1.5", "share is wrong: expected is a number from 0 to 1."),
        ("weight: 1, colour: red", "ranks has no column colour."),
        ("weight: 1, confidence: surely", "The row does not say how sure it is."),
        ("weight: 1, effective_to: 2025-12-31", "The row ends before it begins."),
    ],
)
def test_a_value_that_is_not_of_its_column_is_refused(read: Reading, wrong: str, sentence: str) -> None:
    common = {
        "id": "far",
        "rank": "far",
        "effective_from": "2026-01-01",
        "source": "ours",
        "confidence": "ours",
    }
    written = ", ".join(f"{name}: {value}" for name, value in common.items() if f"{name}:" not in wrong)
    assert only(check(read(f"table: ranks\nrows:\n  - {{{written}, {wrong}}}"))).sentence == sentence


def test_a_condition_may_ask_only_what_the_form_asks(read: Reading) -> None:
    finding = only(
        check(
            read(
                HARBOR_CHOSE,
                "table: pofs\nrows:\n  - "
                + row("id: visits, population: avoidable_utilization, condition: {answer: has_photo}"),
            )
        )
    )
    assert finding.sentence == "condition is wrong: expected is one of ed_visits, stays, tent."


def test_overlapping_dates_of_one_key_are_refused(read: Reading) -> None:
    overlapping = """
        table: ranks
        rows:
          - {id: nearer, rank: near, weight: 3, effective_from: 2026-03-01, source: ours, confidence: ours}
        """
    finding = only(check(read(overlapping)))
    assert finding.sentence == "Its dates overlap those of ranks/near@2026-01-01."
    assert finding.fix == "End near with effective_to before 2026-03-01."


def test_one_day_in_common_is_an_overlap_and_the_day_after_is_none(read: Reading) -> None:
    def ranks(begins: str) -> str:
        return f"""
            table: ranks
            rows:
              - {{id: a, rank: far, weight: 1, effective_from: 2026-01-01, effective_to: 2026-06-30, source: x,
                 confidence: ours}}
              - {{id: b, rank: far, weight: 2, effective_from: {begins}, source: x, confidence: ours}}
            """

    assert "overlap" in only(check(read(ranks("2026-06-30")))).sentence
    assert check(read(ranks("2026-07-01"))) == []


LOWER = "{any: [{count: ed_visits, at_least: 3}, {count: stays, at_least: 2}]}"
HIGHER = "{any: [{count: ed_visits, at_least: 6}, {count: stays, at_least: 3}]}"
MORE_ASKED = "{all: [{any: [{count: ed_visits, at_least: 5}, {count: stays, at_least: 3}]}, {answer: tent}]}"
STAYS_ONLY = "{any: [{count: stays, at_least: 3}]}"


def of_harbor(population: str, condition: str) -> str:
    return "table: pofs\nrows:\n  - " + row(f"id: own, population: {population}, condition: {condition}")


def test_a_plan_may_let_more_people_in_for_avoidable_utilization(read: Reading) -> None:
    policy = read(HARBOR_CHOSE, of_harbor("avoidable_utilization", LOWER))
    assert check(policy) == []


@pytest.mark.parametrize("narrower", [HIGHER, MORE_ASKED, STAYS_ONLY])
def test_a_plan_may_not_narrow_a_population(read: Reading, narrower: str) -> None:
    finding = only(check(read(HARBOR_CHOSE, of_harbor("avoidable_utilization", narrower))))
    assert finding.sentence == "It is narrower than, or other than, pofs/visits@2022-01-01."


def test_a_plan_may_touch_no_population_but_avoidable_utilization(read: Reading) -> None:
    finding = only(check(read(HARBOR_CHOSE, of_harbor("homelessness", "{answer: tent}"))))
    assert finding.sentence == "A plan may not change population homelessness."


def test_a_plan_may_not_stand_in_place_of_a_floor(read: Reading) -> None:
    finding = only(check(read(HARBOR_CHOSE, "table: fences\nrows:\n  - " + row("id: own, reason: proof"))))
    assert finding.sentence == "It would replace fences/proof@2022-01-01; fences is a floor."


def test_a_plan_has_no_clocks_of_its_own(read: Reading) -> None:
    own = row("id: slow, clock: decision, amount: 50, unit: hours, starts: complete, ends: decided")
    finding = only(check(read(HARBOR_CHOSE, f"table: clocks\nrows:\n  - {own}")))
    assert finding.sentence == "A plan has no say in clocks."


def test_a_plan_that_has_not_chosen_is_named_with_what_it_may_choose(read: Reading) -> None:
    finding = only(check(read(HARBOR_CHOSE), ["harbor-health-plan", "valley-care"]))
    assert finding.place == "plan valley-care"
    assert finding.fix == "Add its row to choices: day_zero (decision or first_service)."


def test_a_choice_that_ends_is_no_choice(read: Reading) -> None:
    ended = HARBOR_CHOSE.replace("source:", "effective_to: 2026-12-31, source:")
    assert only(check(read(ended))).place == "plan harbor-health-plan"


def test_a_choice_has_no_default(read: Reading) -> None:
    default = HARBOR_CHOSE.replace("plan: harbor-health-plan, ", "")
    assert only(check(read(default))).sentence == "choices has no default."


def test_only_the_operators_folder_speaks_for_a_plan(read: Reading) -> None:
    packaged = TABLES.replace(
        "id: near, rank: near, weight: 2,", "id: near, plan: valley-care, rank: near, weight: 2,"
    )
    sentences = [each.sentence for each in check(read(tables=packaged))]
    assert sentences == ["A packaged row names a plan."]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("table: [", "The file cannot be read"),
        ("table: ranks\nrows:\n  - {id: a, id: b}", "The file cannot be read"),
        ("- 1", "A document names no table."),
        ("table: nothing\nrows: []", "There is no table nothing."),
        ("table: ranks\nrows: near", "The rows of ranks are not a list."),
        ("table: ranks\nrows: [near]", "A row of ranks is not a mapping."),
        ("table: ranks\nroes: []", "`roes` means nothing here."),
        ("table: ranks\nabout: ours now", "The table ranks is declared elsewhere."),
    ],
)
def test_a_file_that_cannot_be_understood_is_named_and_the_rest_still_read(
    read: Reading, text: str, sentence: str
) -> None:
    policy = read(text, HARBOR_CHOSE)
    finding = only(check(policy))
    assert finding.sentence.startswith(sentence)
    assert finding.place.startswith("0.yaml")
    assert policy.rows("choices", on=NEW_YEAR, plan="harbor-health-plan")


def test_one_check_names_all_there_is_to_mend(read: Reading) -> None:
    findings = check(read("- 1", "table: nothing", of_harbor("homelessness", "{answer: tent}")))
    assert len(findings) == 4  # the plan has made no choice either


# ── every packaged table is tried ─────────────────────────────────────────────────────────────────────────

ROOT = Path(__file__).parents[2]
PACKAGED = sorted(
    [*ROOT.glob("services/*/src/*/policy/*.yaml"), *ROOT.glob("shared/src/loopkeeper/policy/*.yaml")]
)


@pytest.mark.parametrize("file", PACKAGED, ids=lambda file: file.name)
def test_every_file_of_packaged_rows_names_the_truth_table_that_tries_them(file: Path) -> None:
    named = re.findall(r"#.*?((?:tests/[\w/]+\.py(?:, | and )?)+)", file.read_text())
    found = [each for part in named for each in re.findall(r"tests/[\w/]+\.py", part)]
    assert found
    assert [each for each in found if not (ROOT / each).exists()] == []
