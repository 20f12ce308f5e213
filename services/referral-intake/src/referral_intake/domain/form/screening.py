"""Which Populations of Focus do a form's answers meet?

Each population has rows of criteria for a form, a day and a plan (policy table `populations`); one met row is enough.
The answers are judged in three values: met, unmet, or unknown while what could settle it is unanswered. An exclusion
bars only when stated. An open list of the state is met by an attested other factor in words too; the result says so,
because no rule approves on that alone. A population of the other age group is unmet where an exact birth date shows
it. What a referrer claims never changes a result (loop.md 2.4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from loopkeeper.contract.events import ScreenedPopulation
from loopkeeper.contract.vocabulary.populations import ADULT_FROM, AgeBand, Population, age_band
from loopkeeper.policy import conditions
from loopkeeper.policy.conditions import WORST_FIRST, Condition, Result, judge
from loopkeeper.policy.rows import Policy, Row
from referral_intake.domain.form.criteria_fields import ANSWERS, FACTS

TABLE = "populations"
GROUPS = "birth_equity_groups"
# Former foster youth keep two of the youth populations next to the adults' (ECMG26 p32, 46): their rows are the adult
# form's too, so the standard is a matter of age alone.
Standard = Literal["adult", "child_youth"]
Answers = Mapping[str, bool | int | str | None]
OTHER_AGE = (
    "The birth date shows that the member is of the other age group; other populations may still be met."
)
ON_WORDS = "Met only by another factor, given in words: no rule approves on it alone, and a person of the plan judges it."


@dataclass(frozen=True, slots=True)
class Criterion:
    """One question of a population's criteria: the answer's name, what is asked for, and whether it is so."""

    answer: str
    sentence: str
    result: Result


@dataclass(frozen=True, slots=True)
class Screening:
    """What a form's answers say: populations in the state's order, why, by which rows, and what is still to ask.
    `raised` are worth a look though nothing is met; `notes` says, by population, what a person must know to judge."""

    populations: tuple[ScreenedPopulation, ...]
    criteria: Mapping[str, tuple[Criterion, ...]]
    policy: tuple[str, ...]
    missing: tuple[str, ...]
    raised: tuple[str, ...]
    notes: Mapping[str, tuple[str, ...]]

    @property
    def suggested(self) -> tuple[str, ...]:
        """The populations met, or worth a look, though unclaimed."""
        return tuple(
            each.code
            for each in self.populations
            if not each.claimed and (each.result == "met" or each.code in self.raised)
        )


def standard(age: int | None, form: Standard) -> Standard:
    """The standard that holds for this age; the form's own where the age is not known (loop.md 2.3)."""
    band = age_band(age)
    if band is AgeBand.UNKNOWN:
        return form
    return "adult" if band is AgeBand.ADULT else "child_youth"


def screen(
    policy: Policy,
    *,
    on: date,
    plan: str,
    form: str,
    answers: Answers,
    claimed: Collection[str],
    age: int | None = None,
    exact: bool = True,
    attested: bool = True,
    groups: Collection[str] = (),
) -> Screening:
    """Judge the answers by the rows that hold on a day for a plan. `exact`: the age follows from a birth date; an
    estimate meets criteria and fails none. `attested`: without it what is given in words counts for nothing yet.
    `groups` are the codes of race and ethnicity that the member chose; empty, or with one nobody knows, is unanswered.

    A claimed population without criteria here is unknown: a person judges it. Raises `LookupError` where the policy
    has no table of populations.
    """
    prepared = policy.derived(_prepared, TABLE, on=on, plan=plan, form=form)
    judged, of_others = prepared.rows, frozenset[str]()
    if exact and age is not None:
        of_others = policy.derived(_populations, TABLE, on=on, plan=plan) - judged.keys()
    given, by_groups = _given(policy, on, answers, age, groups, attested=attested)
    facts = _Facts(given, given if exact else {**given, "age": None})
    populations = tuple(
        _screened(
            code, judged.get(code, ()), facts, claimed=code in claimed, too_old_or_young=code in of_others
        )
        for code in sorted({*judged, *claimed}, key=_place)
    )
    raised = tuple(
        each.code
        for each in populations
        if each.result == "unknown" and _any(judged.get(each.code, ()), "raised_by", given)
    )
    used = [ref for each in populations for ref in prepared.refs.get(each.code, ())]
    said = {name for name, value in answers.items() if isinstance(value, str)}
    return Screening(
        populations=populations,
        criteria={
            each.code: tuple(by[leaf.judge(given)] for leaf, by in prepared.criteria.get(each.code, ()))
            for each in populations
        },
        policy=(*used, *by_groups),
        missing=tuple(name for name in _missing(populations, judged, given, raised) if name not in said),
        raised=raised,
        notes={
            each.code: notes
            for each in populations
            if (
                notes := (OTHER_AGE,)
                if each.code in of_others
                else _notes(each, judged.get(each.code, ()), given)
            )
        },
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    """The answers criteria know; `sure` without an age that is an estimate."""

    given: conditions.Answers
    sure: conditions.Answers

    @property
    def in_words(self) -> bool:
        return any(isinstance(value, str) for value in self.given.values())

    def without_words(self) -> _Facts:
        return _Facts(_wordless(self.given), _wordless(self.sure))


def _wordless(given: conditions.Answers) -> conditions.Answers:
    return {name: None if isinstance(value, str) else value for name, value in given.items()}


def _screened(
    code: str, rows: Sequence[Row], facts: _Facts, *, claimed: bool, too_old_or_young: bool
) -> ScreenedPopulation:
    if too_old_or_young:
        return ScreenedPopulation(code=code, result="unmet", claimed=claimed)
    result = _result(rows, facts)
    on_words = facts.in_words and result == "met" and _result(rows, facts.without_words()) != "met"
    return ScreenedPopulation(
        code=code, result=result, claimed=claimed, met_by="other_factor" if on_words else None
    )


def _given(
    policy: Policy, on: date, answers: Answers, age: int | None, groups: Collection[str], *, attested: bool
) -> tuple[conditions.Answers, tuple[str, ...]]:
    """The answers criteria know, with the facts of the form, and the rows those used. A text answers only what asks
    for words, and only once somebody attested it."""
    given = {name: value for name, value in answers.items() if _counts(name, value, attested=attested)}
    given["age"] = age
    listed = policy.rows(GROUPS, on=on) if GROUPS in policy.tables else ()
    at_risk = {group for row in listed for group in row["groups"]}
    if groups and listed:
        given["disparity_group"] = bool(at_risk & set(groups))
    return given, tuple(row.ref for row in listed) if "disparity_group" in given else ()


def _counts(name: str, value: bool | int | str | None, *, attested: bool) -> bool:
    if not isinstance(value, str):
        return True
    asked = ANSWERS.get(name)
    return attested and asked is not None and asked.type == "words"


def _result(rows: Iterable[Row], facts: _Facts) -> Result:
    """Met by one row; unknown while a row is, or where what only a person can judge speaks for it."""
    results: list[Result] = [_judged(row, facts) for row in rows]
    if not results:
        return "unknown"
    return max(results, key=WORST_FIRST.index)


def _judged(row: Row, facts: _Facts) -> Result:
    result, doubt = judge(row["condition"], facts.given), row["doubt"]
    if result == "unmet" and judge(row["condition"], facts.sure) == "unknown":
        return "unknown"
    if result != "unmet" or doubt is None:
        return result
    return "unmet" if judge(doubt, facts.given) == "unmet" else "unknown"


def _any(rows: Iterable[Row], column: str, given: conditions.Answers) -> bool:
    return any(row[column] is not None and judge(row[column], given) == "met" for row in rows)


def _notes(screened: ScreenedPopulation, rows: Iterable[Row], given: conditions.Answers) -> tuple[str, ...]:
    """Why a person judges: the result rests on words alone, or nothing but a doubtful wording keeps it open."""
    if screened.met_by is not None:
        return (ON_WORDS,)
    if screened.result != "unknown":
        return ()
    return tuple(
        row["doubt_says"]
        for row in rows
        if row["doubt"] is not None
        and judge(row["condition"], given) != "met"
        and judge(row["doubt"], given) == "met"
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The rows of a form by population, how decisions name them, and each population's criteria, as each of them looks by
    each result."""

    rows: Mapping[str, Sequence[Row]]
    refs: Mapping[str, Sequence[str]]
    criteria: Mapping[str, Sequence[tuple[conditions.Leaf, Mapping[Result, Criterion]]]]


def _prepared(rows: Sequence[Row]) -> _Prepared:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["population"], []).append(row)
    refs = {code: tuple(row.ref for row in those) for code, those in found.items()}
    return _Prepared(found, refs, {code: _criteria(those) for code, those in found.items()})


def _populations(rows: Sequence[Row]) -> frozenset[str]:
    return frozenset(row["population"] for row in rows)


def _criteria(rows: Iterable[Row]) -> Sequence[tuple[conditions.Leaf, Mapping[Result, Criterion]]]:
    leaves = dict.fromkeys(leaf for row in rows for leaf in conditions.leaves(row["condition"]))
    return tuple((leaf, _looks(leaf)) for leaf in leaves)


def _looks(leaf: conditions.Leaf) -> Mapping[Result, Criterion]:
    sentence = _sentence(leaf)
    return {result: Criterion(leaf.key, sentence, result) for result in WORST_FIRST}


def _sentence(leaf: conditions.Leaf) -> str:
    """The criterion in words, with the row's own number, so that an edited row explains itself."""
    known = ANSWERS.get(leaf.key) or FACTS.get(leaf.key)
    says = known.says if known is not None else leaf.key
    match leaf:
        case conditions.Answer(wanted=False):
            return f"{says}: no."
        case conditions.Answer() | conditions.Words():
            return f"{says}."
        case conditions.Unless():
            return f"Nobody says: {says[0].lower()}{says[1:]}."
        case conditions.Count():
            return _bounds(leaf, says)


def _bounds(leaf: conditions.Count, says: str) -> str:
    bound = f"{leaf.at_least} or more" if leaf.at_least is not None else f"Fewer than {leaf.below}"
    return f"{bound} {says}."


def _missing(
    populations: tuple[ScreenedPopulation, ...],
    judged: Mapping[str, Sequence[Row]],
    given: conditions.Answers,
    raised: Collection[str],
) -> tuple[str, ...]:
    """The answers still worth asking for: none once one population is met, for then nothing further may be asked
    (ECMG26 p10-11); those of claimed and raised populations first; where no such one is open, those of populations
    about which something was answered."""
    if any(each.result == "met" for each in populations):
        return ()
    unknown = [each.code for each in populations if each.result == "unknown"]
    claimed = {each.code for each in populations if each.claimed}
    asked_about = [code for code in unknown if code in claimed or code in raised]
    asked_about = asked_about or [code for code in unknown if _touched(judged.get(code, ()), given)]
    asked = (name for code in asked_about for name in _open(judged.get(code, ()), given))
    return tuple(dict.fromkeys(name for name in asked if name in ANSWERS))


def _touched(rows: Iterable[Row], given: conditions.Answers) -> bool:
    leaves = (leaf for row in rows for leaf in conditions.leaves(row["condition"]))
    return any(given.get(leaf.key) is not None for leaf in leaves if leaf.key in ANSWERS)


def _open(rows: Iterable[Row], given: conditions.Answers) -> Iterator[str]:
    for row in rows:
        condition: Condition = row["condition"]
        settled = judge(condition, given)
        if settled == "unknown":
            yield from conditions.asked_still(condition, given)
        if settled != "met" and row["doubt"] is not None:
            yield from conditions.asked_still(row["doubt"], given)


# Codes come from outside, too.
@lru_cache(maxsize=256)
def _place(code: str) -> tuple[int, str]:
    """The state's number of a population; one unknown to it comes last, by name."""
    known = code in Population.codes()
    return (Population(code).number if known else len(Population) + 1, code)


__all__ = ["ADULT_FROM", "ANSWERS", "FACTS", "Criterion", "Screening", "Standard", "screen", "standard"]
