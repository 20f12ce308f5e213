"""When is a criterion met? A small tree over a form's answers, judged in three values.

`answer: key` is a question answered yes, `not_so: key` one answered no; `unless: key` bars by a yes alone, and is met
while nobody says so; `words: key` is met by a text, of an open list; `count: key` with `at_least` or `below` compares
a number; `all` and `any` join them. What nobody answered is unknown, and stays so until another part settles the matter: one no
settles an `all`, one yes an `any` (loop.md 2.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

Result = Literal["met", "unmet", "unknown"]
Answers = Mapping[str, bool | int | str | None]

WORST_FIRST: Sequence[Result] = ("unmet", "unknown", "met")


@dataclass(frozen=True, slots=True)
class Answer:
    """Met by a yes; where `wanted` is false, by a no."""

    key: str
    wanted: bool = True

    def judge(self, answers: Answers) -> Result:
        said = answers.get(self.key)
        if not isinstance(said, bool):
            return "unknown"
        return "met" if said is self.wanted else "unmet"


@dataclass(frozen=True, slots=True)
class Unless:
    """An exclusion: unmet by a yes; met by a no, and while nobody says so."""

    key: str

    def judge(self, answers: Answers) -> Result:
        return "unmet" if answers.get(self.key) is True else "met"


@dataclass(frozen=True, slots=True)
class Words:
    """Met by a text; unmet by a no. A yes without words is still to be put in words."""

    key: str

    def judge(self, answers: Answers) -> Result:
        said = answers.get(self.key)
        if isinstance(said, str) and said:
            return "met"
        return "unmet" if said is False else "unknown"


@dataclass(frozen=True, slots=True)
class Count:
    """Met by a number from `at_least` on, or under `below`."""

    key: str
    at_least: int | None = None
    below: int | None = None

    def judge(self, answers: Answers) -> Result:
        number = answers.get(self.key)
        if not isinstance(number, int) or isinstance(number, bool):
            return "unknown"
        enough = self.at_least is None or number >= self.at_least
        few = self.below is None or number < self.below
        return "met" if enough and few else "unmet"


@dataclass(frozen=True, slots=True)
class All:
    """Met by all parts."""

    parts: tuple[Condition, ...]

    def judge(self, answers: Answers) -> Result:
        worst: Result = "met"
        for part in self.parts:
            if (result := part.judge(answers)) == "unmet":
                return result
            if result == "unknown":
                worst = result
        return worst


@dataclass(frozen=True, slots=True)
class Any:
    """Met by one part."""

    parts: tuple[Condition, ...]

    def judge(self, answers: Answers) -> Result:
        best: Result = "unmet"
        for part in self.parts:
            if (result := part.judge(answers)) == "met":
                return result
            if result == "unknown":
                best = result
        return best


Leaf = Answer | Unless | Words | Count
Condition = Leaf | All | Any


def parse(raw: object) -> Condition:
    """The condition a YAML value says. Raises `ValueError` with a sentence for people."""
    if not isinstance(raw, dict):
        raise ValueError("a condition is one of `all`, `any`, `answer`, `not_so`, `unless`, `words`, `count`")
    fields = cast("dict[str, object]", raw)
    match sorted(fields):
        case ["answer"]:
            return Answer(_key(fields["answer"]))
        case ["not_so"]:
            return Answer(_key(fields["not_so"]), wanted=False)
        case ["unless"]:
            return Unless(_key(fields["unless"]))
        case ["words"]:
            return Words(_key(fields["words"]))
        case ["all"]:
            return All(_parts(fields["all"]))
        case ["any"]:
            return Any(_parts(fields["any"]))
        case ["at_least", "count"]:
            return Count(_key(fields["count"]), at_least=_bound(fields["at_least"]))
        case ["below", "count"]:
            return Count(_key(fields["count"]), below=_bound(fields["below"]))
        case names:
            raise ValueError(f"a condition cannot be made of {', '.join(map(str, names)) or 'nothing'}")


def _key(raw: object) -> str:
    if not isinstance(raw, str) or not raw:
        raise ValueError("`answer`, `not_so`, `unless`, `words` and `count` name a field of the form")
    return raw


def _bound(raw: object) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or raw < 1:
        raise ValueError("`at_least` and `below` are whole numbers from 1 on")
    return raw


def _parts(raw: object) -> tuple[Condition, ...]:
    if not isinstance(raw, list) or not raw:
        raise ValueError("`all` and `any` hold a list of conditions")
    return tuple(parse(part) for part in cast("list[object]", raw))


def judge(condition: Condition, answers: Answers) -> Result:
    """Whether these answers meet the condition. A missing or null answer is unknown."""
    return condition.judge(answers)


def said(condition: Condition) -> str:
    """The condition in one line, for people who read the policy."""
    match condition:
        case Answer():
            return condition.key if condition.wanted else f"not {condition.key}"
        case Unless():
            return f"unless {condition.key}"
        case Words():
            return f"{condition.key} in words"
        case Count():
            bound = f"≥ {condition.at_least}" if condition.at_least is not None else f"< {condition.below}"
            return f"{condition.key} {bound}"
        case All():
            return f"all of ({', '.join(map(said, condition.parts))})"
        case Any():
            return f"any of ({', '.join(map(said, condition.parts))})"


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The questions a condition asks, in order."""
    if isinstance(condition, Leaf):
        yield condition
    else:
        for part in condition.parts:
            yield from leaves(part)


def asked_still(condition: Condition, answers: Answers) -> Iterator[str]:
    """The fields whose answers could still settle the condition: the unknown leaves of parts not yet settled."""
    if judge(condition, answers) != "unknown":
        return
    if isinstance(condition, Leaf):
        yield condition.key
    else:
        for part in condition.parts:
            yield from asked_still(part, answers)


def no_narrower(own: Condition, packaged: Condition) -> bool:
    """Whether `own` is the packaged condition with thresholds that let in at least as many."""
    match own, packaged:
        case (Answer(), Answer()) | (Unless(), Unless()) | (Words(), Words()):
            return own == packaged
        case Count(), Count():
            return own.key == packaged.key and _as_wide(own, packaged)
        case (All(), All()) | (Any(), Any()):
            pairs = zip(own.parts, packaged.parts, strict=False)
            return len(own.parts) == len(packaged.parts) and all(no_narrower(a, b) for a, b in pairs)
        case _:
            return False


def _as_wide(own: Count, packaged: Count) -> bool:
    lower = own.at_least is None or (packaged.at_least is not None and own.at_least <= packaged.at_least)
    higher = own.below is None or (packaged.below is not None and own.below >= packaged.below)
    return lower and higher
