"""Statements of one batch that do not need each other's rows, sent to the database as one: a round trip for all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from loopkeeper.postgres.connections import Connection

PLACE = re.compile(r"\$(\d+)")


# Far more than all statements of a service at all places where they come in what is sent.
KEPT = 4_096


class Writes(Protocol):
    """Takes a statement that writes: a connection, which sends it at once, or `Gathered`, which sends it with others."""

    async def execute(self, query: str, *args: object) -> object: ...


class Gathered:
    """Writing statements that are sent together, each an INSERT, UPDATE or DELETE.

    None of them sees what the others write, and the order in which they run is the database's own: so each writes other rows
    than the others, and whatever must be seen by one of them was written before, by a statement of its own.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._values: list[object] = []
        self._asked: dict[str, str] = {}
        self.answers: Mapping[str, Any] = {}

    async def execute(self, query: str, *args: object) -> None:
        """Keep this statement for `send`."""
        self.add(f"w{len(self._parts)}", query, *args)

    def add(self, name: str, query: str, *args: object) -> None:
        """The same under a name, by which it may be asked what it returned."""
        self._parts.append(f"{name} AS ({_placed(query, len(self._values))})")
        self._values += args

    def ask(self, name: str, expression: str) -> None:
        """Have `send` answer this, in which the statements' names are tables; without `send` there is no answer."""
        self._asked[name] = expression

    async def send(self, connection: Connection) -> Mapping[str, Any]:
        """Send what was kept, once; what was asked is in `answers` then, too."""
        if self._parts:
            asked = ", ".join(f"{expression} AS {name}" for name, expression in self._asked.items())
            query = f"WITH {', '.join(self._parts)} SELECT {asked}"
            self.answers = await connection.fetchrow(query, *self._values) or {}
        self._parts, self._values, self._asked = [], [], {}
        return self.answers


@lru_cache(KEPT)
def _placed(query: str, before: int) -> str:
    """The statement with its places numbered behind so many others."""
    return PLACE.sub(lambda place: f"${int(place[1]) + before}", query)
