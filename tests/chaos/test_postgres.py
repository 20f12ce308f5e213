"""Does the embedded PostgreSQL come back after its death, wherever it died?"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from tests.chaos.lives import until

# prctl(2): the process that sets it becomes the parent of its descendants' orphans, as a container's first process is.
PR_SET_CHILD_SUBREAPER = 36
# A recovery takes half a second; the program itself gives up after a minute.
STARTS_WITHIN = 20.0


@contextmanager
def parent_of_orphans() -> Generator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


async def says(log: Path, words: str) -> bool:
    return words in await asyncio.to_thread(log.read_text)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system itself buries every orphan")
async def test_a_killed_postgres_comes_back_though_nobody_buries_it(tmp_path: Path) -> None:
    """In a container whose first process waits for no child, what was killed keeps its process number forever."""
    folder = tmp_path / "postgres"
    with parent_of_orphans():
        server = await asyncio.to_thread(embedded.start, folder, ["intake"])
    try:
        kept = await connect(server.url("intake"))
        await kept.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(server.pid, signal.SIGKILL)
        kept.terminate()
        began = time.monotonic()
        again = await asyncio.to_thread(embedded.start, folder, ["intake"])
        assert time.monotonic() - began < STARTS_WITHIN
        # The corpse is still there: this was not a matter of waiting for its burial.
        os.kill(server.pid, 0)
        found = await connect(again.url("intake"))
        assert await found.fetchval("SELECT answer FROM kept") == 42
        await found.close()
    finally:
        await asyncio.to_thread(os.waitpid, server.pid, 0)
        await asyncio.to_thread(embedded.remove, folder)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system itself buries every orphan")
async def test_no_second_server_begins_while_a_session_of_the_killed_one_still_lives(tmp_path: Path) -> None:
    """Its lock files are gone with it; what keeps the second one out is the memory that both would share."""
    folder = tmp_path / "postgres"
    with parent_of_orphans():
        server = await asyncio.to_thread(embedded.start, folder, ["intake"])
    log = server.data.parent / "server.log"
    writing = await connect(server.url("intake"))
    session = await writing.fetchval("SELECT pg_backend_pid()")
    try:
        os.kill(session, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)
        starting = asyncio.create_task(asyncio.to_thread(embedded.start, folder, ["intake"]))
        await until(lambda: says(log, "is still in use"), STARTS_WITHIN)
        assert not starting.done()
    finally:
        # It finds its postmaster gone, and ends.
        os.kill(session, signal.SIGCONT)
        writing.terminate()
    try:
        again = await starting
        assert again.pid != server.pid
    finally:
        await asyncio.to_thread(os.waitpid, server.pid, 0)
        await asyncio.to_thread(embedded.remove, folder)
