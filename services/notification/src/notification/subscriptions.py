"""What may become of a subscription: unverified → enabled by its challenge, disabled by a 410, deleted for good.

Each change is a function of the locked row; `n` is the row's version, and the ETag of whoever read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loopkeeper.decider import Refused
from loopkeeper.domain import Recorded, Reference
from loopkeeper.errors import Problem
from loopkeeper.problems import not_found

TABLE = "subscription"
SEALED_PART = "secret"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What its owner asks for. Without a url a subscription is a feed only and needs no verification."""

    url: str | None
    description: str

    @property
    def state(self) -> str:
        return "enabled" if self.url is None else "unverified"


def create(subscription: str, organization: str, wanted: Wanted, sealed_secret: str) -> Reference:
    def change(row: Row | None, at: datetime) -> Recorded:
        return Recorded(
            {
                "organization": organization,
                "url": wanted.url,
                "description": wanted.description,
                "secret": sealed_secret,
                "state": wanted.state,
                "sequence": 0,
                "n": 1,
                "created_at": at,
                "at": at,
            }
        )

    return Reference(TABLE, subscription, change)


def restate(subscription: str, n: int, wanted: Wanted) -> Reference:
    """Another address must prove itself anew. Raises 404, 412 where it was changed since."""

    def change(row: Row | None, at: datetime) -> Recorded:
        found = _standing(row, n)
        state = found["state"] if found["url"] == wanted.url else wanted.state
        return _next(found, at, url=wanted.url, description=wanted.description, state=state)

    return Reference(TABLE, subscription, change)


def verify(subscription: str, n: int) -> Reference:
    """The endpoint answered its challenge. Raises 409 where the address changed meanwhile."""

    def change(row: Row | None, at: datetime) -> Recorded:
        if row is not None and row["state"] != "deleted" and row["n"] != n:
            raise Refused(
                "challenge-failed",
                "The subscription was changed while its endpoint was challenged.",
                fix="Verify it again.",
            )
        return _next(_standing(row, n), at, state="enabled")

    return Reference(TABLE, subscription, change)


def disable(subscription: str) -> Reference:
    """The endpoint answered 410: it is not called until it is verified again; what arises is kept."""

    def change(row: Row | None, at: datetime) -> Recorded | None:
        if row is None or row["state"] != "enabled":
            return None
        return _next(row, at, state="disabled")

    return Reference(TABLE, subscription, change)


def delete(subscription: str, n: int) -> Reference:
    """Nothing is sent or fed any more. The row stays, so that its attempts keep their owner."""

    def change(row: Row | None, at: datetime) -> Recorded:
        return _next(_standing(row, n), at, state="deleted", url=None, secret="")

    return Reference(TABLE, subscription, change)


def _standing(row: Row | None, n: int) -> Row:
    if row is None or row["state"] == "deleted":
        raise not_found()
    if row["n"] != n:
        raise Problem(
            412,
            "stale",
            "This was changed since it was read.",
            fix="Read it again and send the new ETag as If-Match.",
            headers={"ETag": f'W/"{row["n"]}"'},
        )
    return row


def _next(row: Row, at: datetime, **changes: Any) -> Recorded:
    return Recorded({**row, **changes, "n": row["n"] + 1, "at": at})
