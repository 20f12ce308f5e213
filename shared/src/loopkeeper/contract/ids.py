"""What things are called: a typed prefix and a UUIDv7, so that ids sort by time and never carry meaning."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from uuid_utils import uuid7


def uuid() -> UUID:
    """A fresh UUIDv7: the time in milliseconds first, so an index of them grows at one end."""
    return UUID(bytes=uuid7().bytes)


def new(prefix: str) -> str:
    """A fresh id such as `ref_0193…`."""
    return f"{prefix}_{uuid7().hex}"


def derive(prefix: str, at: datetime, seed: UUID, name: str) -> str:
    """The id a rule gives to what it creates: the same command always yields the same id, in any retry."""
    return f"{prefix}_{derived_uuid(at, seed, name).hex}"


def derived_uuid(at: datetime, seed: UUID, name: str) -> UUID:
    """A UUIDv7 whose random bits come from `seed` and `name`, its time from `at`."""
    digest = hashlib.sha256(seed.bytes + name.encode()).digest()
    milliseconds = int(at.timestamp() * 1000)
    number = (milliseconds & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(digest[:10], "big")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)


def is_id(prefix: str, text: str) -> bool:
    """Whether `text` has the form of an id with this prefix."""
    head, _, tail = text.partition("_")
    return head == prefix and len(tail) == 32 and all(c in "0123456789abcdef" for c in tail)
