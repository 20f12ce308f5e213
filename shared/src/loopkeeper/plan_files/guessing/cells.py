"""How are days, periods, words and numbers written in these columns?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches

from loopkeeper.contract.vocabulary import County, Language
from loopkeeper.contract.vocabulary.languages import language_of
from loopkeeper.plan_files.fields import POPULATION_HINTS, Field
from loopkeeper.plan_files.guessing.terms import CALLED
from loopkeeper.spreadsheets.cells import Broken, Value
from loopkeeper.spreadsheets.headings import folded
from loopkeeper.spreadsheets.values import bare_day, parts_of, pattern, text_of

PATTERNS = (
    "MM/DD/YYYY", "YYYY-MM-DD", "YYYYMMDD", "MM-DD-YYYY", "DD-MON-YYYY", "MON D, YYYY", "D MON YYYY", "YYYY/MM/DD",
    "MMDDYYYY", "DD.MM.YYYY", "DD/MM/YYYY",
)  # fmt: skip
MOST_WORDS = 20
UNKNOWN_CODE = "WHICH-CODE"
ZIP_WIDTH = 5
_SERIAL = re.compile(r"[2-6]\d{4}(\.0+)?")
_TWO_DIGITS = re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2}")


def text_at(value: Value) -> str:
    return "" if isinstance(value, Broken) else text_of(value)


def looks_like_day(value: Value) -> bool:
    if isinstance(value, date):
        return True
    text = bare_day(text_at(value))
    return bool(_SERIAL.fullmatch(text) or _TWO_DIGITS.fullmatch(text)) or any(
        pattern(each).read(text) is not None for each in PATTERNS
    )


def day_patterns(values: Sequence[Value]) -> tuple[list[str], bool, list[str]]:
    """The patterns of days in these cells, whether some are bare serial numbers, and what a person must know."""
    texts = [bare_day(text_at(value)) for value in values if not isinstance(value, date | Broken)]
    counts = {each: sum(pattern(each).read(text) is not None for text in texts) for each in PATTERNS}
    found = sorted((each for each in PATTERNS if counts[each]), key=lambda each: -counts[each])
    if {"MM/DD/YYYY", "DD/MM/YYYY"} <= set(found):
        # A day that can be read both ways is American; one that cannot says which it is.
        found.remove("DD/MM/YYYY" if counts["MM/DD/YYYY"] >= counts["DD/MM/YYYY"] else "MM/DD/YYYY")
    real = sum(isinstance(value, date) for value in values)
    serial = any(_SERIAL.fullmatch(text) for text in texts)
    notes: list[str] = []
    if not found:
        notes.append(f"{real} cells are real dates." if real else "No date was found; MM/DD/YYYY is assumed.")
    if serial:
        notes.append("Some days are bare numbers, as a spreadsheet counts them.")
    if any(_TWO_DIGITS.fullmatch(text) for text in texts):
        notes.append("Some years have two digits: they cannot be told, and their rows are refused.")
    return found or ["MM/DD/YYYY"], serial, notes


def period_pattern(values: Sequence[Value]) -> str:
    """How the days of a period are written; empty where no cell tells."""
    for text in filter(None, map(text_at, values)):
        for each in PATTERNS:
            for at in range(len(text), 3, -1):
                if pattern(each).read(text[:at]) is None:
                    continue
                for end in range(at, len(text) - 3):
                    if pattern(each).read(text[end:]) is not None:
                        return f"{{start:{each}}}{text[at:end]}{{end:{each}}}"
    return ""


def width_of(name: str, values: Sequence[Value]) -> int:
    """Digits of one length, some with a zero in front: a spreadsheet may take it away. A ZIP has five."""
    texts = [text for value in values if (text := text_at(value)).isdecimal()]
    if name.endswith("zip"):
        return ZIP_WIDTH
    longest = max(map(len, texts), default=0)
    padded = [text for text in texts if text.startswith("0")]
    return longest if padded and all(len(text) == longest for text in padded) else 0


def constant(values: Sequence[Value]) -> str:
    """The short mark that each filled cell of a column has, such as that of the kind of line; else empty."""
    texts = {text for value in values if (text := text_at(value))}
    return texts.pop() if len(texts) == 1 and all(len(text) <= 3 and text.isalpha() for text in texts) else ""


# ── words of lists ────────────────────────────────────────────────────────────────────────────────────────────────


def words_in(name: str, found: Field, values: Sequence[Value]) -> dict[str, list[str]]:
    """The distinct words of a column of words, each under the code it is most like; `WHICH-CODE` where none is. Words
    that are read without being named are left out."""
    known = dict(_called(name, found))
    texts = sorted(_distinct(found, values, known))
    if len(texts) > MOST_WORDS:
        return {}
    own = {folded(word) for code in found.vocabulary or () for word in (code.value, code.label)}
    words: dict[str, list[str]] = {}
    for text in texts:
        if folded(text) not in own:
            words.setdefault(_code(name, found, folded(text), known), []).append(text)
    return words


def _distinct(found: Field, values: Sequence[Value], known: Mapping[str, str]) -> set[str]:
    texts = (text for value in values if (text := text_at(value)))
    if found.type != "words":
        return set(texts)
    return {part for text in texts for part in parts_of(text, known)}


def _called(name: str, found: Field) -> Iterator[tuple[str, str]]:
    """Every word a code of this field is known under, folded, and the code."""
    for code, words in CALLED.get(name, {}).items():
        yield from ((folded(word), code) for word in words)
    if found.vocabulary is not None:
        yield from ((folded(code.label), code.value) for code in found.vocabulary)
    if "homelessness" in found.allowed:
        yield from POPULATION_HINTS.items()
    yield from ((folded(code), code) for code in found.allowed)


def _code(name: str, found: Field, word: str, known: Mapping[str, str]) -> str:
    if not found.allowed:
        # Names of plans: each is known here under an id made of its words.
        return word.replace(" ", "-") if word.replace(" ", "").isascii() else UNKNOWN_CODE
    if word in known:
        return known[word]
    if found.vocabulary is Language and (language := language_of(word)) is not None:
        return language.value
    if found.vocabulary is County and word.removesuffix(" county") in known:
        return known[word.removesuffix(" county")]
    numbered = word.split(" ", 1)
    if len(numbered) == 2 and numbered[0].isdecimal() and numbered[1] in known:
        return known[numbered[1]]
    close = get_close_matches(word, list(known), n=1, cutoff=0.8)
    return known[close[0]] if close else _by_letters(word, known)


def _by_letters(word: str, known: Mapping[str, str]) -> str:
    """A short form: the first letters of a code's words, or its beginning, where only one code has them."""
    if len(word) > 4 or not word.isalpha():
        return UNKNOWN_CODE
    initials = {
        code
        for name, code in known.items()
        if "".join(each[0] for each in name.split()) == word and len(word) > 1
    }
    begins = {code for name, code in known.items() if name.startswith(word)}
    found = initials or begins
    return found.pop() if len(found) == 1 else UNKNOWN_CODE
