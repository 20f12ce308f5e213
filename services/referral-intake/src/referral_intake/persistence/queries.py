"""What does the database say of the members of one batch, of their plans' rosters and of their other referrals? Loaded
by a statement for each kind, once the locks are held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import Work
from referral_intake.domain.commands import AnswerQuestions, ChooseProvider, Keys, ReceiveReferral
from referral_intake.domain.member_keys import found_as, has_name
from referral_intake.domain.state import Referral

# The commands that say who a referral is about.
FormCommand = ReceiveReferral | AnswerQuestions


class KnownMembers:
    """Members by their key, rosters' rows by theirs, and the referrals that may be the same person's."""

    def __init__(self) -> None:
        self.members: dict[str, str] = {}
        self.roster: dict[str, Mapping[str, Any]] = {}
        self.rosters: frozenset[str] = frozenset()
        self.states: dict[str, Referral] = {}
        self.keys: dict[str, Keys] = {}
        # The loop in which a referral that is over goes on: the last of those that joined one another.
        self.goes_on_in: dict[str, str] = {}


async def load_known(connection: Connection, work: Sequence[Work[Referral]]) -> KnownMembers:
    """What these commands need to know."""
    known, told = KnownMembers(), list(form_commands(work))
    if told:
        await _load_rosters(connection, known, told)
        await _load_members(connection, known, told)
    other_streams = {stream for item in work for stream in item.submission.other_streams}
    if other_streams:
        await _load_states(connection, known, "id = ANY($1::text[])", sorted(other_streams))
    if chosen := [i.submission.stream for i in work if isinstance(i.submission.command, ChooseProvider)]:
        rows = await connection.fetch(GOES_ON_IN, sorted(chosen))
        known.goes_on_in = {row["id"]: row["into"] for row in rows}
    return known


GOES_ON_IN = """
WITH RECURSIVE chain AS (
    SELECT id, state -> 'closing' ->> 'merged_into' AS "into", 1 AS step FROM referral WHERE id = ANY($1::text[])
    UNION ALL
    SELECT c.id, r.state -> 'closing' ->> 'merged_into', c.step + 1
    FROM chain c JOIN referral r ON r.id = c."into"
    WHERE r.state -> 'closing' ->> 'merged_into' IS NOT NULL AND c.step < 8)
SELECT DISTINCT ON (id) id, "into" FROM chain WHERE "into" IS NOT NULL ORDER BY id, step DESC"""


async def _load_rosters(connection: Connection, known: KnownMembers, told: Sequence[FormCommand]) -> None:
    keys = {key for c in told for key in (c.keys.roster, *c.keys.others.values()) if key}
    if not keys:
        return
    rows = await connection.fetch("SELECT * FROM roster WHERE id = ANY($1::text[])", sorted(keys))
    known.roster = {row["id"]: {**dict(row), "programs": orjson.loads(row["programs"])} for row in rows}
    plans = await connection.fetch(
        """SELECT p.plan FROM unnest($1::text[]) AS p (plan)
           WHERE EXISTS (SELECT 1 FROM roster r WHERE r.plan = p.plan)""",
        sorted({_plan(c) for c in told}),
    )
    known.rosters = frozenset(row["plan"] for row in plans)


async def _load_members(connection: Connection, known: KnownMembers, told: Sequence[FormCommand]) -> None:
    """The members' ids, and the referrals that may be theirs: open ones, and those through which they are served."""
    pairs = [pair for c in told for pair in ((c.keys.member, c.keys.named), *c.keys.moved)]
    keys = sorted(
        {key for member, named in pairs if member for key in (member, named, has_name(member)) if key}
    )
    if keys:
        members = await connection.fetch("SELECT id, member FROM member WHERE id = ANY($1::text[])", keys)
        known.members = {row["id"]: row["member"] for row in members}
    if known.members:
        await _load_states(
            connection,
            known,
            """member = ANY($1::text[]) AND (status NOT IN ('closed', '')
               OR (status = 'closed' AND outcome = 'services_received' AND provider_id <> ''))""",
            sorted(known.members.values()),
        )
    found = (found_as(known.members, *pair) for c in told for pair in c.keys.moved)
    moved = {member for member in found if member is not None}
    if moved:
        # Served there, even if the assignment has ended since.
        served = "member = ANY($1::text[]) AND status = 'closed' AND outcome = 'services_received'"
        await _load_states(connection, known, served, sorted(moved))
    numbers = sorted({c.keys.cin for c in told if c.keys.cin})
    persons = sorted({c.keys.person for c in told if c.keys.person})
    if not numbers and not persons:
        return
    rows = await connection.fetch(
        """SELECT i.*, r.state FROM identity i JOIN referral r ON r.id = i.id
           WHERE r.status NOT IN ('closed', '')
             AND (i.cin_key <> '' AND i.cin_key = ANY($1::text[])
               OR i.person_key <> '' AND i.person_key = ANY($2::text[]))""",
        numbers,
        persons,
    )
    for row in rows:
        known.states[row["id"]] = Referral.model_validate_json(row["state"])
        known.keys[row["id"]] = Keys(member=row["member_key"], cin=row["cin_key"], person=row["person_key"])


async def _load_states(connection: Connection, known: KnownMembers, where: str, names: Sequence[str]) -> None:
    rows = await connection.fetch(f"SELECT id, state FROM referral WHERE {where}", names)  # noqa: S608 own text
    known.states |= {row["id"]: Referral.model_validate_json(row["state"]) for row in rows}


def form_commands(work: Sequence[Work[Referral]]) -> Iterator[FormCommand]:
    """Those among them that say who a referral is about."""
    for item in work:
        command = item.submission.command
        if isinstance(command, ReceiveReferral | AnswerQuestions):
            yield command


def _plan(command: FormCommand) -> str:
    return command.received.plan if isinstance(command, ReceiveReferral) else command.revised.plan
