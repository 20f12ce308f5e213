"""The only code that opens a writing transaction for business tables.

`submit` is for one caller: while one commit is under way the next requests gather, and the next commit takes them
all; alone, a request waits for nobody. `execute` is for a consumer: a whole poll with its offsets. Either way each
command is applied at most once (its claim), and an error finds its home: what passes is tried again as the same
batch, what is guilty is found by halving and is alone, parked (a fact) or answered (a request).
A batch that would write too much at once, or that takes too long twice, is halved too.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

from loopkeeper.contract.decider import InvariantBroken, Refused, State
from loopkeeper.kernel.clock import Clock
from loopkeeper.kernel.errors import Busy, Problem
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.wake import Waker
from loopkeeper.postgres.connections import Connection, Pool, is_transient, made_meanwhile, too_slow
from loopkeeper.postgres.session import uncancelled
from loopkeeper.security.keyring import Unsealable
from loopkeeper.security.sealing import AuditRow, Sealer
from loopkeeper.store import bulk_writes
from loopkeeper.store.batch import BEGINS_AGAIN, Batch, Outcome, Pending, describe
from loopkeeper.store.deadlines import Deadlines
from loopkeeper.store.definition import Domain, Submission
from loopkeeper.store.gate import PATIENCE, CatchingUp, Gate
from loopkeeper.store.offsets import Overtaken, Progress, SteppedBack

S = TypeVar("S", bound=State)
T = TypeVar("T")

log = get("store")
# Why a fact is parked that nobody has judged: the database was restored, and more must be read first.
SET_ASIDE = "waits until the service has read what it lost"

# As many as a consumer's poll brings, so that a request never waits behind more.
LARGEST_BATCH = 256
# So many answered commands are remembered: after a set-back they tell what of them is gone.
REMEMBERED = 4096
# A claim older than this no longer recognises its repetition (keys are remembered 30 days).
COMMANDS_KEPT = timedelta(days=30)


class StoreUnavailable(Exception):
    """The database could not be reached or kept refusing; the same batch may be given again."""


class CommandFailed(Exception):
    """A request met a fault of ours: nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A command that somebody was told is done. Its claim must be in the database as long as claims are kept."""

    id: UUID
    stream: str
    at: datetime


class _TakenBack(Exception):
    """Ends a transaction of which nothing is to be kept."""


class Store(Generic[S]):
    """One service's store. The life of a submission, with who calls whom:

        submit              a request: it waits in the queue `_waiting`, and its caller for a future
          write_waiting     the writer, one task of the supervisor, takes up what waits
            _answer         … and gives each future its outcome
        execute             a consumer's poll (flow/consumer.py), a due deadline (flow/timers.py), the writer's batch
          _attempt          tries again while the database is away; `_halve` finds the command at fault
            _transaction    one writing transaction, one at a time
              Batch.run     claim, lock, load, decide, write (batch.py tells each step)
          _report           wakes the relay (`unsent`, flow/relay.py) and the loops of workers (`commits`)

    `commits` wakes after each commit that others may have work from, `unsent` after each that wrote events,
    `recorded` after each that changed reference rows (directory, roster, subscriptions), `deadlines` where the sweep must look earlier than it meant to.
    Nothing else writes business tables: `transact` and `with_batch` run the caller's statements the same way.
    """

    def __init__(
        self,
        domain: Domain[S, Any],
        pool: Pool,
        *,
        clock: Clock,
        chain_key: bytes,
        sealer: Sealer,
        metrics: Metrics,
        queue: int = 2048,
        gate: Gate | None = None,
    ) -> None:
        self.domain = domain
        self.clock = clock
        self.sealer = sealer
        self._pool = pool
        self._chain_key = chain_key
        self.metrics = metrics
        self._bound = queue
        self._waiting: list[tuple[Submission, asyncio.Future[Outcome]]] = []
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self.commits = Waker()
        self.unsent = Waker()
        self.recorded = Waker()
        self.deadlines = Deadlines()
        # While it is closed commands wait, and then hear 503: what the log has is not read yet.
        self.gate = gate or Gate(domain.service)
        self.ready = self.gate.ready
        self.answered: deque[Answered] = deque(maxlen=REMEMBERED)
        self._held = 0
        # How often a batch was halved: a consumer whose poll is taken apart makes progress.
        self.halved = 0

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, submission: Submission) -> Outcome:
        """Apply one command and return what became of it, committed. Raises `Refused`, `Problem`, `Busy` (queue
        full or database away), `CommandFailed`. A cancelled caller's command is still applied."""
        if len(self._waiting) + self._held >= self._bound:
            raise Busy("the queue of requests")
        await self.read_first()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        self.metrics.queue_depth.labels(self.domain.service).set(len(self._waiting))
        self._wake.set()
        return await future

    async def read_first(self) -> None:
        """Wait, for as long as a caller may, while the gate is closed. Raises `CatchingUp`, which is `Busy`."""
        if self.ready.is_set():
            return
        self._held += 1
        try:
            await self.gate.passed(PATIENCE)
        finally:
            self._held -= 1

    async def consider(self, submission: Submission) -> Outcome:
        """What would become of this command now: decided under the same locks as any, and taken back. Raises as
        `submit` does; the answer may be another a moment later."""
        await self.read_first()
        found: list[Outcome | Exception] = []

        async def steps(connection: Connection) -> None:
            found.append(await self._batch(connection).consider(submission))
            raise _TakenBack

        try:
            await self._transact(steps)
        except _TakenBack:
            return answered(found[0])
        except Exception as error:
            if is_transient(error):
                raise Busy("the database") from error
            raise
        raise InvariantBroken("a transaction that was to be taken back was kept")

    async def write_waiting(self) -> None:
        """The writer: one task of the supervisor, forever."""
        while True:
            await self._wake.wait()
            # Cleared before draining: a request that comes in between wakes it again.
            self._wake.clear()
            while self._waiting:
                taken = self._waiting[:LARGEST_BATCH]
                del self._waiting[:LARGEST_BATCH]
                await self._answer(taken)

    async def _answer(self, taken: Sequence[tuple[Submission, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self.execute([s for s, _ in taken], patience=PATIENCE)
        except (StoreUnavailable, CatchingUp):
            # Nothing of it is known to be kept; who asks again under the same key finds out. Behind a closed gate what
            # is queued came before it was closed, and has waited as long.
            late = [*taken]
            if not self.ready.is_set():
                late += self._waiting
                self._waiting.clear()
            for _, future in late:
                if not future.done():
                    future.set_exception(Busy("the database") if self.ready.is_set() else CatchingUp())
            return
        except BaseException:
            # The writer itself is going down: nobody may wait for an answer that never comes.
            for _, future in taken:
                future.cancel()
            raise
        for submission, future in taken:
            if future.done():
                continue
            outcome = outcomes[submission.id]
            if isinstance(outcome, Outcome):
                self.answered.append(Answered(submission.id, outcome.stream, self.clock.wall()))
                future.set_result(outcome)
            elif isinstance(outcome, Refused | Problem | CommandFailed | Unsealable):
                future.set_exception(outcome)
            else:
                # The fault's own text may quote what was sent; the caller's log gets its type only.
                future.set_exception(CommandFailed(type(outcome).__name__))

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────────

    async def execute(
        self,
        submissions: Sequence[Submission],
        offsets: Progress | None = None,
        *,
        patience: float | None = None,
    ) -> dict[UUID, Outcome | Exception]:
        """Apply these in order, with the offsets in the same transaction as their last effect. Infrastructure
        errors are retried for `patience` seconds (None: once), then `StoreUnavailable`. Raises `SteppedBack` and
        `Overtaken` where the offsets do not move, with nothing kept."""
        if not all(s.is_fact for s in submissions):
            await self.read_first()
        outcomes: dict[UUID, Outcome | Exception] = {}
        pending = [Pending(s) for s in submissions]
        while True:
            pending = await self._attempt(pending, offsets, outcomes, patience or 0.0)
            if not pending:
                break
        self._count(submissions, outcomes)
        return outcomes

    async def _attempt(
        self,
        pending: Sequence[Pending],
        offsets: Progress | None,
        outcomes: dict[UUID, Outcome | Exception],
        patience: float,
        slow: int = 0,
    ) -> list[Pending]:
        """`slow`: how often a batch with these took too long before."""
        started, begun = time.monotonic(), 0
        while True:
            try:
                batch = await self._transaction(pending, offsets)
            except (SteppedBack, Overtaken):
                raise
            except Exception as error:
                if too_slow(error):
                    # Not the database is away, but the batch is too much for it: the same again would be, too.
                    slow += 1
                    log.warning("batch took too long", service=self.domain.service, count=len(pending))
                    if slow == 1 or (slow == 2 and len(pending) == 1):
                        continue
                    return await self._halve(pending, offsets, outcomes, patience, error, slow=1)
                if made_meanwhile(error) and (begun := begun + 1) < BEGINS_AGAIN:
                    continue
                if not is_transient(error):
                    return await self._halve(pending, offsets, outcomes, patience, error)
                if time.monotonic() - started >= patience:
                    raise StoreUnavailable(type(error).__name__) from error
                log.warning("batch tried again", service=self.domain.service, error=type(error).__name__)
                await asyncio.sleep(0.05)
                # What lost its commit's reply may be in the log: it is repeated when its claim was rebuilt.
                await self.gate.passed(max(patience - (time.monotonic() - started), 0.0))
            else:
                outcomes.update(batch.outcomes)
                self._report(batch)
                return batch.deferred

    async def _halve(
        self,
        pending: Sequence[Pending],
        offsets: Progress | None,
        outcomes: dict[UUID, Outcome | Exception],
        patience: float,
        error: Exception,
        slow: int = 0,
    ) -> list[Pending]:
        self.halved += 1
        if len(pending) == 1:
            submission = pending[0].submission
            if submission.is_fact:
                outcomes.update(await self._park_alone(submission, type(error).__name__, offsets))
            else:
                log.error("command failed", command=submission.label, error=type(error).__name__)
                outcomes[submission.id] = CommandFailed(type(error).__name__)
            return []
        middle = len(pending) // 2
        left: list[Pending] = list(pending[:middle])
        while left:
            left = await self._attempt(left, None, outcomes, patience, slow)
        return await self._attempt(pending[middle:], offsets, outcomes, patience, slow)

    async def _transaction(self, pending: Sequence[Pending], offsets: Progress | None) -> Batch[S]:
        started = time.monotonic()
        batch = await self._transact(partial(self._run_batch, pending, offsets))
        self.metrics.commit_seconds.labels(self.domain.service).observe(time.monotonic() - started)
        self.metrics.batch_size.labels(self.domain.service).observe(len(pending))
        return batch

    async def _run_batch(
        self, pending: Sequence[Pending], offsets: Progress | None, connection: Connection
    ) -> Batch[S]:
        batch = self._batch(connection)
        await batch.run(pending, offsets)
        return batch

    async def _park_alone(
        self, submission: Submission, error: str, offsets: Progress | None
    ) -> Mapping[UUID, Outcome | Exception]:
        poisoned = Submission(submission.id, submission.stream, received=submission.received, poison=error)
        batch = await self._transaction([Pending(poisoned)], offsets)
        self._report(batch)
        return batch.outcomes

    def _batch(self, connection: Connection) -> Batch[S]:
        return Batch(connection, self.domain, self.clock.now(), self._chain_key, self.sealer)

    async def transact(
        self, steps: Callable[[Connection], Awaitable[T]], *, concurrent: bool = False, wakes: bool = True
    ) -> T:
        """Run these statements in one writing transaction of this store, one transaction at a time; `concurrent`: with the
        others where they touch only tables that no batch reads; `wakes`: whether workers may have work from it. A
        command like any other: raises `Busy` while the log is not read."""
        await self.read_first()
        result = await self._transact(steps, concurrent=concurrent)
        if wakes:
            self.commits.wake()
        return result

    async def single(self, statement: Callable[[Connection], Awaitable[T]]) -> T:
        """Run this one statement, which commits by itself, apart from batches: on tables that no batch reads. Like a commit it
        is neither cancelled nor given up. It holds whatever the log says: nothing takes it back where the gate closes
        meanwhile. Raises `Busy` while the log is not read."""
        await self.read_first()
        async with self._pool.acquire() as connection:
            return await uncancelled(connection, statement(connection))

    async def _transact(self, steps: Callable[[Connection], Awaitable[T]], *, concurrent: bool = False) -> T:
        # Taken first: a connection to another server, and whatever else is noticed meanwhile, closes the gate.
        begun = self.gate.closures
        alone = nullcontext() if concurrent else self._turn
        async with alone, self._pool.acquire() as connection, connection.transaction():
            result = await steps(connection)  # pyright: ignore[reportArgumentType] a pool's proxy is a connection
            self.gate.check(begun)
            return result

    async def with_batch(self, steps: Callable[[Batch[S]], Awaitable[T]], *, concurrent: bool = False) -> T:
        """Run these steps of one batch in one writing transaction, also while commands still wait for the log, and
        report what came of it; `concurrent`: next to others, whose rows they do not touch. Raises `StoreUnavailable` where
        the error is one that passes."""

        async def within(connection: Connection) -> tuple[Batch[S], T]:
            batch = self._batch(connection)
            return batch, await steps(batch)

        try:
            batch, result = await self._transact(within, concurrent=concurrent)
        except Exception as error:
            if is_transient(error):
                raise StoreUnavailable(type(error).__name__) from error
            raise
        self._report(batch)
        # A replay, or a mark: what waited for it may act.
        self.commits.wake()
        self.deadlines.look()
        return result

    def _report(self, batch: Batch[S]) -> None:
        if any(entry.own for entry in batch.entries):
            self.unsent.wake()
        # What moved offsets alone leaves nobody work.
        if batch.changes or batch.references or batch.parked:
            self.commits.wake()
        if batch.references:
            self.recorded.wake()
        for each in batch.committed:
            each()
        if batch.parked:
            self.deadlines.look()
        elif batch.earliest is not None:
            self.deadlines.wrote(batch.earliest)
        if batch.parked:
            self.metrics.parked.labels(self.domain.service).inc(len(batch.parked))
        for submission, error in batch.parked:
            if error == SET_ASIDE:
                # Unjudged: the end of the restore tells how many there were.
                continue
            log.error(
                "referral parked",
                service=self.domain.service,
                referral=submission.stream,
                command=submission.label,
                error=error,
            )
        for submission_id, outcome in batch.outcomes.items():
            if isinstance(outcome, Exception) and not isinstance(outcome, Problem):
                self._report_fault(submission_id, outcome)

    def _report_fault(self, submission_id: UUID, outcome: Exception) -> None:
        if not isinstance(outcome, Refused):
            log.error(
                "command failed",
                service=self.domain.service,
                claim=str(submission_id),
                error=describe(outcome),
            )

    def _count(self, submissions: Sequence[Submission], outcomes: Mapping[UUID, Outcome | Exception]) -> None:
        for submission in submissions:
            outcome = outcomes.get(submission.id)
            word = "refused" if isinstance(outcome, Exception) else "applied"
            if isinstance(outcome, Outcome) and (outcome.parked or outcome.repeated):
                word = "parked" if outcome.parked else "repeated"
            self.metrics.commands.labels(self.domain.service, submission.label, word).inc()

    async def park(self, failed: Sequence[tuple[Submission, str]]) -> None:
        """Put a mark on the streams of these commands, which nobody waits for, with why each failed."""

        async def steps(batch: Batch[S]) -> None:
            batch.parked.extend(failed)
            await batch.write_parked()

        await self.with_batch(steps)

    # ── apart from the rules ─────────────────────────────────────────────────────────────────────────────────

    async def record(self, rows: Sequence[AuditRow]) -> None:
        """Write who opened what, committed before anything is shown (`sealing.Audit`)."""

        await self._transact(lambda connection: bulk_writes.audit(connection, rows))

    async def forget_commands(self) -> int:
        """Prune claims nobody can repeat any more, a few thousand at a time; returns how many went."""

        async def steps(connection: Connection) -> str:
            return await connection.execute(
                "DELETE FROM claim WHERE id IN (SELECT id FROM claim WHERE at < $1 ORDER BY at LIMIT 5000)",
                self.clock.now() - COMMANDS_KEPT,
            )

        return int((await self._transact(steps)).split()[-1])


def answered(outcome: Outcome | Exception) -> Any:
    """The outcome, or its exception raised."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
