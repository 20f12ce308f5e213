"""Ten printed codes: each lets a person in once who lost the phone. Wrong ones are counted, by person and by all."""

from __future__ import annotations

import secrets
from datetime import timedelta

from console.access.people import COLUMNS, Person, person_of
from console.access.store import Access, hashed
from console.web.refusals import Refusal
from loopkeeper.postgres.connections import Queryable

HOW_MANY = 10
# 80 bits each: nobody guesses one, so a plain hash keeps them.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
MOST_WRONG, WITHIN = 5, timedelta(minutes=15)
WRONG = "wrong recovery code"


def fresh() -> list[str]:
    """Ten codes as they are printed: four groups of four."""
    return [
        "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))
        for _ in range(HOW_MANY)
    ]


async def replace(access: Access, connection: Queryable, person: Person, codes: list[str]) -> None:
    """These codes count from now on, and none before them."""
    await connection.execute("DELETE FROM recovery_code WHERE person = $1", person.id)
    await connection.executemany(
        "INSERT INTO recovery_code (person, hash) VALUES ($1, $2)",
        [(person.id, hashed(_plain(code))) for code in codes],
    )
    await access.note(connection, person.organization, "recovery codes made", person=person.id)


async def left(access: Access, person: str) -> int:
    """How many of a person's codes are not used yet."""
    return await access.pool.fetchval(
        "SELECT count(*) FROM recovery_code WHERE person = $1 AND used_at IS NULL", person
    )


async def use(access: Access, organization: str, email: str, code: str) -> Person:
    """Who this code lets in, once. The refusal is the same for an unknown person and for a wrong code."""
    row = await access.pool.fetchrow(
        f"SELECT {COLUMNS} FROM person WHERE organization = $1 AND lower(email) = lower($2) AND state = 'active'",  # noqa: S608
        organization,
        email,
    )
    person = person_of(row) if row is not None else None
    wrong = await access.pool.fetchval(
        "SELECT count(*) FROM access_event WHERE organization = $1 AND what = $2 AND person IS NOT DISTINCT FROM $3 AND at > $4",
        organization,
        WRONG,
        person.id if person else None,
        access.now() - WITHIN,
    )
    if wrong >= MOST_WRONG:
        raise Refusal(
            429, "Too many wrong codes", "Wait a quarter of an hour, or call your organization's admin."
        )
    used = person is not None and await access.pool.fetchval(
        "UPDATE recovery_code SET used_at = $3 WHERE person = $1 AND hash = $2 AND used_at IS NULL RETURNING 1",
        person.id,
        hashed(_plain(code)),
        access.now(),
    )
    if person is None or not used:
        await access.note(access.pool, organization, WRONG, person=person.id if person else None)
        raise Refusal(
            403,
            "This does not let you in",
            "Look at organization, e-mail and code again. Each code works once.",
        )
    return person


def _plain(code: str) -> str:
    return "".join(sign for sign in code.casefold() if sign in LETTERS)
