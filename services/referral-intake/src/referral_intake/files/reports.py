"""Builds reports: reads what was noted of each referral of the plan, some hundred at a time, and keeps what they come to.

A figure is made of the very events of which the timeline tells, so each one can be traced to its referrals. One replica builds
at a time; a report that a crash broke off is built again from its beginning.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, cast
from weakref import WeakKeyDictionary

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import Waker, woken_by
from loopkeeper.plan_files.profile_folder import read_profiles
from loopkeeper.postgres.leadership import Leadership
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import SYSTEM, Erased, Unsealable
from loopkeeper.security.organizations import Client, Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.security.tokens import ProvedPerson
from loopkeeper.store.store import Store
from referral_intake.domain.reports.counting import Counted, Figure, Kind, Tally, counted
from referral_intake.domain.reports.figures import values_of
from referral_intake.domain.reports.history import IDENTITY, History, told
from referral_intake.domain.reports.period import Period
from referral_intake.domain.reports.sheets import PlanNamed
from referral_intake.files.contents import Content, Measures, Monthly, Quarter, entry_of
from referral_intake.persistence import reports as kept

log = get("reports")

LEADER = 0x4C4B5250
# How soon what another replica was asked for is noticed; what this process was asked for wakes it.
EVERY = 5.0
FORGETS_APART = 3600.0
# Reports that one round looks at, where the first of them wait.
REPORTS = 20
PART = 512 * 1024
SEALED, NPI = "report", "npi"
WHO = ("cin", "first_name", "last_name", "birth_date")
WHY = "a report for the state"
KEY_MISSING, KEY_DESTROYED = "key-missing", "key-destroyed"

_asked: WeakKeyDictionary[Store[Any], Waker] = WeakKeyDictionary()


def asked_of(context: RunningService) -> Waker:
    """Wakes where this process was asked for a report."""
    return _asked.setdefault(context.store, Waker())


async def build_reports(context: RunningService, heartbeat: Heartbeat) -> None:
    """Build what was asked for, and delete what is too old; one replica at a time."""
    leadership = Leadership(context.database.connect, LEADER, f"loopkeeper-{context.name}-reports")
    clock, forgets_at = asyncio.get_running_loop().time, 0.0

    async def work() -> bool:
        nonlocal forgets_at
        waits = await kept.waiting(context, 1)
        if waits and await leadership.session() is not None and await build_next(context, heartbeat.beat):
            return True
        # No session is kept for what is asked for once a month.
        leadership.leave()
        if clock() < forgets_at:
            return False
        forgets_at = clock() + FORGETS_APART
        return await forget_old(context) > 0

    try:
        await repeat(work, woken_by(asked_of(context), context.clock.jumps), EVERY, heartbeat)
    finally:
        leadership.leave()


async def forget_old(context: RunningService) -> int:
    now = context.clock.now()
    days: int = context.policy.row("reporting", on=la_date(now), step="kept")["days"]
    return await kept.forget(context, now - timedelta(days=days))


async def ahead(context: RunningService) -> int:
    """How many reports are to be built; one whose key is not here waits."""
    return await context.pool.fetchval("SELECT count(*) FROM report WHERE state = 'building' AND code = ''")


async def build_next(context: RunningService, beat: Callable[[], None]) -> bool:
    """Build the oldest report that can be built; whether there was one. `beat` is called on the way."""
    for row in await kept.waiting(context, REPORTS):
        try:
            await build(context, row, beat)
        except Erased:
            await kept.say(context, row["id"], "failed", KEY_DESTROYED)
        except Unsealable:
            # It waits, says so, and keeps no other waiting.
            await kept.say(context, row["id"], "building", KEY_MISSING)
            continue
        return True
    return False


async def build(context: RunningService, row: Mapping[str, Any], beat: Callable[[], None]) -> None:
    """Build this report. Raises `Unsealable` where its plan's key is not here."""
    report, plan, period = row["id"], row["plan_id"], Period.of(row["period"])
    kind = cast("Kind", row["kind"])
    figures = figures_on(context, kind, period)
    directory = await kept.directory(context, period.last)
    content = await _content(context, kind, plan, period, figures, directory)
    building = Building(context, row, content, figures, period, directory)
    await kept.begin(context, report, plan, period)
    async for page in kept.pages(context, report):
        await building.page(page)
        beat()
    await building.finish()
    log.info("report ready", report=report, kind=kind, organization=plan)


def figures_on(context: RunningService, kind: Kind, period: Period) -> Sequence[Figure]:
    """The figures of the report, by the rows that hold on the period's last day."""
    return [
        Figure(
            row["figure"],
            row["counts"],
            kind,
            row["reason"] or "",
            row["from_days"] or 0,
            row["through_days"],
            row["part_of"] or "",
            row["share_of"] or "",
            row["definition"],
            row.source,
            row.confidence,
        )
        for row in context.policy.rows("report_figures", on=period.last, report=kind)
    ]


async def _content(
    context: RunningService,
    kind: Kind,
    plan: str,
    period: Period,
    figures: Sequence[Figure],
    directory: Sequence[ProviderRecorded],
) -> Content:
    if kind == "measures":
        return Measures(plan, period, figures)
    if kind == "monthly":
        return Monthly(plan, period, figures)
    profiles = await asyncio.to_thread(read_profiles, context.settings.policy_folder)
    profile, named = profiles.of(plan, period.last), context.directory.organization(plan)
    entries = {each.provider: entry_of(each, npi_of(context, each)) for each in directory}
    contracted = [each.provider for each in directory if _contracted(each, plan, period)]
    known = PlanNamed(
        named.name if named is not None else plan, profile.number_in_files if profile is not None else ""
    )
    return Quarter(known, period, figures, entries, contracted)


def _contracted(entry: ProviderRecorded, plan: str, period: Period) -> bool:
    return entry.active and any(
        each.plan == plan
        and each.from_ <= period.last
        and (each.through is None or each.through >= period.last)
        for each in entry.contracts
    )


def npi_of(context: RunningService, entry: ProviderRecorded) -> str:
    """The provider's NPI; empty where it has none."""
    sealed = entry.sealed.get(NPI)
    return context.sealer.open(SYSTEM, entry.provider, NPI, sealed)[NPI] if sealed else ""


class Building:
    """One report while it is built: it holds one page of referrals, and what they came to so far."""

    def __init__(
        self,
        context: RunningService,
        row: Mapping[str, Any],
        content: Content,
        figures: Sequence[Figure],
        period: Period,
        directory: Sequence[ProviderRecorded],
    ) -> None:
        self._context = context
        self._row = row
        self._content = content
        self._figures = figures
        self._period = period
        self._directory = {each.provider: each for each in directory}
        self._tally = Tally()
        self._digest = sha256()
        self._held = bytearray()
        self._size = self._parts = self._referrals = 0

    async def page(self, referrals: Sequence[str]) -> None:
        """Take these referrals in."""
        context, report = self._context, self._row["id"]
        rows = await kept.journals(context, referrals, self._row["asked_at"])
        found = await asyncio.to_thread(self._histories, rows)
        said = [history for history, _ in found if self._content.identity(history)]
        who = await self._opened(said)
        for history, one in found:
            self._tally.add(one)
            self._content.add(history, who.get(history.referral, {}), self._npi(history))
        self._referrals += len(found)
        await kept.keep_lines(context, report, referrals, [one for _, one in found])
        await self._put(self._content.written())

    def _histories(self, rows: Sequence[Mapping[str, Any]]) -> list[tuple[History, Counted]]:
        """Those of them that count, in the order of their ids."""
        histories = (told(referral, events) for referral, events in kept.events_of(rows).items())
        found = ((history, counted(history, self._period, self._figures)) for history in histories)
        return sorted(
            ((history, one) for history, one in found if one is not None), key=lambda each: each[0].referral
        )

    async def _opened(self, histories: Sequence[History]) -> Mapping[str, Mapping[str, Any]]:
        """Who these members are, each opening with an audit row of who asked for the report."""
        plan = self._row["plan_id"]
        sealed = [each for each in histories if each.identity]
        openings = [Opening(plan, each.referral, {IDENTITY: each.identity}) for each in sealed]
        if not openings:
            return {}
        context = self._context
        parts = await open_identity(
            context.sealer,
            context.store,
            client_of(self._row),
            context.clock.now(),
            openings,
            fields=WHO,
            why=WHY,
        )
        return {each.referral: part[IDENTITY] for each, part in zip(sealed, parts, strict=True)}

    def _npi(self, history: History) -> str:
        turn = history.served_by(self._period.last)
        entry = self._directory.get(turn.provider) if turn is not None else None
        return npi_of(self._context, entry) if entry is not None else ""

    async def _put(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._size += len(piece)
        self._held += piece
        while len(self._held) >= PART:
            await self._keep(bytes(self._held[:PART]))
            del self._held[:PART]

    async def _keep(self, piece: bytes) -> None:
        plan, report = self._row["plan_id"], self._row["id"]
        sealed = self._context.sealer.seal(
            plan, report, f"{SEALED} {self._parts}", {"bytes": b64encode(piece).decode()}
        )
        await kept.keep_part(self._context, report, self._parts, sealed)
        self._parts += 1

    async def finish(self) -> None:
        """Write what is counted over all, and keep the report as ready."""
        values = values_of(self._tally, self._figures)
        for piece in await asyncio.to_thread(lambda: list(self._content.close(values))):
            await self._put(piece)
        if self._held or self._parts == 0:
            await self._keep(bytes(self._held))
        rows = [
            {
                "figure": each.name, "definition": each.definition, "source": each.source,
                "confidence": each.confidence, "part_of": each.part_of, "share_of": each.share_of,
            }
            for each in self._figures
        ]  # fmt: skip
        built = kept.Built(self._digest.hexdigest(), self._size, self._referrals, values, rows)
        await kept.keep_built(self._context, self._row["id"], built)


def content_of(context: RunningService, row: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> bytes:
    """The bytes of a report, by its parts in order."""
    opened = (
        context.sealer.open(row["plan_id"], row["id"], f"{SEALED} {each['n']}", each["sealed"])["bytes"]
        for each in parts
    )
    return b"".join(b64decode(each) for each in opened)


def client_of(row: Mapping[str, Any]) -> Client:
    """Who asked for the report: in whose name identities are opened."""
    person = ProvedPerson(row["person"], "", "") if row["proved"] else None
    return Client(row["client"], row["plan_id"], "", frozenset({Role.PLAN}), person=person)
