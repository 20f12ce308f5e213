"""What is a code? A string that machines keep, with the label that people read."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import cache
from typing import Self


class Code(StrEnum):
    """A list of codes, each written `NAME = "code", "Label"`. A member is its code; `label` is for people."""

    label: str

    def __new__(cls, code: str, label: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.label = label
        return member

    @classmethod
    @cache
    def codes(cls) -> frozenset[str]:
        return frozenset(member.value for member in cls)

    @classmethod
    def label_of(cls, code: str) -> str:
        """The label of a code, the code itself where it is not (or no longer) on the list."""
        return cls(code).label if code in cls.codes() else code


def folded(text: str) -> str:
    """A word as it is compared with the name of a code: no case, no accents, one space for whatever separates."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return re.sub(r"[\W_]+", " ", plain).strip().casefold()
