"""What may be in a policy table: its columns, what one of its rows is about, and what a plan may add or change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.vocabulary import NAMED
from loopkeeper.policy import conditions

# Of every fact: confirmed, by a secondary source only, in the project's brief only, recalled, our own choice.
CONFIDENCES = ("C", "c2", "B", "M", "ours")
COMMON = frozenset({"id", "plan", "effective_from", "effective_to", "source", "confidence", "note"})

ColumnType = Literal["text", "texts", "whole", "share", "switch", "condition"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with the policy: where, what, and what to do about it."""

    place: str
    sentence: str
    fix: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence} {self.fix}"


class Column(BaseModel):
    """One column. `one_of` and `vocabulary` bound a text, each of several, or the answers a condition asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: ColumnType = "text"
    one_of: tuple[str, ...] = ()
    vocabulary: str = ""
    optional: bool = False

    @property
    def allowed(self) -> frozenset[str]:
        """The texts that may be here; empty for any."""
        return NAMED[self.vocabulary].codes() if self.vocabulary in NAMED else frozenset(self.one_of)

    def read(self, raw: object) -> Any:
        """The value as rules use it. Raises `ValueError` with a sentence."""
        match self.type, raw:
            case "text", str():
                return self._allowed(raw)
            case "texts", list() if raw:
                return tuple(self._allowed(each) for each in raw)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            case "switch", bool():
                return raw
            case "whole", int() if not isinstance(raw, bool):
                return raw
            case "share", int() | float() if not isinstance(raw, bool) and 0 <= raw <= 1:
                return float(raw)
            case "condition", _:
                return self._asked(conditions.parse(raw))
            case _:
                raise ValueError(f"expected is {WANTED[self.type]}")

    def _asked(self, condition: conditions.Condition) -> conditions.Condition:
        for leaf in conditions.leaves(condition):
            self._allowed(leaf.key)
        return condition

    def _allowed(self, raw: object) -> str:
        if not isinstance(raw, str):
            raise ValueError("expected is a text")
        if self.allowed and raw not in self.allowed:
            raise ValueError(f"expected is one of {', '.join(sorted(self.allowed))}")
        return raw


WANTED: dict[str, str] = {
    "text": "a text",
    "texts": "a list of texts",
    "whole": "a whole number",
    "share": "a number from 0 to 1",
    "switch": "true or false",
    "condition": "a condition",
}


class PlanRule(BaseModel):
    """What a plan's own rows may do.

    `none`: there are none. `add`: join the packaged rows, never replace one. `replace`: take the place
    of the packaged row of the same key. `broaden`: the same, but only with thresholds that let in more, and only
    where the columns of `only` have one of those values. `required`: nothing is packaged, every plan must choose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    may: Literal["none", "add", "replace", "broaden", "required"] = "none"
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Table(BaseModel):
    """A declared table. Rows with the same values in the columns of `key` follow each other in time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    about: str
    key: tuple[str, ...]
    columns: dict[str, Column]
    plans: PlanRule = PlanRule()


def read_date(raw: object) -> date:
    """A YAML date. Raises `ValueError`; a time of day is none."""
    if type(raw) is date:
        return raw
    raise ValueError("expected is a date such as 2026-01-01")
