"""Which records of a publisher count, where its database once stepped back while its old primary lived on?

Each publisher's database has a generation, which rises with every other server it is on. Records carry it, and anyone who reads
one that is lower than the highest read before, in the same partition and of the same publisher, takes it for void: everybody
from the same offset on. A record without a generation is of an older program, and is not judged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.port import Received

# A record of nobody's loop: from here on this publisher writes under a new generation.
GENERATION = "ecm.generation.v1"

Key = tuple[int, str]


def announcement(service: str, generation: int, at: datetime) -> Message:
    """What a service writes to every partition before anything under a new generation."""
    data = b'{"generation": %d}' % generation
    return Message(ids.uuid(), GENERATION, f"/{service}", service, at, data, generation=generation)


class Generations:
    """The highest generation of each publisher by partition, as the log is read in order."""

    def __init__(self, known: Mapping[Key, int] | None = None) -> None:
        self._highest: dict[Key, int] = dict(known or {})
        self.raised: dict[Key, int] = {}

    def void(self, received: Received) -> bool:
        """Whether this record counts for nobody. One with a higher generation raises its publisher's."""
        message = received.message
        if message is None or not message.generation:
            return False
        key = (received.partition, message.source)
        highest = self._highest.get(key, 0)
        if message.generation > highest:
            self._highest[key] = self.raised[key] = message.generation
        return message.generation < highest

    def learn(self, known: Mapping[Key, int], partitions: Collection[int]) -> None:
        """What is stored of these partitions, and nothing else of them: what was read before they were placed again may be
        ahead of a database that stepped back, and would make void all that it has to read once more."""
        self._highest = {k: g for k, g in self._highest.items() if k[0] not in partitions} | dict(known)
        self.raised = {k: g for k, g in self.raised.items() if k[0] not in partitions}

    def stored(self) -> None:
        """What was raised is in the database now."""
        self.raised = {}
