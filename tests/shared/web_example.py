"""A small service for the tests of the web layer: tents that may be visited, with every kind of answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import httpx
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Response
from prometheus_client import CollectorRegistry, Counter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from loopkeeper.contract.decider import Refused
from loopkeeper.http.app import App
from loopkeeper.http.call import Call, allowed, everyone
from loopkeeper.http.health import Health
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation, refused
from loopkeeper.http.route import example as shows
from loopkeeper.http.serving import AppState
from loopkeeper.http.stream import Stream
from loopkeeper.http.upload import Upload
from loopkeeper.kernel.errors import Busy, not_found
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability.exchange import Exchange
from loopkeeper.security.organizations import Client, Role

CANARY = "Zebediah-Quillfeather"
STREAM = "text/event-stream"
FIRST_AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)


def no_ocean(value: str) -> str:
    if "ocean" in value:
        raise PydanticCustomError("not_on_land", "Name a place on land.")
    return value


class Reachable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["phone"] = "phone"
    number: str = Field(pattern=r"^555-01\d\d$")


class Findable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["place"]
    place: Annotated[str, AfterValidator(no_ocean)]


class VisitBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    born: date | None = None
    age: int | None = Field(None, ge=0, le=130)
    urgency: Literal["routine", "urgent"] = "routine"
    needs: tuple[str, ...] = Field((), max_length=8)
    reach: Annotated[Reachable | Findable, Field(discriminator="kind")] | None = None
    answers: Mapping[str, float | bool | str] = Field(default_factory=dict)


class NoteBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = ""


class Visit(BaseModel):
    id: str
    name: str


class Tents(BaseModel):
    bytes: int
    at: datetime
    shown: Visit


class Camps(BaseModel):
    items: list[str]


class TentQuery(Page):
    status: tuple[str, ...] = ()


@dataclass
class Camp:
    """The running service of the example: what was stored, and how it is."""

    visits: list[str] = field(default_factory=list)
    well: bool = True
    bytes_read: int = 0
    stream_ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def ready(self) -> Mapping[str, Health]:
        if not self.well:
            raise ConnectionRefusedError(CANARY)
        return {"database": Health(ok=True)}


router = APIRouter(tags=["camp"], route_class=Operation)
VISIT = {"name": "David", "urgency": "urgent", "needs": ["a warm coat"]}
Referrer = Annotated[Call[Camp], allowed(Role.REFERRER)]
Plan = Annotated[Call[Camp], allowed(Role.PLAN)]


@router.post(
    "/v1/visits",
    status_code=201,
    summary="Ask for a visit",
    responses=refused("not-identifiable", status=422) | refused("camp-closed"),
)
async def ask(
    body: Annotated[VisitBody, shows(VISIT)], call: Annotated[Call[Camp], allowed(Role.REFERRER, Role.PLAN)]
) -> Visit:
    """Stores the visit and answers with its id."""
    if body.name == "Nobody":
        raise Refused(
            "not-identifiable", "This person cannot be found by it.", fix="Send a place.", status=422
        )
    call.service.visits.append(body.name)
    call.location(f"/v1/visits/{call.command_id}")
    call.answer.headers["X-Hash"] = call.body_hash.hex()
    call.etag(1)
    return Visit(id=str(call.command_id), name="stored")


@router.get("/v1/visits", summary="Visits")
async def visits(asked: Annotated[TentQuery, Query()], call: Referrer) -> Listing[Visit]:
    start = asked.start()
    rows = [{"id": f"vis_{n}", "at": FIRST_AT + timedelta(minutes=n), "name": "tent"} for n in range(7)]
    page = [row for row in rows if (row["at"], row["id"]) > start][: asked.fetch]
    return await listing(call, asked, page, lambda row: Visit(id=row["id"], name=row["name"]))


@router.get("/v1/visits/{id:key}", summary="One visit")
async def visit(id: Id, call: Referrer) -> Visit:
    if id != "vis_1":
        raise not_found()
    call.etag(3)
    return Visit(id="vis_1", name="tent")


@router.put("/v1/visits/{id:key}", summary="Change a visit")
async def change(
    id: Id, body: NoteBody, call: Annotated[Call[Camp], allowed(Role.REFERRER, needs_if_match=True)]
) -> Visit:
    call.check_match(3)
    call.etag(4)
    return Visit(id=id, name="changed")


@router.post("/v1/visits/{id:key}:withdraw", summary="Withdraw", responses=refused("already-closed"))
async def withdraw(id: Id, body: NoteBody, call: Referrer) -> Visit:
    call.check_match(3)
    if id == "vis_closed":
        raise Refused("already-closed", "This visit is over.", fix="Ask for another.", allowed=("contest",))
    call.etag(4)
    return Visit(id=id, name="withdrawn")


@router.post("/v1/visits/{id:key}:bless", status_code=204, summary="Takes no body")
async def bless(id: Id, call: Plan) -> None:
    return None


@router.put("/v1/tents", summary="A long list")
async def tents(
    pieces: Annotated[
        AsyncIterator[bytes],
        Depends(Upload("application/x-ndjson", "text/csv", largest=lambda settings: settings.max_roster)),
    ],
    call: Plan,
) -> Tents:
    async for piece in pieces:
        call.service.bytes_read += len(piece)
    return Tents(bytes=call.service.bytes_read, at=FIRST_AT, shown=Visit(id="vis_1", name="t"))


@router.get(
    "/v1/news",
    summary="News as it comes, or the latest",
    response_model=Visit,
    responses={200: {"content": {STREAM: {"schema": {"type": "string"}}}}},
)
async def news(
    call: Referrer,
    last: Annotated[str | None, Header(alias="Last-Event-ID", description="The id last seen")] = None,
) -> Visit | Response:
    if STREAM.encode() not in call.headers.get(b"accept", b""):
        return Visit(id="vis_1", name="latest")
    return Stream(told(call.service, last or ""), media_type=STREAM, headers={"X-Accel-Buffering": "no"})


async def told(camp: Camp, last: str) -> AsyncGenerator[bytes]:
    """As many pieces as there are visits, then nothing until somebody comes."""
    if last == "full":
        raise Busy("the number of streams", 10)
    try:
        for name in camp.visits:
            yield f"data: {name}\n\n".encode()
        if last == "forever":
            await asyncio.Event().wait()
    finally:
        camp.stream_ended.set()


@router.post("/v1/faults/{id:key}", summary="Fails")
async def fault(id: Id, body: NoteBody, call: Referrer) -> Visit:
    if id == "busy":
        raise Busy("the queue", 7)
    if id == "undeclared":
        call.answer.status_code = 202
        return Visit(id=id, name="accepted")
    raise ValueError(f"cannot cope with {body.text}")


@router.get("/v1/camps", summary="Open to all")
async def camps(call: Annotated[Call[Camp], everyone]) -> Camps:
    return Camps(items=["gas station"])


KEYS = {
    "key-harbor-street": Client(
        id="harbor-street-1",
        organization="harbor-street-medicine",
        kind="provider",
        roles=frozenset({Role.REFERRER, Role.PROVIDER}),
        name="Harbor Street Medicine",
    ),
    "key-other": Client(
        id="mission-1",
        organization="mission-clinic",
        kind="referrer",
        roles=frozenset({Role.REFERRER}),
        name="Mission Clinic",
    ),
    "key-plan": Client(
        id="harbor-plan-1",
        organization="harbor-health-plan",
        kind="plan",
        roles=frozenset({Role.PLAN}),
        name="Harbor Health Plan",
    ),
}


class Keys:
    def authenticate(self, credential: str) -> Client | None:
        return KEYS.get(credential)


@dataclass
class Example:
    """The example app with what a test wants to look at afterwards."""

    app: FastAPI
    camp: Camp
    exchanges: list[Exchange]


def example(**settings: Any) -> Example:
    camp, seen, registry = Camp(), list[Exchange](), CollectorRegistry()
    Counter("tents_visited", "Tents visited", registry=registry).inc()
    serving = AppState(Keys(), Settings(**settings), {"camp": camp})
    ready = {"camp": camp.ready}
    app = App({"camp": [router]}, serving, ready=ready, registry=registry, observe=seen.append)
    return Example(app, camp, seen)


@asynccontextmanager
async def caller(app: FastAPI, key: str = "key-harbor-street") -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://camp.test", headers=headers) as client:
        yield client
