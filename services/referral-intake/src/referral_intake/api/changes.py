"""`/v1/referrals:changes`: that something changed, as it happens, so that an open page reads itself again; and the time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from loopkeeper.http.call import allowed
from loopkeeper.http.route import Operation
from loopkeeper.http.stream import EVENT_STREAM, SENT_EVENTS, Stream
from loopkeeper.kernel.errors import Busy
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from referral_intake.persistence.changes import Watcher, watching_of

router = APIRouter(tags=["intake"], route_class=Operation)
READERS = (Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.OPERATIONS)
# A comment keeps proxies from closing a stream on which nothing happens.
HEARTBEAT = 15.0
# A stream ends by itself and its reader opens another, so that who was revoked does not watch on; a person's token is
# over by then.
LONGEST, LONGEST_OF_A_PERSON = 300.0, 60.0
STREAMS, STREAMS_OF_ONE = 512, 8
RETRY = b"retry: 1000\n\n"

_open: Counter[str] = Counter()


class Clock(BaseModel):
    """`movable`: a demo or a test, whose clock operations may move."""

    model_config = ConfigDict(frozen=True)

    now: datetime
    movable: bool


@router.get(
    "/v1/referrals:changes",
    summary="That referrals changed, as it happens",
    response_class=Response,
    response_model=None,
    responses={200: {"content": SENT_EVENTS}},
)
async def changes(call: Annotated[Call, allowed(*READERS)]) -> Stream:
    """A stream of `{"changed": {"ref_…": 7}, "many": false}`: the referrals that this caller may see and that changed,
    each with the version that its ETag names; `many`: more than are named. It says nothing of what was before: who
    opens it reads the page then. It ends after five minutes, for a person after one, to be opened again."""
    return Stream(pieces(call), media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


@router.get("/v1/now", summary="What time it is here")
async def now(call: Annotated[Call, allowed(*Role)]) -> Clock:
    """The time by which deadlines are counted: the world's, but in a demo."""
    movable = call.service.settings.clock == "movable"
    return Clock(now=call.service.clock.now(), movable=movable)


async def pieces(call: Call) -> AsyncGenerator[bytes]:
    """What one page is told, as it happens. Raises `Busy` before its first piece where too many are open."""
    who, stopping = call.client.counted_as, call.service.supervisor.stopping
    if _open.total() >= STREAMS or _open[who] >= STREAMS_OF_ONE:
        raise Busy("the number of streams", retry_after=10)
    _open[who] += 1
    try:
        watcher = Watcher(call.client)
        await watching_of(call.service).add(watcher, call.service.pool)
        yield RETRY
        until = time.monotonic() + (LONGEST_OF_A_PERSON if call.client.person is not None else LONGEST)
        while not stopping.is_set() and (left := until - time.monotonic()) > 0:
            if await _heard(watcher, stopping, min(HEARTBEAT, left)):
                changed, many = watcher.taken()
                yield b"data: " + orjson.dumps({"changed": changed, "many": many}) + b"\n\n"
            else:
                yield b": nothing new\n\n"
    finally:
        _open[who] -= 1
        if not _open[who]:
            del _open[who]


async def _heard(watcher: Watcher, stopping: asyncio.Event, seconds: float) -> bool:
    tasks = {asyncio.ensure_future(watcher.heard.wait()), asyncio.ensure_future(stopping.wait())}
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return watcher.heard.is_set()
