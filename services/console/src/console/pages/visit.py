"""One person's request for a page: who they are, how to ask the services as them, in which words, at what time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import htpy as h
from fastapi import Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console.access.session import Signed
from console.api.client import Api, Away, unless
from console.parts import shell
from console.parts.basics import blocks
from console.parts.places import places_of
from console.parts.shell import Frame
from console.running import Running, running_of
from console.web.forms import Form, form_of
from console.web.refusals import NotHere
from console.words import Words, chosen
from loopkeeper.security.organizations import Role

ANY = "application/octet-stream"


@dataclass
class Visit:
    """What a route of a page works with."""

    request: Request
    signed: Signed
    running: Running

    @cached_property
    def words(self) -> Words:
        asked = self.signed.language or chosen("", self.request.headers.get("accept-language", ""))
        return Words(chosen(asked))

    @cached_property
    def now(self) -> datetime:
        """The time that deadlines are compared with: the demo's, where there is one."""
        return self.running.clock.now()

    @cached_property
    def api(self) -> Api:
        people = self.running.people
        return Api(self.running.http, self.running.bases, lambda: people.token(self.signed))

    @property
    def people(self) -> Any:
        return self.running.people

    @property
    def trace(self) -> str:
        return str(self.request.scope.get("console.trace", ""))

    def has(self, *roles: Role) -> bool:
        return bool(self.signed.roles & set(roles))

    def name(self, slug: str | None) -> str:
        """An organization as people call it."""
        return self.running.people.organization_name(slug) if slug else ""

    async def download(self, service: str, path: str) -> Response:
        """A file of a service, to be kept by the browser under the name that the service gives it."""
        found = await unless(self.api.download(service, path), 404)
        if found is None:
            raise NotHere
        given = {"Content-Disposition": found.headers.get("Content-Disposition", "attachment")}
        return Response(found.content, headers=given, media_type=found.headers.get("Content-Type", ANY))

    async def form(self) -> Form:
        return await form_of(self.request)

    def frame(self) -> Frame:
        _, signed = self.words, self.signed
        return Frame(
            words=_,
            name=signed.name,
            title=f"{signed.title}{', ' + signed.licence if signed.licence else ''}",
            organization=signed.organization.name,
            places=places_of(signed.roles, _),
            rehearsal=shell.rehearsal(self.running.rehearsal, self.now, _),
            theme=signed.theme,
            keys=signed.keys,
            admin=signed.admin,
            path=self.request.url.path,
        )

    def page(
        self, title: str, *content: h.Node, here: str = "", live: bool = False, status: int = 200
    ) -> HTMLResponse:
        """A whole page. What it holds of a person is in no address and no title."""
        return HTMLResponse(str(shell.shell(self.frame(), title, *content, here=here, live=live)), status)

    def away(self, *services: object) -> list[h.Element]:
        """A card for each service among these that did not answer."""
        gone = {each.name for each in services if isinstance(each, Away)}
        return [blocks.away(name, self.words) for name in sorted(gone)]


def visiting(*roles: Role) -> Any:
    """The dependency of a page's route: somebody who is signed in and holds one of these roles."""

    async def visit(request: Request) -> Visit:
        running = running_of(request)
        return Visit(request, await running.people.signed_in(request, roles), running)

    return Depends(visit)


def see(path: str) -> Response:
    """Look at this page of ours now, by GET."""
    return RedirectResponse(path, 303)


def listed(values: Sequence[Any], most: int = 100) -> Sequence[Any]:
    """A page shows no more rows than a person reads."""
    return values[:most]
