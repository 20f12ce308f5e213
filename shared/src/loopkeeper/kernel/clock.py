"""What time it is: one injected clock, real in production, movable in the demo and in tests."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from loopkeeper.kernel.wake import Waker


class Clock(Protocol):
    """Guarantees an aware UTC time; two calls in one process may be equal but never step back by themselves."""

    # Wakes every sleeper in this process when the time jumps: deadlines may have come.
    jumps: Waker

    def now(self) -> datetime: ...

    def wall(self) -> datetime:
        """What the outside world's clocks show, whatever a demo has moved: for what partners compare with theirs."""
        ...


class SystemClock:
    """The machine's own time, which never jumps."""

    def __init__(self) -> None:
        self.jumps = Waker()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wall(self) -> datetime:
        return datetime.now(UTC)


class FileClock:
    """The machine's time plus an offset that every process of one demo reads from the same file."""

    # The file is looked at no more often than this; `advance` is therefore seen everywhere within it.
    LOOK_EVERY = 0.05

    def __init__(self, path: Path) -> None:
        self.jumps = Waker()
        self._path = path
        self._offset = timedelta()
        self._changed: int | None = None
        self._looked = float("-inf")

    def now(self) -> datetime:
        if time.monotonic() - self._looked >= self.LOOK_EVERY:
            self._look()
        return datetime.now(UTC) + self._offset

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def offset(self) -> timedelta:
        self._look()
        return self._offset

    def advance(self, by: timedelta) -> datetime:
        """Move the time of all processes forward; returns the new time. Going back is refused: deadlines fired."""
        if by < timedelta():
            raise ValueError("the clock only moves forward")
        self._look()
        offset = self._offset + by
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        fresh.write_text(json.dumps({"offset_seconds": offset.total_seconds()}))
        fresh.replace(self._path)
        self._look()
        return self.now()

    async def look(self) -> bool:
        """One look at the file, as a round of the one task that looks for all sleepers of this process."""
        self._look()
        return False

    def _look(self) -> None:
        self._looked = time.monotonic()
        offset = self._offset
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            self._offset, self._changed = timedelta(), None
        else:
            if changed != self._changed:
                self._offset = timedelta(seconds=json.loads(self._path.read_text())["offset_seconds"])
                self._changed = changed
        if self._offset != offset:
            self.jumps.wake()


class ManualClock:
    """A clock that rests until a test moves it."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)) -> None:
        self.jumps = Waker()
        self._now = start

    def now(self) -> datetime:
        return self._now

    def wall(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> datetime:
        self.set(self._now + by)
        return self._now

    def set(self, to: datetime) -> None:
        self._now = to
        self.jumps.wake()
