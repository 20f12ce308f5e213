"""Loads what the rules of assignment may know, under locks: the directory, the places taken, the members' assignments.

The likely provider is found by an unlocked look; its places are read again once its row is locked. Should their
number then send the offer elsewhere, the command goes to the next batch with that provider locked (protocols.md §7).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from assignment.domain.commands import Accept, AskPlan, AssignByHand, NoteFact, ProviderLeft, Start
from assignment.domain.contexts import Asked
from assignment.domain.evolve import evolve
from assignment.domain.offers import wants_offer
from assignment.domain.state import Assignment
from assignment.persistence import prior_providers
from assignment.persistence.context import (
    ALL,
    COUNTS,
    DIRECTORY,
    HOLDERS,
    MEMBER,
    PROVIDER,
    AssignmentLoaded,
    Holding,
)
from assignment.persistence.network import Network
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ProviderRecorded, ReferralAmended
from loopkeeper.kernel.clock import Clock
from loopkeeper.policy import Policy
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import Loader, Work
from loopkeeper.store.shared_rows import Key, Locked


class AssignmentLoader(Loader[Assignment, Asked]):
    """Locks the members and the likely providers of a batch's offers."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._network = Network()

    async def locks(self, connection: Connection, work: Sequence[Work[Assignment]]) -> set[Key]:
        now = self._clock.now()
        asking = [(state, command) for state, command in _states(work) if _looks(state, command, now)]
        if not asking:
            return set()
        keys: set[Key] = {(MEMBER, state.member) for state, _ in asking}
        offering = [(state, command) for state, command in asking if wants_offer(state, command, now)]
        if not offering:
            return keys
        places = await self._places(connection, work, (), ALL - {HOLDERS})
        for state, command in offering:
            first = places.ranking(state, command, now).first
            if first is not None:
                keys.add((PROVIDER, first.provider))
        return keys

    async def load(
        self, connection: Connection, work: Sequence[Work[Assignment]], locked: Locked
    ) -> AssignmentLoaded:
        now, streams = self._clock.now(), {item.submission.stream for item in work}
        parts = {part for state, command in _states(work) for part in _parts(state, command, now)}
        if any(item.keys for item in work) or len(streams) < len(work):
            # An earlier batch turned out to lack something, or what a command needs depends on the one before it.
            parts = ALL
        return await self._places(connection, work, locked.keys, parts)

    async def _places(
        self,
        connection: Connection,
        work: Sequence[Work[Assignment]],
        locked: Collection[Key],
        parts: Collection[str],
    ) -> AssignmentLoaded:
        commands, now = _states(work), self._clock.now()
        states = [state for state, _ in commands]
        entries, held = dict[str, ProviderRecorded](), dict[str, int]()
        if DIRECTORY in parts:
            plans = sorted({state.plan for state in states if state.plan})
            entries, held = await self._network.of(connection, plans, counted=COUNTS in parts)
        holders: dict[str, dict[str, Holding]] = {}
        if HOLDERS in parts:
            found = await connection.fetch(
                "SELECT member, referral, made_at, id FROM assignment WHERE live AND member = ANY($1::text[])",
                sorted({state.member for state in states if state.member}),
            )
            for row in found:
                holders.setdefault(row["member"], {})[row["referral"]] = Holding(row["made_at"], row["id"])
        looking = [state for state, command in commands if parts is ALL or _parts(state, command, now) is ALL]
        served = (
            await prior_providers.served(connection, looking) if looking else dict[str, Collection[str]]()
        )
        families = (
            await prior_providers.families(connection, looking)
            if looking
            else dict[tuple[str, str, str], Collection[str]]()
        )
        return AssignmentLoaded(self._policy, entries, held, holders, locked, served, families, parts)


def _parts(state: Assignment, command: Command, at: datetime) -> frozenset[str]:
    """What the command's rule looks at, as far as its state is known before the batch is decided."""
    match command:
        case AskPlan() | AssignByHand():
            return ALL
        case _ if wants_offer(state, command, at):
            return ALL
        case NoteFact(fact=ReferralAmended(member=str())) | Start():
            return frozenset({HOLDERS})
        case Accept() | ProviderLeft():
            return frozenset({DIRECTORY})
        case _:
            return frozenset()


def _states(work: Sequence[Work[Assignment]]) -> list[tuple[Assignment, Command]]:
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
            state = evolve(state, command.fact)
        states[stream] = state
        if state is not None:
            found.append((state, command))
    return found


def _looks(state: Assignment, command: Command, at: datetime) -> bool:
    """Whether the command looks for a provider, or at the member's other assignments."""
    match command:
        case NoteFact(fact=ReferralAmended(member=str())) | Start():
            return state.held_offer is not None
        case AskPlan():
            # Whether it goes to the next is looked at under the lock of its own row only.
            return False
        case _:
            return wants_offer(state, command, at)
