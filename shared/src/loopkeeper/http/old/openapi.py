"""What does the API look like to a program? OpenAPI 3.1, computed from the declared routes, so it cannot drift."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from loopkeeper.http.catching_up import ANSWERED_WHILE_CLOSED
from loopkeeper.http.old.route import JSON, Route
from loopkeeper.http.problems import MEDIA_TYPE, ProblemBody

# The version in every path. It is not the program's: a release that changes no route changes no document.
VERSION = "1"
REF = "#/components/schemas/{model}"
Mode = Literal["validation", "serialization"]
Schemas = Mapping[tuple[Any, Any], dict[str, Any]]

# What any route may answer before or beside its own work: every operation's `default`.
ANYWHERE = {
    "method-not-allowed": 405,
    "body-too-slow": 408,
    "address-too-long": 414,
    "headers-too-large": 431,
    "defect": 500,
}
# What a route may answer by its shape, beside the refusals it declares.
UNAUTHENTICATED = ("unauthenticated", 401)
ROLE_MISSING = ("role-missing", 403)
NOT_FOUND = ("not-found", 404)
STALE = ("stale", 412)
BODY = (("body-too-large", 413), ("media-type-unknown", 415), ("malformed-body", 422), ("field-invalid", 422))
FIELD_INVALID = ("field-invalid", 422)
KEY_REUSED = ("key-reused", 422)
MATCH_MISSING = ("if-match-missing", 428)
BUSY = ("busy", 503)
CATCHING_UP = ("catching-up", 503)
# Where a plan's sealed identities may be needed or made.
SEALED = (("erased", 410), ("key-missing", 503))


def closes(route: Route) -> bool:
    """Whether it waits where its service is closed."""
    return route.service != "program" and not route.path.startswith(ANSWERED_WHILE_CLOSED)


def problems_of(route: Route) -> dict[int, list[str]]:
    """Every status and slug this route may answer with, its own refusals included, in order of status."""
    slugs = list(route.refusals.items())
    if not route.public:
        slugs += [UNAUTHENTICATED, ROLE_MISSING]
    if route.parameters:
        slugs.append(NOT_FOUND)
    if route.takes_body or route.method != "GET":
        slugs += BODY
    if route.query is not None:
        slugs.append(FIELD_INVALID)
    if route.method == "POST":
        slugs.append(KEY_REUSED)
    if route.needs_if_match or route.is_action:
        slugs.append(STALE)
    if route.needs_if_match:
        slugs.append(MATCH_MISSING)
    if not route.public and (route.takes_body or route.parameters):
        slugs += SEALED
    slugs.append(BUSY)
    if closes(route):
        slugs.append(CATCHING_UP)
    grouped: dict[int, list[str]] = {}
    for slug, status in sorted(slugs, key=lambda pair: pair[1]):
        if slug not in grouped.setdefault(status, []):
            grouped[status].append(slug)
    return grouped


def document(routes: Iterable[Route], title: str) -> dict[str, Any]:
    """The OpenAPI document of these routes; the same routes always give the same document."""
    shown = [route for route in routes if route.documented]
    schemas, definitions = models_json_schema(sorted(_models(shown), key=str), ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": VERSION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(routes: Iterable[Route]) -> set[tuple[type[BaseModel], Mode]]:
    models: set[tuple[type[BaseModel], Mode]] = {(ProblemBody, "serialization")}
    for route in routes:
        models |= {(model, "validation") for model in (route.body,) if model is not None}
        models |= {(answer, "serialization") for answer in route.answers.values() if isinstance(answer, type)}
    return models


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.service}.{getattr(route.handler, '__name__', 'answer')}",
        "tags": [route.service],
        "summary": route.summary,
        "security": [] if route.public else [{"key": []}],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": {**_answers(route, schemas), **_problems(route)},
    }
    if description := inspect.getdoc(route.handler):
        operation["description"] = description
    if route.roles:
        operation["x-roles"] = sorted(route.roles)
    if route.takes_body:
        operation["requestBody"] = _request_body(route, schemas)
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.parameters
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema(ref_template=REF)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(found, schema)}
        for name, found in schema.get("properties", {}).items()
    ]


def _inlined(found: Any, schema: dict[str, Any]) -> Any:
    """A parameter's schema with the enums it names written out: parameters are flat, so this is short."""
    if isinstance(found, list):
        return [_inlined(each, schema) for each in found]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(found, dict):
        return found
    if "$ref" in found:
        return schema["$defs"][str(found["$ref"]).rsplit("/", 1)[1]]  # pyright: ignore[reportUnknownArgumentType]
    return {name: _inlined(each, schema) for name, each in found.items()}  # pyright: ignore[reportUnknownVariableType]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    headers: list[tuple[str, bool, str]] = []
    if route.method == "POST":
        headers.append(
            ("Idempotency-Key", False, "Up to 255 characters; the same key again gives the same answer.")
        )
    if route.needs_if_match or route.is_action:
        headers.append(("If-Match", route.needs_if_match, "The ETag last read."))
    if route.streams is not None:
        headers.append(("Last-Event-ID", False, "Of a stream: the id last seen, as browsers send it."))
    return [
        {
            "name": name,
            "in": "header",
            "required": required,
            "description": text,
            "schema": {"type": "string"},
        }
        for name, required, text in headers
    ]


def _request_body(route: Route, schemas: Schemas) -> dict[str, Any]:
    schema = schemas[route.body, "validation"] if route.body is not None else {"type": "string"}
    content: dict[str, Any] = {media: {"schema": schema} for media in route.media}
    if route.example is not None:
        content[route.media[0]]["example"] = route.example
    demanded = route.body is None or any(found.is_required() for found in route.body.model_fields.values())
    return {"required": demanded, "content": content}


def _answers(route: Route, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in route.answers.items():
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if isinstance(answer, str):
            response["content"] = {answer: {"schema": {} if answer == JSON else {"type": "string"}}}
        elif answer is not None:
            response["content"] = {JSON: {"schema": schemas[answer, "serialization"]}}
        if route.streams is not None and status == HTTPStatus.OK:
            response["content"][route.streams] = {"schema": {"type": "string"}}
        responses[str(status)] = response
    return responses


def _problems(route: Route) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}}
    responses: dict[str, Any] = {
        str(status): {"description": ", ".join(slugs), "x-slugs": slugs, "content": content}
        for status, slugs in problems_of(route).items()
        if status not in route.answers
    }
    responses["default"] = {"description": ", ".join(ANYWHERE), "content": content}
    return responses
