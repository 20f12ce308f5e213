"""What does a service make of an event that it reads? A command on a stream, a change of a reference row, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loopkeeper.contract import events
from loopkeeper.contract.decider import Command
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.event import Catalog, Event
from loopkeeper.event_log.port import Received, unreadable
from loopkeeper.store.batch import describe
from loopkeeper.store.definition import Reference, Submission

# Why an event is parked that is in a newer version than this program reads.
NEWER = "a newer version of this event: upgrade this service"

# What a service makes of an event: a command on its stream, a change of a reference row, or nothing.
Reaction = Callable[[Any, Message], Command | Reference | None]


class Reactions:
    """A service's `on_<event>` functions by event class; events it does not read are skipped unparsed.

    An event comes to its function in its newest version, whatever version was published. One in a version that is not
    known here yet is parked, until this service is upgraded: skipped, it would be lost."""

    def __init__(self, handlers: Mapping[type[Event], Reaction], catalog: Catalog = events.CATALOG) -> None:
        self._catalog = catalog
        self._handlers = {name: on for kind, on in handlers.items() for name in catalog.wire_types(kind)}

    @property
    def types(self) -> frozenset[str]:
        return frozenset(self._handlers)

    def react(self, received: Received) -> Submission | None:
        """The submission of a message, None if this service does not read it. Never raises: a message that
        cannot be read becomes one that is parked."""
        message = received.message
        if message is None:
            return Submission(
                unreadable(received), received.key, received=received, poison=received.problem or "unreadable"
            )
        handler = self._handlers.get(message.type)
        if handler is None:
            newer = self._catalog.newer(message.type)
            if newer is None or newer.wire_type() not in self._handlers:
                return None
            return Submission(message.id, message.subject, received=received, poison=NEWER)
        try:
            event = self._catalog.read(message.type, message.data)
            made = handler(event, message)
        except Exception as error:  # noqa: BLE001 whatever is wrong with it, the fact is kept and shown
            return Submission(message.id, message.subject, received=received, poison=describe(error))
        if made is None:
            return None
        return Submission(
            message.id,
            message.subject,
            command=made if isinstance(made, Command) else None,
            reference=made if isinstance(made, Reference) else None,
            causation=str(message.id),
            traceparent=message.traceparent,
            received=received,
        )
