"""The register's tables, and what its rules may know of a member: locked by the key that recognises the member."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from loopkeeper.contract import ids
from loopkeeper.contract.decider import Command, InvariantBroken, Plain
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import STREAM, Change, Loaded, Loader, NeedsMore, Projection, Work, Wrote
from loopkeeper.store.gathered import Gathered
from loopkeeper.store.schema import chassis_tables, stream_table
from loopkeeper.store.shared_rows import Key, Locked
from tests.example.domain import Asked, Case, Known, Note, Receive, Withdraw, status

metadata = sa.MetaData()
chassis_tables(metadata)
stream_table(
    metadata,
    "referral",
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Index("referral_member", "member"),
)
# By which key each member is recognised.
sa.Table(
    "member",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("member", sa.Text, nullable=False),
)

MEMBER = "member"


def columns(case: Case) -> Mapping[str, Any]:
    return {
        "plan_id": case.plan, "referrer_id": case.referrer, "provider_id": "", "member": case.member,
        "status": status(case),
    }  # fmt: skip


class Members(Loaded[Case, Asked]):
    """Members and their open referrals, kept up to date within a batch; `minted` are those met for the first time."""

    def __init__(self, members: Mapping[str, str], cases: Mapping[str, Case], held: Collection[Key]) -> None:
        self._members, self._cases = dict(members), dict(cases)
        self._held = {name for kind, name in held if kind == STREAM}
        self.minted: dict[str, str] = {}

    def with_context(self, stream: str, state: Case | None, command: Command, plain: Plain) -> Asked:
        match command:
            case Receive(key=key):
                member = self._member(key, plain)
                found = self._open(stream, member) if key else None
                if found is not None and found not in self._held:
                    raise NeedsMore(streams=[found])
                return command, Known(at=plain.at, seed=plain.seed, own=stream, member=member, open=found)
            case Withdraw() | Note():
                return command, plain
            case _:
                raise InvariantBroken(f"the register has no rule for {type(command).__name__}")

    def observe(self, change: Change[Case]) -> None:
        if change.after is not None:
            self._cases[change.stream] = change.after
            self._held.add(change.stream)

    def _member(self, key: str, plain: Plain) -> str:
        fresh = ids.derive("mem", plain.at, plain.seed, "member")
        if not key:
            return fresh
        if key not in self._members:
            self._members[key] = self.minted[key] = fresh
        return self._members[key]

    def _open(self, stream: str, member: str) -> str | None:
        found = (id for id, case in self._cases.items() if case.member == member and case.closing is None)
        return min((each for each in found if each != stream), default=None)


class MemberLoader(Loader[Case, Asked]):
    async def locks(self, connection: Connection, work: Sequence[Work[Case]]) -> set[Key]:
        return {(MEMBER, key) for key in keys(work)}

    async def load(self, connection: Connection, work: Sequence[Work[Case]], locked: Locked) -> Members:
        wanted = sorted(keys(work))
        if not wanted:
            return Members({}, {}, locked.keys)
        rows = await connection.fetch("SELECT id, member FROM member WHERE id = ANY($1::text[])", wanted)
        members = {row["id"]: row["member"] for row in rows}
        found = await connection.fetch(
            "SELECT id, state FROM referral WHERE member = ANY($1::text[]) AND status NOT IN ('', 'closed')",
            sorted(members.values()),
        )
        cases = {row["id"]: Case.model_validate_json(row["state"]) for row in found}
        return Members(members, cases, locked.keys)


class MemberProjection(Projection[Case]):
    async def write(
        self, connection: Connection, writes: Gathered, changes: Sequence[Change[Case]], loaded: Members
    ) -> Wrote:
        if loaded.minted:
            await writes.execute(
                "INSERT INTO member SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
                list(loaded.minted),
                list(loaded.minted.values()),
            )
        return Wrote()


def keys(work: Sequence[Work[Case]]) -> set[str]:
    return {c.key for item in work if isinstance(c := item.submission.command, Receive) and c.key}
