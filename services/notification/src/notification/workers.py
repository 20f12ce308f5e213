"""What notification does without being asked: it sends what is due, and writes down what was heard."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar, cast
from uuid import uuid5

from yarl import URL

from loopkeeper.contract import ids
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import Unsealable
from loopkeeper.store.definition import Submission
from loopkeeper.store.store import answered
from notification.delivery import lease
from notification.delivery.lease import IN_FLIGHT, KEPT_FREE, RENEW_AFTER, Result
from notification.delivery.presence import Presence, free
from notification.delivery.ssrf_guard import Allow
from notification.delivery.webhook import Attempted, Sender, Verdict, signed_headers
from notification.domain.outreach.commands import RecordDelivered
from notification.persistence import feed, notice_proof, retention
from notification.persistence.outgoing import Leased, Outgoing
from notification.persistence.projections import TellingProjection
from notification.persistence.retention import Kept
from notification.persistence.subscriptions import FAILING, GONE, SEALED_ANSWER, SEALED_PART, disable

log = get("webhooks")

T = TypeVar("T")

# How soon a due retry, or what another replica wrote, is noticed when nothing wakes the deliverer; and what was heard and was not
# written down because its process died.
EVERY, TOLD_EVERY = 1.0, 5.0
# Under load closings that were heard are published together, no more often than this.
TOLD_APART = 0.05
# Under load attempts that end within this are recorded together, and deliveries that arise leased together.
APART = 0.005
BATCH = 256
# How often what is too old is looked for.
PRUNED_EVERY = 3600.0
# How often it is measured how long what is due has waited: as often as Prometheus usually looks.
MEASURED_EVERY = 15.0


def outgoing_of(context: RunningService) -> Outgoing:
    """What this service's transactions hand to its sender."""
    return cast("TellingProjection", context.store.domain.projection).outgoing


async def deliver(context: RunningService, heartbeat: Heartbeat) -> None:
    """Send what is due. One slow endpoint delays no other."""
    for outcome in lease.OUTCOMES:
        # The first delivery of a kind that is given up must be seen as one more than none.
        context.metrics.webhooks.labels(outcome)
    async with Sender(Allow.parse(context.settings.webhook_allow), context.clock) as sender:
        await Deliverer(context, sender).run(heartbeat)


class Deliverer:
    """Leases, sends and records. `jitter` gives numbers from 0 to 1 that spread the retries."""

    def __init__(
        self, context: RunningService, sender: Sender, jitter: Callable[[], float] = random.random
    ) -> None:
        self._context = context
        self._sender = sender
        self._jitter = jitter
        self._outgoing = outgoing_of(context)
        self._wake = woken_by(self._outgoing.handed, context.store.commits, context.clock.jumps)
        self._results: list[Result] = []
        # What this process has leased and not recorded yet.
        self._held: dict[str, Leased] = {}
        # Which of them were begun: none is sent twice at once, though a process that was paused, or without its database,
        # leases again what it holds.
        self._begun: set[str] = set()
        self._renewed_at = context.clock.now()
        # What is known to be leased by whom wrote it: commits up to here.
        self._commits = 0
        self._looks_at = 0.0
        # Whether the last lease found anything: then there may be more.
        self._found = False
        self.presence = Presence(context.database.connect)

    async def run(self, heartbeat: Heartbeat) -> None:
        """Send what is handed over, and sweep after each commit that may have left something else, each ended attempt that
        makes room, and each jump of the clock. While the database is away, results stay in hand."""
        self._outgoing.held = self._held
        try:
            async with asyncio.TaskGroup() as tasks:
                jumped = woken_by(self._context.clock.jumps)

                async def work() -> bool:
                    self._begin(self._outgoing.taken(), tasks)
                    following = await self.record(tasks)
                    await self.show()
                    if self._must_look(following) or jumped.is_set():
                        jumped.clear()
                        await self.sweep(tasks)
                    room = IN_FLIGHT - KEPT_FREE - len(self._held) if self._outgoing.holder else 0
                    self._outgoing.room = max(0, room)
                    return False

                await repeat(work, self._wake, EVERY, heartbeat, apart=APART)
        finally:
            self._outgoing.close()
            self.presence.leave()

    async def show(self) -> None:
        """Show that this sender is alive. Raises what the database's absence does."""
        shown = await self.presence.shown(self._context.clock.now())
        self._outgoing.holder = self.presence.name if shown else ""

    def _must_look(self, following: int) -> bool:
        """Whether anything may be due that nobody has leased. `following`: so many were leased just now; for the rest, where
        there is any, this looks the next time."""
        commits, now = self._context.store.commits.times, asyncio.get_running_loop().time()
        unknown = commits - self._outgoing.accounted != self._commits
        if not (unknown or self._outgoing.waiting or now >= self._looks_at):
            return False
        if following and now < self._looks_at:
            self._wake.set()
            return False
        self._commits, self._looks_at = commits - self._outgoing.accounted, now + EVERY
        return True

    def _begin(self, leased: Sequence[Leased], tasks: asyncio.TaskGroup) -> None:
        for each in leased:
            self._held[each.id] = each
            if each.id not in self._begun:
                self._begun.add(each.id)
                tasks.create_task(self._send(each), name=f"deliver {each.id}")

    async def sweep(self, tasks: asyncio.TaskGroup) -> int:
        """Record what ended and send what is due, without waiting for it; returns how many were sent."""
        following = await self.record(tasks)
        now = self._context.clock.now()
        if now - self._renewed_at >= RENEW_AFTER:
            await self._renew(now)
        room = IN_FLIGHT - len(self._held)
        if room <= 0:
            return following
        # What is written while this looks counts from here on; what waits for a turn is looked for again.
        self._outgoing.waiting = False
        if not await self._anything(now):
            return following
        self._outgoing.waiting = True
        leased = await self._lease(room)
        self._outgoing.hold(leased)
        self._begin(leased, tasks)
        return following + len(leased)

    async def _anything(self, now: datetime) -> bool:
        """Whether there is anything to lease, once the leases of senders that are gone are freed."""
        found = await lease.anything(self._context.pool, now, self._outgoing.holder)
        if not found.elsewhere or not self.presence.may_judge(now):
            return found.due
        holder = self._outgoing.holder
        freed = await self._context.store.single(lambda c: free(c, now, holder))
        if freed:
            log.warning("leases of a sender that is gone were freed", count=freed)
        return found.due or freed > 0

    async def _renew(self, now: datetime) -> None:
        held = list(self._held.values())
        if held:
            await self._context.store.single(lambda c: lease.renew(c, held, now))
        self._renewed_at = now

    async def record(self, tasks: asyncio.TaskGroup | None = None) -> int:
        """Record the attempts that ended; then lease what waited for them and send it, where it may be; how many these were. On
        an error the attempts stay in hand."""
        # Under the newest lease of each.
        results = [replace(r, leased=self._held.get(r.leased.id, r.leased)) for r in self._results]
        if not results:
            return 0
        await self._write(results)
        del self._results[: len(results)]
        ended = [each.leased for each in results]
        following: Sequence[Leased] = ()
        try:
            more = self._outgoing.before_others(ended) or (self._outgoing.waiting and self._found)
            if tasks is not None and more:
                following = await self._lease(IN_FLIGHT - len(self._held) + len(results))
        finally:
            for each in ended:
                self._held.pop(each.id, None)
                self._begun.discard(each.id)
            self._outgoing.let_go(ended, following)
        if tasks is not None:
            self._begin(following, tasks)
        if any(r.verdict is Verdict.DELIVERED and r.leased.published for r in results):
            self._outgoing.heard.wake()
        if not all(each.first for each in results):
            self._outgoing.waiting = True
        gone = {r.leased.subscription for r in results if r.verdict is Verdict.GONE}
        hopeless = await lease.hopeless(self._context.pool, results, self._context.clock.now())
        why = {**dict.fromkeys(hopeless, FAILING), **dict.fromkeys(gone, GONE)}
        for subscription in sorted(why):
            await self._disable(subscription, why[subscription])
        return len(following)

    async def _write(self, results: Sequence[Result]) -> None:
        """Not in the store's turn: while it waited behind a batch nothing would be sent. A notice's deadline that is under way
        meanwhile reads it as not told yet, which it was not."""
        if all(each.first for each in results):
            await self._context.store.single(lambda c: lease.record(c, results, self._seal))
        else:
            await self._context.store.transact(
                lambda c: lease.record(c, results, self._seal), concurrent=True, wakes=False
            )

    async def _lease(self, room: int) -> Sequence[Leased]:
        now, holder = self._context.clock.now(), self._outgoing.holder
        leased = await self._context.store.single(lambda c: lease.lease(c, now, room, holder))
        self._found = bool(leased)
        return leased

    async def _disable(self, subscription: str, why: str) -> None:
        """What arises is kept; the owner's other subscriptions hear of it."""
        log.warning("endpoint is called no more", subscription=subscription, reason=why)
        reference = disable(subscription, None, why)
        command_id = ids.uuid()
        await self._execute([Submission(command_id, subscription, reference=reference)])
        now = self._context.clock.now()
        await self._context.store.transact(lambda c: feed.tell_disabled(c, subscription, command_id.hex, now))

    async def _execute(self, submissions: Sequence[Submission]) -> None:
        outcomes = await self._context.store.execute(submissions)
        for submission in submissions:
            answered(outcomes[submission.id])

    async def _send(self, leased: Leased) -> None:
        try:
            attempted = await self._attempt(leased)
            result = lease.judged(leased, self._context.clock.now(), attempted, self._jitter())
            self._context.metrics.webhooks.labels(result.outcome).inc()
            self._context.metrics.webhook_seconds.observe(attempted.duration_ms / 1000)
            self._results.append(result)
        finally:
            self._wake.set()

    async def _attempt(self, leased: Leased) -> Attempted:
        """One POST under one span; the partner gets the span's context too."""
        span = self._context.telemetry.begin(
            "deliver webhook",
            parent=leased.traceparent or None,
            attributes=_attributes(leased),
            kind="client",
        )
        try:
            body = leased.body.encode()
            keys = [self._secret(leased, text) for text in (leased.secret, leased.old_secret) if text]
            headers = signed_headers(keys, leased.webhook, self._context.clock.wall(), body)
            attempted = await self._sender.send(
                leased.url, {**headers, "traceparent": span.traceparent}, body
            )
        except Unsealable:
            # Without its secret nothing can be signed; the endpoint's owner reads `other`, operations the log.
            log.error("webhook secret cannot be opened", subscription=leased.subscription)
            attempted = Attempted(None, "other", 0)
        except BaseException:
            span.end("cancelled")
            raise
        if attempted.status is not None:
            span.set("http.response.status_code", attempted.status)
        span.end(attempted.error)
        return attempted

    def _seal(self, subscription: str, answer: str) -> str:
        return (
            self._context.sealer.seal("system", subscription, SEALED_ANSWER, {"text": answer})
            if answer
            else ""
        )

    def _secret(self, leased: Leased, sealed: str) -> str:
        return self._context.sealer.open("system", leased.subscription, SEALED_PART, sealed)["secret"]


def _attributes(leased: Leased) -> dict[str, Any]:
    return {
        "loopkeeper.referral": leased.referral,
        "loopkeeper.event.type": leased.type,
        "loopkeeper.subscription": leased.subscription,
        "loopkeeper.delivery": leased.id,
        "loopkeeper.attempt": leased.number + 1,
        "messaging.message.id": leased.webhook,
        "http.request.method": "POST",
        "server.address": URL(leased.url).host or "",
    }


async def measure_lateness(context: RunningService, heartbeat: Heartbeat) -> None:
    """Tell how far behind the webhooks are, now and then: an endpoint that is well hears at once, or somebody must know."""

    async def work() -> bool:
        late = await lease.late(context.pool, context.clock.now())
        context.metrics.webhook_late_seconds.set(late.total_seconds())
        return False

    await repeat(work, woken_by(context.clock.jumps), MEASURED_EVERY, heartbeat)


class Keeping(Protocol):
    """How long the service's own settings have things kept, in days."""

    @property
    def keep_deliveries(self) -> int: ...
    @property
    def keep_feed(self) -> int: ...


async def prune(context: RunningService, heartbeat: Heartbeat) -> None:
    """Remove what is older than it is kept, now and then; the audit of opened identities is never removed."""

    async def work() -> bool:
        await prune_once(context)
        return False

    await repeat(work, woken_by(), PRUNED_EVERY, heartbeat)


async def prune_once(context: RunningService) -> None:
    """Until nothing too old is left, a short transaction at a time and none of them in the store's turn."""
    days, now = cast("Keeping", context.own), context.clock.now()
    kept = Kept(now - timedelta(days=days.keep_deliveries), now - timedelta(days=days.keep_feed))

    async def run(steps: Callable[[Connection], Awaitable[T]]) -> T:
        return await context.store.transact(steps, concurrent=True, wakes=False)

    await run(lambda c: retention.note(c, kept))
    while await run(lambda c: retention.deliveries(c, kept)):
        pass
    for each in await run(lambda c: retention.old_feeds(c, kept)):
        while await run(partial(retention.beginning, subscription=each, kept=kept)):
            pass


async def tell(context: RunningService, heartbeat: Heartbeat) -> None:
    """Write down what was heard, as soon as its attempts are recorded."""

    async def work() -> bool:
        return await tell_once(context) == BATCH

    await repeat(work, woken_by(outgoing_of(context).heard), TOLD_EVERY, heartbeat, apart=TOLD_APART)


async def tell_once(context: RunningService) -> int:
    """Write down which notices arrived, and publish it for closings; returns how many deliveries were looked at.
    Repeating it after a crash does nothing: the notice's id is the claim."""
    rows = await lease.untold(context.pool, BATCH)
    if not rows:
        return 0
    submissions = {row["notice"]: _delivered(row) for row in rows if row["published"]}
    written: set[str] = set()
    if submissions:
        outcomes = await context.store.execute(list(submissions.values()))
        # What the event is written with marks its deliveries, too; where it was told before, nothing was written.
        written = {name for name, each in submissions.items() if answered(outcomes[each.id]).events}
    plain = [notice_proof.Told(r["notice"], r["delivered_at"], "webhook") for r in rows if not r["published"]]
    done = [row["id"] for row in rows if row["notice"] not in written]
    if not done:
        return len(rows)

    async def steps(connection: Connection) -> None:
        await notice_proof.mark(connection, plain)
        await connection.execute("UPDATE delivery SET told = true WHERE id = ANY($1::text[])", done)

    await context.store.transact(steps, wakes=False)
    return len(rows)


def _delivered(row: Mapping[str, Any]) -> Submission:
    at: datetime = row["delivered_at"]
    command = RecordDelivered(
        notice=row["notice"], code=row["code"], recipient_kind=row["recipient_kind"], delivered_at=at
    )
    return Submission(
        uuid5(notice_proof.CLAIMS, row["notice"]),
        row["referral"],
        command=command,
        causation=row["notice"],
        traceparent=row["traceparent"],
    )
