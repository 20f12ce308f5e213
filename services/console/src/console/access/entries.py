"""What is remembered of a browser before anybody is signed in: a challenge, where to go on. A few minutes, at the server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from console.access.store import Access, hashed, secret

LIVES = timedelta(minutes=15)


async def remember(access: Access, token: str, **kept: Any) -> str:
    """Add this to what is remembered under the token; without one that is known, under a new one. Returns the token."""
    before = await recall(access, token)
    name = token if before is not None else secret()
    await access.pool.execute(
        """INSERT INTO entry (hash, kept, expires_at) VALUES ($1, $2::jsonb, $3)
           ON CONFLICT (hash) DO UPDATE SET kept = entry.kept || excluded.kept, expires_at = excluded.expires_at""",
        hashed(name),
        orjson.dumps(kept).decode(),
        access.now() + LIVES,
    )
    return name


async def recall(access: Access, token: str) -> Mapping[str, Any] | None:
    """What is remembered, if it is not too old."""
    if not token:
        return None
    kept = await access.pool.fetchval(
        "SELECT kept FROM entry WHERE hash = $1 AND expires_at > $2", hashed(token), access.now()
    )
    return orjson.loads(kept) if kept is not None else None


async def take(access: Access, token: str, name: str) -> Any:
    """One remembered thing, which is forgotten with it: a challenge counts once. None where it is not there."""
    if not token:
        return None
    kept = await access.pool.fetchval(
        """UPDATE entry e SET kept = e.kept - $3::text FROM (SELECT hash, kept FROM entry WHERE hash = $1 FOR UPDATE) o
           WHERE e.hash = o.hash AND e.expires_at > $2 RETURNING o.kept""",
        hashed(token),
        access.now(),
        name,
    )
    return orjson.loads(kept).get(name) if kept is not None else None


async def forget(access: Access, token: str) -> None:
    await access.pool.execute("DELETE FROM entry WHERE hash = $1", hashed(token))
