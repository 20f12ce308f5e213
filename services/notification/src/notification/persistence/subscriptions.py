"""What may become of a subscription: unverified → enabled by its challenge → disabled (by its owner, by a 410, by five
days of nothing but failure) → enabled again, or deleted for good. What arises while it is not enabled is kept.

Each change is a function of the locked row; `n` is the row's version, and the ETag of its reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from loopkeeper.contract.decider import Refused
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.definition import Among, Recorded, Reference

TABLE = "subscription"
SEALED_PART = "secret"
SEALED_ANSWER = "answer"
# Why an endpoint is not called.
OWNER, GONE, FAILING = "owner", "gone", "failing"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What its owner asks for. Without a url a subscription is a feed only and needs no verification."""

    url: str | None
    description: str

    @property
    def state(self) -> str:
        return "enabled" if self.url is None else "unverified"

    @property
    def host(self) -> str:
        """Whose server is called, no matter who named it."""
        return (urlsplit(self.url).hostname or "") if self.url is not None else ""


BY_ORGANIZATION = "SELECT organization, count(*) AS n FROM subscription WHERE state <> 'deleted' GROUP BY 1"
# Under the organization's lock.
COUNT = "SELECT count(*) FROM subscription WHERE organization = $1 AND state <> 'deleted'"


class Bounds(Protocol):
    """What the service's own settings say of subscriptions."""

    @property
    def subscriptions(self) -> int: ...


def most_of(context: RunningService) -> int:
    """How many an organization may have at a time."""
    return cast("Bounds", context.own).subscriptions


def create(
    subscription: str, organization: str, wanted: Wanted, sealed_secret: str, epoch: str, *, most: int
) -> Reference:
    """A new one. Raises 409 `too-many-subscriptions` where the organization has `most` of them."""

    def change(row: Row | None, at: datetime) -> Recorded:
        return Recorded(
            {
                "organization": organization,
                "url": wanted.url,
                "host": wanted.host,
                "description": wanted.description,
                "secret": sealed_secret,
                "old_secret": "",
                "old_secret_until": None,
                "state": wanted.state,
                "enabled_at": at if wanted.state == "enabled" else None,
                "disabled_why": "",
                "disabled_at": None,
                "sequence": 0,
                "epoch": epoch,
                "kept": 0,
                "pruned": 0,
                "n": 1,
                "created_at": at,
                "at": at,
            }
        )

    full = Refused(
        "too-many-subscriptions",
        f"Your organization has {most} subscriptions, as many as it may.",
        fix="Use one you have: a feed may be read by any number of readers. Or end one first.",
    )
    return Reference(TABLE, subscription, change, Among("organization", organization, COUNT, most, full))


def restate(subscription: str, n: int, wanted: Wanted) -> Reference:
    """Another address must prove itself again. Raises 404, 412 where it was changed since."""

    def change(row: Row | None, at: datetime) -> Recorded:
        found = _existing(row, n)
        changes: dict[str, Any] = {"url": wanted.url, "host": wanted.host, "description": wanted.description}
        if found["url"] != wanted.url:
            changes |= {"state": wanted.state, "enabled_at": at if wanted.state == "enabled" else None}
            changes |= {"disabled_why": "", "disabled_at": None}
        return _next(found, at, **changes)

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
        return _enabled(_existing(row, n), at)

    return Reference(TABLE, subscription, change)


def enable(subscription: str, n: int | None) -> Reference:
    """Call a disabled endpoint again, with what was kept. One that asked never to be called (410) must prove itself
    by a challenge. Raises 409 `not-verified`."""

    def change(row: Row | None, at: datetime) -> Recorded | None:
        found = _existing(row, n)
        if found["state"] == "enabled":
            return None
        if found["state"] == "unverified" or found["disabled_why"] == GONE:
            raise Refused(
                "not-verified",
                "This endpoint has not proved that it wants to be called.",
                fix="Verify it.",
                allowed=("verify",),
            )
        return _enabled(found, at)

    return Reference(TABLE, subscription, change)


def disable(subscription: str, n: int | None, why: str) -> Reference:
    """The endpoint is not called; what arises is kept. Done by ourselves it concerns an enabled one only."""

    def change(row: Row | None, at: datetime) -> Recorded | None:
        if why != OWNER and (row is None or row["state"] != "enabled"):
            return None
        found = _existing(row, n)
        if found["state"] == "disabled":
            return None
        if found["state"] == "unverified":
            raise Refused(
                "not-verified", "It is not enabled.", fix="There is nothing to do.", allowed=("verify",)
            )
        return _next(found, at, state="disabled", disabled_why=why, disabled_at=at)

    return Reference(TABLE, subscription, change)


def rotate(subscription: str, n: int | None, sealed_secret: str, grace: timedelta) -> Reference:
    """A new secret signs; the old one signs too until its grace is over. One before that is dropped."""

    def change(row: Row | None, at: datetime) -> Recorded:
        found = _existing(row, n)
        until = at + grace if grace else None
        old = found["secret"] if grace else ""
        return _next(found, at, secret=sealed_secret, old_secret=old, old_secret_until=until)

    return Reference(TABLE, subscription, change)


def delete(subscription: str, n: int) -> Reference:
    """Nothing is sent or fed any more. The row stays, so that its attempts keep their owner."""

    def change(row: Row | None, at: datetime) -> Recorded:
        return _next(_existing(row, n), at, state="deleted", url=None, host="", secret="", old_secret="")

    return Reference(TABLE, subscription, change)


def _existing(row: Row | None, n: int | None) -> Row:
    """The row, in the version asked for, if one was. Raises 404, 412."""
    if row is None or row["state"] == "deleted":
        raise not_found()
    if n is not None and row["n"] != n:
        raise Problem(
            412,
            "stale",
            "This was changed since it was read.",
            fix="Read it again and send the new ETag as If-Match.",
            headers={"ETag": f'W/"{row["n"]}"'},
        )
    return row


def _enabled(row: Row, at: datetime) -> Recorded:
    return _next(row, at, state="enabled", enabled_at=at, disabled_why="", disabled_at=None)


def _next(row: Row, at: datetime, **changes: Any) -> Recorded:
    return Recorded({**row, **changes, "n": row["n"] + 1, "at": at})
