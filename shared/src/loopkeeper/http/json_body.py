"""What must hold of a request's body before any rule sees it?

A JSON body is I-JSON (RFC 7493): UTF-8, no name twice in an object, no lone surrogates, numbers a double can
hold. And no U+0000 in any string, which PostgreSQL cannot store. What breaks this is the sender's fault and a
422; unchecked it would be our 500.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from loopkeeper.http.body_budget import Share
from loopkeeper.http.problems import from_validation, malformed, names_of
from loopkeeper.kernel.errors import FieldError, Problem, field_invalid

# A body of the usual size arrives with its headers. Who waits this long in all, and a second more for each so many bytes
# that came, holds a place.
SECONDS_OF_WAITING = 20.0
BYTES_A_SECOND = 16 * 1024
# A form has some hundred values; each costs microseconds of everybody's time, whether it is good or refused.
MOST_VALUES = 5_000
LARGEST_WHOLE_NUMBER = 2**53

M = TypeVar("M", bound=BaseModel)


def too_large(limit: int) -> Problem:
    """The refusal of a body above `limit` bytes; the connection ends, since the rest of it is not read."""
    return Problem(
        413,
        "body-too-large",
        f"The body is larger than {limit} bytes.",
        fix="Send less at once.",
        headers={"Connection": "close"},
    )


async def pieces(receive: Receive, limit: int, announced: int | None = None) -> AsyncIterator[bytes]:
    """The body as it arrives, counted whatever Content-Length says.

    Raises 413 past `limit` bytes, 408 when it comes too slowly, `ClientDisconnect` when the caller left. What the reader
    of the pieces takes its time for does not count as waiting.
    """
    if announced is not None and announced > limit:
        raise too_large(limit)
    total, waited, more = 0, 0.0, True
    while more:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(SECONDS_OF_WAITING + total / BYTES_A_SECOND - waited):
                message = await receive()
        except TimeoutError:
            raise Problem(
                408,
                "body-too-slow",
                "The body did not arrive in time.",
                fix="Send it again.",
                headers={"Connection": "close"},
            ) from None
        waited += time.monotonic() - begun
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = cast("bytes", message.get("body", b""))
        more = cast("bool", message.get("more_body", False))
        total += len(piece)
        if total > limit:
            raise too_large(limit)
        if piece:
            yield piece


async def whole(
    receive: Receive, limit: int, announced: int | None = None, share: Share | None = None
) -> bytes:
    """The body in one piece; raises as `pieces` does, and `Busy` where the process holds no more bodies."""
    found: list[bytes] = []
    async for piece in pieces(receive, limit, announced):
        if share is not None:
            share.take(len(piece))
        found.append(piece)
    return b"".join(found)


def parse(raw: bytes, names: Collection[str] = ()) -> object:
    """The JSON value, known to be I-JSON without U+0000 and of at most `MOST_VALUES` values. Raises 422 `malformed-body`
    or `field-invalid`, which points along `names` only."""
    # Every value but the first of its object or list follows a comma; what is in texts is counted too.
    if raw.count(b",") + raw.count(b"{") + raw.count(b"[") > MOST_VALUES:
        raise malformed(f"The body holds more than {MOST_VALUES} values.", "Send less at once.")
    try:
        tree: object = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise malformed(
            "The body is not JSON: it breaks off, is not UTF-8, nests too deep or holds a number or character JSON has not.",
            "Send one JSON object in UTF-8.",
        ) from None
    _once_each(raw)
    if b"\\u0000" in raw:
        found = list(_holding_nul(tree, "", names))
        if found:
            raise field_invalid(*(no_nul(pointer) for pointer in found))
    return tree


def no_nul(pointer: str) -> FieldError:
    return FieldError(pointer=pointer, rule="no-nul", fix="Remove the character U+0000.")


def _with_known(sent: bytes, tree: object, known: Mapping[str, object]) -> bytes:
    if not isinstance(tree, dict):
        return sent
    fields = cast("dict[str, object]", tree)
    if twice := [name for name in known if name in fields]:
        raise given_by_token(*twice)
    return orjson.dumps({**fields, **known})


def given_by_token(*names: str) -> Problem:
    """The refusal of a field whose value the token of a person gives."""
    fix = "Leave it out: it is whom the token names."
    return Problem(
        422,
        "acted-by-is-the-tokens",
        "Who acts is known from the token, and the body names it again.",
        fix=fix,
        errors=[
            FieldError(pointer=f"/{name}", rule="given-by-token", fix=fix).model_dump() for name in names
        ],
    )


def _once_each(raw: bytes) -> None:
    try:
        json.loads(raw, object_pairs_hook=_unique, parse_int=_whole_number)
    except _Twice:
        raise malformed("An object of the body has the same name twice.", "Send every name once.") from None
    except _TooLarge:
        raise malformed("The body holds a number beyond 2^53.", "Send numbers a double can hold.") from None
    except RecursionError:
        raise malformed("The body nests too deep.", "Nest less than 100 levels.") from None


class _Twice(Exception):
    pass


class _TooLarge(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def _whole_number(digits: str) -> int:
    # Seventeen digits are already beyond it; converting thousands of them costs quadratic time.
    if len(digits) > 17 or abs(int(digits)) > LARGEST_WHOLE_NUMBER:
        raise _TooLarge
    return int(digits)


def _holding_nul(tree: object, pointer: str, names: Collection[str]) -> list[str]:
    if isinstance(tree, str):
        return [pointer] if "\0" in tree else []
    if isinstance(tree, list):
        entries = cast("list[object]", tree)
        return [
            each
            for position, entry in enumerate(entries)
            for each in _holding_nul(entry, f"{pointer}/{position}", names)
        ]
    if isinstance(tree, dict):
        fields = cast("dict[str, object]", tree)
        return [each for name, value in fields.items() for each in _in_field(name, value, pointer, names)]
    return []


def _in_field(name: str, value: object, pointer: str, names: Collection[str]) -> list[str]:
    inner = f"{pointer}/{name}" if name in names else pointer
    return ([pointer] if "\0" in name else []) + _holding_nul(value, inner, names)


def validate(model: type[M], raw: bytes, *, known: Mapping[str, object] | None = None) -> M:
    """The body as its model; nothing sent counts as `{}`. Raises 422, never with a value in it.

    `known`: fields whose value the caller's token gives; the body must not have them.
    """
    sent = raw or b"{}"
    tree = parse(sent, names_of(model) if b"\\u0000" in sent else ())
    if known:
        sent = _with_known(sent, tree, known)
    try:
        return model.model_validate_json(sent)
    except ValidationError as error:
        raise from_validation(error, tree, names_of(model)) from None
