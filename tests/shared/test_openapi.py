"""What the document promises is what the routes do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import ValidationError

from loopkeeper.http import openapi
from loopkeeper.http.route import Api, Call, Reply
from loopkeeper.kernel.errors import Unsound
from loopkeeper.security.organizations import Role
from tests.shared.web_example import VISIT, NoteBody, VisitBody, api, caller, example

DOCUMENT = openapi.document(api.routes, "Camp")
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
    assert openapi.document(api.routes, "Camp") == DOCUMENT


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


def test_a_declaration_that_contradicts_itself_does_not_load() -> None:
    camp = Api("camp")

    async def answer(call: Call) -> Reply:
        return Reply()

    with pytest.raises(Unsound):
        camp.route("GET", "/v1/x", summary="nobody may")(answer)
    with pytest.raises(Unsound):
        camp.route("GET", "/v1/x", summary="both", public=True, roles=(Role.PLAN,))(answer)
    with pytest.raises(ValidationError):
        camp.route("POST", "/v1/x", summary="x", roles=(Role.PLAN,), body=VisitBody, example={"nmae": "D"})(
            answer
        )
    camp.route("POST", "/v1/x", summary="x", roles=(Role.PLAN,), body=NoteBody, example={"text": "hello"})(
        answer
    )
    assert [route.path for route in camp.routes] == ["/v1/x"]
