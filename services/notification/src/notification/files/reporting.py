"""The two files a provider reports by: the return transmission, a month a member, and the tracking of each attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import orjson

from loopkeeper.contract.calendar import end_of_la_day, la_date
from loopkeeper.contract.decider import Refused
from loopkeeper.kernel.errors import Problem
from loopkeeper.kernel.logs import get
from loopkeeper.plan_files import otf, rtf
from loopkeeper.plan_files.checks import FileContext
from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.members import Reach
from loopkeeper.plan_files.table import Table, records
from loopkeeper.runtime.files.kinds import Act, Acted, BackBy, FileKind, Open, Planned, Reading, Sent
from loopkeeper.runtime.files.records import command_of
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.definition import Submission
from notification.domain.outreach.commands import ChangeContact, ProviderCommand
from notification.domain.outreach.contact import corrected, flags_of
from notification.domain.outreach.state import Assignment, Outreach
from notification.files.commands import ANSWERS, BESIDE, answer_of, command_of_fact, proved_by
from notification.files.members import CONTACT, CONTACT_FIELDS, Own, own_members
from notification.files.taking_back import take_back
from notification.persistence.context import reach_policy

log = get("files")
FAILED = "row-failed"
# What a former provider tells late of its own days (loop.md 8.6).
OF_ITS_DAYS = frozenset({"attempted", "month_counted"})


@dataclass(slots=True)
class RowProgress:
    """One row in a round: how far its facts are, and what is tried of them now."""

    row: Open
    done: int
    state: Literal["open", "waiting", "done"] = "open"
    code: str = ""
    fix: str = ""
    refused: bool = False
    tried: list[int] = field(default_factory=list[int])


class Reporting(FileKind):
    """A provider's file about its own members of one plan."""

    roles = (Role.PROVIDER,)

    def __init__(self, kind: Literal["rtf", "otf"], about: str) -> None:
        self.kind: Kind = kind
        self.about = about

    taking_back = (
        "Attempts, first services, a member's no, members not reached, outreach begun and services ended are taken back by "
        "further facts (loop.md 8.7); of what no rule takes back, such as a closing or an answer, each row says what stays."
    )

    # ── judging ───────────────────────────────────────────────────────────────────────────────────────────

    async def known(self, context: RunningService, sent: Sent, reading: Reading) -> tuple[Own, FileContext]:
        own = await own_members(context, sent)
        plan = context.directory.organization(sent.plan)
        reach = reach_policy(context.policy, sent.plan, reading.today)
        judging = FileContext(
            plan=sent.plan,
            plan_name=plan.name if plan is not None else sent.plan,
            plan_number=reading.profile.number_in_files,
            today=reading.today,
            sender=sent.client.organization,
            npi=own.npi,
            synthetic=context.settings.synthetic_members == "on",
            reach=Reach(reach.attempts, reach.days, reach.modalities, reach.in_person),
        )
        return own, judging

    def judge(self, table: Table, known: tuple[Own, FileContext], sent: Sent, reading: Reading) -> Planned:
        own, judging = known
        if self.kind == "rtf":
            judged, _ = rtf.judge_rtf(records(table, rtf.READ), own.members, reading.layout, judging)
        else:
            judged, _ = otf.judge_otf(records(table, otf.READ), own.members, reading.layout, judging)
        acts: dict[int, Act] = {}
        order: dict[int, tuple[date, int, int]] = {}
        for outcome in judged.outcomes:
            if outcome.result == "accepted" and outcome.facts:
                loop = own.loops[outcome.cin]
                day = outcome.on.isoformat() if outcome.on is not None else None
                facts = [_placed(said, loop.assignment, day) for said in outcome.facts]
                acts[outcome.row] = Act(loop.referral, facts)
                order[outcome.row] = (outcome.on or date.min, outcome.turn, outcome.row)
        return Planned(judged, acts, sorted(acts, key=order.__getitem__))

    # ── acting ────────────────────────────────────────────────────────────────────────────────────────────

    async def act(self, context: RunningService, sent: Sent, rows: Sequence[Open]) -> Mapping[int, Acted]:
        """A row whose acceptance assignment has not confirmed yet waits, and with it the later rows of its member."""
        states = await _states(context, sorted({row.stream for row in rows}))
        begun: list[RowProgress] = []
        submissions: list[Submission] = []
        held_up: set[str] = set()
        round_ = Round(context, sent, states)
        for row in rows:
            if row.stream in held_up:
                continue
            progress = RowProgress(row, row.done)
            begun.append(progress)
            submissions += await round_.tried(progress)
            if progress.state != "done":
                held_up.add(row.stream)
        outcomes = await context.store.execute(submissions) if submissions else {}
        for progress in begun:
            for index in progress.tried:
                _heard(progress, index, outcomes[command_of(sent.id, progress.row.row, index)])
        return {
            progress.row.row: Acted(
                progress.done, progress.state, progress.refused, progress.code, progress.fix
            )
            for progress in begun
        }

    # ── what is expected, and taken back ──────────────────────────────────────────────────────────────────

    async def expected(self, context: RunningService, plan: str, through: date) -> Sequence[str]:
        """The plan may require the month's file alone: of each provider that answers by file and served, on any day of that
        month, a member that it held last."""
        if self.kind != "rtf":
            return ()
        rows = await context.pool.fetch(
            """SELECT p.id FROM provider p WHERE p.entry ->> 'answers_by' = 'file' AND EXISTS (
                 SELECT FROM referral r WHERE r.plan_id = $1 AND r.held_by = p.id
                   AND (r.state #>> '{assignment,accepted_at}')::timestamptz < $2
                   AND (r.state #>> '{assignment,ended}' IS DISTINCT FROM 'true'
                     OR (r.state #>> '{assignment,ended_on}')::date >= $3)) ORDER BY p.id""",
            plan,
            end_of_la_day(through),
            through.replace(day=1),
        )
        return [row["id"] for row in rows]

    async def take_back(
        self, context: RunningService, sent: Sent, rows: Mapping[int, str], by: BackBy
    ) -> Mapping[int, tuple[str, str]]:
        return await take_back(context, sent, rows, by)


class Round:
    """What the rows of one round try, by the states they find."""

    def __init__(self, context: RunningService, sent: Sent, states: Mapping[str, Outreach]) -> None:
        self._context = context
        self._sent = sent
        self._states = states
        self._today = la_date(context.clock.now())

    async def tried(self, progress: RowProgress) -> list[Submission]:
        """The commands of this row that can be given now; its state says whether it is through with them."""
        row, found = progress.row, list[Submission]()
        outreach = self._states.get(row.stream, Outreach())
        for index in range(row.done, len(row.facts)):
            said = row.facts[index]
            if said["fact"] in ("accepted", "declined"):
                if not self._answered(progress, outreach, index, said, found):
                    return found
            else:
                found.append(await self._submission(row, index, said, outreach))
                progress.tried.append(index)
        progress.state = "done"
        return found

    def _answered(
        self,
        progress: RowProgress,
        outreach: Outreach,
        index: int,
        said: Mapping[str, Any],
        found: list[Submission],
    ) -> bool:
        """Whether assignment has heard this answer; it is given first, and then waited for."""
        held = outreach.assignment
        if held is None or held.assignment != said["assignment"]:
            return _not_offered(progress)
        if _stands(held, said["fact"]):
            progress.done = index + 1
            return True
        answered = held.answered
        if answered is not None and answered.answer == said["fact"] and answered.refused:
            progress.refused, progress.code, progress.state = True, answered.refused, "done"
            progress.fix = "Ask the plan: this answer cannot be taken any more."
            return False
        if held.ended or outreach.closing is not None:
            return _not_offered(progress)
        if answered is None or answered.answer != said["fact"]:
            command = answer_of(said, self._sent.client.organization, held.assignment, self._today)
            found.append(self._of(progress.row, index, command))
            progress.tried.append(index)
        progress.state = "waiting"
        return False

    async def _submission(
        self, row: Open, index: int, said: Mapping[str, Any], outreach: Outreach
    ) -> Submission:
        provider, plan = self._sent.client.organization, self._sent.plan
        held = outreach.assignment
        if said["fact"] == "lead_changed" and held is not None:
            return self._of(row, index, answer_of(said, provider, held.assignment, self._today))
        if said["fact"] == "contact_corrected":
            return self._of(row, index, await self._contact(row, said, outreach))
        command = command_of_fact(
            said,
            provider=provider,
            plan=plan,
            referral=row.stream,
            sealer=self._context.sealer,
            at=self._context.clock.now(),
        )
        return self._of(row, index, command)

    def _of(self, row: Open, index: int, command: ProviderCommand) -> Submission:
        proved = proved_by(command, self._sent.client)
        return Submission(
            command_of(self._sent.id, row.row, index), row.stream, proved, causation=self._sent.id
        )

    async def _contact(self, row: Open, said: Mapping[str, Any], outreach: Outreach) -> ChangeContact:
        """The contact with what the file marks as new, opened with an audit row and sealed again."""
        context, sent = self._context, self._sent
        known: dict[str, Any] = {}
        if outreach.contact:
            opening = Opening(sent.plan, row.stream, {CONTACT: outreach.contact})
            (opened,) = await open_identity(
                context.sealer,
                context.store,
                sent.client,
                context.clock.now(),
                [opening],
                fields=CONTACT_FIELDS,
                why="to correct how the member is reached, by a file",
            )
            known = opened[CONTACT]
        changes: dict[str, Any] = {"phone": said["phone"]} if "phone" in said else {}
        if "address" in said:
            changes["address"] = {**(known.get("address") or {"state": "CA"}), **said["address"]}
        contact = corrected(known, changes)
        return ChangeContact(
            provider=sent.client.organization,
            flags=flags_of(contact, outreach.flags),
            sealed={CONTACT: context.sealer.seal(sent.plan, row.stream, CONTACT, contact)},
            seen=outreach.contact,
        )


def _placed(said: Mapping[str, Any], assignment: str, day: str | None) -> Mapping[str, Any]:
    """The fact with the assignment it is about; an answer bears the day of its row."""
    if said["fact"] in ANSWERS:
        return {"on": day, "assignment": assignment, **said}
    return {**said, "assignment": assignment} if said["fact"] in OF_ITS_DAYS else said


def _stands(held: Assignment, answer: str) -> bool:
    """Whether assignment has said so itself."""
    return held.accepted_at is not None if answer == "accepted" else held.declined_on is not None


def _not_offered(progress: RowProgress) -> bool:
    progress.refused, progress.code, progress.state = True, "not-offered", "done"
    return False


def _heard(progress: RowProgress, index: int, outcome: object) -> None:
    """What the rule said of one fact. A row is kept or refused by its status; what is next to it never fails it."""
    fact = progress.row.facts[index]["fact"]
    if not isinstance(outcome, Exception):
        if fact not in ("accepted", "declined"):
            progress.done = max(progress.done, index + 1)
        return
    if isinstance(outcome, Refused | Problem):
        if outcome.slug == "stale":
            # Somebody corrected the contact meanwhile: it is read again.
            progress.state = "open"
            return
        code, fix = outcome.slug, outcome.fix
    else:
        log.error("row failed", row=progress.row.row, fact=fact, error=type(outcome).__name__)
        code, fix = FAILED, "Ask who operates this: the row could not be recorded."
    progress.done = max(progress.done, index + 1)
    if progress.refused:
        return
    progress.code, progress.fix = code, fix
    progress.refused = fact not in BESIDE
    if progress.refused:
        progress.state = "done"


async def _states(context: RunningService, streams: Sequence[str]) -> Mapping[str, Outreach]:
    rows = await context.pool.fetch("SELECT id, state FROM referral WHERE id = ANY($1::text[])", streams)
    return {row["id"]: Outreach.model_validate(orjson.loads(row["state"])) for row in rows}


KINDS: tuple[FileKind, ...] = (
    Reporting("rtf", "return transmission file, a provider's month"),
    Reporting("otf", "outreach tracking file, a provider's attempts"),
)
