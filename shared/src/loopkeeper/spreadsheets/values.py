"""What does one cell say? As text, a day, a count, a duration, yes or no; or why it cannot be told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from loopkeeper.spreadsheets.cells import Broken, Value
from loopkeeper.spreadsheets.headings import folded
from loopkeeper.spreadsheets.number_formats import EXACT, day_of_serial

YES = frozenset({"y", "yes", "1", "true", "t", "x"})
NO = frozenset({"n", "no", "0", "false", "f"})
EARLIEST, LATEST = 1880, 2199
MOST_COUNTED, MOST_MINUTES = 100_000, 1440

_SPACES = re.compile(r"[\s\u200b\ufeff\u2060\x00-\x1f]+")
# A formula that is nothing but a text, by which exports keep zeros: ="00123".
_AS_FORMULA = re.compile(r'="([^"]*)"')
# A spreadsheet program's short form of a long number: its last digits are gone.
_SHORTENED = re.compile(r"[+-]?\d(?:[.,]\d+)?E\+\d{1,3}", re.I)
_MIDNIGHT = re.compile(r"(?:[T ]+(?:00?:00(?::00(?:\.0+)?)?|12:00(?::00)? ?AM))?Z?\Z", re.I)
_COUNT = re.compile(r"\d{1,9}(?:[.,]0+)?")
_MINUTES = re.compile(
    r"(?:(?P<h>\d{1,2}(?:\.\d{1,2})?) ?(?:h|hr|hrs|hour|hours)\.?)?[ ,]*(?:and )?"
    r"(?:(?P<m>\d{1,4}) ?(?:m|min|mins|minute|minutes)?\.?)?",
    re.I,
)
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::[0-5]\d)?")
_PHONE = re.compile(r"\+?[\d().\-/ ]+(?: ?(?:x|ext\.?) ?\d{1,6})?", re.I)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TOKENS = re.compile(r"YYYY|YY|MON|MM|DD|M|D")


class Damaged(Exception):
    """The cell says nothing that can be read; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a day is written, such as `MM/DD/YYYY`: it reads and writes."""

    text: str
    expression: re.Pattern[str]
    order: tuple[str, ...]
    # Digits alone, with nothing between them.
    dense: bool = False

    def read(self, written: str) -> date | None:
        if self.dense and len(written) == len(self.text) - 1 and written.isdecimal():
            # A spreadsheet took the zero away that the number began with.
            written = f"0{written}"
        found = self.expression.fullmatch(written)
        if found is None:
            return None
        parts = dict(zip(self.order, found.groups(), strict=True))
        month = MONTHS.index(parts["MON"].lower()[:3]) + 1 if "MON" in parts else int(parts["M"])
        try:
            day = date(int(parts["YYYY"]), month, int(parts["D"]))
        except ValueError:
            return None
        return day if EARLIEST <= day.year <= LATEST else None

    def write(self, day: date) -> str:
        def put(token: re.Match[str]) -> str:
            match token[0]:
                case "YYYY":
                    return f"{day.year:04}"
                case "MON":
                    return MONTHS[day.month - 1].upper()
                case "MM" | "M":
                    return f"{day.month:0{len(token[0])}}"
                case _:
                    return f"{day.day:0{len(token[0])}}"

        return _TOKENS.sub(put, self.text)


@lru_cache(maxsize=256)
def pattern(text: str) -> Pattern:
    """Raises `ValueError` for a pattern that does not say year, month and day, or has a year of two digits."""
    order: list[str] = []
    expression = ""
    at = 0
    dense = not re.search(r"[^YMDON]", text)
    for token in _TOKENS.finditer(text):
        name = token[0]
        expression += re.escape(text[at : token.start()])
        at = token.end()
        match name:
            case "YYYY":
                expression += r"(\d{4})"
            case "MON":
                expression += r"([A-Za-z]{3,9})\.?"
            case "MM" | "DD" | "M" | "D":
                expression += r"(\d{2})" if dense else r"(\d{1,2})"
            case _:
                raise ValueError("a year of two digits cannot be told")
        order.append(name if name in ("YYYY", "MON") else name[0])
    if sorted(order) not in (["D", "M", "YYYY"], ["D", "MON", "YYYY"]):
        raise ValueError("a day needs its year, month and day, each once")
    if "MON" in order:
        # Only what begins as a month's name does is one.
        expression = expression.replace("([A-Za-z]{3,9})", f"((?i:{'|'.join(MONTHS)})[A-Za-z]{{0,6}})")
    return Pattern(
        text, re.compile(expression + re.escape(text[at:])), tuple(order), dense and "MON" not in order
    )


def text_of(value: Value, empty: Iterable[str] = ()) -> str:
    """The cell as tidy text: every kind of blank is one space, ends are trimmed, a leading apostrophe goes, and words
    that mean nothing are nothing. Raises `Damaged` for an error cell."""
    match value:
        case None:
            return ""
        case str():
            text = _tidy(value).removeprefix("'").strip()
            if text.startswith('="') and (kept := _AS_FORMULA.fullmatch(text)):
                text = kept[1].strip()
            return "" if text.casefold() in casefolded(empty) else text
        case Broken():
            raise Damaged("cell-error")
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return repr(value)
        case datetime():
            whole = (value.hour, value.minute, value.second) == (0, 0, 0)
            return value.strftime("%Y-%m-%d" if whole else "%Y-%m-%dT%H:%M:%S")
        case timedelta():
            minutes = int(value.total_seconds()) // 60
            return f"{minutes // 60}:{minutes % 60:02}"
        case _:
            return str(value)


def _tidy(text: str) -> str:
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    return _SPACES.sub(" ", text).strip()


@lru_cache(maxsize=256)
def _casefolded(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.strip().casefold() for word in words)


def casefolded(words: Iterable[str]) -> frozenset[str]:
    """Words as they are compared when every character counts."""
    return _casefolded(tuple(words))


def number_text(value: Value, width: int = 0, empty: Iterable[str] = ()) -> str:
    """A number that identifies something, as text: zeros that a spreadsheet took away are put back up to `width`.
    Raises `Damaged` (`cell-damaged`) where digits are lost."""
    if isinstance(value, float) and abs(value) >= EXACT:
        raise Damaged("cell-damaged")
    text = text_of(value, empty)
    if _SHORTENED.fullmatch(text):
        raise Damaged("cell-damaged")
    return text.zfill(width) if text.isdecimal() and text.isascii() and len(text) < width else text


def day_of(
    value: Value, patterns: Sequence[str], *, serial_dates: bool = False, empty: Iterable[str] = ()
) -> date | None:
    """The day in a cell, None where it is empty. Raises `Damaged` (`date-unreadable`)."""
    if isinstance(value, date):
        day = date(value.year, value.month, value.day)
        if not EARLIEST <= day.year <= LATEST:
            raise Damaged("date-unreadable")
        return day
    text = text_of(value, empty)
    if not text:
        return None
    bare = bare_day(text)
    for known in patterns:
        day = pattern(known).read(bare)
        if day is not None:
            return day
    if serial_dates and re.fullmatch(r"\d{4,6}(?:\.0+)?", bare):
        day = day_of_serial(float(bare))
        if day is not None and EARLIEST <= day.year <= LATEST:
            return date(day.year, day.month, day.day)
    raise Damaged("date-unreadable")


def bare_day(text: str) -> str:
    """A day as text, without the midnight that some programs write behind it."""
    found = _MIDNIGHT.search(text)
    return text[: found.start() if found else len(text)].strip()


def yes_or_no(
    value: Value, says_yes: Iterable[str] = (), says_no: Iterable[str] = (), empty: Iterable[str] = ()
) -> bool | None:
    """None where it is not said. Raises `Damaged` (`word-unknown`)."""
    if isinstance(value, bool):
        return value
    text = text_of(value, empty).casefold()
    if not text:
        return None
    if text in casefolded(says_yes):
        return True
    if text in casefolded(says_no):
        return False
    if text in YES:
        return True
    if text in NO:
        return False
    raise Damaged("word-unknown")


def count_of(value: Value, empty: Iterable[str] = ()) -> int | None:
    """A whole number from zero. Raises `Damaged` (`count-unreadable`)."""
    text = text_of(value, empty)
    if not text:
        return None
    if isinstance(value, bool) or not _COUNT.fullmatch(text) or not text.isascii():
        raise Damaged("count-unreadable")
    number = int(re.split(r"[.,]", text)[0])
    if number > MOST_COUNTED:
        raise Damaged("count-unreadable")
    return number


def minutes_of(value: Value, empty: Iterable[str] = ()) -> int | None:
    """A length of time in minutes, written such as 70, 70 min, 1 h 10 min or 1:10. Raises `Damaged`
    (`minutes-unreadable`)."""
    text = text_of(value, empty).casefold()
    if not text:
        return None
    minutes = _minutes(text)
    if isinstance(value, bool) or minutes is None or not 0 <= minutes <= MOST_MINUTES:
        raise Damaged("minutes-unreadable")
    return minutes


def _minutes(text: str) -> int | None:
    if clock := _CLOCK.fullmatch(text):
        return int(clock[1]) * 60 + int(clock[2])
    if _COUNT.fullmatch(text):
        return int(re.split(r"[.,]", text)[0])
    found = _MINUTES.fullmatch(text)
    if found is None or not (found["h"] or found["m"]):
        return None
    return round(float(found["h"] or 0) * 60) + int(found["m"] or 0)


def phone_of(value: Value, empty: Iterable[str] = ()) -> str:
    """A phone number as it is written, empty where there is none. Raises `Damaged` (`phone-unreadable`)."""
    text = number_text(value, empty=empty)
    if not text:
        return ""
    digits = sum(character.isdecimal() for character in re.split("x|ext", text, flags=re.I)[0])
    if not _PHONE.fullmatch(text) or not text.isascii() or not 7 <= digits <= 15:
        raise Damaged("phone-unreadable")
    return text


def word_of(value: Value, words: Mapping[str, str], empty: Iterable[str] = ()) -> str:
    """The code of a word, by `words` (folded word to code); empty for an empty cell. Raises `Damaged`
    (`word-unknown`)."""
    text = text_of(value, empty)
    if not text:
        return ""
    found = words.get(folded(text))
    if found is None:
        raise Damaged("word-unknown")
    return found


def words_of(
    value: Value, words: Mapping[str, str], empty: Iterable[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes of all words in a cell, and the words nobody knows. Semicolons are between them; commas too, where
    the whole is no word."""
    text = text_of(value, empty)
    if not text:
        return (), ()
    known: dict[str, None] = {}
    unknown: list[str] = []
    for part in parts_of(text, words):
        code = words.get(folded(part))
        if code is None:
            unknown.append(part)
        else:
            known[code] = None
    return tuple(known), tuple(unknown)


def parts_of(text: str, words: Mapping[str, str]) -> list[str]:
    """The words of a cell that may have several."""
    if folded(text) in words:
        return [text]
    parts: list[str] = []
    for part in re.split(r"[;|\n]", text):
        if part.strip() and folded(part) not in words and "," in part:
            parts += [each.strip() for each in part.split(",") if each.strip()]
        elif part.strip():
            parts.append(part.strip())
    return parts
