"""What is known of the sender's own members when a file arrives, and whether a row is about one of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

# Where a member is with the sender. `turned_down`: the sender said no; `closed`: the loop is over without services.
State = Literal["pending", "offered", "accepted", "outreach", "serving", "turned_down", "closed", "ended"]
_SEPARATORS = re.compile(r"[^\w]+")


@dataclass(frozen=True, slots=True)
class Attempt:
    on: date
    modality: str
    reached: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """What must have been tried before a member counts as unable to reach (the policy row `reach`)."""

    attempts: int = 5
    days: int = 30
    modalities: int = 2
    in_person: int = 1

    def met(self, attempts: tuple[Attempt, ...], on: date, *, safe: bool = True) -> bool:
        """Whether these attempts, as far as they were made by that day, are enough. Where contact may endanger the
        member (`safe` false) nobody is asked to appear in person."""
        made = [attempt for attempt in attempts if attempt.on <= on]
        if len(made) < self.attempts:
            return False
        return (
            (on - min(attempt.on for attempt in made)).days >= self.days
            and len({attempt.modality for attempt in made}) >= self.modalities
            and (not safe or sum(attempt.modality == "in_person" for attempt in made) >= self.in_person)
        )


@dataclass(frozen=True, slots=True)
class Member:
    """A member as known: of the sender, or of the plan for a plan's own file."""

    cin: str
    state: State
    first_name: str = ""
    last_name: str = ""
    birth_date: date | None = None
    lead: str = ""
    phone: str = ""
    street: str = ""
    city: str = ""
    zip: str = ""
    # Chosen where to be reached (loop.md 6.2): a file changes nothing of it.
    designated_contact: bool = False
    offered_on: date | None = None
    accepted_on: date | None = None
    outreach_on: date | None = None
    services_on: date | None = None
    closed_on: date | None = None
    closed_as: str = ""
    ended_on: date | None = None
    ended_as: int = 0
    attempts: tuple[Attempt, ...] = ()
    # What the plan was asked: why, and of which day.
    asked: frozenset[tuple[str, date]] = frozenset()
    # Encounters by month: in person, remote.
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])

    @property
    def latest(self) -> date:
        """The latest day of which anything is known."""
        days = (
            self.offered_on,
            self.accepted_on,
            self.outreach_on,
            self.services_on,
            self.closed_on,
            self.ended_on,
            *(attempt.on for attempt in self.attempts),
        )
        return max((day for day in days if day is not None), default=date.min)


def name_words(*names: str) -> frozenset[str]:
    """The words of a name as they are compared: without case, accents, quotes and dashes."""
    plain = unicodedata.normalize("NFKD", " ".join(names))
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    return frozenset(_SEPARATORS.sub(" ", letters.casefold()).split())


def name_fits(given: frozenset[str], member: Member) -> bool:
    """Whether any word of the given name is one of the member's; a row without a name fits, too."""
    known = name_words(member.first_name, member.last_name)
    return not given or not known or bool(given & known)
