"""By which keys a member of a plan is found: blind indexes of number, birth date and name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Protocol

from referral_intake.domain.commands import Keys

# Names are typed with whatever quotes and dashes a keyboard or a word processor has.
_QUOTES = re.compile("['\"`\u00b4\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u2018-\u201f\u2032\u2033\u2035\ua78c]")
_GAPS = re.compile("[\\s_\u00ad\u058a\u2010-\u2015\u2043\u2212\ufe58\ufe63\uff0d-]+")


class BlindIndex(Protocol):
    """Turns values into an index under a plan's key (`sealing.Sealer`): the same for the same values, and readable by nobody."""

    def blind_index(self, plan: str, *values: str) -> str: ...


def folded_name(name: str) -> str:
    """A name as it is compared with another (loop.md 2.7): NFKC and no case; quotes, dashes and spaces alike."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return _GAPS.sub(" ", _QUOTES.sub("", unicodedata.normalize("NFKC", plain))).strip()


def keys_of(sealer: BlindIndex, plan: str, number: str, born: str, names: tuple[str, str]) -> Keys:
    """By what a member of this plan is found: number and birth date, the first name with them, the number alone, name
    and birth date."""
    both = sealer.blind_index(plan, number, born) if number and born else ""
    first, last = map(folded_name, names)
    person = sealer.blind_index(plan, "person", f"{first} {last}", born) if first and last and born else ""
    named = sealer.blind_index(plan, "first", number, born, first) if both and first else ""
    by_number = sealer.blind_index(plan, number) if number else ""
    return Keys(
        member=f"{plan}:{both}" if both else "",
        named=f"{plan}:{named}" if named else "",
        cin=f"{plan}:{by_number}" if by_number else "",
        person=f"{plan}:{person}" if person else "",
        roster=f"{plan}:{by_number}" if by_number else "",
        birth=both,
    )


def has_name(member: str) -> str:
    """The key that is known once a first name is known of the member with this number and birth date."""
    return f"{member}:named"


def found_as(known: Mapping[str, str], member: str, named: str) -> str | None:
    """Whom these keys name among the members known: by first name; by number and birth date alone where one of the two
    gives no first name. Different first names under one number and birth date are two members (loop.md 2.7)."""
    if named and named in known:
        return known[named]
    if named and has_name(member) in known:
        return None
    return known.get(member)


def keys_learned(known: Mapping[str, str], member: str, named: str) -> tuple[str, ...]:
    """The keys under which this member is found from now on, of those that are not known yet."""
    learned = (member, *((named, has_name(member)) if named else ()))
    return tuple(key for key in learned if key not in known)
