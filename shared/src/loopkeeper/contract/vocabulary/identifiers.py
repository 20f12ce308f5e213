"""Is this number written as its issuer writes it? Syntax only: neither proves that anybody holds it."""

from __future__ import annotations

import re

# Nine, seven digits, a letter; B I J K L O P Q R S are never issued (domain.md 7.3).
_CIN = re.compile(r"9\d{7}[ACDEFGHMNTUVWXYZ]", re.ASCII)
# One digit seven times after the nine is somebody's placeholder, after one county plan's feed rule.
_FAKE = re.compile(r"9(\d)\1{6}[A-Z]", re.ASCII)
# Invented members end in S, which is never issued (loop.md 8.5).
_SYNTHETIC = re.compile(r"9\d{7}S", re.ASCII)
# A benefits card shows the CIN, a check digit and sometimes the four digits of its issue date.
_CARD = re.compile(r"([0-9A-Z]{9})\d(?:\d{4})?", re.ASCII)
_NPI = re.compile(r"[12]\d{9}", re.ASCII)
# What the prefix 80840 adds to the Luhn sum of an NPI (domain.md 7.4).
_NPI_PREFIX_SUM = 24


def cin(text: str) -> str:
    """The nine characters of a CIN in what was typed or read from a card: no spaces or dashes, capitals, no tail."""
    tidy = re.sub(r"[\s-]", "", text).upper()
    card = _CARD.fullmatch(tidy)
    return card[1] if card else tidy


def cin_valid(text: str, *, synthetic: bool = False) -> bool:
    """Whether this can be a member's CIN; `synthetic` admits invented ones too (demo and tests only)."""
    number = cin(text)
    if synthetic and _SYNTHETIC.fullmatch(number):
        return True
    return _CIN.fullmatch(number) is not None and _FAKE.fullmatch(number) is None


def npi_valid(text: str) -> bool:
    """Ten digits, the first 1 or 2, with a right Luhn digit under the prefix 80840."""
    if not _NPI.fullmatch(text):
        return False
    digits = [int(character) for character in reversed(text)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[0::2]) + sum(doubled) + _NPI_PREFIX_SUM) % 10 == 0
