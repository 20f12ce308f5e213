"""Member files are written without being asked for, often enough that each member is told within ten business days."""

from __future__ import annotations

from uuid import uuid5

from loopkeeper.contract.calendar import la_date
from loopkeeper.kernel.errors import Problem
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.plan_files.outcomes import FACTS
from loopkeeper.postgres.leadership import Leadership
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import Unsealable
from loopkeeper.security.organizations import Client, Role
from notification.files.member_file import is_due, loops_of, pairs, write_member_file

log = get("files")

LEADER = 0x4C4B4D46
# How often it is looked whether a file is due, in seconds; a moved clock wakes it, too.
EVERY = 600.0
# Who writes where nobody asked: the audit names it next to the provider that is told.
WRITER = "member-file"


async def write_on_schedule(context: RunningService, heartbeat: Heartbeat) -> None:
    """Look now and then which files are due; one replica at a time."""
    leadership = Leadership(context.database.connect, LEADER, f"loopkeeper-{context.name}-member-files")

    async def work() -> bool:
        if await leadership.session() is not None:
            await write_due(context)
        return False

    try:
        await repeat(work, woken_by(context.clock.jumps), EVERY, heartbeat)
    finally:
        leadership.leave()


async def write_due(context: RunningService) -> int:
    """Write the files that are due; returns how many. Repeating it on one day writes none twice."""
    today, written = la_date(context.clock.now()), 0
    for plan, provider in await pairs(context, today):
        row = context.policy.row("files", on=today, plan=plan, step="mif")
        loops = await loops_of(context, plan, provider)
        since = 0
        if loops.written_at is not None:
            since = context.policy.calendar.business_days_between(la_date(loops.written_at), today)
        if not is_due(loops, provider, since, row["days"]):
            continue
        file = f"fil_{uuid5(FACTS, f'member file {plan} {provider} {today}').hex}"
        client = Client(WRITER, provider, "", frozenset({Role.PROVIDER}))
        try:
            await write_member_file(context, file, plan, provider, client)
        except (Problem, Unsealable) as error:
            # What is missing for one plan keeps no other waiting; it is tried again.
            log.warning("member file not written", organization=provider, error=type(error).__name__)
            continue
        written += 1
        log.info("member file written", file=file, organization=provider)
    return written
