"""What is a notice, and how do its words come about? Pure: a template of the policy table, its slots, and a language.

A slot holds a text, a day, or a code that each language says in its own phrase. Nothing of the member is a slot; the
free texts are what a person of the plan wrote: of a closing as `other`, for everybody who hears of it, and why criteria
are not met, for the member alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from uuid import UUID, uuid5

from loopkeeper.contract.calendar import la_date

# Everything a notice's words may name.
SLOTS = frozenset(
    {
        "referral", "plan", "plan_phone", "provider", "provider_phone", "lead", "due", "through", "on", "outcome",
        "reason", "citation", "appeal_by", "hearing_days", "unanswered_days", "continues_by", "count", "moved",
        "text", "other_plan", "until", "sender",
    }
)  # fmt: skip
SLOT = re.compile(r"{(\w*)}")

USUAL, DISCREET = "usual", "discreet"
# How an organization without a number is reached.
USUAL_NUMBER = "its usual number"
MONTHS = {
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"),
    "es": ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
           "noviembre", "diciembre"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """How an organization is called and reached in words. `reveals`: its name alone tells what it treats; `treats`:
    it is a provider, so it may be told who else serves."""

    name: str
    phone: str = ""
    reveals: bool = False
    treats: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """Plans and referrers from the organizations file, providers from the directory copy."""

    known: Mapping[str, Named] = field(default_factory=dict[str, Named])

    def of(self, organization: str) -> Named:
        return self.known.get(organization) or Named(organization)


@dataclass(frozen=True, slots=True)
class Coded:
    """A code that each language says in its own phrase: a denial's reason, an outcome, a discontinuation."""

    kind: str
    code: str


Value = str | date | Coded
# The phrase of a code in a language. Raises LookupError where there is none.
Phrase = Callable[[str, str, str], str]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing one recipient is to be told in words. `recipient` is the organization in whose mailbox it lies; one for
    a member lies in the plan's. `facts` travel next to the words, for programs. `referral` is set where the recipient
    knows the loop by another id; `stream` where its being told concerns another loop. `start`: from when its clock
    runs, if not from the event; `due_at`: if the event names it."""

    code: str
    recipient: str
    recipient_kind: str
    variant: str = USUAL
    closing: bool = False
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    slots: Mapping[str, Value] = field(default_factory=dict[str, "Value"])
    referral: str = ""
    stream: str = ""
    start: datetime | None = None
    due_at: datetime | None = None

    def id(self, event: UUID) -> str:
        """The same for the same event, recipient and code, also after a restore."""
        return f"ntc_{uuid5(event, self.said_to).hex}"

    @property
    def said_to(self) -> str:
        """What is told, and to whom: of one event, no two notices of one recipient may share it."""
        apart = [self.recipient_kind] if self.recipient_kind == "member" else []
        apart += [self.referral] if self.referral else []
        return "|".join([self.recipient, self.code, *apart])

    @property
    def wire_type(self) -> str:
        return f"ecm.notice.{self.code}.v1"

    def with_slots(self, fixed: Mapping[str, Value]) -> Notice:
        return replace(self, slots={**fixed, **self.slots})


def render(
    template: str, slots: Mapping[str, Value], language: str = "en", phrase: Phrase | None = None
) -> str:
    """The words with their slots filled. Raises LookupError for a slot that is not allowed, or has no value or no
    phrase in this language."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in SLOTS or found[1] not in slots:
            raise LookupError(f"a notice's words name the slot {found[1]!r}, which this notice does not have")
        return _say(slots[found[1]], language, phrase)

    return SLOT.sub(value, template)


def _say(value: Value, language: str, phrase: Phrase | None) -> str:
    match value:
        case str():
            return value
        case date():
            return day_in_words(value, language)
        case Coded():
            if phrase is None:
                raise LookupError(f"there are no phrases for {value.kind}")
            return phrase(value.kind, value.code, language)


def last_day(at: datetime) -> date:
    """The last day of a deadline in Los Angeles: one that ends at midnight belongs to the day before."""
    return la_date(at - at.resolution)


def day_in_words(day: date, language: str = "en") -> str:
    """Raises LookupError for a language whose months are not known here."""
    month = MONTHS[language][day.month - 1]
    if language == "es":
        return f"{day.day} de {month} de {day.year}"
    return f"{month} {day.day}, {day.year}"
