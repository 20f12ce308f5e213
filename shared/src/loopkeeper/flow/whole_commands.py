"""Of a command that published several events, does a restored service find all? What the log lacks is taken from the event that
carries the others, written again, and published.

Nothing is decided again: a second decision may differ from what others have acted upon. Where nothing carries the rest, the
streams of the command wait for a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.port import Received
from loopkeeper.flow.parked import HALF, ParkedFacts
from loopkeeper.kernel.logs import get
from loopkeeper.postgres.connections import Pool
from loopkeeper.store.batch import Batch
from loopkeeper.store.store import Store

log = get("restore")

# So many set-aside events are opened at a time.
AT_ONCE = 500
HELD = "UPDATE parked_stream SET error = $2, next_retry_at = NULL WHERE stream = ANY($1::text[])"


@dataclass(slots=True)
class Command:
    """What was found of one command: its events by number, and those that one of them carries."""

    of: int
    found: dict[int, UUID] = field(default_factory=dict[int, UUID])
    streams: set[str] = field(default_factory=set[str])
    carried: dict[int, Message] = field(default_factory=dict[int, Message])
    position: Received | None = None


@dataclass(frozen=True, slots=True)
class WholeCommands:
    """One service's look at the commands of what it has set aside, before it writes any of it again."""

    service: str
    store: Store[Any]
    pool: Pool
    parked: ParkedFacts

    async def complete(self, own_types: Sequence[str]) -> None:
        """Set aside next to the others what only a carrying event has; hold the streams of what is nowhere."""
        commands = await self._set_aside(own_types)
        await self._in_journal(commands)
        for id, command in commands.items():
            missing = [number for number in range(1, command.of + 1) if number not in command.found]
            carried = [command.carried[number] for number in missing if number in command.carried]
            if len(carried) < len(missing):
                await self._hold(id, command)
            elif command.position is not None:
                for message in carried:
                    log.warning(
                        "event found with another of its command",
                        service=self.service, referral=message.subject, claim=str(id),
                    )  # fmt: skip
                    await self.parked.set_aside_unsent(message, command.position)

    async def _set_aside(self, own_types: Sequence[str]) -> dict[UUID, Command]:
        """The commands of which something is set aside, but for those of which everything is: they are whole, and go as soon
        as they are, so that a long log takes no more memory than a short one."""
        commands: dict[UUID, Command] = {}
        async for received in self.parked.of_several(own_types, AT_ONCE):
            message = received.message
            if message is None or message.part is None:
                continue
            command = commands.setdefault(message.part.command, Command(message.part.of))
            command.found[message.part.number] = message.id
            command.streams.add(message.subject)
            if message.rest:
                command.carried, command.position = _numbers(message.rest), received
            if len(command.found) == command.of:
                del commands[message.part.command]
        return commands

    async def _in_journal(self, commands: Mapping[UUID, Command]) -> None:
        """What another run, or another replica, has written again already."""
        rows = await self.pool.fetch(
            "SELECT command_id, part, id FROM journal WHERE command_id = ANY($1::uuid[])", list(commands)
        )
        for row in rows:
            commands[row["command_id"]].found[row["part"]] = row["id"]

    async def _hold(self, id: UUID, command: Command) -> None:
        error = f"{HALF} {len(command.found)} of {command.of}"
        log.error("command not whole", service=self.service, claim=str(id), count=len(command.found))

        async def steps(batch: Batch[Any]) -> None:
            await batch.connection.execute(HELD, sorted(command.streams), error)

        await self.store.with_batch(steps)


def _numbers(rest: Sequence[Message]) -> dict[int, Message]:
    return {part.number: message for message in rest if (part := message.part) is not None}
