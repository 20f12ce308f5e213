"""Which command is this request? The same for every request of one client with one Idempotency-Key.

People who signed in share the keys of their organization, so that a form sent again by another session, or by a
colleague to whom it was handed, is the same command.
"""

from __future__ import annotations

import functools
import hashlib
import re
from uuid import UUID, uuid5

from loopkeeper.http.headers import Headers
from loopkeeper.kernel.errors import FieldError, field_invalid
from loopkeeper.security.organizations import Client

# RFC 8941 string, or the same characters bare; what a client may call a request.
QUOTED_KEY = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
BARE_KEY = re.compile(r"[\x21\x23-\x7e]+")
LONGEST_KEY = 255
# Never changes: the ids of commands already applied are derived from it.
COMMANDS = UUID("5b1f5a52-6a3e-4d0e-9d0c-1f3f6c1e7a90")


def keyed_command(headers: Headers, client: Client) -> UUID | None:
    """The command's id where the request has a key; None without one."""
    text = headers.get(b"idempotency-key")
    if text is None:
        return None
    whose = client.id if client.person is None else f"{client.id} {client.organization}"
    return uuid5(_namespace(whose), idempotency_key(text.decode("latin-1")))


# As many clients as one installation has at work; each costs a hundred bytes.
@functools.lru_cache(maxsize=4096)
def _namespace(client: str) -> UUID:
    return uuid5(COMMANDS, client)


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


def body_hash(method: str, path: str, query: bytes, raw: bytes) -> bytes:
    """What tells the same key with another request from a repetition."""
    return hashlib.sha256(f"{method} {path}?".encode() + query + b"\n" + raw).digest()
