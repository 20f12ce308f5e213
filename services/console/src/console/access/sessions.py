"""Sessions: a row each, read at every request, so that one that ended is refused by the next one on every replica.

The browser holds 256 random bits; the row their hash. Nothing else about a person is in the browser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.access.people import COLUMNS, SUSPENDED_AFTER, Person, person_of
from console.access.store import Access, hashed, secret
from loopkeeper.contract import ids
from loopkeeper.postgres.connections import Queryable

# The page hides itself after 15 minutes without a touch; the session ends after 30 of them, and after twelve hours anyhow.
ENDS_UNTOUCHED = timedelta(minutes=30)
ENDS_ANYHOW = timedelta(hours=12)
# Of an organization's own sign-in it is asked again, without the person, whether they are still there.
ASKED_AGAIN = timedelta(minutes=60)
# A touch is written down no more often than this.
TOUCHED_EVERY = timedelta(seconds=30)
OPEN_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which a person is signed in."""

    id: str
    person: Person
    how: str
    browser: str
    started_at: datetime
    seen_at: datetime
    asked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One of a person's sessions, as they see it themselves."""

    id: str
    how: str
    browser: str
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None


async def begin(
    access: Access,
    connection: Queryable,
    person: Person,
    *,
    how: str,
    browser: str,
    provider_session: str = "",
) -> str:
    """Sign a person in: a new session, whatever the browser had before. Returns what the browser is to hold."""
    token, now, id = secret(), access.now(), ids.new("ses")
    await connection.execute(
        """INSERT INTO session (hash, id, person, how, browser, started_at, seen_at, asked_at, provider_session)
           VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8)""",
        hashed(token),
        id,
        person.id,
        how,
        browser,
        now,
        now if how == "organization" else None,
        provider_session,
    )
    await connection.execute("UPDATE person SET last_seen_at = $2 WHERE id = $1", person.id, now)
    await access.note(connection, person.organization, "signed in", person=person.id, how=how)
    return token


async def current(access: Access, token: str, *, touched: bool) -> Session | None:
    """Whose session this is now; None where it ended or the person may not be here any more. `touched`: by the person's
    own act, not by a page that refreshes itself."""
    row = await access.pool.fetchrow(
        f"""SELECT s.id AS session_id, s.how, s.browser, s.started_at, s.seen_at, s.asked_at,
                   {", ".join(f"p.{name}" for name in COLUMNS.split(", "))}
            FROM session s JOIN person p ON p.id = s.person WHERE s.hash = $1 AND s.ended_at IS NULL""",  # noqa: S608
        hashed(token),
    )
    if row is None:
        return None
    found, now = _session(row), access.now()
    if over(found, now) or found.person.state != "active":
        await finish(access, found.id, "untouched" if over(found, now) else found.person.state)
        return None
    if touched and now - found.seen_at >= TOUCHED_EVERY:
        await access.pool.execute("UPDATE session SET seen_at = $2 WHERE id = $1", found.id, now)
        await access.pool.execute("UPDATE person SET last_seen_at = $2 WHERE id = $1", found.person.id, now)
    return found


def over(session: Session, now: datetime) -> bool:
    """Whether nobody touched it for half an hour, or it is older than a working day."""
    return now - session.seen_at >= ENDS_UNTOUCHED or now - session.started_at >= ENDS_ANYHOW


async def alive(access: Access, id: str) -> bool:
    """Whether this session is still valid, for what is open longer than a request."""
    row = await access.pool.fetchrow(
        """SELECT s.seen_at, s.started_at FROM session s JOIN person p ON p.id = s.person
           WHERE s.id = $1 AND s.ended_at IS NULL AND p.state = 'active'""",
        id,
    )
    now = access.now()
    return row is not None and now - row["seen_at"] < ENDS_UNTOUCHED and now - row["started_at"] < ENDS_ANYHOW


async def finish(access: Access, id: str, why: str) -> None:
    """End a session, once."""
    async with access.changing() as connection:
        row = await connection.fetchrow(
            """UPDATE session s SET ended_at = $2, ended_why = $3 FROM person p
               WHERE s.id = $1 AND s.ended_at IS NULL AND p.id = s.person RETURNING p.id, p.organization""",
            id,
            access.now(),
            why,
        )
        if row is not None:
            await access.note(connection, row["organization"], "signed out", person=row["id"], how=why)


async def end_of_provider(access: Access, person: str, provider_session: str) -> None:
    """The organization's own sign-in says that a person left: the session it began, or all of them."""
    async with access.changing() as connection:
        await connection.execute(
            """UPDATE session SET ended_at = $3, ended_why = 'organization'
               WHERE person = $1 AND how = 'organization' AND ended_at IS NULL AND ($2 = '' OR provider_session = $2)""",
            person,
            provider_session,
            access.now(),
        )


async def asked_again(access: Access, id: str) -> None:
    """The organization's own sign-in said that the person is still there."""
    await access.pool.execute("UPDATE session SET asked_at = $2 WHERE id = $1", id, access.now())


async def of_person(access: Access, person: str) -> Sequence[Shown]:
    """The person's sessions, newest first."""
    rows = await access.pool.fetch(
        """SELECT id, how, browser, started_at, seen_at, ended_at FROM session WHERE person = $1
           ORDER BY ended_at IS NOT NULL, started_at DESC LIMIT 20""",
        person,
    )
    return [Shown(**row) for row in rows]


async def end_all(access: Access, why: str) -> int:
    """Every session of everybody ends, as after a restore of this database."""
    done = await access.pool.execute(
        "UPDATE session SET ended_at = $1, ended_why = $2 WHERE ended_at IS NULL", access.now(), why
    )
    return int(done.rpartition(" ")[2])


async def end_after_restore(access: Access, incarnation: str, *, known: bool) -> None:
    """A database that was put back knows sessions that ended meanwhile. Every first start on another server or another
    database ends them all; people sign in again."""
    async with access.changing() as connection:
        fresh = await connection.fetchval(
            "INSERT INTO born (incarnation, at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1",
            incarnation,
            access.now(),
        )
    if fresh and known:
        await end_all(access, "restored")


async def suspend_unseen(access: Access) -> None:
    """Who was not here for 60 days must be let in again by an admin."""
    async with access.changing() as connection:
        rows = await connection.fetch(
            """UPDATE person SET state = 'suspended' WHERE state = 'active' AND coalesce(last_seen_at, created_at) < $1
               RETURNING id, organization""",
            access.now() - SUSPENDED_AFTER,
        )
        for row in rows:
            await access.note(
                connection, row["organization"], "suspended", person=row["id"], how="60 days unseen"
            )
    await access.pool.execute("DELETE FROM entry WHERE expires_at < $1", access.now())


def _session(row: Mapping[str, Any]) -> Session:
    return Session(
        id=row["session_id"],
        person=person_of(row),
        how=row["how"],
        browser=row["browser"],
        started_at=row["started_at"],
        seen_at=row["seen_at"],
        asked_at=row["asked_at"],
    )


def browser_of(agent: str) -> str:
    """A browser in two words, so that its person knows it again; the whole line is kept nowhere."""
    names = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    systems = (
        ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "Mac"),
        ("CrOS", "Chromebook"), ("Linux", "Linux"),
    )  # fmt: skip
    name = next((said for sign, said in names if sign in agent), "a browser")
    system = next((said for sign, said in systems if sign in agent), "")
    return f"{name}, {system}" if system else name
