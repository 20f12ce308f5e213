"""One transaction for many commands, step by step as the protocol has it: claim, lock, load, decide, write.

What is locked, and in which order, is in held.py; what the events of a command become, in entries.py.
Children and counts are loaded by a later statement than the locks, or a lock wait would leave them stale.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from loopkeeper.contract.decider import Command, EventOn, InvariantBroken, Plain, Refused, State
from loopkeeper.contract.events import Event
from loopkeeper.kernel.errors import Problem
from loopkeeper.postgres.connections import made_meanwhile
from loopkeeper.store import bulk_writes, journal
from loopkeeper.store import offsets as reading
from loopkeeper.store.blame import BY_FIELD, Rule, field_of
from loopkeeper.store.definition import (
    STREAM,
    Among,
    Change,
    Loaded,
    NeedsMore,
    Reference,
    Row,
    Submission,
    Work,
)
from loopkeeper.store.entries import check_together, entries_of
from loopkeeper.store.gathered import Gathered
from loopkeeper.store.held import Held
from loopkeeper.store.journal import Entry
from loopkeeper.store.shared_rows import Key, Locked, lock_shared

S = TypeVar("S", bound=State)

# How often a batch starts whose new rows another batch had just made: the second time they are there. Where they are not, it
# is no race.
BEGINS_AGAIN = 3


@dataclass(frozen=True, slots=True)
class Pending:
    """A submission waiting for its batch, with the shared rows an earlier batch found it to need."""

    submission: Submission
    keys: frozenset[Key] = frozenset()
    streams: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a submission: the state after it, or the state it finds if it had been done before."""

    stream: str
    state: Any
    n: int = 0
    events: tuple[Event, ...] = ()
    repeated: bool = False
    parked: bool = False
    # Parked only because something of its stream was before it.
    behind: bool = False


@dataclass(slots=True)
class Batch(Held[S]):
    """One transaction over many commands.

    Alone, a command would cost a transaction of its own. Here the database is asked once for all of them at each step, and
    the rules decide in memory, in order: the second command of a referral finds the state after the first. What one of them
    needs and the batch has not locked defers that command to the next batch; what fails in one undoes the batch, and the
    store halves it. Nothing of a batch outlives its transaction but `outcomes` and `deferred`:

        run                 1, 2 `_begin`: who was here before is answered; the streams' rows and parked marks are locked
          _decide_all       3 `lock_and_load`: the service's Loader locks shared rows, then loads (persistence/context.py)
            _try            4 one submission: applied, refused, parked, or deferred with what `NeedsMore` named
              _decide       fold the command's fact, `Loaded.with_context`, the service's rule (domain/rules.py), fold
                _change     the journal's entries; `Loaded.observe` tells the next command of the batch
              _record       … or the change of a reference row (directory, subscription), which has no rule
          write             5 states, references, deadlines, journal and outbox, Projection (persistence/projections.py)

    What is `deferred` the store gives to the next batch, with the rows it turned out to need.
    """

    outcomes: dict[UUID, Outcome | Exception] = field(default_factory=dict[UUID, "Outcome | Exception"])
    deferred: list[Pending] = field(default_factory=list[Pending])
    # Streams with a command put off to the next batch: what follows it in the same stream waits with it.
    waiting: set[str] = field(default_factory=set[str])
    unrecorded: list[UUID] = field(default_factory=list[UUID])
    parked: list[tuple[Submission, str]] = field(default_factory=list[tuple[Submission, str]])
    changes: list[Change[S]] = field(default_factory=list["Change[S]"])
    entries: list[Entry] = field(default_factory=list[Entry])
    references: dict[Key, dict[str, Any]] = field(default_factory=dict["Key", dict[str, Any]])
    # Of the deadlines it wrote; and what is done once all is committed.
    earliest: datetime | None = None
    committed: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    _loaded: Loaded[S, Any] | None = None
    # How many rows each bounded group has.
    _members: dict[Key, int] = field(default_factory=dict["Key", int])

    async def run(self, pending: Sequence[Pending], offsets: reading.Progress | None) -> None:
        """All steps for these submissions; the offsets are stored only if nothing had to be put off."""
        # Most polls of a service that reads few types bring it nothing but new offsets.
        fresh = await self._begin(pending) if pending else []
        writes = Gathered()
        if fresh:
            await self._decide_all(fresh)
            await self._write(writes)
        if self.unrecorded:
            await writes.execute("DELETE FROM claim WHERE id = ANY($1::uuid[])", self.unrecorded)
        if offsets and not self.deferred:
            await reading.move(self.connection, offsets, writes)
        else:
            await writes.send(self.connection)

    async def again(self, parked: Submission) -> str:
        """Decide a parked fact again, which keeps its claim and whose stream's mark the caller holds, and write what
        follows; why it fails again, or nothing. What is raised takes back this fact's statements alone."""
        tries = 0
        while True:
            try:
                async with self.connection.transaction():
                    alone = await self._decided_alone(parked)
                    if alone.parked:
                        return alone.parked[0][1]
                    await alone.write()
            except Exception as error:
                tries += 1
                if not made_meanwhile(error) or tries == BEGINS_AGAIN:
                    raise
            else:
                break
        self.entries += alone.entries
        self.changes += alone.changes
        self.committed += alone.committed
        return ""

    async def consider(self, submission: Submission) -> Outcome | Exception:
        """What this command would do, of which the caller keeps nothing: nothing is claimed and nothing written."""
        alone = await self._decided_alone(submission, minds={submission.stream})
        return alone.outcomes[submission.id]

    async def _decided_alone(self, submission: Submission, minds: Collection[str] = ()) -> Batch[S]:
        """A batch of this alone, decided and not written, under all the locks it turned out to need; it `minds` the parked marks
        of these streams."""
        item = Pending(submission)
        while True:
            alone = Batch(self.connection, self.domain, self.now, self.chain_key, self.sealer)
            await alone.lock(_streams([item]))
            if minds:
                await alone.mark(minds)
            await alone._decide_all([item])
            if not alone.deferred:
                return alone
            (item,) = alone.deferred

    # ── 1 claim, 2 lock ──────────────────────────────────────────────────────────────────────────────────

    async def _begin(self, pending: Sequence[Pending]) -> list[Pending]:
        """Claim these, then lock the rows and the parked marks of their streams, in this order, by one call; returns those that
        nobody claimed before."""
        first: dict[UUID, Pending] = {}
        for item in pending:
            if item.submission.id in first:
                self.deferred.append(item)
            else:
                first[item.submission.id] = item
        submissions = sorted((p.submission for p in first.values()), key=lambda s: s.id.int)
        rows = await self.connection.fetch(
            "SELECT * FROM begin_batch_2($1, $2, $3, $4, $5, $6)",
            [s.id for s in submissions],
            [s.stream for s in submissions],
            [s.body_hash for s in submissions],
            self.now,
            sorted(_streams(list(first.values()))),
            sorted({s.stream for s in submissions}),
        )
        claimed = [row["id"] for row in rows if row["what"] == "claim"]
        fresh = list(first.values())
        if len(claimed) < len(fresh):
            taken = {UUID(id) for id in claimed}
            await self._answer_repeated([p.submission for p in fresh if p.submission.id not in taken])
            fresh = [p for p in fresh if p.submission.id in taken]
        if fresh:
            self.know([row for row in rows if row["what"] == "row"])
            self.marks = {row["id"] for row in rows if row["what"] == "mark"}
        return fresh

    async def _answer_repeated(self, repeated: Sequence[Submission]) -> None:
        processed = await self.connection.fetch(
            f"""SELECT c.id, c.stream, c.body_hash, r.state, r.n FROM claim c
                LEFT JOIN "{self.domain.table}" r ON r.id = c.stream WHERE c.id = ANY($1::uuid[])""",  # noqa: S608
            [s.id for s in repeated],
        )
        by_id = {row["id"]: row for row in processed}
        for submission in repeated:
            row = by_id[submission.id]
            # Of what was found again in the log after a restore nobody knows the body any more.
            if row["body_hash"] and submission.body_hash != row["body_hash"]:
                self.outcomes[submission.id] = Problem(
                    422,
                    "key-reused",
                    "This Idempotency-Key was used before with another request.",
                    fix="Send the same body again, or use a new key.",
                )
                continue
            state = self.parse(row["state"]) if row["state"] is not None else None
            self.outcomes[submission.id] = Outcome(row["stream"], state, row["n"] or 0, repeated=True)

    # ── 3 shared rows, 4 load, 5 decide ──────────────────────────────────────────────────────────────────

    async def _decide_all(self, fresh: Sequence[Pending]) -> None:
        work = [
            Work(p.submission, self.row(p.submission.stream).state, p.keys)
            for p in fresh
            if p.submission.command is not None
        ]
        references = {p.submission.reference.key for p in fresh if p.submission.reference}
        groups = {found.key: found for p in fresh if (r := p.submission.reference) and (found := r.among)}
        keys = await self.lock_and_load(
            work, references, {key for p in fresh for key in p.keys} | groups.keys()
        )
        for key, group in groups.items():
            self._members[key] = await self.connection.fetchval(group.query, group.group)
        for item in fresh:
            self._settle(item, keys)

    async def lock_and_load(
        self, work: Sequence[Work[S]], references: Collection[Key] = (), keys: Collection[Key] = ()
    ) -> frozenset[Key]:
        """Lock the shared rows these need and load what the rules may know; returns what is locked."""
        locked = Locked(frozenset(keys) | frozenset(references))
        if work:
            locked = await self.domain.loader.lock(self.connection, work, locked.keys)
        elif locked.keys:
            await lock_shared(self.connection, locked.keys)
        await self.load_references(set(references))
        if work:
            streams = {(STREAM, stream) for stream, row in self.rows.items() if row.known}
            held = replace(locked, keys=locked.keys | streams)
            self._loaded = await self.domain.loader.load(self.connection, work, held)
        return locked.keys

    @property
    def loaded(self) -> Loaded[S, Any]:
        """What the rules of this batch may know."""
        if self._loaded is None:
            raise InvariantBroken("a command is decided before what its rule may know is loaded")
        return self._loaded

    def _settle(self, item: Pending, locked: frozenset[Key]) -> None:
        submission = item.submission
        behind = submission.stream in self.marks
        if submission.is_fact and (behind or submission.poison):
            self._park(submission, submission.poison or "behind an earlier parked fact", behind=behind)
        elif submission.timer is not None and behind and not submission.goes_on:
            self._leave(submission, Outcome(submission.stream, None))
        elif submission.stream in self.waiting:
            self._defer(item)
        else:
            self._try(item, locked)

    def _try(self, item: Pending, locked: frozenset[Key]) -> None:
        submission = item.submission
        try:
            if submission.reference is not None:
                outcome = self._record(submission, submission.reference)
            elif submission.command is not None:
                outcome = self._decide(submission, submission.command)
            else:
                # A parked fact whose type nobody reads any more.
                outcome = Outcome(submission.stream, None)
        except NeedsMore as more:
            if more.keys <= locked and more.streams <= self.rows.keys():
                raise InvariantBroken("a rule asks for rows it already has") from more
            self._defer(Pending(submission, item.keys | more.keys, item.streams | more.streams))
        except (Refused, Problem) as refused:
            if submission.is_fact:
                self._park(submission, describe(refused))
            else:
                self._leave(submission, refused)
        except Exception as error:  # noqa: BLE001 any fault of a rule concerns its command alone
            if submission.is_fact:
                self._park(submission, describe(error) + self._blamed(submission))
            else:
                self._leave(submission, error)
        else:
            self.outcomes[submission.id] = outcome

    def _blamed(self, submission: Submission) -> str:
        """Which field of this fact the rule cannot take, if it is one: in words behind the error."""
        command, row = submission.command, self.row(submission.stream)
        if command is None or command.fact is None:
            return ""
        plain = Plain(at=max(self.now, row.at or self.now), seed=submission.id)
        rule = Rule(self.domain.decider, self.domain.timers, self.loaded, plain)
        found = field_of(command.fact, lambda fact: rule.takes(submission.stream, row.state, command, fact))
        return f"{BY_FIELD}{found}" if found else ""

    def _decide(self, submission: Submission, command: Command) -> Outcome:
        row, domain = self.row(submission.stream), self.domain
        at = max(self.now, row.at) if row.at else self.now
        before = state = row.state
        events: list[tuple[Event, bool]] = []
        decided_on = state
        if command.fact is not None:
            fact = submission.noted or command.fact
            decided_on = state = domain.decider.evolve(state, fact)
            if submission.noted is not None:
                decided_on = domain.decider.evolve(before, command.fact)
            if state != before or domain.notes_all:
                events.append((fact, False))
        asked = self.loaded.with_context(
            submission.stream, decided_on, command, Plain(at=at, seed=submission.id)
        )
        others: list[EventOn] = []
        first = len(self.entries)
        for event in domain.decider.decide(decided_on, asked):
            if isinstance(event, EventOn):
                others.append(event)
                continue
            state = domain.decider.evolve(state, event)
            events.append((event, True))
        check_together([event for event, mine in events if mine] + [other.event for other in others])
        for other in others:
            self._write_other(submission, other)
        if events:
            self._change(row, submission, state, events, at)
        self.entries[first:] = journal.numbered(self.entries[first:], submission.id)
        own = tuple(event for event, mine in events if mine)
        return Outcome(submission.stream, state, row.n, own)

    def _write_other(self, submission: Submission, other: EventOn) -> None:
        row = self.row(other.stream)
        if (row.state is None) is not other.opens:
            raise InvariantBroken("a decision writes to a stream that it has not locked")
        at = max(self.now, row.at) if row.at else self.now
        state = self.domain.decider.evolve(row.state, other.event)
        self._change(row, submission, state, [(other.event, True)], at)

    def _change(
        self,
        row: Row[S],
        submission: Submission,
        after: S | None,
        events: Sequence[tuple[Event, bool]],
        at: datetime,
    ) -> None:
        before, written = (
            row.state,
            entries_of(self.domain.service, self.chain_key, row, submission, events, at),
        )
        row.state, row.at, row.created_at = after, at, row.created_at or at
        self.changes.append(Change(row.id, submission, before, after, written, at))
        self.entries.extend(entry for entry, _ in written)
        self.loaded.observe(self.changes[-1])

    def _record(self, submission: Submission, reference: Reference) -> Outcome:
        before = self.references.get(reference.key, self.reference_origin.get(reference.key))
        recorded = reference.change(before, self.now)
        if recorded is None:
            return Outcome(submission.stream, before)
        if before is None and reference.among is not None:
            self._join(reference.among)
        fresh: dict[str, Any] = {**(before or {}), **recorded.row, "id": reference.id}
        if reference.table in self.domain.reference_streams:
            row: Row[S] = Row(
                reference.id, None, fresh.get("n", 0), fresh.get("sequence", 0), fresh.get("head", "")
            )
            if recorded.event is not None:
                written = entries_of(
                    self.domain.service, self.chain_key, row, submission, [(recorded.event, True)], self.now
                )
                self.entries.extend(entry for entry, _ in written)
            fresh |= {"n": row.n, "sequence": row.sequence, "head": row.head}
        elif recorded.event is not None:
            raise InvariantBroken("only a stream's row publishes")
        self.references[reference.key] = fresh
        events = (recorded.event,) if recorded.event is not None else ()
        return Outcome(submission.stream, fresh, fresh.get("n", 0), events)

    def _join(self, among: Among) -> None:
        if self._members[among.key] >= among.most:
            raise among.refused
        self._members[among.key] += 1

    def _leave(self, submission: Submission, outcome: Outcome | Exception) -> None:
        self.unrecorded.append(submission.id)
        self.outcomes[submission.id] = outcome

    def _defer(self, item: Pending) -> None:
        self.unrecorded.append(item.submission.id)
        self.waiting.add(item.submission.stream)
        self.deferred.append(item)

    def _park(self, submission: Submission, error: str, *, behind: bool = False) -> None:
        self.marks.add(submission.stream)
        self.parked.append((submission, error))
        self.outcomes[submission.id] = Outcome(submission.stream, None, parked=True, behind=behind)

    # ── 6 write ──────────────────────────────────────────────────────────────────────────────────────────

    async def write(self, *, publish: bool = True) -> None:
        """All that was decided."""
        writes = Gathered()
        await self._write(writes, publish=publish)
        await writes.send(self.connection)

    async def _write(self, writes: Gathered, *, publish: bool = True) -> None:
        """What must see other rows at once; the rest is gathered."""
        await self._write_states(writes)
        for table in sorted({table for table, _ in self.references}):
            await bulk_writes.upsert(
                writes, table, [r for (t, _), r in self.references.items() if t == table]
            )
        deadlines = await bulk_writes.timers(writes, self.domain, self.changes)
        await journal.append(writes, self.entries, publish=publish)
        if self.changes:
            wrote = await self.domain.projection.write(self.connection, writes, self.changes, self.loaded)
            deadlines += tuple(wrote.deadlines)
            self.committed.append(wrote.committed)
        self.earliest = min(deadlines, default=None)
        decided = {c.submission.id: c.submission.audit for c in self.changes}
        await bulk_writes.audit(writes, [row for row in decided.values() if row is not None])
        await self.write_parked()

    async def _write_states(self, writes: Gathered) -> None:
        """The changed rows, new ones among them. Where another batch has just made one that is new here, the whole statement
        fails, and who began this batch begins it again (`made_meanwhile`): then the row is there to be locked."""
        changed = [self.rows[stream] for stream in dict.fromkeys(c.stream for c in self.changes)]
        if fresh := [row for row in changed if not row.known]:
            await bulk_writes.insert(writes, self.domain, fresh)
        if known := [row for row in changed if row.known]:
            await bulk_writes.update(writes, self.domain, known)

    async def write_parked(self) -> None:
        """Keep the facts that failed, sealed, behind one mark per stream."""
        await bulk_writes.parked(self.connection, self.sealer, self.parked, self.now)


def _streams(items: Sequence[Pending]) -> set[str]:
    """Whose rows these need. What is parked in any case needs none: its row may be the very one that cannot be read."""
    own = {s.stream for s in (p.submission for p in items) if s.reference is None and not s.poison}
    return own | {t for p in items for t in (*p.streams, *p.submission.other_streams)}


def describe(error: BaseException) -> str:
    """An error in words that carry no value: its type and where it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    slug = f" {error.slug}" if isinstance(error, Refused | Problem) else ""
    return f"{type(error).__name__}{slug}{where}"
