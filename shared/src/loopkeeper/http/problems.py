"""How is a failure answered? As one RFC 9457 problem, the same shape everywhere, that never repeats what was sent."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast, get_args

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core.core_schema import ErrorType

from loopkeeper.contract.decider import Refused
from loopkeeper.kernel.errors import MOST_ERRORS, Busy, FieldError, Problem, TooMany, field_invalid
from loopkeeper.security.keyring import Erased, KeyMissing
from loopkeeper.store.gate import CatchingUp

MEDIA_TYPE = "application/problem+json"

# What to do about each rule pydantic names. Placeholders come from the schema, never from the value.
FIXES: dict[str, str] = {
    "missing": "Send this field.",
    "extra_forbidden": "Remove what is not known here.",
    "string_type": "Send a string.",
    "string_too_short": "Send at least {min_length} characters.",
    "string_too_long": "Send at most {max_length} characters.",
    "string_pattern_mismatch": "Follow the pattern {pattern}",
    "literal_error": "Send one of {expected}.",
    "enum": "Send one of {expected}.",
    "union_tag_invalid": "Send one of {expected_tags}.",
    "bool_type": "Send true or false.",
    "bool_parsing": "Send true or false.",
    "int_type": "Send a whole number.",
    "int_parsing": "Send a whole number.",
    "int_from_float": "Send a whole number.",
    "float_type": "Send a number.",
    "float_parsing": "Send a number.",
    "finite_number": "Send a finite number.",
    "greater_than": "Send more than {gt}.",
    "greater_than_equal": "Send {ge} or more.",
    "less_than": "Send less than {lt}.",
    "less_than_equal": "Send {le} or less.",
    "too_short": "Send at least {min_length} entries.",
    "too_long": "Send at most {max_length} entries.",
    "list_type": "Send a list.",
    "tuple_type": "Send a list.",
    "frozen_set_type": "Send a list.",
    "set_type": "Send a list.",
    "dict_type": "Send an object.",
    "model_type": "Send an object.",
    "date_type": "Send a date such as 2026-03-02.",
    "date_parsing": "Send a date such as 2026-03-02.",
    "date_from_datetime_parsing": "Send a date such as 2026-03-02.",
    "date_from_datetime_inexact": "Send a date such as 2026-03-02, without a time.",
    "datetime_type": "Send a time with its zone, such as 2026-03-02T17:00:00Z.",
    "datetime_parsing": "Send a time with its zone, such as 2026-03-02T17:00:00Z.",
    "datetime_from_date_parsing": "Send a time with its zone, such as 2026-03-02T17:00:00Z.",
    "timezone_aware": "Send a time with its zone, such as 2026-03-02T17:00:00Z.",
}
OTHERWISE = "Compare this field with the description at /docs."
BUILT_IN = frozenset(get_args(ErrorType))


class ProblemBody(BaseModel):
    """What every failure looks like. `slug` is for programs, `detail` and `fix` for people."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    slug: str
    detail: str
    trace_id: str
    fix: str = ""
    allowed: tuple[str, ...] = ()
    errors: tuple[FieldError, ...] = ()


def render(problem: Problem, trace_id: str) -> bytes:
    """The answer's bytes. `type` resolves, relative to the server asked, to its paragraph of the reference."""
    body: dict[str, Any] = {
        "type": f"/docs#{problem.slug}",
        "title": problem.slug.replace("-", " ").capitalize(),
        "status": problem.status,
        "slug": problem.slug,
        "detail": problem.detail,
        "trace_id": trace_id,
    }
    if problem.fix:
        body["fix"] = problem.fix
    if problem.allowed or problem.status == 409:
        body["allowed"] = problem.allowed
    if problem.errors:
        body["errors"] = problem.errors
    return orjson.dumps(body | problem.members)


def known(error: Exception) -> Problem | None:
    """The problem of an exception; None where it is a defect."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refused):
        return Problem(error.status, error.slug, error.sentence, fix=error.fix, allowed=error.allowed)
    if isinstance(error, CatchingUp):
        return Problem(
            503,
            "catching-up",
            "This service reads again what it may have lost, and answers after that.",
            fix="Send the same request again after the seconds of Retry-After.",
            headers={"Retry-After": str(error.retry_after)},
        )
    if isinstance(error, Busy):
        return Problem(
            503,
            "busy",
            "More is waiting than can be served in time.",
            fix="Send the same request again after the seconds of Retry-After.",
            headers={"Retry-After": str(error.retry_after)},
        )
    if isinstance(error, TooMany):
        return Problem(
            429,
            "too-many-requests",
            "This key asks for more than its share.",
            fix="Send the same request again after the seconds of Retry-After, and fewer at once.",
            headers={
                "Retry-After": str(error.retry_after),
                "RateLimit-Policy": f'"{error.what}";q={error.most}',
                "RateLimit": f'"{error.what}";r=0;t={error.retry_after}',
            },
        )
    if isinstance(error, Erased):
        return Problem(
            410,
            "erased",
            "What identifies this plan's members was erased for good.",
            fix="Nothing here can bring it back; ask the plan.",
        )
    if isinstance(error, KeyMissing):
        return Problem(
            503,
            "key-missing",
            "This plan has no key here yet, so nothing can be sealed for it.",
            fix="Send the same request again later; operations give the plan a key: loopkeeper keys rotate PLAN.",
            headers={"Retry-After": "60"},
        )
    return None


def defect() -> Problem:
    """The one answer for our own fault: constant words, because the exception's may hold what was sent."""
    return Problem(
        500,
        "defect",
        "The server failed at this request.",
        fix="Report the trace_id; the request may be sent again.",
    )


def malformed(detail: str, fix: str) -> Problem:
    """The body as a whole cannot be read."""
    return Problem(422, "malformed-body", detail, fix=fix)


@functools.cache
def names_of(model: type[BaseModel]) -> frozenset[str]:
    """Every name that a body of this model may hold: of its fields, and of entries by a code. Only these are named back:
    what else somebody writes as a name may be a person's."""
    return frozenset(_names(model.__pydantic_core_schema__))


def _names(schema: object) -> Iterator[str]:
    """Of pydantic's own schema, which is there already: names of fields, aliases, and codes of enums and literals."""
    if isinstance(schema, list | tuple):
        for each in cast("Sequence[object]", schema):
            yield from _names(each)
    if isinstance(schema, dict):
        found = cast("dict[str, Any]", schema)
        if found.get("type") in ("model-fields", "typed-dict"):
            yield from found["fields"]
        if isinstance(alias := found.get("validation_alias"), str):
            yield alias
        codes = [*found.get("members", ()), *found.get("expected", ())]
        yield from (str(getattr(each, "value", each)) for each in codes)
        for each in found.values():
            yield from _names(each)


def unknown(name: str, known: Collection[str]) -> str:
    """What to do about a name that is not known: which one may be meant, of those that are."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"Remove what is not known here; {near[0]} may be meant." if near else FIXES["extra_forbidden"]


def from_validation(
    error: ValidationError, tree: object, names: Collection[str], *, prefix: str = ""
) -> Problem:
    """A model's complaints without the values. `tree` is what was validated, `names` those that the model knows;
    `prefix` says where else than the body.

    A validator's own sentence is shown only if raised as a `PydanticCustomError` without context: the text
    of a ValueError may hold the value (`date.fromisoformat` puts it there).
    """
    found = error.errors(include_url=False, include_input=False)
    return from_errors(cast("Sequence[Mapping[str, Any]]", found), tree, names, prefix=prefix)


def from_errors(
    found: Sequence[Mapping[str, Any]], tree: object, names: Collection[str], *, prefix: str = ""
) -> Problem:
    """The same of errors as pydantic and FastAPI list them."""
    return field_invalid(
        *(
            FieldError(
                pointer=prefix + _pointer(each["loc"], tree, names, missing=each["type"] == "missing"),
                rule=each["type"].replace("_", "-"),
                fix=unknown(str(each["loc"][-1]), names)
                if each["type"] == "extra_forbidden"
                else _fix(each["type"], each["msg"], each.get("ctx", {})),
            )
            for each in found[:MOST_ERRORS]
        )
    )


def _fix(rule: str, sentence: str, context: Mapping[str, Any]) -> str:
    if rule in FIXES:
        return FIXES[rule].format_map(context)
    return OTHERWISE if rule in BUILT_IN or context else sentence


def _pointer(location: Sequence[int | str], tree: object, names: Collection[str], *, missing: bool) -> str:
    """Follows the location through what was sent, so that pydantic's labels of unions drop out, up to the first name
    that the model does not know."""
    pointer, at = "", tree
    for position, segment in enumerate(location):
        last = position == len(location) - 1
        if isinstance(at, dict) and segment in at:
            if segment not in names:
                break
            at = cast("dict[str, object]", at)[str(segment)]
        elif isinstance(at, list) and isinstance(segment, int) and segment < len(cast("list[object]", at)):
            at = cast("list[object]", at)[segment]
        elif not (missing and last):
            continue
        pointer += f"/{segment}"
    return pointer
