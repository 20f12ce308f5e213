"""What the members of one process have read of the log's end, so that each record is read once and not by each of them.

Four services in one process are rung by the same append. The first that looks reads it; the others take it from here. What
each of them may read, and from where, stays its own: its group's lock, its stored offset, the look whether the record
before it is still there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from itertools import takewhile
from weakref import WeakValueDictionary

from loopkeeper.event_log.port import Received

# So much is kept for members that come a moment later; one that is further behind reads for itself.
KEPT_RECORDS, KEPT_BYTES = 512, 1024 * 1024
# Nobody waits longer than this for another's read, which may hang with its session.
WAITS = 0.05


class Tail:
    """The records of the log from offset `begin` up to `end`, all there are, as long as the server is the same."""

    def __init__(self) -> None:
        self.begin = self.end = 0
        self._records: deque[Received] = deque()
        self._bytes = 0
        self._read = asyncio.Event()
        self._reading = False

    def has(self, offset: int) -> bool:
        """Whether it knows what follows from this offset on, as far as `end`."""
        return self.begin <= offset <= self.end and self.end > 0

    def since(self, offset: int, limit: int) -> list[Received]:
        """What follows from this offset on, which it `has`."""
        # Most are asked for the last few of those kept.
        found = list(takewhile(lambda each: each.offset >= offset, reversed(self._records)))
        return found[::-1][:limit]

    def add(self, offset: int, records: list[Received]) -> None:
        """What one read from this offset on brought: nothing is between them, and nothing comes in between later. What a
        member far behind reads is of no use to others."""
        if offset < self.begin:
            return
        if offset > self.end:
            self.begin = self.end = offset
            self._records.clear()
            self._bytes = 0
        for each in records:
            if each.offset >= self.end:
                self._records.append(each)
                self._bytes += _size(each)
                self.end = each.offset + 1
        while len(self._records) > KEPT_RECORDS or self._bytes > KEPT_BYTES:
            gone = self._records.popleft()
            self._bytes -= _size(gone)
            self.begin = gone.offset + 1

    async def others_read(self) -> None:
        """Wait a moment for a read that another member has begun."""
        if self._reading:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAITS):
                    await self._read.wait()

    def begins(self) -> bool:
        """A member reads; whether nobody else did, so that it is the one to say when it has `ended`."""
        if self._reading:
            return False
        self._reading = True
        self._read = asyncio.Event()
        return True

    def ended(self) -> None:
        """The read has ended, whatever it brought."""
        self._reading = False
        self._read.set()


def _size(received: Received) -> int:
    return len(received.message.data) if received.message is not None else len(received.raw)


_tails: WeakValueDictionary[tuple[str, str], Tail] = WeakValueDictionary()


def tail_of(url: str, server: str) -> Tail:
    """The one of all members of this process that read this log on this server: another server may have another end."""
    found = _tails.get((url, server))
    if found is None:
        found = _tails[url, server] = Tail()
    return found
