"""Where does an identity come out that was put in? Words that are nowhere else are put into every field, and searched.

A canary is plain text: what is encoded (base64, hex) or compressed is not looked into. Sealed parts are, so that
nothing else that is encoded may pass for sealed: the tables hold such texts in columns of sealed parts only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from pydantic import BaseModel

from tests.security.declared import Place, Schema, changed, pointer, texts

# Four letters that no word begins with, then digits by which it is known: short where a field is short. Ten
# characters of the rarest kind do not arise by chance in 100 MB of ciphertext (1 in a million runs).
WORD = re.compile(rb"zqxv[0-9a-f]{6,14}")
SHORT, LONG = 10, 18
# A member's number begins with these four; it is written plainly by half the callers, with blanks by the other half.
CIN = re.compile(rb"9727\d{4}s")
SPACED_CIN = re.compile(rb"9 727 \d{4}s")
# Before the time in which anything of this system happens.
BORN = re.compile(rb"19[0-9]{2}-[0-9]{2}-[0-9]{2}")
FIRST_BORN = date(1921, 1, 4)


@dataclass
class Canaries:
    """Those given out, and the fields that they were in."""

    given: dict[str, str] = field(default_factory=dict[str, str])

    def word(self, owner: object, place: str, room: int = LONG) -> str:
        length = min(room, LONG)
        if length < SHORT:
            raise ValueError(f"{place} has no room for a word that is known again")
        digits = hashlib.sha256(f"{owner} {place}".encode()).hexdigest()
        return self._known("zqxv" + digits[: (LONG if length == LONG else SHORT) - 4], place)

    def cin(self, number: int, *, spaced: bool = False) -> str:
        plain = self._known(f"9727{number:04d}S", "/member/cin")
        return f"{plain[0]} {plain[1:4]} {plain[4:]}" if spaced else plain

    def born(self, number: int) -> str:
        return self._known((FIRST_BORN + timedelta(days=13 * number)).isoformat(), "/member/birth_date")

    def _known(self, text: str, place: str) -> str:
        self.given[text.lower()] = place
        return text

    def found(self, text: bytes) -> set[str]:
        """The fields whose canaries are in this text."""
        low = text.lower()
        words = {match[0].decode() for match in WORD.finditer(low)}
        words |= {word[:length] for word in words for length in (SHORT, LONG)}
        words |= {match[0].decode() for pattern in (CIN, BORN) for match in pattern.finditer(low)}
        words |= {match[0].decode().replace(" ", "") for match in SPACED_CIN.finditer(low)}
        return {self.given[word] for word in words if word in self.given}


def marked(canaries: Canaries, model: type[BaseModel], body: Mapping[str, Any], number: int) -> Any:
    """The body with a canary of this number in every field of the model where anything may be written."""
    marked_body: Any = body
    for place, schema in texts(model):
        marked_body = changed(marked_body, place, _canary(canaries, place, schema, number))
    member = {**marked_body["member"], "cin": canaries.cin(number, spaced=number % 2 == 0)}
    return {**marked_body, "member": {**member, "birth_date": canaries.born(number)}}


def _canary(canaries: Canaries, place: Place, schema: Schema, number: int) -> str:
    """As that field is written, with a word in it that is known again; two letters identify nobody."""
    where, room = pointer(place), schema.get("maxLength", LONG * 3)
    name = str(place[-1])
    if room < SHORT:
        return "Q" * room
    if "email" in name:
        return canaries.word(number, where, room) + "@people.example"
    if "phone" in name or "fax" in name:
        return f"555-01{number % 100:02d} " + canaries.word(number, where, room - 9)
    return canaries.word(number, where, room)
