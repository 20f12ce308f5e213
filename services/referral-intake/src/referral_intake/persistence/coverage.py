"""What a new roster changes for the members who were referred: each loop whose answer is another one learns it, once.

It is done when an import is done, by the request that sent its last part; a worker finishes what was broken off. Which
import was compared last is with the import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID, uuid5

import orjson

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import Eligibility
from loopkeeper.kernel.clock import Clock
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import Unsealable
from loopkeeper.security.organizations import OrganizationKind
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Submission
from loopkeeper.store.store import Store
from referral_intake.domain.commands import LearnCoverage
from referral_intake.persistence.roster_rows import answered

NAMESPACE = UUID("0b6f6c2e-5a0e-5c63-9f2c-7f0f4d8b1a52")
PAGE = 500
# The answers by which the member may be another plan's now.
GONE = frozenset({"ended", "left", "not_found"})


@dataclass(frozen=True, slots=True)
class Rosters:
    """What a new roster is compared with: the loops of this store, and the other plans that are served here."""

    store: Store[Any]
    clock: Clock
    sealer: Sealer
    plans: Sequence[str]


async def compare_all(rosters: Rosters) -> None:
    """Every plan's import that is done and was not compared."""

    async def waiting(connection: Connection) -> Sequence[Mapping[str, Any]]:
        return await connection.fetch(
            "SELECT plan_id, import FROM roster_import WHERE state = 'done' AND compared <> import"
        )

    for row in await rosters.store.transact(waiting):
        await compare(rosters, row["plan_id"], row["import"])


async def compare(rosters: Rosters, plan: str, upload: str) -> int:
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

    store = rosters.store
    names, changed = await store.transact(concerned), 0
    for start in range(0, len(names), PAGE):
        changed += await _page(rosters, names[start : start + PAGE], upload)

    async def compared(connection: Connection) -> None:
        await connection.execute(
            "UPDATE roster_import SET compared = $2 WHERE plan_id = $1 AND import = $2", plan, upload
        )

    await store.transact(compared)
    return changed


async def _page(rosters: Rosters, names: Sequence[str], upload: str) -> int:
    async def read(connection: Connection) -> Sequence[Mapping[str, Any]]:
        return await connection.fetch(
            """SELECT r.id AS referral, r.plan_id, r.state -> 'eligibility' AS known, i.member_key,
                 CASE WHEN r.status <> 'closed' THEN r.state -> 'sealed' ->> 'identity' END AS identity, o.*
               FROM referral r JOIN identity i ON i.id = r.id LEFT JOIN roster o ON o.id = i.cin_key
               WHERE r.id = ANY($1::text[])""",
            names,
        )

    today, store = la_date(rosters.clock.now()), rosters.store
    changed = [
        (row, now)
        for row in await store.transact(read)
        if (now := _now(row, today)) != Eligibility.model_validate_json(row["known"])
    ]
    gone = [row for row, now in changed if now.state in GONE and row["identity"]]
    elsewhere: Mapping[str, str] = await _elsewhere(rosters, gone, today) if gone else {}
    submissions = [
        Submission(
            uuid5(NAMESPACE, f"{row['referral']}|{upload}"),
            row["referral"],
            LearnCoverage(eligibility=now, elsewhere=elsewhere.get(row["referral"], "")),
        )
        for row, now in changed
    ]
    if submissions:
        await store.execute(submissions)
    return len(submissions)


async def _elsewhere(rosters: Rosters, rows: Sequence[Mapping[str, Any]], today: date) -> Mapping[str, str]:
    """The one other plan whose roster covers each of these members today; none, or several, say nothing (loop.md 2.14)."""
    keys: dict[str, tuple[str, str]] = {}
    for row in rows:
        for plan, key in _keys_elsewhere(rosters, row).items():
            keys[key] = (row["referral"], plan)

    async def read(connection: Connection) -> Sequence[Mapping[str, Any]]:
        return await connection.fetch("SELECT * FROM roster WHERE id = ANY($1::text[])", sorted(keys))

    found: dict[str, list[str]] = {}
    for row in await rosters.store.transact(read):
        listed = {**row, "programs": orjson.loads(row["programs"])}
        if answered(listed, "", today).state == "confirmed":
            referral, plan = keys[row["id"]]
            found.setdefault(referral, []).append(plan)
    return {referral: plans[0] for referral, plans in found.items() if len(plans) == 1}


def _keys_elsewhere(rosters: Rosters, row: Mapping[str, Any]) -> Mapping[str, str]:
    """The member's number under the key of every other plan: by machine and unread, so nobody's opening to write down."""
    try:
        identity = rosters.sealer.open(row["plan_id"], row["referral"], "identity", row["identity"])
    except Unsealable:
        return {}
    number = identity.get("cin") or ""
    others = (plan for plan in rosters.plans if number and plan != row["plan_id"])
    return {plan: f"{plan}:{rosters.sealer.blind_index(plan, number)}" for plan in others}


def _now(row: Mapping[str, Any], today: date) -> Eligibility:
    birth = row["member_key"].removeprefix(f"{row['plan_id']}:")
    found = {**row, "programs": orjson.loads(row["programs"])} if row["id"] is not None else None
    return answered(found, birth, today)


def rosters_of(context: RunningService) -> Rosters:
    """As this service runs: with every plan that is served here."""
    plans = [
        slug
        for slug, organization in context.directory.organizations().items()
        if organization.kind is OrganizationKind.PLAN
    ]
    return Rosters(context.store, context.clock, context.sealer, plans)
