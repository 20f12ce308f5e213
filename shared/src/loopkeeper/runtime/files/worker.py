"""The worker that reads files and lets their rows act: one replica at a time, one file after another."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from loopkeeper.contract.calendar import la_date
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.profile import Layout, Profile
from loopkeeper.plan_files.profile_folder import Profiles, read_profiles
from loopkeeper.plan_files.table import Period, Table, open_table, records
from loopkeeper.postgres.leadership import Leadership
from loopkeeper.runtime.files import records as kept
from loopkeeper.runtime.files import taking_in
from loopkeeper.runtime.files.kinds import FileKind, Planned, Reading, Sent
from loopkeeper.runtime.service import RunningService, Worker
from loopkeeper.security.keyring import Erased, Unsealable
from loopkeeper.spreadsheets import Unreadable

log = get("files")

LEADER = 0x4C4B4649
# How soon what another replica took is noticed; what this process took, and what other services answer, wakes the worker.
EVERY = 2.0
# How often it is looked whether a file's bytes are older than they are kept.
FORGETS_APART = 3600.0
# Rows that act in one round.
ROUND = 256
# Open files that one round looks at, where the first of them wait.
FILES = 20
PERIOD = "file.period"
ERASED = (
    "key-destroyed",
    "The keys of this plan were destroyed.",
    "Nothing: what it says cannot be read any more.",
)
SCAN_SECONDS = 120


def worker_of(kinds: Sequence[FileKind]) -> Worker:
    """The worker of these kinds of file."""
    by_name: dict[Kind, FileKind] = {kind.kind: kind for kind in kinds}

    async def run(context: RunningService, heartbeat: Heartbeat) -> None:
        leadership = Leadership(context.database.connect, LEADER, f"loopkeeper-{context.name}-files")
        working = Working(context, by_name)
        wake = woken_by(taking_in.arrivals_of(context), context.clock.jumps)
        jumped = woken_by(context.clock.jumps)

        async def work() -> bool:
            if await leadership.session() is None:
                return False
            if jumped.is_set():
                jumped.clear()
                working.forgets_at = 0.0
            # Commits alone can move a file whose rows wait for answers; where none is open they are no news.
            context.store.commits.add(wake)
            more = await working.round()
            if not working.open:
                context.store.commits.forget(wake)
            return more

        try:
            await repeat(work, wake, EVERY, heartbeat)
        finally:
            leadership.leave()

    return run


async def ahead(context: RunningService) -> int:
    """How many files have something to do now; one that waits for its key or for the scan has not."""
    return await context.pool.fetchval(
        "SELECT count(*) FROM file WHERE state IN ('received', 'acting') AND code <> ALL($1::text[])",
        list(kept.WAITING),
    )


class ScanFailed(Exception):
    """The scan does not run, or does not end."""


class Working:
    """One round after another. A crash between two leaves the file where the last one ended."""

    def __init__(self, context: RunningService, kinds: Mapping[Kind, FileKind]) -> None:
        self._context = context
        self._kinds = kinds
        # Whether the last round found a file that is not done; and when the next look for old ones is due.
        self.open = False
        self.forgets_at = 0.0

    async def round(self) -> bool:
        """One step of the oldest open file that does not wait for another service; whether there is more to do at
        once."""
        rows = await kept.open_files(self._context, FILES)
        self.open = bool(rows)
        for row in rows:
            kind = self._kinds.get(row["kind"])
            if kind is None:
                continue
            waited = row["code"] in kept.WAITING
            try:
                moved = await self._step(kind, row)
            except Erased:
                # Its key never comes back: nothing of it can ever be read.
                await kept.refuse(self._context, row["id"], *ERASED)
                return True
            except (Unsealable, ScanFailed) as error:
                # It waits, says so, and keeps no other file waiting.
                why = kept.NO_SCAN if isinstance(error, ScanFailed) else kept.NO_KEY
                if row["code"] != why[0]:
                    log.error("file waits", file=row["id"], kind=row["kind"], reason=why[0])
                    await kept.wait_for(self._context, row["id"], why)
                continue
            if waited:
                await kept.waits_no_more(self._context, row["id"])
            if moved:
                return True
        return not rows and await self._forget()

    async def _step(self, kind: FileKind, row: Mapping[str, Any]) -> bool:
        """Whether the file came further. Raises `Unsealable` where its key is not here."""
        sent = taking_in.sent_of(self._context, row, kind.kind)
        if sent.state == "received":
            await self._read(kind, sent)
            return True
        return await self._act(kind, sent)

    async def _forget(self) -> bool:
        if (time := asyncio.get_running_loop().time()) < self.forgets_at:
            return False
        self.forgets_at = time + FORGETS_APART
        policy, now = self._context.policy, self._context.clock.now()
        kept_days: int = policy.row("files", on=la_date(now), step="kept")["days"]
        if more := await kept.forget(self._context, now - timedelta(days=kept_days)) > 0:
            self.forgets_at = 0.0
        return more

    # ── read and judge ────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, kind: FileKind, sent: Sent) -> None:
        context = self._context
        parts = await kept.parts_of(context, sent.id)
        content = await taking_in.content_of(context, sent.sealed_with, sent.id, parts)
        if not await clean(context.settings.scan, content):
            await kept.refuse(
                context, sent.id, "scan-refused", "The file did not pass the scan.", "Send a clean copy."
            )
            return
        today = la_date(sent.received_at)
        profiles = await asyncio.to_thread(read_profiles, context.settings.profiles_folder)
        whose = sent.plan or sent.client.organization
        try:
            reading = await asyncio.to_thread(
                reading_of, profiles, whose, kind.kind, content, sent.name, today
            )
            known = await kind.known(context, sent, reading)
            planned, facts = await asyncio.to_thread(judged, kind, sent, reading, content, known)
        except Unreadable as error:
            await kept.refuse(context, sent.id, error.code, error.sentence, error.fix, error.column)
            log.info("file refused", file=sent.id, kind=sent.kind, reason=error.code)
            return
        if planned.judged.file_refused:
            code = planned.judged.file_refused
            column = reading.layout.heading(planned.judged.file_refused_field)
            await kept.refuse(context, sent.id, code, WHOLLY[code], "Send it where it belongs.", column)
            return
        await kept.keep_judged(context, sent, planned, facts, hold=self._holds(kind, sent, planned, today))
        log.info("file judged", file=sent.id, kind=sent.kind, rows=len(planned.judged.outcomes))

    def _holds(self, kind: FileKind, sent: Sent, planned: Planned, today: date) -> bool:
        """Whether more of the rows are refused than the plan lets act at once."""
        if sent.dry_run or not kind.for_a_plan:
            return False
        counts = planned.judged.counts()
        row = self._context.policy.row("files", on=today, plan=sent.plan, step="hold")
        return counts["refused"] * 100 > row["percent"] * sum(counts.values())

    # ── act ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _act(self, kind: FileKind, sent: Sent) -> bool:
        rows = await kept.open_rows(self._context, sent, ROUND)
        acted = await kind.act(self._context, sent, rows)
        before = {row.row: (row.done, row.waits) for row in rows}
        moved = {
            row: each for row, each in acted.items() if before[row] != (each.done, each.state == "waiting")
            or each.state == "done"
        }  # fmt: skip
        done = await kept.settle(self._context, sent, moved) if moved or not rows else False
        if done:
            log.info("file done", file=sent.id, kind=sent.kind)
        # Rows that wait for another service are looked at again when its answer has come in.
        return bool(moved)


async def clean(command: str, content: bytes) -> bool:
    """Whether the scan finds nothing; without a command nothing is scanned. Raises `ScanFailed`: a scan that does not run
    lets no file in."""
    if not command:
        return True
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command), stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet
        )
    except (OSError, ValueError) as error:
        raise ScanFailed(type(error).__name__) from error
    try:
        async with asyncio.timeout(SCAN_SECONDS):
            await process.communicate(content)
    except TimeoutError as error:
        process.kill()
        raise ScanFailed("it takes too long") from error
    return process.returncode == 0


WHOLLY = {
    "wrong-plan": "Every row is for another plan.",
    "wrong-provider": "Every row is another provider's.",
}


def reading_of(profiles: Profiles, whose: str, kind: Kind, content: bytes, name: str, today: date) -> Reading:
    """By what the file is read: the profile that holds in the file's period, today's where it says none. Raises
    `Unreadable`."""
    found = profiles.of(whose, today)
    reading = _reading(found, kind, today) or _reading(_any(profiles, whose, kind), kind, today)
    if reading is None:
        raise Unreadable(
            "profile-missing",
            "No profile says how this file is written.",
            "Put the profile into the policy folder's files/, or ask who operates this.",
        )
    if not reading.layout.has(PERIOD):
        return reading
    period = period_of(content, kind, reading.layout, name)
    if period is None or reading.profile.holds_on(period[1]):
        return reading
    then = _reading(profiles.of(whose, period[1]), kind, today)
    return then or reading


def _any(profiles: Profiles, whose: str, kind: Kind) -> Profile | None:
    """The newest profile of whom none holds today."""
    mine = [each for each in profiles.profiles if each.plan == whose and kind in each.files]
    return max(mine, key=lambda each: each.effective_from, default=None)


def _reading(profile: Profile | None, kind: Kind, today: date) -> Reading | None:
    layout: Layout | None = profile.files.get(kind) if profile is not None else None
    return Reading(profile, layout, today) if profile is not None and layout is not None else None


def period_of(content: bytes, kind: Kind, layout: Layout, name: str) -> Period | None:
    """The days most rows speak of; None where the file says none, or cannot be read by this layout."""
    try:
        table = open_table(content, kind, layout, name=name)
        found = Counter(
            record[PERIOD] for record in records(table, frozenset({PERIOD})) if record[PERIOD] is not None
        )
    except Unreadable:
        return None
    return found.most_common(1)[0][0] if found else None


def judged(
    kind: FileKind, sent: Sent, reading: Reading, content: bytes, known: Any
) -> tuple[Planned, Mapping[str, Any]]:
    """What becomes of each row of the file, and what is kept of the file itself."""
    table: Table = open_table(content, kind.kind, reading.layout, name=sent.name)
    planned = kind.judge(table, known, sent, reading)
    period = period_of(content, kind.kind, reading.layout, sent.name) if reading.layout.has(PERIOD) else None
    facts = {
        "format": table.format,
        "period_from": period[0] if period else None,
        "period_through": period[1] if period else None,
    }
    return planned, facts
