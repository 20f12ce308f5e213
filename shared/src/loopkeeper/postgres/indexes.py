"""How an index is made or removed on a table that is in use: without holding up who writes.

PostgreSQL builds it next to the table's work, waits for every transaction that is older, and leaves an invalid index where it
could not end. So each try waits for locks a bounded time, removes what an earlier one left, and begins again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.logs import get

log = get("indexes")

# A try waits so long for a lock, or for a transaction that is older than the index.
LOCK_TIMEOUT = "5s"
# With the pauses between them about a quarter of an hour: longer than any transaction of a service, shorter than a deploy's
# patience. A backup that runs longer is ended, or waited for by starting the migration again.
TRIES, PAUSE = 150, 1.0
# Lock not available, deadlock, statement cancelled: another try may succeed.
AGAIN = ("55P03", "40P01", "57014")
STATE = "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(:name)"


def build(op: Any, indexes: Sequence[str], obsolete: Sequence[str] = ()) -> None:
    """Within a migration: make these (`name ON table …`, `UNIQUE name ON …`), remove those by name. What is there stays, so
    a migration that was cut off goes on where it was. Raises `StartError` where an old transaction never ended."""
    with op.get_context().autocommit_block():
        bind = op.get_bind()
        for each in indexes:
            make(bind, each)
        for name in obsolete:
            _until_done(bind, f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"', name)


def make(bind: sa.Connection, index: str, tries: int = TRIES) -> None:
    """Make one index, over a connection that commits each statement by itself."""
    unique, definition = ("UNIQUE ", index[7:]) if index.startswith("UNIQUE ") else ("", index)
    name = definition.partition(" ")[0]
    for attempt in range(1, tries + 1):
        valid = bind.execute(sa.text(STATE), {"name": name}).scalar()
        if valid:
            return
        if valid is not None:
            log.warning("invalid index removed", table=name)
            _until_done(bind, f'DROP INDEX CONCURRENTLY "{name}"', name, tries)
        try:
            _run(bind, f"CREATE {unique}INDEX CONCURRENTLY {definition}")
        except DBAPIError as error:
            if not _passes(error):
                raise
            log.warning("index tried again", table=name, count=attempt)
            time.sleep(PAUSE)
    raise _held_up(name)


def _until_done(bind: sa.Connection, statement: str, name: str, tries: int = TRIES) -> None:
    for _ in range(tries):
        try:
            return _run(bind, statement)
        except DBAPIError as error:
            if not _passes(error):
                raise
            time.sleep(PAUSE)
    raise _held_up(name)


def _run(bind: sa.Connection, statement: str) -> None:
    bind.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    try:
        bind.execute(sa.text(statement))
    finally:
        bind.execute(sa.text("RESET lock_timeout"))


def _passes(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", "") in AGAIN


def _held_up(name: str) -> StartError:
    return StartError(
        f"The index {name} cannot be made: a transaction that is older than it has not ended.",
        "Find it in pg_stat_activity by xact_start, end it or wait for it, and start the migration again.",
    )
