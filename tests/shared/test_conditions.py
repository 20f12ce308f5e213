"""A criterion is met, unmet or unknown: the three-valued logic of the policy's conditions."""

from __future__ import annotations

from itertools import product

import pytest

from loopkeeper.policy.conditions import (
    All,
    Answer,
    Any,
    Condition,
    Count,
    asked_still,
    judge,
    leaves,
    no_narrower,
    parse,
)

TENT, PAIN = Answer("tent"), Answer("pain")
VISITS = Count("visits", at_least=5)


@pytest.mark.parametrize(("said", "result"), [(True, "met"), (False, "unmet"), (None, "unknown")])
def test_an_answer_is_met_by_a_yes_and_unknown_when_nobody_answered(said: bool | None, result: str) -> None:
    assert judge(TENT, {"tent": said}) == result


def test_a_question_left_out_is_as_unknown_as_one_left_empty() -> None:
    assert judge(TENT, {}) == "unknown"
    assert judge(VISITS, {}) == "unknown"


@pytest.mark.parametrize(("visits", "result"), [(0, "unmet"), (4, "unmet"), (5, "met"), (6, "met")])
def test_a_count_is_met_from_its_threshold_on(visits: int, result: str) -> None:
    assert judge(VISITS, {"visits": visits}) == result


@pytest.mark.parametrize(("days", "result"), [(29, "met"), (30, "unmet"), (31, "unmet")])
def test_a_count_below_is_met_under_its_threshold(days: int, result: str) -> None:
    assert judge(Count("days", below=30), {"days": days}) == result


def test_a_yes_is_no_number_and_a_number_no_yes() -> None:
    assert judge(VISITS, {"visits": True}) == "unknown"
    assert judge(TENT, {"tent": 1}) == "unknown"


@pytest.mark.parametrize(("tent", "pain"), list(product([True, False, None], repeat=2)))
def test_one_no_settles_an_all_and_one_yes_an_any(tent: bool | None, pain: bool | None) -> None:
    answers = {"tent": tent, "pain": pain}
    both, either = judge(All((TENT, PAIN)), answers), judge(Any((TENT, PAIN)), answers)
    said = (tent, pain)
    assert both == ("unmet" if False in said else "unknown" if None in said else "met")
    assert either == ("met" if True in said else "unknown" if None in said else "unmet")


@pytest.mark.parametrize(
    ("tent", "pain", "visits"), list(product([True, False, None], [True, False, None], [4, 5, None]))
)
def test_asking_what_is_still_asked_is_enough_to_settle_and_never_more_than_needed(
    tent: bool | None, pain: bool | None, visits: int | None
) -> None:
    condition = Any((All((TENT, PAIN)), VISITS))
    answers: dict[str, bool | int | None] = {"tent": tent, "pain": pain, "visits": visits}
    asked = list(asked_still(condition, answers))
    assert bool(asked) == (judge(condition, answers) == "unknown")
    assert all(answers[name] is None for name in asked)
    for filled in _fillings(answers, asked):
        assert judge(condition, filled) != "unknown"


def _fillings(answers: dict[str, bool | int | None], asked: list[str]) -> list[dict[str, bool | int | None]]:
    choices = [((0, 9) if name == "visits" else (True, False)) for name in asked]
    return [answers | dict(zip(asked, chosen, strict=True)) for chosen in product(*choices)]


def test_a_settled_part_asks_nothing_more() -> None:
    condition = Any((All((TENT, PAIN)), VISITS))
    assert list(asked_still(condition, {"tent": False})) == ["visits"]


def test_yaml_says_the_same_as_the_tree() -> None:
    raw = {"any": [{"all": [{"answer": "tent"}, {"answer": "pain"}]}, {"count": "visits", "at_least": 5}]}
    assert parse(raw) == Any((All((TENT, PAIN)), VISITS))
    assert [leaf.key for leaf in leaves(parse(raw))] == ["tent", "pain", "visits"]
    assert parse({"count": "days", "below": 30}) == Count("days", below=30)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "tent",
        [],
        {},
        {"answer": ""},
        {"answer": 3},
        {"answer": "tent", "count": "visits"},
        {"count": "visits"},
        {"count": "visits", "at_least": 0},
        {"count": "visits", "at_least": True},
        {"count": "visits", "at_least": "5"},
        {"count": "visits", "at_least": 5, "below": 9},
        {"all": []},
        {"any": {"answer": "tent"}},
        {"all": [{"answer": "tent"}, {"not": "pain"}]},
    ],
)
def test_what_is_no_condition_is_refused_with_a_sentence(raw: object) -> None:
    with pytest.raises(ValueError, match=r"condition|name a field|whole numbers|list"):
        parse(raw)


@pytest.mark.parametrize(
    ("own", "wide"),
    [
        (VISITS, True),
        (Count("visits", at_least=4), True),
        (Count("visits", at_least=6), False),
        (Count("visits", below=5), False),
        (Count("stays", at_least=1), False),
        (TENT, False),
    ],
)
def test_a_plan_may_lower_a_threshold_and_not_raise_it(own: Condition, wide: bool) -> None:
    assert no_narrower(own, VISITS) is wide


def test_a_plan_may_raise_an_upper_bound_and_not_lower_it() -> None:
    packaged = Count("days", below=30)
    assert no_narrower(Count("days", below=31), packaged)
    assert not no_narrower(Count("days", below=29), packaged)


def test_a_plan_keeps_the_shape_of_what_it_broadens() -> None:
    packaged = Any((VISITS, Count("stays", at_least=3)))
    lower = Any((Count("visits", at_least=3), Count("stays", at_least=2)))
    assert no_narrower(lower, packaged)
    assert not no_narrower(All(lower.parts), packaged)
    assert not no_narrower(Any(lower.parts[:1]), packaged)
    assert not no_narrower(Any((Count("visits", at_least=3), Count("stays", at_least=4))), packaged)


@pytest.mark.parametrize("visits", list(range(12)))
@pytest.mark.parametrize("threshold", list(range(1, 9)))
def test_whatever_the_packaged_row_lets_in_a_no_narrower_one_lets_in(visits: int, threshold: int) -> None:
    own, answers = Count("visits", at_least=threshold), {"visits": visits}
    if no_narrower(own, VISITS) and judge(VISITS, answers) == "met":
        assert judge(own, answers) == "met"
