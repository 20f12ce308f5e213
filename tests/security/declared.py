"""What does the running house declare, and what is a good request to each of its routes?

Everything is taken from the declarations, so that a route or a field added later is asked for by itself. A good body
is the route's example laid over every field its model knows: what is hostile to it starts from something whole.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from loopkeeper.contract.blanks import NOT_ONLY_SPACE
from loopkeeper.http import health
from loopkeeper.http.headers import JSON
from loopkeeper.http.openings import openings_of
from loopkeeper.http.route import Operation
from loopkeeper.runtime.operations import operations_of
from loopkeeper.runtime.policy_rows import policy_of
from loopkeeper.runtime.service import Service
from loopkeeper.security.organizations import Role
from tests.loop.house import House

__all__ = ["JSON", "Route"]

Schema = Mapping[str, Any]
# Where a value is in a body: names of fields and positions in lists.
Place = tuple[str | int, ...]
# Texts for fields that name a pattern; the first that fits is taken.
PATTERNED = (
    "harbor-street-medicine",
    "ref_00000000000000000000000000000000",
    "90000001S",
    "1234567893",
    "1",
    "2026-03",
)
FORMATTED = {
    "date": "2026-03-02",
    "date-time": "2026-03-02T17:00:00Z",
    "uuid": "0195b1f0-0000-7000-8000-000000000000",
}
# An id as the system mints them: a prefix and a UUID without dashes.
ID = re.compile(r"[a-z]{3,4}_[0-9a-f]{32}")


@dataclass(frozen=True)
class Route:
    """What one operation declares, as these tests ask for it."""

    service: str
    method: str
    path: str
    roles: frozenset[Role]
    parameters: tuple[str, ...]
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    media: tuple[str, ...]
    takes_body: bool
    stream: bool
    needs_if_match: bool
    is_action: bool
    example: Any

    @property
    def public(self) -> bool:
        return not self.roles


def routes(house: House) -> list[Route]:
    """Every operation of the running app."""
    own = [route for service in house.running.services.values() for route in of_service(service)]
    every = [*own, *(_of(each) for each in health.router.routes)]
    served = {
        getattr(route, "path_format", getattr(route, "path", "")) for route in house.running.app.router.routes
    }
    assert served == {route.path for route in every}, "the app serves addresses that nobody declared"
    return every


def of_service(service: Service) -> list[Route]:
    """Those of one service, its operations' among them."""
    routers = (
        *service.routers,
        operations_of(service.name),
        openings_of(service.name),
        policy_of(service.name),
    )
    return [_of(each) for found in routers for each in found.routes]


def _of(route: Any) -> Route:
    assert isinstance(route, Operation)
    return Route(
        route.service, route.method, route.path_format, route.roles, tuple(route.param_convertors), route.body,
        route.query.model, route.media, route.takes_body, route.upload is not None, route.needs_if_match,
        route.is_action, next(iter(route.examples.values()), None),
    )  # fmt: skip


def called(route: Route) -> str:
    """How a route is named in a test's output."""
    return f"{route.method} {route.path}"


def address(route: Route, *ids: str) -> str:
    """The route's path with these ids in place of its parameters, in order."""
    given = iter(ids)
    return re.sub(r"{\w+}", lambda _: next(given), route.path)


def good_body(route: Route) -> Any:
    """A body with every field filled in that the route takes; None where it takes no JSON."""
    if route.body is None:
        return None
    schema = route.body.model_json_schema(mode="validation")
    example = json.loads(json.dumps(route.example)) if route.example is not None else {}
    bodies = (
        _laid_over(_filled(schema, schema), example),
        example,
        _filled(schema, schema, only_required=True),
    )
    for body in bodies:
        if takes(route.body, body):
            return body
    raise AssertionError(f"{called(route)}: nothing that its model takes can be made; give it an example")


def takes(model: type[BaseModel], body: Any) -> bool:
    try:
        model.model_validate_json(json.dumps(body))
    except ValidationError:
        return False
    return True


@functools.cache
def texts(model: type[BaseModel]) -> tuple[tuple[Place, Schema], ...]:
    """Every place of a body where anything may be written: a text that is no code, pattern or date."""
    schema = model.model_json_schema(mode="validation")
    return tuple(_texts(schema, schema, ()))


def leaves(body: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value of a body with its place; objects and lists come before what is in them."""
    yield place, body
    entries = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in entries:
        yield from leaves(value, (*place, name))


def changed(body: Any, place: Place, value: Any) -> Any:
    """The body with another value at this place; objects and lists on the way are made where they are missing."""
    if not place:
        return value
    name, rest = place[0], place[1:]
    if isinstance(name, int):
        entries = list(body) if isinstance(body, list) else []
        entries += [None] * (name + 1 - len(entries))
        entries[name] = changed(entries[name], rest, value)
        return entries
    fields = dict(body) if isinstance(body, dict) else {}
    return {**fields, name: changed(fields.get(name), rest, value)}


def pointer(place: Place) -> str:
    return "".join(f"/{each}" for each in place)


# ── the schema ────────────────────────────────────────────────────────────────────────────────────────────


def plain(schema: Schema, root: Schema) -> Schema:
    """Behind references, and of alternatives the first that is not null."""
    if "$ref" in schema:
        return plain(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            chosen = next(each for each in schema[word] if each.get("type") != "null")
            return {
                **plain(chosen, root),
                **{k: v for k, v in schema.items() if k != word and k != "default"},
            }
    return schema


def _filled(schema: Schema, root: Schema, *, only_required: bool = False) -> Any:
    found = plain(schema, root)
    match found.get("type"):
        case _ if "const" in found or "enum" in found:
            return found["const"] if "const" in found else found["enum"][0]
        case "object":
            required = found.get("required", ())
            return {
                name: _filled(each, root, only_required=only_required)
                for name, each in found.get("properties", {}).items()
                if name in required or not only_required
            }
        case "array":
            count = found.get("minItems", 0 if only_required else 1)
            return [_filled(found["items"], root, only_required=only_required) for _ in range(count)]
        case "string":
            return _text(found)
        case "boolean":
            return True
        case _:
            return int(found.get("minimum", 1))


def _text(schema: Schema) -> str:
    if "format" in schema:
        return FORMATTED[schema["format"]]
    if not _takes_any_text(schema):
        return next(text for text in PATTERNED if re.search(schema["pattern"], text))
    return "text"[: schema.get("maxLength", 4)].ljust(schema.get("minLength", 0), "t")


def _takes_any_text(schema: Schema) -> bool:
    """Whether a text is no code: it may have to say something, and that is all."""
    return schema.get("pattern", NOT_ONLY_SPACE) == NOT_ONLY_SPACE


def _laid_over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{name: _laid_over(below.get(name), value) for name, value in above.items()}}
    return above


def _texts(schema: Schema, root: Schema, place: Place) -> Iterator[tuple[Place, Schema]]:
    found = plain(schema, root)
    if found.get("type") == "object":
        for name, each in found.get("properties", {}).items():
            yield from _texts(each, root, (*place, name))
    elif found.get("type") == "array":
        yield from _texts(found["items"], root, (*place, 0))
    elif (
        found.get("type") == "string"
        and not found.keys() & {"enum", "const", "format"}
        and _takes_any_text(found)
    ):
        yield place, found
