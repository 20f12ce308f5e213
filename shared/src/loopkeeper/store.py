"""The only code that opens a writing transaction for business tables.

`submit` is for one caller: while one commit is under way the next requests gather, and the next commit takes them
all; alone, a request waits for nobody. `execute` is for a consumer: a whole poll with its offsets. Either way each
command is applied at most once (its claim), and an error finds its home: what passes is tried again as the same
batch, what is guilty is found by halving and stands alone, parked (a fact) or answered (a request).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from loopkeeper import writing
from loopkeeper.batch import Batch, Outcome, Pending, describe
from loopkeeper.bus import Received, unreadable
from loopkeeper.clock import Clock
from loopkeeper.database import Connection, Pool, passes
from loopkeeper.decider import Refused, State
from loopkeeper.domain import Domain, Submission
from loopkeeper.errors import Busy, Problem
from loopkeeper.logs import get
from loopkeeper.metrics import Metrics
from loopkeeper.rebuild import rebuild
from loopkeeper.sealing import AuditRow, Sealer

S = TypeVar("S", bound=State)
T = TypeVar("T")

log = get("store")

# As many as a consumer's poll brings, so that a request never waits behind more.
LARGEST_BATCH = 256
# How long a request's batch is tried again while the database is away before its callers hear 503.
PATIENCE = 5.0
# A claim older than this no longer recognises its repetition (keys are remembered 30 days).
CLAIMS_KEPT = timedelta(days=30)


# Why a fact is parked that nobody has looked at yet: the database was restored, and more must be read first.
WAITING = "waits until the service has read what it lost"


class StoreUnavailable(Exception):
    """The database could not be reached or kept refusing; the same batch may be given again."""


class CommandFailed(Exception):
    """A request met a fault of ours: nothing of it was stored."""


class Store(Generic[S]):
    """One service's store. `doorbell` is set after each commit that wrote events, for the relay."""

    def __init__(
        self,
        domain: Domain[S],
        pool: Pool,
        *,
        clock: Clock,
        chain_key: bytes,
        sealer: Sealer,
        metrics: Metrics,
        queue: int = 2048,
    ) -> None:
        self.domain = domain
        self.clock = clock
        self.sealer = sealer
        self._pool = pool
        self._chain_key = chain_key
        self._metrics = metrics
        self._bound = queue
        self._waiting: list[tuple[Submission, asyncio.Future[Outcome]]] = []
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self.doorbell = asyncio.Event()
        # Until it is set commands wait, and then hear 503: the log has not been read up to where it ended at the start.
        self.ready = asyncio.Event()
        self.ready.set()
        self._held = 0
        self._bells: list[asyncio.Event] = []

    def bell(self) -> asyncio.Event:
        """An event of the caller's own that is set after each commit that changed something; the caller clears it."""
        bell = asyncio.Event()
        self._bells.append(bell)
        return bell

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, submission: Submission) -> Outcome:
        """Apply one command and return what became of it, committed. Raises `Refused`, `Problem`, `Busy` (queue
        full or database away), `CommandFailed`. A cancelled caller's command is still applied."""
        if len(self._waiting) + self._held >= self._bound:
            raise Busy("the queue of requests")
        await self.read_first()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        self._metrics.queue_depth.labels(self.domain.service).set(len(self._waiting))
        self._wake.set()
        return await future

    async def read_first(self) -> None:
        """Wait, for as long as a caller may, until the log was read up to its end as of the start. Raises `Busy`."""
        if self.ready.is_set():
            return
        self._held += 1
        try:
            async with asyncio.timeout(PATIENCE):
                await self.ready.wait()
        except TimeoutError:
            raise Busy("what must be read of the log", retry_after=5) from None
        finally:
            self._held -= 1

    async def write_waiting(self) -> None:
        """The writer: one task of the supervisor, for ever."""
        while True:
            await self._wake.wait()
            # Cleared before draining: a request that comes in between rings again.
            self._wake.clear()
            while self._waiting:
                taken = self._waiting[:LARGEST_BATCH]
                del self._waiting[:LARGEST_BATCH]
                await self._answer(taken)

    async def _answer(self, taken: Sequence[tuple[Submission, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self.execute([s for s, _ in taken], patience=PATIENCE)
        except StoreUnavailable:
            for _, future in taken:
                if not future.done():
                    future.set_exception(Busy("the database"))
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
                future.set_result(outcome)
            elif isinstance(outcome, Refused | Problem | CommandFailed):
                future.set_exception(outcome)
            else:
                # The fault's own text may quote what was sent; the caller's log gets its type only.
                future.set_exception(CommandFailed(type(outcome).__name__))

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────────

    async def execute(
        self,
        submissions: Sequence[Submission],
        offsets: Mapping[int, int] | None = None,
        *,
        patience: float | None = None,
    ) -> dict[UUID, Outcome | Exception]:
        """Apply these in order, with the offsets in the same transaction as their last effect. Infrastructure
        errors are retried for `patience` seconds (None: once), then `StoreUnavailable`."""
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
        offsets: Mapping[int, int] | None,
        outcomes: dict[UUID, Outcome | Exception],
        patience: float,
    ) -> list[Pending]:
        started = time.monotonic()
        while True:
            try:
                batch = await self._transaction(pending, offsets)
            except Exception as error:
                if not passes(error):
                    return await self._halve(pending, offsets, outcomes, patience, error)
                if time.monotonic() - started >= patience:
                    raise StoreUnavailable(type(error).__name__) from error
                log.warning("batch tried again", service=self.domain.service, error=type(error).__name__)
                await asyncio.sleep(0.05)
            else:
                outcomes.update(batch.outcomes)
                self._report(batch)
                return batch.deferred

    async def _halve(
        self,
        pending: Sequence[Pending],
        offsets: Mapping[int, int] | None,
        outcomes: dict[UUID, Outcome | Exception],
        patience: float,
        error: Exception,
    ) -> list[Pending]:
        if len(pending) == 1:
            submission = pending[0].submission
            if submission.is_fact:
                await self._park_alone(submission, type(error).__name__, offsets)
                outcomes[submission.id] = Outcome(submission.stream, None, parked=True)
            else:
                log.error("command failed", command=submission.label, error=type(error).__name__)
                outcomes[submission.id] = CommandFailed(type(error).__name__)
            return []
        middle = len(pending) // 2
        left: list[Pending] = list(pending[:middle])
        while left:
            left = await self._attempt(left, None, outcomes, patience)
        return await self._attempt(pending[middle:], offsets, outcomes, patience)

    async def _transaction(self, pending: Sequence[Pending], offsets: Mapping[int, int] | None) -> Batch[S]:
        async def steps(connection: Connection) -> Batch[S]:
            batch = self._batch(connection)
            await batch.run(pending, offsets)
            return batch

        started = time.monotonic()
        batch = await self._transact(steps)
        self._metrics.commit_seconds.labels(self.domain.service).observe(time.monotonic() - started)
        self._metrics.batch_size.labels(self.domain.service).observe(len(pending))
        return batch

    async def _park_alone(
        self, submission: Submission, error: str, offsets: Mapping[int, int] | None
    ) -> None:
        async def steps(connection: Connection) -> None:
            batch = self._batch(connection)
            poisoned = Submission(
                submission.id, submission.stream, received=submission.received, poison=error
            )
            await batch.run([Pending(poisoned)], offsets)

        await self._transact(steps)

    def _batch(self, connection: Connection) -> Batch[S]:
        return Batch(connection, self.domain, self.clock.now(), self._chain_key, self.sealer)

    async def transact(self, steps: Callable[[Connection], Awaitable[T]], *, beside: bool = False) -> T:
        """Run these statements in one writing transaction of this store, one transaction at a time; `beside` the
        others where they touch only tables that no batch reads. A command like any other: raises `Busy` while the
        log is not read."""
        await self.read_first()
        return await self._transact(steps, beside=beside)

    async def _transact(self, steps: Callable[[Connection], Awaitable[T]], *, beside: bool = False) -> T:
        turn = nullcontext() if beside else self._turn
        async with turn, self._pool.acquire() as connection, connection.transaction():
            return await steps(connection)  # pyright: ignore[reportArgumentType] a pool's proxy is a connection

    def _report(self, batch: Batch[S]) -> None:
        if any(entry.own for entry in batch.entries):
            self.doorbell.set()
        if batch.changes:
            for bell in self._bells:
                bell.set()
        for submission, error in batch.parked:
            self._metrics.parked.labels(self.domain.service).inc()
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
            self._metrics.commands.labels(self.domain.service, submission.label, word).inc()

    async def park(self, failed: Sequence[tuple[Submission, str]]) -> None:
        """Put a mark on the streams of these commands, which nobody waits for, with why each failed."""

        async def steps(connection: Connection) -> Batch[S]:
            batch = self._batch(connection)
            batch.parked.extend(failed)
            await batch.write_parked()
            return batch

        self._report(await self.transact(steps))

    # ── parked streams ───────────────────────────────────────────────────────────────────────────────────

    async def drain(
        self,
        stream: str,
        read: Callable[[Connection], Awaitable[Sequence[Submission]]],
        forget: Callable[[Connection, int, int, str], Awaitable[None]],
        *,
        dry_run: bool = False,
    ) -> tuple[int, int, str]:
        """Replay a parked stream in order under its mark: (applied, left, error of the first left). `read` gives
        its facts once the locks are held, `forget` removes what applied. A dry run keeps nothing."""
        limit: int | None = None
        while True:
            try:
                return await self._drain_once(stream, read, forget, dry_run=dry_run, limit=limit)
            except _DryRun as done:
                return done.result
            except Exception as error:
                if passes(error):
                    raise StoreUnavailable(type(error).__name__) from error
                if limit == 1:
                    kept = forget if not dry_run else None
                    return await self._keep_parked(stream, read, kept, type(error).__name__)
                limit = 1

    async def _drain_once(
        self,
        stream: str,
        read: Callable[[Connection], Awaitable[Sequence[Submission]]],
        forget: Callable[[Connection, int, int, str], Awaitable[None]],
        *,
        dry_run: bool,
        limit: int | None,
    ) -> tuple[int, int, str]:
        async def steps(connection: Connection) -> tuple[Batch[S], tuple[int, int, str]]:
            batch = self._batch(connection)
            if not await batch.lock_stream(stream):
                return batch, (0, 0, "")
            facts = list(await read(connection))
            taken = facts[:limit] if limit else facts
            applied = await batch.drain(stream, taken)
            error = batch.parked[0][1] if batch.parked else ""
            batch.parked.clear()
            await batch.write()
            await forget(connection, applied, len(facts) - applied, error)
            if dry_run:
                raise _DryRun((applied, len(facts) - applied, error))
            return batch, (applied, len(facts) - applied, error)

        batch, result = await self._transact(steps)
        self._report(batch)
        if limit and result[0] and result[1] and not result[2]:
            applied, left, error = await self.drain(stream, read, forget)
            return result[0] + applied, left, error
        return result

    async def _keep_parked(
        self,
        stream: str,
        read: Callable[[Connection], Awaitable[Sequence[Submission]]],
        forget: Callable[[Connection, int, int, str], Awaitable[None]] | None,
        error: str,
    ) -> tuple[int, int, str]:
        async def steps(connection: Connection) -> tuple[int, int, str]:
            # Without its row, which may be what cannot be read.
            await self._batch(connection).lock_mark(stream)
            left = len(await read(connection))
            if forget is not None:
                await forget(connection, 0, left, error)
            return 0, left, error

        return await self._transact(steps)

    # ── after a restore ──────────────────────────────────────────────────────────────────────────────────

    async def begin_restore(self, renumber: Callable[[Connection], Awaitable[None]]) -> None:
        """Remember that this database is an earlier one, and let its service do once what follows from that."""

        async def steps(connection: Connection) -> None:
            # Replicas that start together: one of them begins.
            await connection.execute("LOCK TABLE restored IN SHARE ROW EXCLUSIVE MODE")
            if await connection.fetchval("SELECT 1 FROM restored WHERE finished_at IS NULL"):
                return
            await connection.execute("INSERT INTO restored (at) VALUES ($1)", self.clock.wall())
            await renumber(connection)

        await self._transact(steps)

    async def end_restore(self) -> None:
        async def steps(connection: Connection) -> None:
            await connection.execute(
                "UPDATE restored SET finished_at = $1 WHERE finished_at IS NULL", self.clock.wall()
            )

        await self._transact(steps)

    async def forget_sent(self, ids: Sequence[UUID]) -> None:
        """These own events stand in the log: they need not be sent."""

        async def steps(connection: Connection) -> None:
            await connection.execute(
                """DELETE FROM outbox o USING journal j
                   WHERE j.stream = o.stream AND j.n = o.n AND j.id = ANY($1::uuid[])""",
                list(ids),
            )

        if ids:
            await self._transact(steps)

    async def set_aside(self, received: Sequence[Received], offsets: Mapping[int, int]) -> None:
        """Park these unjudged, with the offsets: they are taken up once everything was read."""
        waiting = {(r.message.id if r.message is not None else unreadable(r)): r for r in received}

        async def steps(connection: Connection) -> None:
            batch = self._batch(connection)
            pending = [
                Pending(Submission(id, r.key, received=r, poison=r.problem or WAITING))
                for id, r in waiting.items()
            ]
            await batch.run(pending, offsets)

        try:
            await self._transact(steps)
        except Exception as error:
            if passes(error):
                raise StoreUnavailable(type(error).__name__) from error
            raise

    async def rebuild(
        self,
        stream: str,
        read: Callable[[Connection], Awaitable[Sequence[Received]]],
        forget: Callable[[Connection, Sequence[Received]], Awaitable[None]],
    ) -> None:
        """Write what a parked stream lost of its own, in one transaction (`rebuild.py`)."""

        async def steps(connection: Connection) -> Batch[S]:
            batch = self._batch(connection)
            # Another replica may be at it: what is left is read under the lock.
            await batch.lock_stream(stream)
            done = await rebuild(batch, stream, await read(connection))
            await forget(connection, done)
            return batch

        try:
            batch = await self._transact(steps)
        except Exception as error:
            if passes(error):
                raise StoreUnavailable(type(error).__name__) from error
            raise
        self._report(batch)

    # ── beside the rules ─────────────────────────────────────────────────────────────────────────────────

    async def record(self, rows: Sequence[AuditRow]) -> None:
        """Write who opened what, committed before anything is shown (`sealing.Audit`)."""

        await self._transact(lambda connection: writing.audit(connection, rows))

    async def forget_claims(self) -> int:
        """Prune claims nobody can repeat any more, a few thousand at a time; returns how many went."""

        async def steps(connection: Connection) -> str:
            return await connection.execute(
                "DELETE FROM claim WHERE id IN (SELECT id FROM claim WHERE at < $1 ORDER BY at LIMIT 5000)",
                self.clock.now() - CLAIMS_KEPT,
            )

        return int((await self._transact(steps)).split()[-1])


class _DryRun(Exception):
    def __init__(self, result: tuple[int, int, str]) -> None:
        super().__init__("dry run")
        self.result = result


def next_retry(now: datetime, tries: int) -> datetime | None:
    """When a parked stream is replayed by itself after this many tries; None: a person must."""
    return now + writing.RETRIES[tries] if tries < len(writing.RETRIES) else None


def answered(outcome: Outcome | Exception) -> Any:
    """The outcome, or its exception raised."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
