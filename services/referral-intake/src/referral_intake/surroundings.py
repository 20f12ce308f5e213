"""What reception must know beyond the form: which member this is, and what the plan's roster says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import orjson

from loopkeeper import ids
from loopkeeper.calendar import la_date
from loopkeeper.database import Connection
from loopkeeper.decider import Command
from loopkeeper.domain import Change, Key, Surroundings, View, Work
from loopkeeper.events import Eligibility
from referral_intake.rules import ReceiveReferral, Referral

# Every member of a plan is told apart under this kind of shared row, so that two referrals of one person that
# arrive at once get the same member id.
MEMBER = "member"


class Reception(View[Referral]):
    """Members and roster rows of one batch."""

    def __init__(
        self, members: Mapping[str, str], roster: Mapping[str, Mapping[str, Any]], rosters: frozenset[str]
    ) -> None:
        self._members = dict(members)
        self._minted: dict[str, str] = {}
        self._roster = roster
        self._rosters = rosters

    def complete(self, stream: str, state: Referral | None, command: Command) -> Command:
        if not isinstance(command, ReceiveReferral):
            return command
        member, eligibility = self._member(command), self._eligibility(command)
        received = command.received.model_copy(
            update={"occurred_at": command.at, "member": member, "eligibility": eligibility}
        )
        return command.model_copy(update={"received": received})

    def _member(self, command: ReceiveReferral) -> str:
        fresh = ids.derive("mem", command.at, command.seed, "member")
        if not command.member_key:
            return fresh
        if command.member_key not in self._members:
            self._members[command.member_key] = self._minted[command.member_key] = fresh
        return self._members[command.member_key]

    def _eligibility(self, command: ReceiveReferral) -> Eligibility:
        if not command.roster_key or command.received.plan not in self._rosters:
            return Eligibility()
        row = self._roster.get(command.roster_key)
        if row is None or (command.birth_key and row["birth_key"] != command.birth_key):
            return Eligibility(state="not_found")
        return Eligibility(state=_covered(row, la_date(command.at)), programs=tuple(row["programs"]))

    async def project(self, connection: Connection, changes: Sequence[Change[Referral]]) -> None:
        if self._minted:
            await connection.execute(
                "INSERT INTO member (id, member) SELECT * FROM unnest($1::text[], $2::text[])",
                list(self._minted),
                list(self._minted.values()),
            )


def _covered(row: Mapping[str, Any], on: date) -> Any:
    through: date | None = row["covered_through"]
    return "confirmed" if row["covered_from"] <= on and (through is None or on <= through) else "ended"


class IntakeSurroundings(Surroundings[Referral]):
    """Locks the members of new referrals; reads them and the roster after the lock."""

    async def needs(self, connection: Connection, work: Sequence[Work[Referral]]) -> set[Key]:
        return {(MEMBER, command.member_key) for command in _receptions(work) if command.member_key}

    async def load(
        self, connection: Connection, work: Sequence[Work[Referral]], locked: Collection[Key]
    ) -> View[Referral]:
        receptions = _receptions(work)
        if not receptions:
            return View()
        members = await connection.fetch(
            "SELECT id, member FROM member WHERE id = ANY($1::text[])", [c.member_key for c in receptions]
        )
        roster = await connection.fetch(
            "SELECT * FROM roster WHERE id = ANY($1::text[])", [c.roster_key for c in receptions]
        )
        rosters = await connection.fetch(
            """SELECT p.plan FROM unnest($1::text[]) AS p (plan)
               WHERE EXISTS (SELECT 1 FROM roster r WHERE r.plan = p.plan)""",
            sorted({c.received.plan for c in receptions}),
        )
        return Reception(
            {row["id"]: row["member"] for row in members},
            {row["id"]: {**dict(row), "programs": orjson.loads(row["programs"])} for row in roster},
            frozenset(row["plan"] for row in rosters),
        )


def _receptions(work: Sequence[Work[Referral]]) -> list[ReceiveReferral]:
    commands = (item.submission.command for item in work)
    return [command for command in commands if isinstance(command, ReceiveReferral)]
