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
# To Kafka: kinds of requests, by their numbers.
PRODUCE, OFFSETS, JOIN = b"\0\0", b"\0\x08", b"\0\x0b"
WORDS = {
    COMMIT: "commit", PUBLISHED: "publishing", ANYTHING: "its first word", PRODUCE: "producing",
    OFFSETS: "acknowledging what it read", JOIN: "joining its group",
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A moment in a service at which it is killed."""

    service: str
    line: str
    needle: bytes
    before: bool

    @property
    def name(self) -> str:
        return f"{self.service}: {'before' if self.before else 'after'} {WORDS[self.needle]} to {self.line}"

    @property
    def as_it_begins(self) -> bool:
        """Whether a service comes to it when it begins, and not as it works."""
        return self.needle in (ANYTHING, JOIN)


def points(log: str) -> Sequence[Point]:
    """Every named moment."""
    needles = {
        "its database": (COMMIT, ANYTHING),
        "the log": (PUBLISHED, ANYTHING) if log == "postgres" else (PRODUCE, OFFSETS, JOIN, ANYTHING),
    }
    return [
        Point(service, line, needle, before)
        for line, all_ in needles.items()
        for service in SERVICES
        for needle in all_
        for before in (True, False)
    ]


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
