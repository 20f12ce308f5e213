"""What does every program answer about itself? Whether it lives, whether it can work, its figures, its reference."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ConfigDict

from loopkeeper.http import docs, openapi
from loopkeeper.http.route import Api, Call, Reply, Route
from loopkeeper.kernel.errors import not_found

# A dependency that needs longer to say how it is, is not well; probes themselves give up after a few seconds.
SECONDS_FOR_HEALTH = 2.0
# What decides whether requests can be served: the database is reached and the start is done. `health` is told where the
# question itself failed. The log and the tasks are told and decide nothing: a request waits for neither.
DECIDING = frozenset({"database", "migrations", "start", "health"})
HTML = "text/html; charset=utf-8"
# The page needs its own style and nothing else: no script, no picture, no other host.
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


class Health(BaseModel):
    """How one dependency is. `detail` is for operations: never a value from a request, never an address with a key."""

    model_config = ConfigDict(frozen=True)

    ok: bool
    detail: str = ""


class Readiness(BaseModel):
    """Whether requests can be served, and how each service's database, log, start and tasks are. `ready` is about
    requests alone: a log that is away, or a task that is not well, is named and leaves it true."""

    model_config = ConfigDict(frozen=True)

    ready: bool
    services: Mapping[str, Mapping[str, Health]]


class Living(BaseModel):
    """The event loop turns; nothing is said of dependencies, since killing us would not mend them."""

    model_config = ConfigDict(frozen=True)

    live: bool = True


Ready = Callable[[], Awaitable[Mapping[str, Health]]]
Document = Mapping[str, Any]


@dataclass(frozen=True)
class OpenContext:
    """What the open routes answer from: the services' routes, probes and figures. A document is made when somebody
    first asks for it: they cost a quarter of a second, and a service that was killed is awaited."""

    routes: Mapping[str, Sequence[Route]]
    ready: Mapping[str, Ready]
    registry: CollectorRegistry

    @cached_property
    def whole(self) -> Document:
        every = [route for each in self.routes.values() for route in each]
        return openapi.document([*every, *api.routes], "Loopkeeper")

    @cached_property
    def single(self) -> Mapping[str, Document]:
        return {name: openapi.document(each, f"Loopkeeper {name}") for name, each in self.routes.items()}

    @cached_property
    def page(self) -> bytes:
        return docs.page(self.whole).encode()


def open_context(
    routes: Mapping[str, Sequence[Route]], ready: Mapping[str, Ready], registry: CollectorRegistry
) -> OpenContext:
    """For a program that serves these services, each with its routes and its probe."""
    return OpenContext(routes, ready, registry)


async def readiness(ready: Mapping[str, Ready]) -> Readiness:
    """All asked at once. What raises or is late is not ok, and says only what kind of failure it was."""
    asked = await asyncio.gather(*(_ask(each) for each in ready.values()))
    services = dict(zip(ready, asked, strict=True))
    deciding = [health for found in services.values() for name, health in found.items() if name in DECIDING]
    return Readiness(ready=all(health.ok for health in deciding), services=services)


async def _ask(ready: Ready) -> Mapping[str, Health]:
    try:
        async with asyncio.timeout(SECONDS_FOR_HEALTH):
            return await ready()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to "are you well?"
        return {"health": Health(ok=False, detail=type(error).__name__)}


api = Api("program")


@api.route("GET", "/health/live", summary="Is the program alive?", public=True, answers={200: Living})
async def live(call: Call[None, OpenContext]) -> Reply:
    return Reply(200, Living())


@api.route(
    "GET",
    "/health/ready",
    summary="Can it serve requests?",
    public=True,
    answers={200: Readiness, 503: Readiness},
)
async def can_serve(call: Call[None, OpenContext]) -> Reply:
    found = await readiness(call.service.ready)
    return Reply(200 if found.ready else 503, found)


@api.route("GET", "/metrics", summary="Prometheus figures", public=True, answers={200: "text/plain"})
async def metrics(call: Call[None, OpenContext]) -> Reply:
    return Reply(200, generate_latest(call.service.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@api.route("GET", "/openapi.json", summary="This document", public=True)
async def everything(call: Call[None, OpenContext]) -> Reply:
    return Reply(200, call.service.whole)


@api.route("GET", "/openapi/{service}.json", summary="The document of one service", public=True)
async def one(call: Call[None, OpenContext]) -> Reply:
    found = call.service.single.get(call.path["service"])
    if found is None:
        raise not_found()
    return Reply(200, found)


@api.route("GET", "/docs", summary="The reference, for people", public=True, answers={200: "text/html"})
async def reference(call: Call[None, OpenContext]) -> Reply:
    return Reply(200, call.service.page, {"Content-Security-Policy": PAGE_POLICY}, media_type=HTML)
