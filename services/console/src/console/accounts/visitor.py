"""The frame and the person for the routes of accounts that somebody signed in asks."""

from __future__ import annotations

from dataclasses import dataclass

import htpy as h
from starlette.requests import Request
from starlette.responses import HTMLResponse

from console.access.people import Person, find
from console.access.session import Signed
from console.access.store import Access
from console.parts import shell
from console.parts.places import places_of
from console.parts.shell import Frame
from console.running import Running, running_of
from console.web.refusals import NotHere
from console.words import Words, chosen


@dataclass(frozen=True)
class Visitor:
    """Who asks, and what is needed to answer."""

    request: Request
    running: Running
    signed: Signed

    @property
    def access(self) -> Access:
        return self.running.people.access

    @property
    def words(self) -> Words:
        asked = self.signed.language or chosen("", self.request.headers.get("accept-language", ""))
        return Words(chosen(asked))

    async def person(self, id: str) -> Person:
        """One of the own organization. Raises `NotHere` for every other."""
        found = await find(self.access.pool, id)
        if found is None or found.organization != self.signed.organization.id:
            raise NotHere
        return found

    def page(self, title: str, *content: h.Node, script: str = "", status: int = 200) -> HTMLResponse:
        signed, _ = self.signed, self.words
        frame = Frame(
            words=_,
            name=signed.name,
            title=f"{signed.title}{', ' + signed.licence if signed.licence else ''}",
            organization=signed.organization.name,
            places=places_of(signed.roles, _),
            rehearsal=shell.rehearsal(self.running.rehearsal, self.running.clock.now(), _),
            theme=signed.theme,
            keys=signed.keys,
            admin=signed.admin,
            path=self.request.url.path,
        )
        return HTMLResponse(str(shell.shell(frame, title, *content, script=script)), status)


async def visitor(request: Request) -> Visitor:
    """Somebody who is signed in, whatever they may do."""
    running = running_of(request)
    return Visitor(request, running, await running.people.signed_in(request, ()))


async def admin(request: Request) -> Visitor:
    """An admin. Raises `NotHere` for everybody else."""
    found = await visitor(request)
    if not found.signed.admin:
        raise NotHere
    return found
