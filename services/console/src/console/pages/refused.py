"""A service's refusal on a page: what is refused and what helps, in the person's language, with what was typed next to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import htpy as h

from console.api.client import Refused
from console.parts.basics import blocks, labels, times
from console.words import Words
from console.words.refusals import FIELD_NAMES, FIELDS, LACKING, OF_PROGRAMS, REFUSED, values_in


def problem(refusal: Refused, words: Words, fields: Sequence[tuple[str, str, str]] = ()) -> h.Element:
    """The card that is read out at once. `fields`: id of the field, its name, what to do."""
    what, fix = in_words(refusal.slug, refusal.title, refusal.fix, words)
    return blocks.problem(what, fix, refusal.trace, words, fields)


def in_words(slug: str, sentence: str, fix: str, words: Words) -> tuple[str, str]:
    """What is refused, and what helps. A slug without words here, and a sentence that English has already, are said as the
    service says them."""
    known = REFUSED.get(slug, ())
    for each in known:
        values = values_in(each.what, sentence)
        if values is not None:
            return words(each.what, **_worded(values, words)), words(each.fix)
    if not known:
        return sentence, fix
    own = words.language == "en" and slug not in OF_PROGRAMS
    return sentence if own else words(known[-1].what), words(known[-1].fix)


def field_fix(fix: str, words: Words) -> str:
    """What to do about one field."""
    for template, said in FIELDS.items():
        values = values_in(template, fix)
        if values is not None:
            return words(said, **_worded(values, words))
    return fix


def named(pointer: str, words: Words) -> str:
    """A field of a body as people call it."""
    name = pointer.rpartition("/")[2]
    return labels.capital(words(FIELD_NAMES.get(name, labels.plain(name))))


def _worded(values: Mapping[str, str], words: Words) -> Mapping[str, str]:
    """Days as people write them; each thing that is lacking as a sentence of its own."""
    return {name: _value(name, value, words) for name, value in values.items()}


def _value(name: str, value: str, words: Words) -> str:
    if name == "lacking":
        return "; ".join(_lacking(part, words) for part in value.split("; "))
    if name in ("day", "first", "last"):
        try:
            return times.day(date.fromisoformat(value), words, year=True, weekday=False)
        except ValueError:
            return value
    return value


def _lacking(part: str, words: Words) -> str:
    found = ((each, values_in(each, part)) for each in LACKING)
    return next((words(each, **values) for each, values in found if values is not None), part)
