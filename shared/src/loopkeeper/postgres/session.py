"""A session with PostgreSQL whose COMMIT nobody cancels, and which asks for PostgreSQL's own types once a process.

When a client cancels a COMMIT that waits for its standby, PostgreSQL answers "canceling wait for synchronous replication"
and keeps the commit: its rows are visible at once and on no standby. A library cancels a statement whose task is cancelled
and one that takes too long, so for a COMMIT, and for any statement that commits by itself and must not be lost, neither
happens here: the caller waits, and what takes too long loses its connection. Its outcome is unknown then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

T = TypeVar("T")

# A standby that takes longer is away; the caller learns that nobody knows, and asks again.
COMMITS_WITHIN = 20.0
# The library's own limit for a COMMIT: never reached before ours.
LIBRARY_LIMIT = 86_400.0
COMMIT = "COMMIT;"
# Types below this number are PostgreSQL's own, and the same on each server of one version.
FIRST_OF_A_DATABASE = 16_384


class OutcomeUnknown(ConnectionError):
    """A statement that commits had no answer in time: it may have happened. The same batch again is harmless."""


class Ends(Protocol):
    """What can be ended without a word to the server."""

    def terminate(self) -> None: ...


async def uncancelled(session: Ends, statement: Awaitable[T], within: float = COMMITS_WITHIN) -> T:
    """The statement's answer, however its caller fares. Raises `OutcomeUnknown` once it took too long, and, after the
    statement has ended, the caller's cancellation."""
    answer = asyncio.ensure_future(statement)
    try:
        await asyncio.wait({answer}, timeout=within)
    except asyncio.CancelledError:
        await asyncio.wait({answer}, timeout=within)
        await _settled(session, answer)
        raise
    if not await _settled(session, answer):
        raise OutcomeUnknown("no answer to a commit")
    return answer.result()


async def _settled(session: Ends, answer: asyncio.Future[Any]) -> bool:
    """Whether the answer came; otherwise the session is ended, and with it the wait."""
    if answer.done():
        return True
    session.terminate()
    await asyncio.wait({answer})
    # What the library says of a line that we cut ourselves concerns nobody.
    if not answer.cancelled():
        answer.exception()
    return False


_Base: Any = cast("Any", asyncpg).Connection


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Where the library asks which statement told it of types: one that is not the session's unnamed one."""

    name: str = "remembered"


# What the library was told of PostgreSQL's own types, by the server's version and by which were asked for.
_types: dict[tuple[int, frozenset[int]], Any] = {}


class Session(_Base):
    """The library's connection, but for COMMIT; and each set of PostgreSQL's own types (arrays, mostly) is described by the
    first session of a process that meets it. Otherwise every session asks again, by three statements that take up to 0.1 s.
    """

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> Any:  # noqa: ASYNC109 the library's own
        asked = frozenset(typeoids)
        key = self.get_server_version().major, asked
        if (known := _types.get(key)) is not None:
            return known, _Remembered()
        plain: Any = super()
        found, statement = await plain._introspect_types(list(asked), timeout)
        if max(asked) < FIRST_OF_A_DATABASE:
            _types[key] = found
        return found, statement

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109 the library's own
        """As the library has it; a COMMIT is neither cancelled nor given up."""
        plain: Any = super()
        if query != COMMIT:
            return await plain.execute(query, *args, timeout=timeout)
        return await uncancelled(self, plain.execute(query, timeout=LIBRARY_LIMIT))
