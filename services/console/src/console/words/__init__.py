"""The words of pages in the person's language: English in the program, Spanish in `es.po` next to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Literal, cast

from babel.messages.pofile import read_po

Language = Literal["en", "es"]
LANGUAGES: Mapping[Language, str] = {"en": "English", "es": "Español"}


@cache
def catalog(language: Language) -> Mapping[str, str]:
    """Every translation of this language by its English words; nothing for English."""
    if language == "en":
        return {}
    raw = files("console.words").joinpath(f"{language}.po").read_bytes()
    found = read_po(BytesIO(raw), locale=language, charset="utf-8")
    return {
        cast("str", message.id): cast("str", message.string)
        for message in found
        if message.id and message.string and not message.fuzzy
    }


@dataclass(frozen=True, slots=True)
class Words:
    """Says English words in this language: `_("{count} wait", count=3)`. What has no translation stays English."""

    language: Language = "en"

    def __call__(self, text: str, **values: object) -> str:
        found = catalog(self.language).get(text, text)
        return found.format(**values) if values else found

    def many(self, one: str, several: str, count: int, **values: object) -> str:
        """One of two sentences by how many there are; both know `{count}`."""
        return self(one if count == 1 else several, count=count, **values)


def chosen(asked: str, accepted: str = "") -> Language:
    """The language a person chose, or else the first one of ours that the browser accepts."""
    tags = (part.partition(";")[0].strip().lower().partition("-")[0] for part in accepted.split(","))
    for tag in (asked, *tags):
        for known in LANGUAGES:
            if tag == known:
                return known
    return "en"
