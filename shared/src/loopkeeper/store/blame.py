"""Which field of a fact keeps its stream parked, and what a later fact says in its place.

The field is found by trying: with a harmless value there, the same rule takes the same fact. Only its name is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, Decider, EventOn, Plain
from loopkeeper.contract.event import Event
from loopkeeper.store.definition import Loaded, NeedsMore

# Text between what failed and the field that made it fail.
BY_FIELD = ", by its field "
# A fact has some dozens of values; one with more is not searched to its end.
MOST_TRIED = 200

Position = tuple[str | int, ...]
Applies = Callable[[Event], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """A service's rule, asked apart from its batch: with what that has loaded, at one time."""

    decider: Decider[Any, Any]
    timers: Callable[[Any], object]
    loaded: Loaded[Any, Any]
    plain: Plain

    def takes(self, stream: str, before: Any, command: Command, fact: Event) -> bool:
        """Whether this fact, in the command's place of its own, meets no fault."""
        decider, asked = self.decider, command.model_copy(update={"fact": fact})
        try:
            state = decider.evolve(before, fact)
            asked = self.loaded.with_context(stream, state, asked, self.plain)
            own = [each for each in decider.decide(state, asked) if not isinstance(each, EventOn)]
            state = decider.fold(own, state)
            if state is not None:
                self.timers(state)
        except NeedsMore:
            return True
        except Exception:  # noqa: BLE001 whatever it is, with this value the fact does not apply either
            return False
        return True


def field_of(fact: Event, applies: Applies) -> str:
    """A pointer to the first field without whose value the fact applies, by its name in the event; empty where none is
    found."""
    tried = 0
    for place, value, other in _others(fact, (), fact.occurred_at):
        if (tried := tried + 1) > MOST_TRIED:
            break
        if other != value and applies(cast("Event", _changed(fact, place, other))):
            return "/" + "/".join(_written(fact, place))
    return ""


def field_in(error: str) -> str:
    """The field that an error names; empty where it names none."""
    return error.partition(BY_FIELD)[2]


def as_corrected(fact: Event, later: Event) -> Iterator[Event]:
    """The fact as a later correction of the same stream has it: with each field that the correction names, and then with
    all of them."""
    if not type(later).corrects:
        return
    named = {
        name: value
        for name in type(later).model_fields
        if name not in Event.model_fields and name in type(fact).model_fields
        and (value := getattr(later, name)) is not None and value != getattr(fact, name)
    }  # fmt: skip
    for name, value in named.items():
        yield fact.model_copy(update={name: value})
    if len(named) > 1:
        yield fact.model_copy(update=named)


def _others(part: Any, place: Position, at: datetime) -> Iterator[tuple[Position, Any, Any]]:
    """Every value below this part with its place, and a harmless one of its kind."""
    if isinstance(part, BaseModel):
        for name, field in type(part).model_fields.items():
            value = getattr(part, name)
            inner = (*place, name)
            yield from _others(value, inner, at)
            if value is not None and field.default is not PydanticUndefined:
                yield inner, value, field.default
    elif isinstance(part, tuple | list):
        for position, value in enumerate(cast("tuple[Any, ...]", part)):
            yield from _others(value, (*place, position), at)
    elif isinstance(part, datetime):
        yield place, part, at
    elif isinstance(part, date):
        yield place, part, la_date(at)
    elif isinstance(part, int) and not isinstance(part, bool):
        yield place, part, 1


def _changed(part: Any, place: Position, value: Any) -> Any:
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(part, BaseModel):
        return part.model_copy(update={str(first): _changed(getattr(part, str(first)), rest, value)})
    entries = list(part)
    entries[int(first)] = _changed(entries[int(first)], rest, value)
    return tuple(entries)


def _written(part: Any, place: Position) -> Iterator[str]:
    """The place by the names that the event is written with."""
    for step in place:
        if isinstance(part, BaseModel):
            yield type(part).model_fields[str(step)].alias or str(step)
            part = getattr(part, str(step))
        else:
            yield str(step)
            part = part[int(step)]
