"""What may come that nobody should send? Made from a route's good body, so that every field is tried in every way.

Each carries one word where anything may be written: an answer that holds it repeats what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from tests.security.declared import Place, changed, leaves, plain, takes

WORD = "Quillfeather"
BODY, MEDIA = 422, 415
# The place of something that JSON does not know.
HERE = "@here@"
NOT_JSON = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5000, b"99999999999999999999", b"01", b".5", b"+1",
    b"0x10", b"'x'", b"undefined", b"\\u0000", b'"\x1f"', b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\x00"',
)  # fmt: skip
# Texts that are JSON, and that no database or no UTF-8 can hold.
LONE = ("\ud800", "a\udfffb", "\udc00\ud800")
NESTING = ((b"[", b"]"), (b'{"a":', b"}"))
DEPTHS = (1_000, 10_000)
WHOLES = (
    b"null", b"true", b"1", b'"x"', b"[]", b"[{}]", b" ", b"\xef\xbb\xbf{}", b"{} {}", b"{,}", b'{"a"}', b"<x/>",
    b"name=Quillfeather", b"\xff\xfe{\x00}\x00", b"{'plan': 1}", b"//", b'{"a":1,}',
)  # fmt: skip
MEDIA_TYPES = (
    "", "text/plain", "application/jsonp", "application/json; charset=utf-16", "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded", "application/xml", f"application/{WORD}",
)  # fmt: skip
# After these characters a text breaks off in another way each.
BREAKS = b'{}[],:"'
# Truncations of one body: enough for every kind of place in it.
MOST_BREAKS = 20


def bodies(good: Any, model: type[BaseModel]) -> Iterator[tuple[str, bytes]]:
    """Bodies that are wrong as a whole or somewhere, each with what is wrong with it."""
    raw = json.dumps(good).encode()
    yield from (("whole", whole) for whole in WHOLES)
    yield from (("broken off", raw[:length]) for length in _lengths(raw))
    yield from (
        ("twice", raw + raw),
        ("UTF-16", raw.decode().encode("utf-16")),
        ("a mark", b"\xef\xbb\xbf" + raw),
    )
    for opened, closed in NESTING:
        yield from (("nested", opened * depth + b"1" + closed * depth) for depth in DEPTHS)
        yield from (("nested and open", opened * depth) for depth in DEPTHS)
    for number, (place, value) in enumerate(leaves(good)):
        yield from _at(good, place, value, number)
        for kind, body in _misfits(good, place, value):
            # Where a field takes anything, such as answers to questions, nothing is of another kind.
            if not takes(model, body):
                yield kind, json.dumps(body).encode()


def nul_bodies(good: Any) -> Iterator[bytes]:
    """U+0000 in every text, and in every name."""
    for place, value in leaves(good):
        if isinstance(value, str):
            for text in ("\0", value + "\0", f"{WORD}\0{WORD}"):
                yield json.dumps(changed(good, place, text)).encode()
        if isinstance(value, dict):
            yield json.dumps(changed(good, place, {**value, f"{WORD} \0": 1})).encode()


def _lengths(raw: bytes) -> list[int]:
    """Where a body is broken off: around its signs and in the middle of what is between."""
    lengths = sorted(
        {n + d for n, sign in enumerate(raw) if sign in BREAKS for d in (0, 1, 2) if 0 < n + d < len(raw)}
    )
    step = max(1, len(lengths) // MOST_BREAKS)
    return lengths[::step]


def _at(good: Any, place: Place, value: Any, number: int) -> Iterator[tuple[str, bytes]]:
    hole = json.dumps(changed(good, place, HERE)).encode()
    if place:
        # Each place some of them, in turn: who reads JSON does not know what the place is for.
        for bad in (NOT_JSON * 2)[2 * number % len(NOT_JSON) :][:2]:
            yield "not JSON", hole.replace(f'"{HERE}"'.encode(), bad)
    if len(place) == 1:
        opened, closed = NESTING[number % 2]
        deep = opened * DEPTHS[-1] + closed * DEPTHS[-1]
        yield "nested in a field", hole.replace(f'"{HERE}"'.encode(), deep)
    if isinstance(value, str):
        yield "lone surrogates", json.dumps(changed(good, place, LONE[number % len(LONE)])).encode()
    if isinstance(value, dict):
        yield from (("same name twice", _repeated(hole, value, name)) for name in value)


def _misfits(good: Any, place: Place, value: Any) -> Iterator[tuple[str, Any]]:
    for other in _of_another_kind(value):
        yield "another kind", changed(good, place, other)
    if isinstance(value, dict):
        yield "unknown field", changed(good, place, {**value, "nickname": WORD})


def _of_another_kind(value: Any) -> list[Any]:
    """Values that neither are of this kind nor pass for it. A list of nothing and nothing at all may be meant."""
    if isinstance(value, str):
        return [{"x": WORD}, [WORD, [WORD]], 17.5]
    if isinstance(value, list):
        return [{"x": WORD}, WORD, True]
    if isinstance(value, dict):
        return [[WORD, [WORD]], WORD, 17.5]
    return [{"x": WORD}, [WORD, [WORD]], WORD]


def _repeated(hole: bytes, fields: dict[str, Any], name: str) -> bytes:
    twice = json.dumps(fields)[:-1] + f', {json.dumps(name)}: "{WORD}"}}'
    return hole.replace(f'"{HERE}"'.encode(), twice.encode())


# ── what is not the body ──────────────────────────────────────────────────────────────────────────────────

IDS = (
    "%00", "x%00", "%ff", "%c0%af", "x%0a", "%0d%0a", "..%2f..%2fetc%2fpasswd", "..", "%2e%2e", "%F0%9F%98%80", "x" * 101,
    "%27%20or%201=1", "%ed%a0%80", "%7b%7d", "a b",
)  # fmt: skip
# Values of query parameters that no parameter takes, and those that a text takes without a result.
UNTAKEN = ("x%00", "%00", "%ff", "%ed%a0%80", "%c0%af")
CURSORS = (
    WORD, "", "x", "%00", "AAAA", "MjAyNi0wMy0wMlQxNzowMDowMCswMDowMCByZWZfMQ==", "x" * 301, "%2b%2b%2b",
    # "2026-03-02T17:00:00 ref_1": no zone; "2026-03-02T17:00:00+00:00 ref_\0": a character no text holds.
    "MjAyNi0wMy0wMlQxNzowMDowMCByZWZfMQ", "MjAyNi0wMy0wMlQxNzowMDowMCswMDowMCByZWZfAA",
    # "0000-00-00T00:00:00+00:00 x", "now x"
    "MDAwMC0wMC0wMFQwMDowMDowMCswMDowMCB4", "bm93IHg",
)  # fmt: skip
MATCHES = (
    b"", WORD.encode(), b'"', b"W/", b'W/"', b'"999999999999999999999999"', b'W/"-1"', b"\xff\xfe", b", , ,", b'""', b"x" * 5000,
)  # fmt: skip
KEYS = (
    b"",
    b'""',
    b'"',
    b'"open',
    b"two words",
    b"x" * 256,
    b"\xff\xfe",
    b"tab\tin",
    b'"a\x00b"',
    b"\x7f",
    b"{}, {}".replace(b"{}", b'"a"'),
)


def queries(query: type[BaseModel] | None) -> Iterator[str]:
    """Query strings that no route with these parameters takes."""
    yield f"?nickname={WORD}"
    yield "?" + "&".join(f"p{number}={WORD}" for number in range(60))
    yield from (f"?{bad}={WORD}" for bad in UNTAKEN)
    if query is None:
        return
    schema = query.model_json_schema(mode="validation")
    for name in query.model_fields:
        yield from (f"?{name}={bad}" for bad in UNTAKEN)
        known = plain(schema["properties"][name], schema)
        if known.get("type") != "array":
            yield f"?{name}=1&{name}=1"
            if known.get("type") != "string" or known.keys() & {"enum", "format", "pattern"}:
                yield from (
                    f"?{name}={bad}" for bad in (WORD, "-1e9", "1e400", "%7B%7D", "99999999999999999999999")
                )
            elif "maxLength" in known:
                yield f"?{name}={WORD * 100}"
    if "cursor" in query.model_fields:
        yield from (f"?cursor={bad}" for bad in CURSORS)
