"""What does every program answer about itself? Whether it lives, whether it can work, its figures, its reference."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ConfigDict

from loopkeeper.http import docs
from loopkeeper.http.call import Call, everyone
from loopkeeper.http.route import Id, Operation
from loopkeeper.kernel.errors import not_found

# A dependency that needs longer to say how it is, is not well; probes themselves give up after a few seconds.
SECONDS_FOR_HEALTH = 2.0
# What decides whether requests can be served: the database is reached and the start is done. `health` is told where the
# question itself failed. The log and the tasks are told and decide nothing: a request waits for neither.
DECIDING = frozenset({"database", "migrations", "start", "health"})
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
    """The event loop turns; nothing is said of dependencies, since killing the process would not fix them."""

    model_config = ConfigDict(frozen=True)

    live: bool = True


Ready = Callable[[], Awaitable[Mapping[str, Health]]]
Document = Mapping[str, Any]


@dataclass
class Program:
    """What these routes answer from: the services' probes, the figures, the documents. A document is made when somebody
    first asks for it: it takes a tenth of a second, and a service that was killed is awaited."""

    ready: Mapping[str, Ready]
    registry: CollectorRegistry
    # Of one service, or of everything. Raises `LookupError` for a service that is not here.
    document: Callable[[str | None], Document]
    _written: dict[str | None, bytes] = field(default_factory=dict[str | None, bytes])

    def written(self, service: str | None = None) -> bytes:
        """A document as JSON, made once."""
        if service not in self._written:
            self._written[service] = orjson.dumps(self.document(service))
        return self._written[service]

    @cached_property
    def page(self) -> str:
        return docs.page(orjson.loads(self.written()))


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


class Json(Response):
    media_type = "application/json"


class Plain(Response):
    media_type = "text/plain"


class Page(Response):
    media_type = "text/html"


router = APIRouter(tags=["program"], route_class=Operation)
Asked = Annotated[Call[Program], everyone]


@router.get("/health/live", summary="Is the program alive?")
async def live(call: Asked) -> Living:
    """Whether the program answers at all; nothing is said of what it depends on."""
    return Living()


@router.get("/health/ready", summary="Can it serve requests?", responses={503: {"model": Readiness}})
async def can_serve(call: Asked) -> Readiness:
    """How each service is, and what it waits for; 503 while one cannot serve."""
    found = await readiness(call.service.ready)
    call.answer.status_code = 200 if found.ready else 503
    return found


@router.get("/metrics", summary="Prometheus figures", response_class=Plain)
async def metrics(call: Asked) -> Response:
    """The figures of this process, as Prometheus reads them."""
    return Response(generate_latest(call.service.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


# An OpenAPI document is an object; what is in it, its own specification says.
DOCUMENT: Any = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}


@router.get("/openapi.json", summary="This document", response_class=Json, responses=DOCUMENT)
async def everything(call: Asked) -> Response:
    """The OpenAPI document of everything served here."""
    return Json(call.service.written())


@router.get(
    "/openapi/{service:key}.json",
    summary="The document of one service",
    response_class=Json,
    responses=DOCUMENT,
)
async def one(service: Id, call: Asked) -> Response:
    """The OpenAPI document of one of the services here."""
    try:
        return Json(call.service.written(service))
    except LookupError:
        raise not_found() from None


@router.get("/docs", summary="The reference, for people", response_class=Page)
async def reference(call: Asked) -> Response:
    """The reference as one page, without script or network."""
    return Page(call.service.page, headers={"Content-Security-Policy": PAGE_POLICY})
