"""What a running console works with: who is there, the way to the services, the time that pages show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from starlette.requests import Request

from console.access.session import People
from console.settings import ConsoleSettings
from console.web.site import Site
from loopkeeper.kernel.clock import Clock
from loopkeeper.kernel.settings import Settings


@dataclass(frozen=True)
class Running:
    """One console, from its first connection to its last."""

    people: People
    http: aiohttp.ClientSession
    bases: Callable[[str], str]
    clock: Clock
    site: Site
    settings: Settings
    own: ConsoleSettings
    # Set when the process is asked to stop: what is open longer than a request ends then.
    stopping: Callable[[], bool]

    @property
    def rehearsal(self) -> bool:
        """Whether everybody here is invented and the clock is a demo's."""
        return self.settings.synthetic_members == "on"

    @property
    def picker(self) -> bool:
        """Whether one may sign in as a named invented person: three switches, all of a demo."""
        return self.own.picker == "on" and self.rehearsal and self.site.loopback


def running_of(request: Request) -> Running:
    """The console that serves this request. Raises where it has not begun."""
    return request.app.state.running
