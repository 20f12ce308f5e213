"""Which Populations of Focus do a form's answers meet?

Each population has one row of criteria for a form, a day and a plan (policy table `populations`). The answers are
judged against it in three values: met, unmet, or unknown while what could settle it is unanswered. What a referrer
claims is kept beside the result and never changes it (loop.md 2.4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from loopkeeper.events import ScreenedPopulation
from loopkeeper.policy import conditions
from loopkeeper.policy.conditions import Condition, Result, judge
from loopkeeper.policy.rows import Policy, Row
from loopkeeper.vocabulary.populations import Population

TABLE = "populations"
Answers = Mapping[str, bool | int | str | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer the form takes: `asks` is the question, `says` what a yes, or the number, tells."""

    type: Literal["yes_no", "count"]
    asks: str
    says: str


def _yes_no(asks: str, says: str) -> Answer:
    return Answer("yes_no", asks, says)


# Every answer that criteria may use, by its name on the form: true or false, or a whole number from 0 on. Left out or
# null is unanswered. The wording follows ECMG26 p12-13 and p19; the policy table lists the same names.
ANSWERS: Mapping[str, Answer] = {
    "no_regular_residence": _yes_no(
        "Does the member lack a fixed, regular and adequate place to spend the night?",
        "Lacks a fixed, regular and adequate night-time residence",
    ),
    "place_not_for_sleeping": _yes_no(
        "Does the member mostly live in a place not meant for sleeping, such as a car, park, abandoned building, "
        "station, airport or camping ground?",
        "Lives in a place not meant for sleeping",
    ),
    "in_shelter": _yes_no(
        "Does the member live in a supervised temporary shelter, transitional housing, or a hotel or motel paid for by "
        "a program or charity?",
        "Lives in a supervised temporary shelter",
    ),
    "leaving_institution_homeless": _yes_no(
        "Is the member leaving an institution into homelessness, after a stay of any length?",
        "Is leaving an institution into homelessness",
    ),
    "losing_housing_30d": _yes_no(
        "Will the member lose their housing within the next 30 days?",
        "Will lose housing within 30 days",
    ),
    "fleeing_violence": _yes_no(
        "Is the member fleeing domestic or dating violence, sexual assault, stalking, or other danger of that kind?",
        "Is fleeing violence",
    ),
    "complex_need": _yes_no(
        "Does the member have a complex physical, behavioral or developmental need?",
        "Has a complex physical, behavioral or developmental need",
    ),
    "cannot_self_manage": _yes_no(
        "Is the member unable to manage this need alone?",
        "Cannot manage this need alone",
    ),
    "coordination_would_help": _yes_no(
        "Would coordinated services likely improve the member's health, or reduce the use of high-cost services?",
        "Coordinated services would likely help",
    ),
    "pregnant_or_postpartum": _yes_no(
        "Is the member pregnant, or within 12 months after a pregnancy?",
        "Is pregnant or postpartum",
    ),
    "transitional_rent": _yes_no(
        "Is the member authorized for Transitional Rent?",
        "Is authorized for Transitional Rent",
    ),
    "avoidable_ed_visits_6m": Answer(
        "count",
        "How many emergency room visits in the last six months could better outpatient care or treatment adherence have "
        "avoided? A visit that became a hospital stay counts as a stay only.",
        "avoidable emergency room visits in six months",
    ),
    "avoidable_stays_6m": Answer(
        "count",
        "How many unplanned hospital and short-term skilled nursing stays, taken together, in the last six months could "
        "better outpatient care or treatment adherence have avoided?",
        "avoidable unplanned hospital or short-term skilled nursing stays in six months",
    ),
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One question of a population's criteria: the answer's name, what is asked for, and whether it is so."""

    answer: str
    sentence: str
    result: Result


@dataclass(frozen=True, slots=True)
class Screening:
    """What a form's answers say: populations in the state's order, why, by which rows, and what is still to ask."""

    populations: tuple[ScreenedPopulation, ...]
    criteria: Mapping[str, tuple[Criterion, ...]]
    policy: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def suggested(self) -> tuple[str, ...]:
        """The populations met though unclaimed."""
        return tuple(each.code for each in self.populations if each.result == "met" and not each.claimed)


def screen(
    policy: Policy, *, on: date, plan: str, form: str, answers: Answers, claimed: Collection[str]
) -> Screening:
    """Judge the answers by the rows that hold on a day for a plan.

    A claimed population without criteria here is unknown: a person judges it. Raises `LookupError` where the policy
    has no table of populations.
    """
    judged = {row["population"]: row for row in policy.rows(TABLE, on=on, plan=plan, form=form)}
    given = _given(answers)
    populations = tuple(
        ScreenedPopulation(code=code, result=_result(judged.get(code), given), claimed=code in claimed)
        for code in sorted({*judged, *claimed}, key=_place)
    )
    return Screening(
        populations=populations,
        criteria={each.code: _criteria(judged.get(each.code), given) for each in populations},
        policy=tuple(judged[each.code].ref for each in populations if each.code in judged),
        missing=_missing(populations, judged, given),
    )


def _given(answers: Answers) -> conditions.Answers:
    """The answers criteria know. A text is an answer to no criterion: it counts as unanswered."""
    return {name: value for name, value in answers.items() if not isinstance(value, str)}


def _result(row: Row | None, given: conditions.Answers) -> Result:
    return judge(row["condition"], given) if row is not None else "unknown"


def _criteria(row: Row | None, given: conditions.Answers) -> tuple[Criterion, ...]:
    leaves = conditions.leaves(row["condition"]) if row is not None else ()
    return tuple(Criterion(leaf.key, _sentence(leaf), judge(leaf, given)) for leaf in leaves)


def _sentence(leaf: conditions.Answer | conditions.Count) -> str:
    """The criterion in words, with the row's own number, so that an edited row explains itself."""
    says = ANSWERS[leaf.key].says if leaf.key in ANSWERS else leaf.key
    if isinstance(leaf, conditions.Answer):
        return f"{says}."
    bound = f"{leaf.at_least} or more" if leaf.at_least is not None else f"Fewer than {leaf.below}"
    return f"{bound} {says}."


def _missing(
    populations: tuple[ScreenedPopulation, ...], judged: Mapping[str, Row], given: conditions.Answers
) -> tuple[str, ...]:
    """The answers still worth asking for: none once one population is met, for then nothing further may be asked
    (ECMG26 p10-11); those of claimed populations first; of all, when no claimed one is open."""
    if any(each.result == "met" for each in populations):
        return ()
    unknown = [each for each in populations if each.result == "unknown"]
    asked_about = [each for each in unknown if each.claimed] or unknown
    asked = (name for each in asked_about for name in _open(judged.get(each.code), given))
    return tuple(dict.fromkeys(asked))


def _open(row: Row | None, given: conditions.Answers) -> Iterator[str]:
    condition: Condition | None = row["condition"] if row is not None else None
    return conditions.asked_still(condition, given) if condition is not None else iter(())


def _place(code: str) -> tuple[int, str]:
    """The state's number of a population; one unknown to it comes last, by name."""
    known = code in Population.codes()
    return (Population(code).number if known else len(Population) + 1, code)
