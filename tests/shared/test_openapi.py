"""What the document promises is what the routes do."""

from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends
from fastapi.dependencies.models import Dependant
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.http.app import App
from loopkeeper.http.call import Call, allowed, everyone
from loopkeeper.http.lean import Lean
from loopkeeper.http.route import Id, Operation
from loopkeeper.http.route import example as shows
from loopkeeper.http.serving import AppState
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.organizations import Role
from tests.shared.web_example import VISIT, Keys, NoteBody, Visit, VisitBody, caller, example

DOCUMENT = example().app.document("camp")
JSON = {"Content-Type": "application/json"}

# operation (method, path in the document), address asked, key, what is sent, status
Asked = tuple[str, str, str, str, dict[str, Any], int]
ASKED: list[Asked] = [
    ("post", "/v1/visits", "/v1/visits", "key-plan", {"json": VISIT}, 201),
    ("post", "/v1/visits", "/v1/visits", "", {"json": VISIT}, 401),
    ("post", "/v1/visits", "/v1/visits", "key-plan", {"json": {"name": "Nobody"}}, 422),
    ("post", "/v1/visits", "/v1/visits", "key-plan", {"content": b"{", "headers": JSON}, 422),
    ("post", "/v1/visits", "/v1/visits", "key-plan", {"content": b"x"}, 415),
    ("post", "/v1/visits", "/v1/visits", "key-plan", {"content": b"x" * 2_000_000, "headers": JSON}, 413),
    ("get", "/v1/visits", "/v1/visits?limit=2", "key-other", {}, 200),
    ("get", "/v1/visits", "/v1/visits?limit=x", "key-other", {}, 422),
    ("get", "/v1/visits", "/v1/visits", "key-plan", {}, 403),
    ("get", "/v1/visits/{id}", "/v1/visits/vis_1", "key-other", {}, 200),
    ("get", "/v1/visits/{id}", "/v1/visits/vis_9", "key-other", {}, 404),
    ("put", "/v1/visits/{id}", "/v1/visits/vis_1", "key-other", {"json": {}}, 428),
    (
        "put",
        "/v1/visits/{id}",
        "/v1/visits/vis_1",
        "key-other",
        {"json": {}, "headers": {"If-Match": '"9"'}},
        412,
    ),
    (
        "put",
        "/v1/visits/{id}",
        "/v1/visits/vis_1",
        "key-other",
        {"json": {}, "headers": {"If-Match": '"3"'}},
        200,
    ),
    ("post", "/v1/visits/{id}:withdraw", "/v1/visits/vis_1:withdraw", "key-other", {}, 200),
    ("post", "/v1/visits/{id}:withdraw", "/v1/visits/vis_closed:withdraw", "key-other", {}, 409),
    ("post", "/v1/visits/{id}:bless", "/v1/visits/vis_1:bless", "key-plan", {}, 204),
    (
        "put",
        "/v1/tents",
        "/v1/tents",
        "key-plan",
        {"content": b"a\n", "headers": {"Content-Type": "text/csv"}},
        200,
    ),
    ("get", "/v1/news", "/v1/news", "key-other", {}, 200),
    ("post", "/v1/faults/{id}", "/v1/faults/busy", "key-other", {}, 503),
    ("post", "/v1/faults/{id}", "/v1/faults/x", "key-other", {}, 500),
    ("get", "/v1/camps", "/v1/camps", "", {}, 200),
]


def check(document: dict[str, Any], operation: dict[str, Any], answer: httpx.Response) -> None:
    declared = operation["responses"].get(str(answer.status_code), operation["responses"]["default"])
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not answer.content:
        assert "content" not in declared
        return
    schema = declared["content"][kind]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())


def test_the_document_is_valid_openapi_and_always_the_same() -> None:
    validate(DOCUMENT)
    assert example().app.document("camp") == DOCUMENT


@pytest.mark.parametrize(("method", "path", "address", "key", "sent", "status"), ASKED)
async def test_every_answer_is_one_the_document_knows(
    method: str, path: str, address: str, key: str, sent: dict[str, Any], status: int
) -> None:
    shown = example()
    async with caller(shown.app, key) as client:
        answer = await client.request(method.upper(), address, **sent)
    assert answer.status_code == status
    operation = DOCUMENT["paths"][path][method]
    check(DOCUMENT, operation, answer)
    if (
        answer.status_code not in (413, 500)
        and answer.headers.get("content-type") == "application/problem+json"
    ):
        assert answer.json()["slug"] in operation["responses"][str(status)]["x-slugs"]
    assert shown.exchanges[-1].declared


def test_every_declared_operation_is_asked_above() -> None:
    asked = {(method, path) for method, path, *_ in ASKED}
    assert asked == {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}


def test_the_document_says_who_may_call_and_which_headers_count() -> None:
    ask, change = DOCUMENT["paths"]["/v1/visits"]["post"], DOCUMENT["paths"]["/v1/visits/{id}"]["put"]
    assert ask["x-roles"] == ["plan", "referrer"]
    assert ask["security"] == [{"key": []}]
    assert DOCUMENT["paths"]["/v1/camps"]["get"]["security"] == []
    assert [header["name"] for header in ask["parameters"]] == ["Idempotency-Key"]
    assert {each["name"]: each["required"] for each in change["parameters"]} == {"id": True, "If-Match": True}
    assert ask["requestBody"]["required"] is True
    assert change["requestBody"]["required"] is False


async def test_the_same_document_is_served_whole_and_by_service() -> None:
    shown = example()
    async with caller(shown.app, "") as client:
        whole = (await client.get("/openapi.json")).json()
        single = (await client.get("/openapi/camp.json")).json()
        absent = await client.get("/openapi/nowhere.json")
    validate(whole)
    assert single["paths"] == DOCUMENT["paths"]
    assert whole["paths"].items() > single["paths"].items()
    assert "/health/ready" in whole["paths"]
    assert shown.app.openapi() == whole
    assert absent.status_code == 404


def test_every_operation_has_an_id_and_a_summary_of_its_own_and_every_shape_a_title() -> None:
    document = example().app.openapi()
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    ids = [each["operationId"] for each in operations]
    assert len(set(ids)) == len(ids)
    assert all(each["summary"] for each in operations)
    assert all("title" in each for each in document["components"]["schemas"].values())


# ── declarations that cannot be ───────────────────────────────────────────────────────────────────────────

Plan = Annotated[Call[Any], allowed(Role.PLAN)]


def declared(path: str, endpoint: Callable[..., Any], method: str = "POST") -> Operation:
    return Operation(path, endpoint, methods=[method], tags=["camp"])


def test_fastapis_own_telemetry_cannot_be_switched_on_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would export what requests hold; ours tells by an allow-list."""
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    assert example().app._telemetry["auto_configure"] is False
    assert not example().app._native_telemetry.enabled()


def test_a_route_says_once_who_may_call_it() -> None:
    async def nobody() -> Visit: ...
    async def both(one: Plan, other: Annotated[Call[Any], everyone]) -> Visit: ...

    for endpoint in (nobody, both):
        with pytest.raises(InvariantBroken, match="who may call it"):
            declared("/v1/x", endpoint)
    with pytest.raises(InvariantBroken):
        allowed()


def test_an_example_satisfies_its_model() -> None:
    async def misspelt(body: Annotated[VisitBody, shows({"nmae": "D"})], call: Plan) -> Visit: ...
    async def right(body: Annotated[NoteBody, shows({"text": "hello"})], call: Plan) -> Visit: ...

    with pytest.raises(ValidationError):
        declared("/v1/x", misspelt)
    assert declared("/v1/x", right).examples == {"example": {"text": "hello"}}


def test_a_dependency_that_would_cost_a_thread_does_not_load() -> None:
    """Nor one far below: a sync dependency costs more than all the rest of a request."""

    def in_a_thread() -> str: ...
    async def deeper(found: Annotated[str, Depends(in_a_thread)]) -> str: ...
    async def direct(found: Annotated[str, Depends(in_a_thread)], call: Plan) -> Visit: ...
    async def by_another(found: Annotated[str, Depends(deeper)], call: Plan) -> Visit: ...
    def itself(call: Plan) -> Visit: ...

    for endpoint in (direct, by_another, itself):
        with pytest.raises(InvariantBroken, match="is not async"):
            declared("/v1/x", endpoint)


def test_no_route_of_any_service_has_a_dependency_that_is_not_async() -> None:
    services = [
        import_module(f"{package}.service").service
        for package in ("referral_intake", "authorization", "assignment", "notification")
    ]
    routes = [route for service in services for router in service.routers for route in router.routes]
    assert routes
    for route in routes:
        assert isinstance(route, Operation)
        assert all(is_async(each) for each in calls(route.dependant)), route.template


def calls(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from calls(each)


def is_async(call: Any) -> bool:
    return iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__)


def test_a_path_takes_ids_and_nothing_else() -> None:
    async def anything(id: Id, call: Plan) -> Visit: ...

    with pytest.raises(InvariantBroken, match="id:key"):
        declared("/v1/x/{id}", anything)


def test_a_lean_route_is_one_with_a_call_a_body_and_a_model_as_its_answer() -> None:
    async def with_an_id(id: Id, body: NoteBody, call: Plan) -> Visit: ...
    async def without_a_body(call: Plan) -> Visit: ...

    for path, endpoint in (("/v1/x/{id:key}", with_an_id), ("/v1/x", without_a_body)):
        with pytest.raises(InvariantBroken, match="is lean"):
            Lean(path, endpoint, methods=["POST"], tags=["camp"])


def test_an_address_declared_twice_does_not_serve() -> None:
    async def answer(call: Plan) -> Visit: ...

    twice = APIRouter(tags=["camp"], route_class=Operation)
    for _ in range(2):
        twice.get("/v1/x")(answer)
    with pytest.raises(InvariantBroken, match="declared twice"):
        App({"camp": [twice]}, AppState(Keys(), Settings()), ready={}, registry=CollectorRegistry())
