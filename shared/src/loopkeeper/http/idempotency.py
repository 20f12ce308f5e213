"""Which command is this request? The same for every request of one organization with one Idempotency-Key."""

from __future__ import annotations

import functools
import hashlib
import re
from uuid import UUID, uuid5

from loopkeeper.http.headers import Headers
from loopkeeper.kernel.errors import FieldError, field_invalid
from loopkeeper.security.organizations import Client

# RFC 8941 string, or the same characters bare; what a client may call a request.
QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
BARE_KEY = re.compile(r"[!#-~]{1,255}")
# Never changes: the ids of commands already applied are derived from it.
COMMANDS = UUID("5b1f5a52-6a3e-4d0e-9d0c-1f3f6c1e7a90")


def keyed_command(headers: Headers, client: Client) -> UUID | None:
    """The command's id where the request has a key; None without one. It hangs on the organization: who sends a request
    again after it was given another key must not make a second referral."""
    text = headers.get(b"idempotency-key")
    if text is None:
        return None
    return uuid5(_namespace(client.organization), idempotency_key(text.decode("latin-1")))


# As many organizations as one installation has at work; each costs a hundred bytes.
@functools.lru_cache(maxsize=4096)
def _namespace(organization: str) -> UUID:
    return uuid5(COMMANDS, organization)


def idempotency_key(text: str) -> str:
    """The key in a header's value, with or without quotes. Raises 422 `field-invalid` pointing at the header."""
    text = text.strip()
    quoted = QUOTED_KEY.fullmatch(text)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted.group(1))
    if BARE_KEY.fullmatch(text):
        return text
    raise field_invalid(
        FieldError(
            pointer="header/Idempotency-Key",
            rule="structured-string",
            fix="Send 1 to 255 printable ASCII characters, in quotes if they hold a blank.",
        )
    )


# What the reference says of the header.
PATTERN = f"{BARE_KEY.pattern}|{QUOTED_KEY.pattern}"


def body_hash(method: str, path: str, query: bytes, raw: bytes) -> bytes:
    """What tells the same key with another request from a repetition."""
    return hashlib.sha256(f"{method} {path}?".encode() + query + b"\n" + raw).digest()
