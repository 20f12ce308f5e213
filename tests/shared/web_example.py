"""A small service for the tests of the web layer: tents that may be visited, with every kind of answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from loopkeeper.contract.decider import Refused
from loopkeeper.http.app import (
    Api,
    Call,
    Health,
    Listing,
    Page,
    Part,
    Reply,
    build_app,
    check_match,
    listing,
    not_found,
)
from loopkeeper.kernel.errors import Busy
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability.exchange import Exchange
from loopkeeper.security.organizations import Client, Role

CANARY = "Zebediah-Quillfeather"
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


class TentQuery(Page):
    status: tuple[str, ...] = ()


@dataclass
class Camp:
    """The running service of the example: what was stored, and how it is."""

    visits: list[str] = field(default_factory=list)
    well: bool = True
    bytes_read: int = 0

    async def ready(self) -> Mapping[str, Health]:
        if not self.well:
            raise ConnectionRefusedError(CANARY)
        return {"database": Health(ok=True)}


api = Api("camp")
VISIT = {"name": "David", "urgency": "urgent", "needs": ["a warm coat"]}


@api.route(
    "POST",
    "/v1/visits",
    roles=(Role.REFERRER, Role.PLAN),
    summary="Ask for a visit",
    body=VisitBody,
    answers={201: Visit},
    refusals={"not-identifiable": 422, "camp-closed": 409},
    example=VISIT,
)
async def ask(call: Call[VisitBody, Camp]) -> Reply:
    """Stores the visit and answers with its id."""
    if call.body.name == "Nobody":
        raise Refused(
            "not-identifiable", "This person cannot be found by it.", fix="Send a place.", status=422
        )
    call.service.visits.append(call.body.name)
    body = Visit(id=str(call.claim), name="stored")
    return Reply(201, body, {"Location": f"/v1/visits/{call.claim}", "X-Hash": call.body_hash.hex()}, etag=1)


@api.route(
    "GET",
    "/v1/visits",
    roles=(Role.REFERRER,),
    summary="Visits",
    query=TentQuery,
    answers={200: Listing[Visit]},
)
async def visits(call: Call[None, Camp, TentQuery]) -> Reply:
    start = call.query.start()
    rows = [{"id": f"vis_{n}", "at": FIRST_AT + timedelta(minutes=n), "name": "tent"} for n in range(7)]
    page = [row for row in rows if (row["at"], row["id"]) > start][: call.query.fetch]
    return listing(call, page, lambda row: Visit(id=row["id"], name=row["name"]))


@api.route("GET", "/v1/visits/{id}", roles=(Role.REFERRER,), summary="One visit", answers={200: Visit})
async def visit(call: Call[None, Camp]) -> Reply:
    if call.path["id"] != "vis_1":
        raise not_found()
    return Reply(200, Visit(id="vis_1", name="tent"), etag=3)


@api.route(
    "PUT",
    "/v1/visits/{id}",
    roles=(Role.REFERRER,),
    summary="Change a visit",
    body=NoteBody,
    answers={200: Visit},
    needs_if_match=True,
)
async def change(call: Call[NoteBody, Camp]) -> Reply:
    check_match(call, 3)
    return Reply(200, Visit(id=call.path["id"], name="changed"), etag=4)


@api.route(
    "POST",
    "/v1/visits/{id}:withdraw",
    roles=(Role.REFERRER,),
    summary="Withdraw",
    body=NoteBody,
    answers={200: Visit},
    refusals=("already-closed",),
)
async def withdraw(call: Call[NoteBody, Camp]) -> Reply:
    check_match(call, 3)
    if call.path["id"] == "vis_closed":
        raise Refused("already-closed", "This visit is over.", fix="Ask for another.", allowed=("contest",))
    return Reply(200, Visit(id=call.path["id"], name="withdrawn"), etag=4)


@api.route("POST", "/v1/visits/{id}:bless", roles=(Role.PLAN,), summary="Takes no body", answers={204: None})
async def bless(call: Call) -> Reply:
    return Reply(204)


@api.route(
    "PUT",
    "/v1/tents",
    roles=(Role.PLAN,),
    summary="A long list",
    media=("application/x-ndjson", "text/csv"),
    stream=True,
    largest=lambda settings: settings.max_roster,
)
async def tents(call: Call[None, Camp]) -> Reply:
    async for piece in call.stream():
        call.service.bytes_read += len(piece)
    return Reply(
        200, {"bytes": call.service.bytes_read, "at": FIRST_AT, "shown": Visit(id="vis_1", name="t")}
    )


@api.route(
    "POST", "/v1/faults/{id}", roles=(Role.REFERRER,), summary="Fails", body=NoteBody, answers={200: Visit}
)
async def fault(call: Call[NoteBody]) -> Reply:
    if call.path["id"] == "busy":
        raise Busy("the queue", 7)
    if call.path["id"] == "undeclared":
        return Reply(202)
    raise ValueError(f"cannot cope with {call.body.text}")


@api.route("GET", "/v1/camps", public=True, summary="Open to all")
async def camps(call: Call) -> Reply:
    return Reply(200, {"items": ["gas station"]})


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
    def authenticate(self, key: str) -> Client | None:
        return KEYS.get(key)


@dataclass
class Example:
    """The example app with what a test wants to look at afterwards."""

    app: FastAPI
    camp: Camp
    exchanges: list[Exchange]


def example(**settings: Any) -> Example:
    camp, seen, registry = Camp(), list[Exchange](), CollectorRegistry()
    Counter("tents_visited", "Tents visited", registry=registry).inc()
    part = Part(api, camp, camp.ready)
    app = build_app(
        [part], directory=Keys(), settings=Settings(**settings), registry=registry, observe=seen.append
    )
    return Example(app, camp, seen)


@asynccontextmanager
async def caller(app: FastAPI, key: str = "key-harbor-street") -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://camp.test", headers=headers) as client:
        yield client
