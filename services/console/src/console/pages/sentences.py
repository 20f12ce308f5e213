"""What the services say in sentences, in the person's language: from the code of the sentence and its values.

In English it is the service's own sentence. In another language a code without words here stays English: the test of
the translations finds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from console.api.models.form import ANSWERS
from console.parts.basics import labels, times
from console.words import Words
from console.words.happened import SPANISH

# Questions that are about a program or a plan, by the beginning of their id: their words have a place for it.
ABOUT: Mapping[str, str] = {
    "confirm": "The form says the member is in {what}, which excludes ECM. Has this been confirmed?",
    "choice": "The form or the plan's roster has the member in {what}. Told of both, which does the member choose?",
    "redirect": "The member seems to belong to the plan {what}. Shall the referral be sent there?",
}


def question(id: str, asks: str, words: Words) -> str:
    """A question of the services, by its id; `asks` is how the service says it."""
    kind, _, about = id.partition("-")
    if id.startswith("answer-"):
        code = id.removeprefix("answer-")
        return words(ANSWERS[code][1]) if code in ANSWERS else asks
    if kind in ABOUT and about and id not in ("redirect",):
        return words(ABOUT[kind], what=_program(about, words))
    return words(asks.removesuffix(" (true or false)"))


def _program(code: str, words: Words) -> str:
    return labels.program(code, words)


def step(code: str, said: str, values: Mapping[str, str], words: Words) -> str:
    """What the next actor must do."""
    through = values.get("through")
    if code == "send_full_referral" and through:
        return words(
            "send the full referral, before the grant ends after {day}",
            day=times.day(date.fromisoformat(through), words, year=True),
        )
    return words(said)


def kind_of(type: str) -> str:
    """The kind of an event, without the prefix and the version that its wire type has."""
    return re.sub(r"^ecm\.|\.v\d+$", "", type)


def happened(type: str, said: str, values: Mapping[str, Any], words: Words) -> str:
    """One line of a timeline. `type`: the event's."""
    if words.language == "en":
        return said
    made = SPANISH.get(kind_of(type))
    return made(Values(values, words)) if made else said


class Values:
    """The values of one sentence, each in the person's language."""

    def __init__(self, values: Mapping[str, Any], words: Words) -> None:
        self._values, self._words = values, words

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name)

    def name(self, name: str) -> str:
        """An organization's id; the page puts its name there."""
        return str(self._values.get(name) or "")

    def code(self, name: str) -> str:
        """A code, as words."""
        return self._words(labels.plain(str(self._values.get(name) or "")))

    def day(self, name: str) -> str:
        """A day, or the last day of a deadline; empty where there is none."""
        value = self._values.get(name)
        if not value:
            return ""
        text = str(value)
        on = times.last_day(datetime.fromisoformat(text)) if "T" in text else date.fromisoformat(text)
        return times.day(on, self._words, year=True, weekday=False)

    def by(self, name: str, before: str = " a más tardar el ") -> str:
        """The day after these words; nothing where there is none."""
        day = self.day(name)
        return f"{before}{day}" if day else ""
