"""What do a request's headers say of it? What kind of body comes, and which command it is."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import cast
from uuid import UUID, uuid5

from starlette.types import Scope

from loopkeeper.http.route import Route
from loopkeeper.kernel.errors import FieldError, Problem, field_invalid
from loopkeeper.security.organizations import Client

# RFC 8941 string, or the same characters bare; what a client may call a request.
QUOTED_KEY = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
BARE_KEY = re.compile(r"[\x21\x23-\x7e]+")
LONGEST_KEY = 255
# Fixed for ever: claims of requests already answered are derived from it.
CLAIMS = UUID("5b1f5a52-6a3e-4d0e-9d0c-1f3f6c1e7a90")

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


def check_media(headers: Headers, media: Sequence[str]) -> None:
    kind = media_of(headers)
    text = headers.get(b"content-type", b"").decode("latin-1").lower()
    options = (part.strip() for part in text.split(";")[1:])
    charsets = [
        option.removeprefix("charset=").strip('"') for option in options if option.startswith("charset=")
    ]
    encoding = headers.get(b"content-encoding", b"identity")
    known = kind in media and all(charset == "utf-8" for charset in charsets)
    if known and encoding == b"identity":
        return
    raise Problem(
        415,
        "media-type-unknown",
        f"This takes {' or '.join(media)}, in UTF-8 and not compressed.",
        fix="Name it in Content-Type.",
        headers={"Accept": ", ".join(media)},
    )


def claim_of(route: Route, headers: Headers, caller: Client | None) -> UUID | None:
    """The same for every request of this client with this key; None without a key or without a client."""
    text = headers.get(b"idempotency-key")
    if text is None or caller is None or route.method == "GET":
        return None
    return uuid5(_namespace(caller.id), idempotency_key(text.decode("latin-1")))


# As many clients as one installation has at work; each costs a hundred bytes.
@functools.lru_cache(maxsize=4096)
def _namespace(client: str) -> UUID:
    return uuid5(CLAIMS, client)


def idempotency_key(text: str) -> str:
    """The key in a header's value, with or without quotes. Raises 422 `field-invalid` pointing at the header."""
    text = text.strip()
    quoted = QUOTED_KEY.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else text
    if (quoted or BARE_KEY.fullmatch(text)) and 1 <= len(key) <= LONGEST_KEY:
        return key
    raise field_invalid(
        FieldError(
            pointer="header/Idempotency-Key",
            rule="structured-string",
            fix="Send 1 to 255 printable ASCII characters, in quotes if they hold a blank.",
        )
    )


def body_hash(scope: Scope, raw: bytes) -> bytes:
    address = f"{scope['method']} {scope['path']}?".encode() + cast("bytes", scope["query_string"])
    return hashlib.sha256(address + b"\n" + raw).digest()
