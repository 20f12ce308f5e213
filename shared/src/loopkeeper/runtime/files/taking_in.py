"""How a file is taken in: sealed, a part at a time, and read again as it was sent."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from loopkeeper.kernel.wake import Waker
from loopkeeper.plan_files.fields import Kind
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.files.kinds import Sent
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import SYSTEM
from loopkeeper.security.organizations import Client, Role
from loopkeeper.security.tokens import ProvedPerson
from loopkeeper.store.store import Store

# Bytes of a file that one sealed part holds.
PART = 512 * 1024
SEALED_PART, SEALED_NAME = "file", "file_name"
COLUMN_OF = {Role.PLAN: "plan_id", Role.REFERRER: "referrer_id", Role.PROVIDER: "provider_id"}


def sealing_key(plan: str) -> str:
    """Under whose key a file is sealed: its plan's; a sheet for several plans under the program's own."""
    return plan or SYSTEM


async def take(
    context: RunningService, sent: Sent, keys: Mapping[str, str], pieces: AsyncIterator[bytes]
) -> Mapping[str, Any]:
    """Keep the file, sealed, a part at a time. One that came before under the same id is answered as it is. Sent again
    after it broke off, it begins at its first byte."""
    store = context.store

    async def begin(connection: Connection) -> Mapping[str, Any] | None:
        found = await connection.fetchrow("SELECT * FROM file WHERE id = $1 FOR UPDATE", sent.id)
        if found is not None and found["state"] != "receiving":
            return dict(found)
        await connection.execute("DELETE FROM file_part WHERE file = $1", sent.id)
        if found is None:
            await insert(connection, sent, keys, sealed_name(context, sent))
        return None

    before = await store.transact(begin, concurrent=True, wakes=False)
    if before is not None:
        return before
    digest, size, n, held = sha256(), 0, 0, bytearray()

    async def keep(piece: bytes) -> None:
        nonlocal n
        sealed, number = sealed_part(context, sent, n, piece), n
        n += 1
        await store.transact(
            lambda c: c.execute("INSERT INTO file_part VALUES ($1, $2, $3)", sent.id, number, sealed),
            concurrent=True,
            wakes=False,
        )

    async for piece in pieces:
        digest.update(piece)
        size += len(piece)
        held += piece
        while len(held) >= PART:
            await keep(bytes(held[:PART]))
            del held[:PART]
    if held or n == 0:
        await keep(bytes(held))

    async def whole(connection: Connection) -> Mapping[str, Any]:
        row = await connection.fetchrow(
            """UPDATE file SET state = 'received', digest = $2, bytes = $3, received_at = $4, at = $4
               WHERE id = $1 RETURNING *""",
            sent.id,
            digest.hexdigest(),
            size,
            context.clock.now(),
        )
        return dict(row or {})

    taken = await store.transact(whole)
    arrivals_of(context).wake()
    return taken


# One for each running service; gone with its store.
_arrivals: WeakKeyDictionary[Store[Any], Waker] = WeakKeyDictionary()


def arrivals_of(context: RunningService) -> Waker:
    """Wakes where this process took a file in."""
    return _arrivals.setdefault(context.store, Waker())


def sealed_part(context: RunningService, sent: Sent, n: int, piece: bytes) -> str:
    """The bytes of part `n` of the file, sealed: at most PART of them."""
    said = {"bytes": b64encode(piece).decode()}
    return context.sealer.seal(sent.sealed_with, sent.id, f"{SEALED_PART} {n}", said)


def sealed_name(context: RunningService, sent: Sent) -> str:
    """The file's name, sealed: it may be a person's."""
    if not sent.name:
        return ""
    return context.sealer.seal(sent.sealed_with, sent.id, SEALED_NAME, {"name": sent.name})


async def insert(connection: Connection, sent: Sent, more: Mapping[str, Any], name: str) -> None:
    """The row of a file; `more` are those of its columns that differ from a file just begun."""
    values: dict[str, Any] = {
        "id": sent.id,
        "organization": sent.client.organization,
        "client": sent.client.id,
        "roles": " ".join(sorted(sent.client.roles)),
        "plan": sent.plan,
        "kind": sent.kind,
        "state": "receiving",
        "dry_run": sent.dry_run,
        "digest": "",
        "bytes": 0,
        "sealed_with": sent.sealed_with,
        "name": name,
        "format": "",
        "code": "",
        "sentence": "",
        "fix": "",
        "column": "",
        "counts": "{}",
        "rows": 0,
        "done": 0,
        "note": orjson.dumps(_person(sent.client)).decode(),
        "received_at": sent.received_at,
        "at": sent.received_at,
        **more,
    }
    names = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await connection.execute(f"INSERT INTO file ({names}) VALUES ({places})", *values.values())  # noqa: S608 own names


def _person(client: Client) -> Mapping[str, Any]:
    """Who signed in and sent it: kept with the file, since its rows act later."""
    person = client.person
    said = {"id": person.id, "title": person.title, "licence": person.licence} if person is not None else None
    return {"person": said} if said is not None else {}


def sent_of(context: RunningService, row: Mapping[str, Any], kind: Kind) -> Sent:
    """The file of this row. Raises `Unsealable` where its key is not here."""
    roles = frozenset(Role(each) for each in str(row["roles"]).split())
    said = orjson.loads(row["note"]).get("person")
    person = ProvedPerson(said["id"], said["title"], said["licence"]) if said is not None else None
    name = row["name"]
    if name:
        name = context.sealer.open(row["sealed_with"], row["id"], SEALED_NAME, name)["name"]
    return Sent(
        id=row["id"],
        client=Client(row["client"], row["organization"], "", roles, person=person),
        plan=row["plan"],
        kind=kind,
        dry_run=row["dry_run"],
        received_at=row["received_at"],
        sealed_with=row["sealed_with"],
        state=row["state"],
        name=name,
    )


async def content_of(
    context: RunningService, sealed_with: str, file: str, parts: Sequence[Mapping[str, Any]]
) -> bytes:
    """The bytes of a file, by its parts in order; opened in a thread, since there may be 25 MB of them."""

    def opened() -> bytes:
        return b"".join(
            b64decode(
                context.sealer.open(sealed_with, file, f"{SEALED_PART} {each['n']}", each["sealed"])["bytes"]
            )
            for each in parts
        )

    return await asyncio.to_thread(opened)
