"""What does a proof of a journal hold in memory? `python -m tests.bench.proving [streams…] [--keep]`: as many streams as asked for, of four
own events each, and the log that has them; how much the process grows at its peak while all of it is proved."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from loopkeeper.contract import ids
from loopkeeper.event_log.port import Received
from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.store.journal import START, Entry, chained, read_entry
from loopkeeper.store.proof import verify
from tests.databases import SERVICES, Databases
from tests.kept_runs import keep
from tests.shared.stores import opened, reception

FEW, MANY = 20_000, 200_000
EVENTS, AT_ONCE = 4, 500
ROWS = """
INSERT INTO referral SELECT (jsonb_populate_record(o, jsonb_build_object(
  'id', t.id, 'n', $3::int, 'sequence', $3::int, 'head', t.head))).*
FROM unnest($1::text[], $2::text[]) AS t (id, head), (SELECT r FROM referral r WHERE id = $4) AS one (o)
"""


def peak() -> int:
    """Kilobytes that this process had at most."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def forgotten() -> int:
    """The same, counted from now on: what filling took is not what proving takes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def journal_of(stream: str, like: Entry, key: bytes) -> Iterator[Entry]:
    previous = START
    for n in range(1, EVENTS + 1):
        entry = chained(key, previous, replace(like, stream=stream, n=n, sequence=n, id=uuid4()))
        previous = entry.chain
        yield entry


async def fill(connection: asyncpg.Connection, key: bytes, streams: int) -> None:
    """So many streams like the one that is there."""
    row = await connection.fetchrow("SELECT * FROM journal")
    assert row is not None
    like = read_entry(row)
    for first in range(0, streams, AT_ONCE):
        made = [
            list(journal_of(ids.new("ref"), like, key)) for _ in range(first, min(first + AT_ONCE, streams))
        ]
        await connection.copy_records_to_table(
            "journal",
            records=[
                tuple(getattr(e, name) for name in Entry.__slots__) for entries in made for e in entries
            ],
            columns=list(Entry.__slots__),
        )
        heads = [entries[-1].chain for entries in made]
        await connection.execute(ROWS, [entries[0].stream for entries in made], heads, EVENTS, like.stream)
    await connection.execute("ANALYZE")


async def log_of(connection: Connection) -> AsyncIterator[Received]:
    """The log as it would be: every own event, in the order in which they came."""
    async with connection.transaction():
        offset = 0
        async for row in connection.cursor("SELECT * FROM journal ORDER BY n, stream", prefetch=1000):
            entry = read_entry(row)
            yield Received(0, offset, entry.stream, entry.message())
            offset += 1


async def measured(server: embedded.Server, streams: int, folder: Path) -> dict[str, float]:
    databases = Databases(server)
    url = await databases.make("example", await databases.template("example"))
    async with opened(url, folder) as bench:
        await bench.store.submit(reception())
        await bench.pool.execute("TRUNCATE outbox")
        key = bench.sealer.chain_key()
    connection, reader = await connect(url), await connect(url)
    owner = await asyncpg.connect(server.admin(urlsplit(url).path.strip("/")))
    await fill(owner, key, streams)
    await owner.close()
    await reader.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    before = forgotten()
    flaws = await verify(connection, key, "/intake", ["referral"], log_of(reader))
    grown = peak() - before
    for each in (connection, reader):
        await each.close()
    await databases.drop()
    assert not flaws, flaws[:3]
    return {"streams": streams, "events": streams * EVENTS, "mb_at_its_peak": round(grown / 1024, 1)}


def main() -> None:
    asked = [each for each in sys.argv[1:] if each != "--keep"]
    grown: dict[str, float] = {}
    for streams in [int(each) for each in asked] or [FEW, MANY]:
        with tempfile.TemporaryDirectory() as base:
            settings = {"fsync": "off", "max_wal_size": "4GB"}
            server = embedded.start(Path(base) / "postgres", SERVICES, settings=settings)
            try:
                (Path(base) / "config").mkdir()
                found = asyncio.run(measured(server, streams, Path(base) / "config"))
                print(json.dumps(found), flush=True)
                grown[f"MB more with {streams} streams"] = found["mb_at_its_peak"]
            finally:
                embedded.remove(Path(base) / "postgres")
    if "--keep" in sys.argv:
        keep("proof", "python -m tests.bench.proving", grown)


if __name__ == "__main__":
    main()
