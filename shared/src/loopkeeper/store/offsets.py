"""How far has a service read the log? Its offsets move by compare-and-set, in the transaction of what was read.

They move from where the batch was read from, or not at all; and the batch's own events must be in the journal. So one
statement tells a faster member of the group (the offset is higher) from a database that stepped back (it is lower, gone, or
the log has events of ours that the journal lacks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from loopkeeper.event_log.generations import Key
from loopkeeper.event_log.port import Position, Received, id_of
from loopkeeper.postgres.connections import Connection, Queryable
from loopkeeper.store import fence
from loopkeeper.store.gathered import Gathered

READ = """
SELECT partition, next_offset, last_id FROM consumed WHERE $1::int[] IS NULL OR partition = ANY($1)
"""
BEGIN = """
INSERT INTO consumed (partition, next_offset) SELECT *, 0 FROM unnest($1::int[]) ON CONFLICT DO NOTHING
"""
# The batch's own events that the journal lacks: nothing moves where there are any.
LACKING = "SELECT count(*) AS n FROM unnest($1::uuid[]) AS o (id) WHERE NOT EXISTS (SELECT FROM journal j WHERE j.id = o.id)"
MOVE = """
UPDATE consumed c SET next_offset = t.next, last_id = t.last
  FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::uuid[]) AS t (partition, base, next, last), lacking
  WHERE c.partition = t.partition AND c.next_offset = t.base AND lacking.n = 0 RETURNING 1
"""
MOVED, LACKED = "(SELECT count(*) FROM moved)", "(SELECT n FROM lacking)"


class SteppedBack(Exception):
    """A sign that the database or the log is an earlier one than what was read: nothing of the batch was kept."""


class Overtaken(Exception):
    """Another member of the group has read this already: nothing of the batch was kept, and nothing is missing."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch read of a partition: from `base` to before `next`, whose last record is `last`."""

    base: int
    next: int
    last: UUID


@dataclass(frozen=True, slots=True)
class Progress:
    """What one batch read: by partition, which of its records are events of our own, and which publishers have a higher
    generation than before."""

    steps: Mapping[int, Step]
    own: tuple[UUID, ...] = ()
    raised: Mapping[Key, int] = field(default_factory=dict[Key, int])

    @property
    def offsets(self) -> dict[int, int]:
        """The next offset of each partition."""
        return {partition: step.next for partition, step in self.steps.items()}


def progress(
    received: Sequence[Received],
    bases: Mapping[int, int],
    own: Sequence[UUID] = (),
    raised: Mapping[Key, int] | None = None,
) -> Progress:
    """How far this batch brings who has read up to `bases`."""
    last = {r.partition: r for r in received}
    steps = {p: Step(bases.get(p, 0), r.offset + 1, id_of(r)) for p, r in last.items()}
    return Progress(steps, tuple(own), dict(raised or {}))


async def read(session: Queryable, partitions: Sequence[int] | None = None) -> dict[int, Position]:
    """Where each of these partitions, or each that was ever read, is read next."""
    rows = await session.fetch(READ, list(partitions) if partitions is not None else None)
    # Before the first record there is none.
    return {
        r["partition"]: Position(r["next_offset"], r["last_id"] if r["next_offset"] else None) for r in rows
    }


async def begin(connection: Connection, partitions: Sequence[int]) -> None:
    """A row for each partition that is read for the first time: only then does a row that is gone tell something."""
    await connection.execute(BEGIN, list(partitions))


async def move(connection: Connection, made: Progress, writes: Gathered) -> None:
    """Move the offsets as far as this batch was read, together with what else it writes, in its own transaction. Raises
    `SteppedBack` or `Overtaken`, for the transaction to be rolled back."""
    steps = made.steps
    writes.add("lacking", LACKING, list(made.own))
    writes.add(
        "moved",
        MOVE,
        list(steps),
        [step.base for step in steps.values()],
        [step.next for step in steps.values()],
        [step.last for step in steps.values()],
    )
    writes.ask("moved", MOVED)
    writes.ask("lacking", LACKED)
    row = await writes.send(connection)
    if made.raised:
        await fence.raised(connection, dict(made.raised))
    if row["lacking"]:
        raise SteppedBack(f"the log has {row['lacking']} events of ours that the journal lacks")
    if row["moved"] == len(steps):
        return
    found = await read(connection, list(steps))
    for partition, step in steps.items():
        if partition not in found or found[partition].next < step.base:
            raise SteppedBack("the database has read less than was stored in it")
    # This very batch, once more: the reply to its commit was lost.
    if any(found[partition] != Position(step.next, step.last) for partition, step in steps.items()):
        raise Overtaken
