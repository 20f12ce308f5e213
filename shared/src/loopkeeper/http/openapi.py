"""What the document says beyond FastAPI's own: every problem a route can answer, who may call it, which headers count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from loopkeeper.contract.blanks import BLANK, EMPTY
from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.http import idempotency
from loopkeeper.http.person import ACTED_BY
from loopkeeper.http.problems import MEDIA_TYPE, ProblemBody

# The version in every path. It is not the program's: a release that changes no route changes no document.
VERSION = "1"
REF = "#/components/schemas/{model}"
PROBLEM = "Problem"
SLUGS = "x-slugs"
CONTENT = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model=PROBLEM)}}}
REFUSED = 409

Responses = dict[int | str, dict[str, Any]]

# What any route may answer before its own work begins: every operation's `default`.
ANYWHERE = {
    "not-http": 400,
    "method-not-allowed": 405,
    "body-too-slow": 408,
    "head-too-slow": 408,
    "address-too-long": 414,
    "headers-too-large": 431,
    "defect": 500,
    "too-many-connections": 503,
}


def refused(*slugs: str, status: int = REFUSED) -> Responses:
    """For `responses=`: the problems by which this route refuses, of one status. Join those of several with `|`."""
    return {status: _problem(slugs)}


def _problem(slugs: Sequence[str]) -> dict[str, Any]:
    return {"description": ", ".join(slugs), SLUGS: list(slugs), "content": CONTENT}


def slugs_of(responses: Responses) -> dict[int, list[str]]:
    """The problems among a route's responses, by status."""
    return {int(status): list(found[SLUGS]) for status, found in responses.items() if SLUGS in found}


def with_problems(
    responses: Responses, implied: Iterable[tuple[str, int]], *, answers: Iterable[int]
) -> Responses:
    """A route's responses and, with them, the problems that its form implies, in order of status."""
    problems = slugs_of(responses)
    for slug, status in implied:
        found = problems.setdefault(status, [])
        if slug not in found:
            found.append(slug)
    own: Responses = {status: found for status, found in responses.items() if SLUGS not in found}
    whole: Responses = {
        status: _problem(problems[status]) for status in sorted(problems) if status not in answers
    }
    return own | whole | {"default": {"description": ", ".join(ANYWHERE), "content": CONTENT}}


def implied(
    *,
    public: bool,
    method: str,
    parameters: bool,
    query: bool,
    body: bool,
    matches: bool,
    needs_match: bool,
    closes: bool,
    names_actor: bool = False,
) -> list[tuple[str, int]]:
    """Which problems a route of this form may answer with, next to those it names. `closes`: it waits where its
    service is closed. `names_actor`: its body says who acted."""
    found: list[tuple[str, int]] = []
    if not public:
        found += [("unauthenticated", 401), ("role-missing", 403)]
    if parameters:
        found.append(("not-found", 404))
    if body or method != "GET":
        found += [
            ("body-too-large", 413),
            ("media-type-unknown", 415),
            ("malformed-body", 422),
            ("field-invalid", 422),
        ]
    if query:
        found.append(("field-invalid", 422))
    if method == "POST":
        found.append(("key-reused", 422))
    if names_actor:
        found.append(("acted-by-is-the-tokens", 422))
    if matches:
        found.append(("stale", 412))
    if needs_match:
        found.append(("if-match-missing", 428))
    if not public and (body or parameters):
        # A plan's sealed identities may be needed or made.
        found += [("erased", 410), ("key-missing", 503)]
    found += [("too-many-requests", 429), ("busy", 503)]
    if closes:
        found.append(("catching-up", 503))
    return found


def idempotency_header() -> dict[str, Any]:
    """Idempotency-Key among an operation's parameters."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "1 to 255 printable ASCII characters, in quotes if they hold a blank; the same key again, from "
        "the same organization, gives the same answer.",
        "schema": {"type": "string", "pattern": f"^({idempotency.PATTERN})$"},
        "example": "5f2c9a3e-first-attempt",
    }


def if_match_header(*, required: bool) -> dict[str, Any]:
    """If-Match among an operation's parameters."""
    return {
        "name": "If-Match",
        "in": "header",
        "required": required,
        "description": "The ETag last read, or * for any version.",
        "schema": {"type": "string"},
        "example": "*",
    }


def document(routes: Sequence[BaseRoute], title: str) -> dict[str, Any]:
    """FastAPI's document of these routes, with the one shape of every problem."""
    made = get_openapi(
        title=title,
        version=VERSION,
        routes=routes,
        servers=[{"url": "/"}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    if doubled := sorted(name for name in schemas if "__" in name):
        raise InvariantBroken(
            f"two bodies of one name: {', '.join(doubled)}; readers of the document need one each"
        )
    for schema in schemas.values():
        _actor_by_key_only(schema)
    named = {"Blank": BLANK, "Empty": EMPTY}
    made = _with_names(made, named)
    schemas = made["components"]["schemas"]
    made["components"]["schemas"] = dict(sorted({**schemas, **named, **_problem_schemas()}.items()))
    return made


def _with_names(part: Any, named: Mapping[str, Any]) -> Any:
    """The same with a reference wherever one of these shapes is written out."""
    if isinstance(part, list):
        return [_with_names(each, named) for each in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    name = next((name for name, shape in named.items() if part == shape), None)
    if name is not None:
        return {"$ref": REF.format(model=name)}
    return {key: _with_names(each, named) for key, each in cast("dict[str, Any]", part).items()}


def _actor_by_key_only(schema: dict[str, Any]) -> None:
    """Say of a body that names who acted that this depends on who calls, which no schema can require."""
    actor = schema.get("properties", {}).get(ACTED_BY)
    if actor is None or schema.get("type") != "object":
        return
    required = [name for name in schema.get("required", ()) if name != ACTED_BY]
    demanded = required != schema.get("required", [])
    if demanded:
        schema["required"] = required
        if not required:
            del schema["required"]
    told = f"{actor.get('description', 'Who acted')}. "
    told += "With a key it is required. " if demanded else ""
    schema["properties"][ACTED_BY] = {
        **actor,
        "description": told + "With a person's token it comes from the token; omit it.",
    }


def _problem_schemas() -> Mapping[str, Any]:
    schema = ProblemBody.model_json_schema(mode="serialization", ref_template=REF)
    parts = schema.pop("$defs", {})
    return {PROBLEM: {**schema, "title": PROBLEM}, **parts}
