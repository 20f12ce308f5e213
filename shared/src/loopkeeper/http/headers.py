"""What a request's headers say of its body: whether one comes, how long it is, and of which media type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.types import Scope

from loopkeeper.kernel.errors import Problem

JSON = "application/json"
# What a file may be declared to be written in, by the names that are sent for it.
CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "windows-1252": "cp1252",
}

Headers = Mapping[bytes, bytes]


def joined(scope: Scope) -> Headers:
    """The headers by lower-case name; one sent twice is a list, as HTTP has it."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found[name] = found[name] + b", " + value if name in found else value
    return found


def sends_body(headers: Headers) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def announced(headers: Headers) -> int | None:
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 20 else None


def media_of(headers: Headers) -> str:
    """The media type of the body, without its parameters; empty where none is named."""
    return headers.get(b"content-type", b"").decode("latin-1").lower().partition(";")[0].strip()


def charset_of(headers: Headers) -> str:
    """The charset that Content-Type names, by its own word; UTF-8 where it names none."""
    text = headers.get(b"content-type", b"").decode("latin-1").lower()
    options = (part.strip() for part in text.split(";")[1:])
    named = [
        option.removeprefix("charset=").strip('"') for option in options if option.startswith("charset=")
    ]
    # Two that differ are none.
    return named[0] if len(set(named)) == 1 else "" if named else "utf-8"


def check_media(headers: Headers, media: Sequence[str], *, file: bool = False) -> None:
    """Raise 415 unless the body is of one of these media types, in UTF-8, and not compressed. A `file` may be in another
    encoding that Content-Type names."""
    if (
        headers.get(b"content-type") == b"application/json"
        and b"content-encoding" not in headers
        and JSON in media
    ):
        return
    kind = media_of(headers)
    charset = charset_of(headers)
    encoding = headers.get(b"content-encoding", b"identity")
    known = kind in media and (charset in CHARSETS if file else charset == "utf-8")
    if known and encoding == b"identity":
        return
    raise Problem(
        415,
        "media-type-unknown",
        f"This takes {' or '.join(media)}, in {'an encoding it names' if file else 'UTF-8'} and not compressed.",
        fix="Name it in Content-Type.",
        headers={"Accept": ", ".join(media)},
    )
