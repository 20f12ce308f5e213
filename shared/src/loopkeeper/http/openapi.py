"""What the document says beyond FastAPI's own: every problem a route can answer, who may call it, which headers count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

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
    "method-not-allowed": 405,
    "body-too-slow": 408,
    "address-too-long": 414,
    "headers-too-large": 431,
    "defect": 500,
}
IDEMPOTENCY_KEY = "Up to 255 characters; the same key again gives the same answer."


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
    """Which problems a route of this form may answer with, besides those it names. `closes`: it waits where its
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
    found.append(("busy", 503))
    if closes:
        found.append(("catching-up", 503))
    return found


def header(name: str, description: str, *, required: bool = False) -> dict[str, Any]:
    """A header among an operation's parameters."""
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
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
    for schema in schemas.values():
        _actor_by_key_only(schema)
    made["components"]["schemas"] = dict(sorted({**schemas, **_problem_schemas()}.items()))
    return made


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
    told += "With a key it is required; " if demanded else ""
    schema["properties"][ACTED_BY] = {
        **actor,
        "description": told + "with a person's token it is the token's and must be left out.",
    }


def _problem_schemas() -> Mapping[str, Any]:
    schema = ProblemBody.model_json_schema(mode="serialization", ref_template=REF)
    parts = schema.pop("$defs", {})
    return {PROBLEM: {**schema, "title": PROBLEM}, **parts}
