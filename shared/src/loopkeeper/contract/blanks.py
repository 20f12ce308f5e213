"""What a form's empty field sends: `""`, and words such as "unknown" or "N/A". A blank is a missing field, never a value.

A name is not blank for these words: somebody is called Unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from pydantic import BaseModel, model_validator

BLANK_WORDS = frozenset({"", "unknown", "n/a", "na", "n.a."})
LONGEST = max(map(len, BLANK_WORDS))


def is_empty(sent: object) -> bool:
    """Whether this is a text with nothing in it."""
    return isinstance(sent, str) and (not sent or sent.isspace())


def is_blank(sent: object) -> bool:
    """Whether this is a text that says nothing: an empty one, or a word for a missing value."""
    if not isinstance(sent, str):
        return False
    word = sent.strip()
    return len(word) <= LONGEST and word.casefold() in BLANK_WORDS


def without_empty(sent: object) -> object:
    """An object without the entries that are empty texts: what a form sends for a row nobody filled in."""
    if not isinstance(sent, Mapping):
        return sent
    entries = cast("Mapping[object, object]", sent)
    return {name: value for name, value in entries.items() if not is_empty(value)}


def without_blank(sent: object) -> object:
    """The same, words for a missing value included."""
    if not isinstance(sent, Mapping):
        return sent
    entries = cast("Mapping[object, object]", sent)
    return {name: value for name, value in entries.items() if not is_blank(value)}


class BlankIsMissing(BaseModel):
    """A body in which a blank counts as a missing field wherever a field may be missing. `verbatim` names the fields
    in which a word for a missing value is meant as it is written: names, and choices that have the word. With
    `empty_is_null` an empty text is a null instead, where null empties a field."""

    verbatim: ClassVar[frozenset[str]] = frozenset()
    empty_is_null: ClassVar[bool] = False
    _optional: ClassVar[frozenset[str]] = frozenset()
    _nullable: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        free = {name: field for name, field in cls.model_fields.items() if not field.is_required()}
        aliases = {field.alias for field in free.values() if field.alias}
        cls._optional = frozenset({*free, *aliases})
        cls._nullable = frozenset(name for name, field in free.items() if field.get_default() is None)

    @model_validator(mode="before")
    @classmethod
    def _blank_is_missing(cls, sent: object) -> object:
        if not isinstance(sent, dict):
            return sent
        fields = cast("dict[str, object]", sent)
        kept: dict[str, object] = {}
        for name, value in fields.items():
            empty = is_empty if name in cls.verbatim else is_blank
            if name not in cls._optional or not (empty(value) or _says_nothing(value)):
                kept[name] = _filled(value, empty)
            elif cls.empty_is_null and name in cls._nullable and is_empty(value):
                kept[name] = None
        return kept


def _says_nothing(value: object) -> bool:
    """Whether this is an object with nothing in it but empty texts: a part of a form that nobody filled in."""
    if not isinstance(value, dict):
        return False
    entries = cast("dict[str, object]", value)
    return bool(entries) and all(
        entry is None or is_empty(entry) or _says_nothing(entry) for entry in entries.values()
    )


def _filled(value: object, empty: Callable[[object], bool]) -> object:
    """A list without the entries that say nothing; any other value as it is."""
    if not isinstance(value, list):
        return value
    entries = cast("list[object]", value)
    return [entry for entry in entries if not (empty(entry) or _says_nothing(entry))]
