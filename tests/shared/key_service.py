"""A key service as another installation might have one: it keeps its keys to itself, and is sometimes away. Plugged
in by an entry point, it represents any key management service."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from loopkeeper.security.key_wrapper import KeyServiceAway, Unsealable

PREFIX = "service:"


@dataclass
class KeyService:
    """Wraps under a key of its own, which is kept in a file so that every process of a test meets the same service."""

    file: Path
    away: bool = False
    calls: list[str] = field(default_factory=list[str])

    def wrap(self, key: bytes, label: str) -> str:
        nonce = secrets.token_bytes(12)
        return PREFIX + (nonce + self._cipher(f"wrap {label}").encrypt(nonce, key, label.encode())).hex()

    def unwrap(self, wrapped: str, label: str) -> bytes:
        cipher = self._cipher(f"unwrap {label}")
        try:
            raw = bytes.fromhex(wrapped.removeprefix(PREFIX))
            return cipher.decrypt(raw[:12], raw[12:], label.encode())
        except (InvalidTag, ValueError) as error:
            raise Unsealable("the service did not wrap this") from error

    def _cipher(self, call: str) -> ChaCha20Poly1305:
        if self.away:
            raise KeyServiceAway("nobody answers")
        self.calls.append(call)
        if not self.file.exists():
            self.file.write_bytes(ChaCha20Poly1305.generate_key())
        return ChaCha20Poly1305(self.file.read_bytes())


def connect(address: str) -> KeyService:
    """What the entry point names: the wrapper of the key at this address."""
    return KeyService(Path(address))
