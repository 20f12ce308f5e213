"""Is a running service ready, and if not, what does it wait for? Its database, the log, its start and its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from loopkeeper.event_log.port import LogUnavailable
from loopkeeper.http.health import Health
from loopkeeper.postgres.connections import TRANSIENT, reason
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.gate import AT_START

# Half of what a probe as a whole may take: what answers later is told as away.
ANSWERS_WITHIN = 1.0


class Probe:
    """Asks for one service. Its database and its start decide; the log, its unread messages and the tasks are told."""

    def __init__(self, context: RunningService) -> None:
        self._context = context
        self._asked: dict[str, asyncio.Task[Health]] = {}

    async def ready(self) -> Mapping[str, Health]:
        name = self._context.name
        database, log = await asyncio.gather(
            self._in_time("database", self._database()), self._in_time("log", self._log())
        )
        found = {"database": database, "log": log}
        if not self._context.store.ready.is_set():
            detail = await self._start() if database.ok else "the database is waited for"
            found["start"] = Health(ok=False, detail=detail)
        tasks = self._context.supervisor.health()
        return found | {
            task.removeprefix(f"{name}."): Health(ok=health.ok, detail=health.detail)
            for task, health in tasks.items()
            if task.startswith(f"{name}.")
        }

    async def close(self) -> None:
        for question in self._asked.values():
            question.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _in_time(self, what: str, question: Coroutine[Any, Any, Health]) -> Health:
        """The answer, if it comes in time. A question that is still open is not asked a second time meanwhile, nor given up:
        giving up would throw away the very connection that is being made."""
        asked = self._asked.get(what)
        if asked is None or asked.done():
            asked = self._asked[what] = asyncio.create_task(question)
        else:
            question.close()
        await asyncio.wait({asked}, timeout=ANSWERS_WITHIN)
        return asked.result() if asked.done() else Health(ok=False, detail="no answer in time")

    async def _database(self) -> Health:
        try:
            await self._context.readers.fetchval("SELECT 1")
        except TRANSIENT as error:
            return Health(ok=False, detail=reason(error))
        return Health(ok=True)

    async def _log(self) -> Health:
        try:
            ends = await self._context.event_log.ends()
        except LogUnavailable as error:
            return Health(ok=False, detail=f"{error.sentence}: {error}")
        # How much of it is unread is in the database, which may be away.
        with suppress(*TRANSIENT):
            async with asyncio.timeout(ANSWERS_WITHIN / 2):
                read = await self._context.consumer.read_offsets()
            return Health(ok=True, detail=f"{sum(end - read.get(p, 0) for p, end in ends.items())} unread")
        return Health(ok=True)

    async def _start(self) -> str:
        """How far a service is that takes no commands yet."""
        catch_up = self._context.consumer.catch_up
        if catch_up is None or not catch_up.end:
            return "the log has not been read"
        what = "restoring from the log" if catch_up.restoring else "reading the log"
        why = self._context.store.gate.reason
        what = what if why == AT_START else f"closed, since {why}: {what}"
        try:
            async with asyncio.timeout(ANSWERS_WITHIN / 2):
                return f"{what}, {await catch_up.unread()} of what was there at the start unread"
        except TRANSIENT:
            return what
