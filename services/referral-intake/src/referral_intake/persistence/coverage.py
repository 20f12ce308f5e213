"""What a new roster changes for the members who were referred: each loop whose answer is another one learns it, once.

It is done when an import is done, by the request that sent its last part; a worker finishes what was broken off. Which
import was compared last is with the import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID, uuid5

import orjson

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import Eligibility
from loopkeeper.kernel.clock import Clock
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import Submission
from loopkeeper.store.store import Store
from referral_intake.domain.commands import LearnCoverage
from referral_intake.persistence.roster_rows import answered

NAMESPACE = UUID("0b6f6c2e-5a0e-5c63-9f2c-7f0f4d8b1a52")
PAGE = 500


async def compare_all(store: Store[Any], clock: Clock) -> None:
    """Every plan's import that is done and was not compared."""

    async def waiting(connection: Connection) -> Sequence[Mapping[str, Any]]:
        return await connection.fetch(
            "SELECT plan_id, import FROM roster_import WHERE state = 'done' AND compared <> import"
        )

    for row in await store.transact(waiting):
        await compare(store, clock, row["plan_id"], row["import"])


async def compare(store: Store[Any], clock: Clock, plan: str, upload: str) -> int:
    """Tell each of this plan's loops that may still be acted on what the roster says now; returns how many heard
    something new. A plan without any roster answers nothing."""

    async def concerned(connection: Connection) -> Sequence[str]:
        rows = await connection.fetch(
            """SELECT r.id FROM referral r JOIN identity i ON i.id = r.id
               WHERE r.plan_id = $1 AND i.cin_key <> '' AND r.status <> ''
                 AND (r.status <> 'closed' OR r.outcome = 'services_received')
                 AND EXISTS (SELECT FROM roster o WHERE o.plan = $1) ORDER BY r.id""",
            plan,
        )
        return [row["id"] for row in rows]

    names, changed = await store.transact(concerned), 0
    for start in range(0, len(names), PAGE):
        changed += await _page(store, clock, names[start : start + PAGE], upload)

    async def compared(connection: Connection) -> None:
        await connection.execute(
            "UPDATE roster_import SET compared = $2 WHERE plan_id = $1 AND import = $2", plan, upload
        )

    await store.transact(compared)
    return changed


async def _page(store: Store[Any], clock: Clock, names: Sequence[str], upload: str) -> int:
    async def read(connection: Connection) -> Sequence[Mapping[str, Any]]:
        return await connection.fetch(
            """SELECT r.id AS referral, r.plan_id, r.state -> 'eligibility' AS known, i.member_key, o.*
               FROM referral r JOIN identity i ON i.id = r.id LEFT JOIN roster o ON o.id = i.cin_key
               WHERE r.id = ANY($1::text[])""",
            names,
        )

    today = la_date(clock.now())
    submissions = [
        Submission(
            uuid5(NAMESPACE, f"{row['referral']}|{upload}"), row["referral"], LearnCoverage(eligibility=now)
        )
        for row in await store.transact(read)
        if (now := _now(row, today)) != Eligibility.model_validate_json(row["known"])
    ]
    if submissions:
        await store.execute(submissions)
    return len(submissions)


def _now(row: Mapping[str, Any], today: date) -> Eligibility:
    birth = row["member_key"].removeprefix(f"{row['plan_id']}:")
    found = {**row, "programs": orjson.loads(row["programs"])} if row["id"] is not None else None
    return answered(found, birth, today)
