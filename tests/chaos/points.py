"""The named moments at which a service is killed, and the lines of ours through which it then speaks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from loopkeeper.runtime.service import installed
from tests.chaos.town import Town
from tests.shared.cut_line import CutLine, cut_line

SERVICES = tuple(installed())
# What happens at a service's lines, by name: before the other side has it, or when its answer is on its way.
COMMIT, PUBLISHED, ANYTHING = b"COMMIT", b"ecm.", b""


@dataclass(frozen=True)
class Point:
    """A moment in a service at which it is killed."""

    service: str
    line: str
    needle: bytes
    before: bool

    @property
    def name(self) -> str:
        what = {COMMIT: "commit", PUBLISHED: "publishing", ANYTHING: "its first word"}[self.needle]
        return f"{self.service}: {'before' if self.before else 'after'} {what} to {self.line}"


def points(log: str) -> Sequence[Point]:
    """Every named moment. What a service says to Kafka is not read here, so there are fewer with it."""
    found = [
        Point(service, "its database", needle, before)
        for service in SERVICES
        for needle in (COMMIT, ANYTHING)
        for before in (True, False)
    ]
    if log == "postgres":
        found += [
            Point(service, "the log", needle, before)
            for service in SERVICES
            for needle in (PUBLISHED, ANYTHING)
            for before in (True, False)
        ]
    return found


class Through:
    """While it is entered, lives that begin go through a line of ours."""

    def __init__(self, opened: Town, variable: str, url: str) -> None:
        self._town, self._variable, self._url = opened, variable, url
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> CutLine:
        line = await self._stack.enter_async_context(cut_line(self._url))
        self._town.through[self._variable] = line.through
        return line

    async def __aexit__(self, *_: object) -> None:
        del self._town.through[self._variable]
        await self._stack.aclose()
