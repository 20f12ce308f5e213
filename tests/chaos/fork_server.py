"""A process that has imported everything and forks the lives of services: one begins in milliseconds, not in two
seconds.

It reads one order a line and answers one line. `{"words": …, "environment": …, "log": …}` forks a process that runs
`loopkeeper` with these words, or `uvicorn` where that is the first, in this environment and no other, and answers its `pid`; `{"pid": …}` waits until that
one has ended, and answers its `code` (negative: the signal that ended it). When its input ends, all end.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

# What a start would load by itself, one after the other: the command line, a loop, migrations, what uvicorn picks.
import aiohttp  # noqa: F401
import alembic.command
import alembic.config  # noqa: F401
import sqlalchemy.dialects.postgresql.asyncpg
import sqlalchemy.ext.asyncio  # noqa: F401
import uvicorn
import uvicorn.lifespan.on
import uvicorn.protocols.http.httptools_impl
import uvloop  # noqa: F401

from loopkeeper.cli import app
from loopkeeper.runtime.service import installed


def main() -> None:
    installed()
    gc.collect()
    # The collector would write into every page that the lives share with this process.
    gc.freeze()
    lives: set[int] = set()
    try:
        for line in sys.stdin:
            order: Mapping[str, Any] = json.loads(line)
            if "pid" in order:
                answer = {"code": _end_of(order["pid"])}
                lives.discard(order["pid"])
            else:
                answer = {"pid": _fork(order)}
                lives.add(answer["pid"])
            print(json.dumps(answer), flush=True)
    finally:
        for pid in lives:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _end_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _fork(order: Mapping[str, Any]) -> int:
    # A lock that another thread holds at the fork is held forever in the child.
    assert threading.active_count() == 1
    pid = os.fork()
    if pid == 0:
        _live(order)
    return pid


def _live(order: Mapping[str, Any]) -> NoReturn:
    """The rest of this process: what the console script does, and its exit code."""
    code = 1
    try:
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for said in (1, 2):
            os.dup2(log, said)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(order["environment"])
        first, *more = order["words"]
        if first == "uvicorn":
            uvicorn.main(args=more, prog_name="uvicorn")
        app(args=order["words"], prog_name="loopkeeper")
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException as error:  # noqa: BLE001 whatever it is, it ends this life and is in its log
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # No `sys.exit`: what the parent meant to do at its end is not this process's to do.
        os._exit(code)


if __name__ == "__main__":
    main()
