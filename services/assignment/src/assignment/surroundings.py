"""Whom an offer may go to: the directory, the places taken, and the member's other assignments, loaded under locks.

The likely provider is found by an unlocked look; its places are counted again once its row is locked. Should the
count then send the offer elsewhere, the command goes to the next batch with that provider locked (protocols.md §7).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import orjson

from assignment.matching import Ranking, contracted, rank
from assignment.models import turn
from assignment.rules import (
    DECIDER,
    Accept,
    AssignByHand,
    Assignment,
    Market,
    MarketCommand,
    need,
    wants_offer,
)
from loopkeeper.calendar import la_date
from loopkeeper.clock import Clock
from loopkeeper.database import Connection
from loopkeeper.decider import Command
from loopkeeper.domain import Change, Key, NeedsMore, Surroundings, View, Work
from loopkeeper.events import ProviderRecorded
from loopkeeper.policy import Policy

MEMBER, PROVIDER = "member", "provider"


class Places(View[Assignment]):
    """The directory and the places taken, kept up to date while a batch is decided."""

    def __init__(
        self,
        policy: Policy,
        entries: Mapping[str, ProviderRecorded],
        live: Mapping[str, int],
        holders: Mapping[str, str],
        locked: Collection[Key],
    ) -> None:
        self._policy = policy
        self._entries = entries
        self._live = dict(live)
        # The referral through which a member has a live assignment.
        self._holders = dict(holders)
        self._locked = locked

    def complete(self, stream: str, state: Assignment | None, command: Command) -> Command:
        if state is None or not isinstance(command, MarketCommand):
            return command
        if isinstance(command, Accept):
            return command.model_copy(update={"market": Market(contracted=self._contracted(state, command))})
        if not wants_offer(state, command):
            return command
        ranking = self.ranking(state, command)
        wanted = {(MEMBER, state.member)}
        if ranking.first is not None:
            wanted.add((PROVIDER, ranking.first.provider))
        if not wanted <= set(self._locked):
            raise NeedsMore(wanted)
        return command.model_copy(update={"market": self._market(stream, state, command, ranking)})

    def ranking(self, state: Assignment, command: Command) -> Ranking:
        """Who could take the member, best first, by the counts as they are here."""
        day = la_date(command.at)
        wanted = need(state, command)
        live = self._live
        held = state.live
        if isinstance(command, AssignByHand) and held is not None:
            # Its own unanswered offer is withdrawn by the same command and takes no place.
            live = {**live, held.provider: live.get(held.provider, 0) - 1}
        specialists: dict[str, Collection[str]] = {
            code: [row["provider_type"] for row in self._pairs(state.plan, code, day)]
            for code in wanted.populations
        }
        return rank(wanted, list(self._entries.values()), live, self._factors(day), specialists, day)

    def note(self, change: Change[Assignment]) -> None:
        for state, step in ((change.before, -1), (change.after, 1)):
            held = state.live if state is not None else None
            if state is None or held is None:
                continue
            self._live[held.provider] = self._live.get(held.provider, 0) + step
            if step > 0:
                self._holders[state.member] = change.stream
            elif self._holders.get(state.member) == change.stream:
                del self._holders[state.member]

    async def project(self, connection: Connection, changes: Sequence[Change[Assignment]]) -> None:
        rows: dict[str, dict[str, Any]] = {}
        for change in changes:
            after = change.after
            before = {o.assignment: o for o in change.before.offers} if change.before else {}
            for offer in after.offers if after else ():
                if after is not None and before.get(offer.assignment) != offer:
                    n = change.written[-1][0].n
                    rows[offer.assignment] = {**turn(change.stream, after, offer), "n": n, "at": change.at}
        if not rows:
            return
        # What ended first: only then may the member's next one be live.
        ordered = sorted(rows.values(), key=lambda row: (row["live"], row["id"]))
        names = list(ordered[0])
        sets = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name != "id")
        listed = ", ".join(f'"{name}"' for name in names)
        await connection.execute(
            f"""INSERT INTO assignment ({listed}) SELECT {listed} FROM
                jsonb_populate_recordset(NULL::assignment, $1::jsonb) ORDER BY live, id
                ON CONFLICT (id) DO UPDATE SET {sets}""",  # noqa: S608 own names
            orjson.dumps(ordered, default=list).decode(),
        )

    def _market(self, stream: str, state: Assignment, command: Command, ranking: Ranking) -> Market:
        answer = self._policy.due("provider_answer", command.at)
        told = self._policy.due("provider_told", command.at)
        order = [row.ref for row in self._policy.rows("ranking", on=la_date(command.at))]
        held = self._holders.get(state.member)
        return Market(
            ranking=ranking,
            answer_due_at=answer.at,
            plan_due_at=told.at,
            refs=(answer.ref, *order),
            assigned_elsewhere=held is not None and held != stream,
        )

    def _contracted(self, state: Assignment, command: Accept) -> bool:
        entry = self._entries.get(command.provider)
        populations = need(state, command).populations
        return entry is not None and bool(contracted(entry, state.plan, populations, la_date(command.at)))

    def _factors(self, day: date) -> list[str]:
        rows = sorted(self._policy.rows("ranking", on=day), key=lambda row: row["place"])
        return [row["factor"] for row in rows]

    def _pairs(self, plan: str, population: str, day: date) -> Sequence[Any]:
        return self._policy.rows("presumptive", on=day, plan=plan, population=population)


class AssignmentSurroundings(Surroundings[Assignment]):
    """Locks the members and the likely providers of a batch's offers."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock

    async def needs(self, connection: Connection, work: Sequence[Work[Assignment]]) -> set[Key]:
        asking = _asking(work, self._clock.now())
        if not asking:
            return set()
        places = await self._places(connection, work, ())
        keys: set[Key] = {(MEMBER, state.member) for state, _ in asking}
        for state, command in asking:
            first = places.ranking(state, command).first
            if first is not None:
                keys.add((PROVIDER, first.provider))
        return keys

    async def load(
        self, connection: Connection, work: Sequence[Work[Assignment]], locked: Collection[Key]
    ) -> View[Assignment]:
        if not any(isinstance(item.submission.command, MarketCommand) for item in work):
            return View()
        return await self._places(connection, work, locked)

    async def _places(
        self, connection: Connection, work: Sequence[Work[Assignment]], locked: Collection[Key]
    ) -> Places:
        states = [state for state, _ in _states(work, self._clock.now())]
        plans = sorted({state.plan for state in states if state.plan})
        rows = await connection.fetch(
            """SELECT id, entry FROM provider WHERE entry -> 'contracts' @> ANY (
               SELECT jsonb_build_array(jsonb_build_object('plan', plan)) FROM unnest($1::text[]) AS t (plan))""",
            plans,
        )
        entries = {row["id"]: ProviderRecorded.model_validate(orjson.loads(row["entry"])) for row in rows}
        counts = await connection.fetch(
            """SELECT provider_id, count(*) AS live FROM assignment
               WHERE live AND provider_id = ANY($1::text[]) GROUP BY provider_id""",
            sorted(entries),
        )
        holders = await connection.fetch(
            "SELECT member, referral FROM assignment WHERE live AND member = ANY($1::text[])",
            sorted({state.member for state in states if state.member}),
        )
        return Places(
            self._policy,
            entries,
            {row["provider_id"]: row["live"] for row in counts},
            {row["member"]: row["referral"] for row in holders},
            locked,
        )


def _states(work: Sequence[Work[Assignment]], at: datetime) -> list[tuple[Assignment, Command]]:
    """Each command with its state as the rule will see it, as far as facts make it: its own and, in the same batch,
    those before it."""
    found: list[tuple[Assignment, Command]] = []
    states: dict[str, Assignment | None] = {}
    for item in work:
        command, stream = item.submission.command, item.submission.stream
        if command is None:
            continue
        state = states.get(stream, item.state)
        if command.fact is not None:
            state = DECIDER.evolve(state, command.fact)
        states[stream] = state
        if state is not None:
            found.append((state, command.model_copy(update={"at": at})))
    return found


def _asking(work: Sequence[Work[Assignment]], at: datetime) -> list[tuple[Assignment, Command]]:
    return [(state, command) for state, command in _states(work, at) if wants_offer(state, command)]
