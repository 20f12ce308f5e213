"""Everything in one pass: each service in a snapshot of its own, then the log, then what they say of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from loopkeeper.event_log.port import EventLog
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.runtime.service import Resources, Service
from loopkeeper.runtime.verify.agreement import Knower, agreement, differ_still
from loopkeeper.runtime.verify.finding import Finding
from loopkeeper.runtime.verify.in_log import Publisher, in_log
from loopkeeper.runtime.verify.streams import Streams
from loopkeeper.store import offsets
from loopkeeper.store.definition import Domain
from loopkeeper.store.must_hold import EVERYWHERE, MustHold
from loopkeeper.store.row_access import one_moment

# What work under way may explain is looked at so often again, so far apart.
AGAIN, APART = 5, 1.0
# Where more referrals than this differ, those will do.
SUSPECTS = 1000
AT_ONCE = 500
# A pass over a year's journal takes longer than any request may.
NO_LIMIT = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"


@dataclass(frozen=True, slots=True)
class Checked:
    """One service, opened: `snapshot` sees one moment, `now` what is committed."""

    service: Service
    domain: Domain[Any, Any]
    reads: frozenset[str]
    snapshot: Connection
    now: Connection

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.domain.table, *sorted(self.domain.reference_streams))


async def reconcile(
    databases: Mapping[str, str],
    event_log: EventLog,
    equipment: Mapping[str, Resources],
    services: Mapping[str, Service],
) -> AsyncIterator[Finding]:
    """Every broken promise found. The services may run meanwhile."""
    async with AsyncExitStack() as opened:
        checked = [
            await _opened(opened, databases[name], service, equipment[name])
            for name, service in services.items()
        ]
        publishers: list[Publisher] = []
        for each in checked:
            key = equipment[each.service.name].sealer.chain_key()
            async for finding in Streams(each.domain, key, each.snapshot).findings():
                yield finding
            for must in (*EVERYWHERE, *each.service.must_hold):
                async for finding in _broken(each, must):
                    yield finding
            places = await offsets.read(each.snapshot)
            publisher = Publisher(each.service.name, each.now, each.snapshot, each.tables, each.reads, places)
            publishers.append(publisher)
        async for finding in in_log(event_log, publishers):
            yield finding
        async for finding in _agreeing(checked):
            yield finding


async def _opened(opened: AsyncExitStack, url: str, service: Service, equipment: Resources) -> Checked:
    snapshot, now = await connect(url, name="loopkeeper-verify"), await connect(url, name="loopkeeper-verify")
    for each in (snapshot, now):
        opened.push_async_callback(each.close)
        await each.execute(NO_LIMIT)
    await opened.enter_async_context(one_moment(snapshot))
    reads = frozenset(kind.wire_type() for kind in service.reactions)
    return Checked(service, service.domain(equipment), reads, snapshot, now)


async def _broken(each: Checked, must: MustHold) -> AsyncIterator[Finding]:
    """Whatever its query finds. Where everything is broken it is not all in memory: what work under way may explain is looked
    at again in the order of its ids, as far as will do."""
    if not must.passing:
        async for row in each.snapshot.cursor(must.query, prefetch=AT_ONCE):
            yield _finding(each, must, row)
        return
    some = f"SELECT * FROM ({must.query}) AS found ORDER BY 1 LIMIT {SUSPECTS}"  # noqa: S608 own constants
    rows = await each.snapshot.fetch(some)
    for _ in range(AGAIN):
        if not rows:
            return
        await asyncio.sleep(APART)
        before, rows = {row[0] for row in rows}, await each.now.fetch(some)
        rows = [row for row in rows if row[0] in before]
    for row in rows:
        yield _finding(each, must, row)


def _finding(each: Checked, must: MustHold, row: Any) -> Finding:
    return Finding(must.invariant, each.service.name, str(row[0]), must.what)


async def _agreeing(checked: Sequence[Checked]) -> AsyncIterator[Finding]:
    def knowers(now: bool) -> list[Knower]:
        return [
            Knower(each.domain, known_loop, each.now if now else each.snapshot)
            for each in checked
            if (known_loop := each.service.known_loop) is not None
        ]

    suspects: dict[str, None] = {}
    async for finding in agreement(knowers(now=False)):
        if len(suspects) < SUSPECTS:
            suspects[finding.where] = None
    for _ in range(AGAIN):
        suspects = {r: None for r in suspects if await differ_still(knowers(now=True), r)}
        if not suspects:
            return
        await asyncio.sleep(APART)
    for referral in suspects:
        for finding in await differ_still(knowers(now=True), referral):
            yield finding
