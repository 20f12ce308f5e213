"""The people of organizations: who they are, what they may do, and how that begins and ends.

Only an organization's admin invites, sets roles, title and licence, and ends; nobody changes their own. Names are shown
inside the organization alone; outside it a person is `per_…`.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.access.spoken import three_words
from console.access.store import Access, hashed, secret
from console.web.refusals import NotHere, Refusal
from loopkeeper.postgres.connections import Queryable
from loopkeeper.security.organizations import ROLES, Organization, Role

INVITED_FOR = timedelta(hours=72)
# Unseen for so long, a person must be let in again by an admin.
SUSPENDED_AFTER = timedelta(days=60)
LONGEST = 120
COLUMNS = (
    "id, organization, name, email, title, licence, roles, admin, state, words, language, theme, keys, created_at, "
    "confirmed_at, last_seen_at, ended_at"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of an organization. `state`: invited, waiting (for the inviter's word), active, suspended, ended."""

    id: str
    organization: str
    name: str
    email: str
    title: str
    licence: str
    roles: frozenset[Role]
    admin: bool
    state: str
    words: str
    language: str
    theme: str
    keys: bool
    created_at: datetime
    confirmed_at: datetime | None
    last_seen_at: datetime | None
    ended_at: datetime | None


def person_of(row: Mapping[str, Any]) -> Person:
    """The person of this row, with the roles that still exist."""
    kept = {name: row[name] for name in COLUMNS.split(", ")}
    known = frozenset(Role(role) for role in kept.pop("roles") if role in list(Role))
    return Person(roles=known, **kept)


@dataclass(frozen=True, slots=True)
class Invited:
    """A person who may enrol, and the secret of the link that is shown this once."""

    person: Person
    token: str


async def find(connection: Queryable, id: str) -> Person | None:
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM person WHERE id = $1", id)  # noqa: S608 own columns
    return person_of(row) if row is not None else None


async def of_organization(access: Access, organization: str) -> Sequence[Person]:
    """Everybody of an organization, who is here first."""
    rows = await access.pool.fetch(
        f"""SELECT {COLUMNS} FROM person WHERE organization = $1
            ORDER BY state = 'ended', state = 'suspended', name, id LIMIT 500""",  # noqa: S608 own columns
        organization,
    )
    return [person_of(row) for row in rows]


async def names(access: Access, organization: str, wanted: Collection[str]) -> Mapping[str, str]:
    """The names of these people, as far as they are the organization's own."""
    rows = await access.pool.fetch(
        "SELECT id, name FROM person WHERE organization = $1 AND id = ANY($2::text[])",
        organization,
        list(wanted),
    )
    return {row["id"]: row["name"] for row in rows}


MISSING = {"Name": "The name is missing", "Work e-mail": "The work e-mail is missing"}
TOO_LONG = {
    "Name": "The name is too long", "Work e-mail": "The work e-mail is too long", "Title": "The title is too long",
    "Licence": "The licence is too long",
}  # fmt: skip


def checked(text: str, what: str, *, needed: bool = True) -> str:
    """A short text of one line. Raises `Refusal` that names the field."""
    found = " ".join(text.split())
    if needed and not found:
        raise Refusal(422, MISSING[what], "Type it, and send it again.")
    if len(found) > LONGEST or not found.isprintable():
        raise Refusal(422, TOO_LONG[what], "Use at most {most} letters.", {"most": str(LONGEST)})
    return found


def allowed_roles(of: Organization, wanted: Collection[str]) -> list[str]:
    """These roles, where an organization of this kind may hold them. Raises `Refusal`."""
    may = ROLES[of.kind]
    if not wanted or not all(role in may for role in wanted):
        raise Refusal(
            422, "Choose what this person may do", "At least one role that your organization holds."
        )
    return sorted(set(wanted))


async def invite(
    access: Access,
    of: Organization,
    *,
    name: str,
    email: str,
    roles: Collection[str],
    title: str = "",
    licence: str = "",
    admin: bool = False,
    by: str,
    confirmed: bool = False,
) -> Invited:
    """Somebody may enrol within 72 hours, once. `by`: the admin who invites; empty where the command line does, whose word
    needs no second one (`confirmed`). Raises `Refusal`."""
    chosen, now, token = allowed_roles(of, roles), access.now(), secret()
    address = checked(email, "Work e-mail")
    if "@" not in address:
        raise Refusal(422, "This is no e-mail address", "Type the address, such as rosa@clinic.example.")
    async with access.changing() as connection:
        there = await connection.fetchval(
            "SELECT 1 FROM person WHERE organization = $1 AND lower(email) = lower($2) AND state <> 'ended'",
            of.id,
            address,
        )
        if there:
            raise Refusal(409, "Somebody with this address is here already", "Look for them in the list.")
        id = random_id()
        await connection.execute(
            """INSERT INTO person (id, organization, name, email, title, licence, roles, admin, state, created_at, created_by,
                                   confirmed_at, confirmed_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'invited', $9, $10, $11, $12)""",
            id,
            of.id,
            checked(name, "Name"),
            address,
            checked(title, "Title", needed=False),
            checked(licence, "Licence", needed=False),
            chosen,
            admin,
            now,
            by,
            now if confirmed else None,
            by if confirmed else None,
        )
        await _invitation(connection, id, token, now)
        await access.note(connection, of.id, "invited", person=id, by=by)
        found = await find(connection, id)
    if found is None:
        raise NotHere
    return Invited(found, token)


def random_id() -> str:
    """A person's id tells nothing, not even when it was made: events keep it forever."""
    return f"per_{secrets.token_hex(16)}"


async def be_here(access: Access, person: Person) -> None:
    """An invented person of a rehearsal is here at once; nobody enrols as them."""
    async with access.changing() as connection:
        await connection.execute("DELETE FROM invitation WHERE person = $1", person.id)
        await connection.execute("UPDATE person SET state = 'active' WHERE id = $1", person.id)


async def invite_again(access: Access, person: Person, by: str) -> Invited:
    """Another link for somebody who did not enrol in time or lost what they proved themselves with; older ones end."""
    token, now = secret(), access.now()
    async with access.changing() as connection:
        await connection.execute("DELETE FROM invitation WHERE person = $1 AND used_at IS NULL", person.id)
        await _invitation(connection, person.id, token, now)
        await access.note(connection, person.organization, "invited again", person=person.id, by=by)
    return Invited(person, token)


async def _invitation(connection: Queryable, person: str, token: str, now: datetime) -> None:
    await connection.execute(
        "INSERT INTO invitation (hash, person, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        hashed(token),
        person,
        now,
        now + INVITED_FOR,
    )


async def invited_by(access: Access, token: str) -> Person | None:
    """Whom this link invites; None where it is used, too old, or nobody's."""
    row = await access.pool.fetchrow(
        f"""SELECT {", ".join(f"p.{name}" for name in COLUMNS.split(", "))} FROM invitation i JOIN person p ON p.id = i.person
            WHERE i.hash = $1 AND i.used_at IS NULL AND i.expires_at > $2 AND p.state NOT IN ('ended', 'suspended')""",  # noqa: S608
        hashed(token),
        access.now(),
    )
    return person_of(row) if row is not None else None


async def enrolled(access: Access, connection: Queryable, person: Person, token: str) -> None:
    """The invitation is used, once: the person waits for the inviter's word, or is here where none is needed. Raises
    `Refusal` where somebody was faster."""
    used = await connection.fetchval(
        "UPDATE invitation SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING 1",
        hashed(token),
        access.now(),
    )
    if not used:
        raise Refusal(409, "This invitation was used already", "Ask for another one.")
    await connection.execute(
        """UPDATE person SET state = CASE WHEN confirmed_at IS NULL THEN 'waiting' ELSE 'active' END, words = $2
           WHERE id = $1 AND state IN ('invited', 'waiting', 'active')""",
        person.id,
        three_words(),
    )
    await access.note(connection, person.organization, "enrolled", person=person.id)


async def confirm(access: Access, person: Person, said: str, by: str) -> None:
    """The inviter heard the three words from the person: now the roles count. Raises `Refusal` for other words."""
    if " ".join(said.casefold().split()) != person.words:
        raise Refusal(
            422,
            "These are not the three words",
            "Let the person read them to you again, by voice or face to face.",
        )
    if by == person.id:
        raise Refusal(403, "Nobody confirms themselves", "Another admin of your organization does.")
    await _change(
        access, person, "confirmed", by,
        "state = 'active', confirmed_at = $2, confirmed_by = $3 WHERE id = $1 AND state = 'waiting'",
        access.now(), by,
    )  # fmt: skip


async def set_roles(
    access: Access,
    person: Person,
    of: Organization,
    *,
    roles: Collection[str],
    title: str,
    licence: str,
    admin: bool,
    by: str,
) -> None:
    """What a person may do from their next request on; their sessions end, since what they prove has changed."""
    if by == person.id:
        raise Refusal(403, "Nobody changes their own roles", "Another admin of your organization does.")
    chosen = allowed_roles(of, roles)
    async with access.changing() as connection:
        if person.admin and not admin:
            await keep_an_admin(connection, person)
        await connection.execute(
            "UPDATE person SET roles = $2, title = $3, licence = $4, admin = $5 WHERE id = $1",
            person.id,
            chosen,
            checked(title, "Title", needed=False),
            checked(licence, "Licence", needed=False),
            admin,
        )
        await end_sessions(access, connection, person.id, "roles changed")
        await access.note(
            connection, person.organization, "roles set", person=person.id, by=by, how=", ".join(chosen)
        )


async def end(access: Access, person: Person, by: str) -> None:
    """They leave: nothing they proved themselves with works any more. Cases they work on are free within half an hour."""
    if by == person.id:
        raise Refusal(403, "Nobody ends themselves", "Another admin of your organization does.")
    async with access.changing() as connection:
        if person.admin:
            await keep_an_admin(connection, person)
        await connection.execute(
            "UPDATE person SET state = 'ended', ended_at = $2 WHERE id = $1", person.id, access.now()
        )
        await forget_proofs(access, connection, person.id)
        await end_sessions(access, connection, person.id, "left")
        await access.note(connection, person.organization, "ended", person=person.id, by=by)


async def start_over(access: Access, person: Person, by: str) -> Invited:
    """Somebody lost everything they proved themselves with: all of it ends, and they are invited once more. Anyone who does
    this called the number of the organization first."""
    async with access.changing() as connection:
        await forget_proofs(access, connection, person.id)
        await end_sessions(access, connection, person.id, "recovered")
        await connection.execute(
            "UPDATE person SET state = 'invited', confirmed_at = NULL, confirmed_by = NULL WHERE id = $1",
            person.id,
        )
    return await invite_again(access, person, by)


async def forget_proofs(access: Access, connection: Queryable, person: str) -> None:
    """Passkeys, recovery codes, links and the organization's own sign-in of this person end."""
    for table in ("passkey", "recovery_code", "federated"):
        await connection.execute(f"DELETE FROM {table} WHERE person = $1", person)  # noqa: S608 own tables
    await connection.execute("DELETE FROM invitation WHERE person = $1 AND used_at IS NULL", person)


async def end_sessions(access: Access, connection: Queryable, person: str, why: str) -> None:
    await connection.execute(
        "UPDATE session SET ended_at = $2, ended_why = $3 WHERE person = $1 AND ended_at IS NULL",
        person,
        access.now(),
        why,
    )


async def keep_an_admin(connection: Queryable, person: Person) -> None:
    """Raises `Refusal` where this is the organization's last admin. Its admins are locked: two who end each other at once
    do so one after the other."""
    admins = await connection.fetch(
        "SELECT id FROM person WHERE organization = $1 AND admin AND state = 'active' ORDER BY id FOR UPDATE",
        person.organization,
    )
    if not any(row["id"] != person.id for row in admins):
        raise Refusal(409, "An organization keeps an admin", "Make somebody else an admin first.")


async def _change(access: Access, person: Person, what: str, by: str, change: str, *values: object) -> None:
    async with access.changing() as connection:
        await connection.execute(f"UPDATE person SET {change}", person.id, *values)  # noqa: S608 own statements
        await access.note(connection, person.organization, what, person=person.id, by=by)
