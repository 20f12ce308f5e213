"""How identity is kept: encrypted with the plan's data key as it enters, opened only through one audited function.

A sealed text is bound to its place: plan, stream, part and key version are authenticated with it, so moved to another
row it does not open. The keys are in `keyring.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
from cryptography.exceptions import InvalidTag

from loopkeeper.kernel.logs import get
from loopkeeper.security.keyring import NONCE_BYTES, SYSTEM, Keyring, Unsealable
from loopkeeper.security.organizations import Client

log = get("sealing")


@dataclass(frozen=True)
class Sealer:
    """Seals and opens parts; `open` itself is for machines (parked facts, secrets), people's identity goes
    through `open_identity`."""

    keyring: Keyring

    def seal(self, plan: str, stream: str, part: str, value: Mapping[str, Any]) -> str:
        """The value as text `v1.<key version>.<nonce and ciphertext>`. Raises `Unsealable` without a key."""
        keys = self.keyring.keys(plan)
        nonce = secrets.token_bytes(NONCE_BYTES)
        place = _place(plan, stream, part, keys.current)
        sealed = keys.versions[keys.current].encrypt(nonce, orjson.dumps(value), place)
        return f"v1.{keys.current}.{urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, plan: str, stream: str, part: str, text: str) -> dict[str, Any]:
        """The value sealed for this very place. Raises `Unsealable` otherwise."""
        try:
            form, number, body = text.split(".")
            version, raw = int(number), urlsafe_b64decode(body)
        except ValueError as error:
            raise Unsealable("this is no sealed text") from error
        key = self.keyring.keys(plan).versions.get(version)
        if form != "v1" or key is None:
            raise Unsealable("this text was sealed with a key that is not here")
        try:
            plain = key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _place(plan, stream, part, version))
        except (InvalidTag, ValueError) as error:
            raise Unsealable("this text was not sealed for this place") from error
        return orjson.loads(plain)

    def blind_index(self, plan: str, *values: str) -> str:
        """The same for the same values of the same plan, and telling nothing about them without its key."""
        text = "\x1f".join(values).encode("utf-8", "surrogatepass")
        return hmac.new(self.keyring.keys(plan).index, text, hashlib.sha256).hexdigest()

    def chain_key(self) -> bytes:
        """The key of the journals' chains."""
        return hmac.new(self.keyring.keys(SYSTEM).index, b"journal chain", hashlib.sha256).digest()


def _place(plan: str, stream: str, part: str, version: int) -> bytes:
    return f"{plan}|{stream}|{part}|{version}".encode()


# ── opening ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who opened whose identity: which parts and fields, when and why. `person`: who of the organization; `proved` by
    a token, else as the organization's program states it, if it does."""

    at: datetime
    organization: str
    client: str
    plan: str
    stream: str
    parts: tuple[str, ...]
    fields: tuple[str, ...]
    why: str
    person: str = ""
    proved: bool = False


class Audit(Protocol):
    """Where openings are written down; `Store` is one."""

    async def record(self, rows: Sequence[AuditRow]) -> None: ...


@dataclass(frozen=True, slots=True)
class Opening:
    """The sealed parts of one stream that are to be opened."""

    plan: str
    stream: str
    parts: Mapping[str, str]


async def open_identity(
    sealer: Sealer,
    audit: Audit,
    client: Client,
    at: datetime,
    openings: Sequence[Opening],
    *,
    fields: Sequence[str],
    why: str,
) -> list[dict[str, dict[str, Any]]]:
    """The named fields of these parts, in order of `openings`. The audit rows are committed before anything is
    opened; the caller has checked that this client may see them (loop.md 1.6, 1.7)."""
    await audit.record(
        [
            AuditRow(
                at,
                client.organization,
                client.id,
                o.plan,
                o.stream,
                tuple(sorted(o.parts)),
                tuple(fields),
                why,
                client.person.id if client.person is not None else "",
                client.person is not None,
            )
            for o in openings
        ]
    )
    return [
        {
            part: {k: v for k, v in sealer.open(o.plan, o.stream, part, text).items() if k in fields}
            for part, text in o.parts.items()
        }
        for o in openings
    ]
