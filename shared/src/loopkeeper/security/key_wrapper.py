"""Who wraps the data keys? A key wrapper: the master key here, or a key management service that an installation plugs
in.

The port has two methods. An implementation never sees what is sealed, only data keys of 32 bytes with a *label*
that says whose key it is. It binds the two: what was wrapped under one label opens under no other.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, write_private

NONCE_BYTES = 12
KEY_BYTES = 32
# Entry points of this group make wrappers: a name, and a function of the address behind it.
GROUP = "loopkeeper.key_wrappers"


class Unsealable(Exception):
    """A sealed text does not open here: key destroyed or unknown, or the text is not of this place."""


class KeyServiceAway(Exception):
    """The wrapper's service cannot be reached now; the same call may succeed later."""


class KeyWrapper(Protocol):
    """Wraps data keys for the keyring. Calls are few (a start, a changed keyring, a new plan) and may block for as
    long as a request may: an implementation bounds its own time. Both raise `KeyServiceAway` where nobody answers."""

    def wrap(self, key: bytes, label: str) -> str:
        """The key as the keyring may hold it: a text that tells nothing of it, another one each time."""
        ...

    def unwrap(self, wrapped: str, label: str) -> bytes:
        """The key again. Raises `Unsealable` for a text that this wrapper did not make, or not under this label."""
        ...


@dataclass(frozen=True, slots=True)
class MasterKey:
    """The wrapper that needs nothing: AES-256-GCM under one key, the label authenticated."""

    key: bytes = field(repr=False)

    def wrap(self, key: bytes, label: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return b64encode(nonce + AESGCM(self.key).encrypt(nonce, key, label.encode())).decode()

    def unwrap(self, wrapped: str, label: str) -> bytes:
        try:
            raw = b64decode(wrapped, validate=True)
            return AESGCM(self.key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], label.encode())
        except (InvalidTag, ValueError) as error:
            raise Unsealable("the master key does not open this keyring") from error


def master_key_of(folder: Path, given: str | None) -> MasterKey:
    """The master key of this folder: the one given, or that of its file, which a first start makes. Raises
    `StartError`."""
    file = folder / "master.key"
    if given is None:
        with locked(file):
            if not file.exists() and (folder / "keyring.json").exists():
                raise StartError(
                    "The keyring's master key is not here.",
                    f"Put master.key back into {folder}, or set LOOPKEEPER_MASTER_KEY.",
                )
            if not file.exists():
                write_private(file, b64encode(secrets.token_bytes(KEY_BYTES)).decode())
        given = file.read_text()
    return as_master_key(given)


def as_master_key(text: str) -> MasterKey:
    """A master key as it is written down. Raises `StartError` for a text that is none."""
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise StartError("The master key is not 32 bytes in base64.", "Make one: `openssl rand -base64 32`.")
    return MasterKey(key)


def plugged_in(name: str) -> KeyWrapper:
    """The wrapper of this name, `<entry point>:<address>`, from an installed package. Raises `StartError`."""
    kind, _, address = name.partition(":")
    found = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in found:
        raise StartError(
            f"There is no key wrapper {kind!r}.",
            f"Installed are: {', '.join(sorted(found)) or 'none'}. See docs/guides/operations.md, Keys in a key service.",
        )
    make = cast("Callable[[str], KeyWrapper]", found[kind].load())
    return make(address)
