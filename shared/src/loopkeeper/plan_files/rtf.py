"""The return transmission file: a provider's month, one row a member, each a snapshot of its day.

A snapshot may skip steps and never steps back. Status, day and reason of a row are kept or dropped together; contact and
counts never fail it. What only a person of the plan may say asks the plan and closes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from loopkeeper.plan_files.checks import (
    FileContext,
    check_cin,
    check_member,
    check_plan,
    check_provider,
    refuse_faults,
    refused,
)
from loopkeeper.plan_files.members import Member
from loopkeeper.plan_files.outcomes import Judged, Outcome, RowRefused, Warned, fact, whole
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.rtf_details import (
    Step,
    day_of,
    end_code,
    tell_contact,
    tell_counts,
    tell_end,
    tell_lead,
)
from loopkeeper.plan_files.table import Record

READ = frozenset(
    {
        "plan.number", "plan.name", "member.cin", "member.last_name", "member.first_name", "member.name",
        "member.birth_date", "provider.npi", "file.period", "referral.status", "referral.status_on",
        "referral.closing_reason", "referral.closing_text", "ecm.start", "ecm.ended_on", "ecm.end_code", "lead.name",
        "contact.new_address", "contact.street", "contact.city", "contact.state", "contact.zip", "contact.new_phone",
        "contact.phone", "count.in_person", "count.remote",
    }
)  # fmt: skip
HIDDEN = frozenset({"pending"})
RANKS = {"pending": 0, "declined": 1, "accepted": 1, "outreach_initiated": 2, "closed": 3}
_AT = {"pending": 0, "offered": 0, "accepted": 1, "outreach": 2, "serving": 3}
# Why a plan is asked, by the reason a provider gives.
ASKS_PLAN = frozenset({"provider_declined", "no_longer_eligible", "other"})
UNPROVED = "unable_to_reach_unproved"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a row says of its member, once its form is right."""

    record: Record
    cin: str
    status: str
    on: date | None
    reason: str

    @property
    def says(self) -> tuple[str, str]:
        return self.status, self.reason


def judge_rtf(
    records: Iterable[Record], members: Mapping[str, Member], layout: Layout, context: FileContext
) -> tuple[Judged, Mapping[str, Member]]:
    """What becomes of each row, and what is known of the members after it. Pure."""
    outcomes: dict[int, Outcome] = {}
    firsts: dict[bytes, int] = {}
    again: dict[int, int] = {}
    rows: dict[str, list[Snapshot]] = defaultdict(list)
    for record in records:
        if record.digest in firsts:
            again[record.row] = firsts[record.digest]
            continue
        firsts[record.digest] = record.row
        try:
            snapshot = _snapshot(record, members, layout, context)
        except RowRefused as error:
            outcomes[record.row] = refused(record, error)
            continue
        rows[snapshot.cin].append(snapshot)
    known = dict(members)
    for cin, snapshots in rows.items():
        known[cin] = _member_rows(snapshots, known[cin], context, outcomes)
    for row, first in again.items():
        outcomes[row] = _repeated(row, outcomes[first])
    return whole(outcomes.values()), known


def _repeated(row: int, first: Outcome) -> Outcome:
    if first.result == "refused":
        return replace(first, row=row)
    return Outcome(row, "unchanged", cin=first.cin, code="repeated-row")


def _member_rows(
    snapshots: list[Snapshot], member: Member, context: FileContext, outcomes: dict[int, Outcome]
) -> Member:
    """Rows of one member go by the dates they bear, not by their lines."""
    contradicting = _contradicting(snapshots)
    ordered = sorted(snapshots, key=lambda each: (each.on or date.min, RANKS[each.status], each.record.row))
    for turn, snapshot in enumerate(ordered):
        row = snapshot.record.row
        try:
            if snapshot in contradicting:
                raise RowRefused("contradiction", "referral.status")
            step = _step(snapshot, member, context)
        except RowRefused as error:
            outcomes[row] = refused(snapshot.record, error)
            continue
        member = step.member
        outcomes[row] = Outcome(
            row,
            "accepted" if step.facts else "unchanged",
            cin=snapshot.cin,
            code="" if step.facts else step.code,
            facts=step.facts,
            warnings=step.warnings,
            on=snapshot.on,
            turn=turn,
        )
    return member


def _contradicting(snapshots: list[Snapshot]) -> list[Snapshot]:
    """Rows of one day that cannot both be true; steps that follow each other on a day can."""
    days: dict[date, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        if snapshot.on is not None and snapshot.status != "pending":
            days[snapshot.on].append(snapshot)
    found: list[Snapshot] = []
    for rows in days.values():
        said = {snapshot.says for snapshot in rows}
        statuses = {status for status, _ in said}
        closings = sum(status == "closed" for status, _ in said)
        if closings > 1 or ("declined" in statuses and len(statuses) > 1):
            found += rows
    return found


# ── the form of a row ─────────────────────────────────────────────────────────────────────────────────────────────


def _snapshot(
    record: Record, members: Mapping[str, Member], layout: Layout, context: FileContext
) -> Snapshot:
    refuse_faults(record, ())
    check_plan(record, context)
    cin = check_cin(record, context)
    check_provider(record, context)
    check_member(record, cin, members, layout, hidden=HIDDEN)
    status = _word(record, "referral.status", "status-required", "status-unknown")
    on = day_of(record, "referral.status_on", context, needed=status != "pending")
    reason = ""
    if status == "closed":
        reason = _word(record, "referral.closing_reason", "reason-required", "reason-unknown")
        refuse_faults(record, ("referral.closing_text",))
        if reason == "other" and not record["referral.closing_text"]:
            raise RowRefused("text-required", "referral.closing_text")
    if reason == "services_received":
        started = day_of(record, "ecm.start", context, needed=False)
        if started is not None and on is not None and started > on:
            raise RowRefused("dates-contradict", "ecm.start")
    end_code(record, context)
    return Snapshot(record, cin, status, on, reason)


def _word(record: Record, name: str, required: str, unknown: str) -> str:
    if record.faults.get(name) == "word-unknown":
        raise RowRefused(unknown, name)
    refuse_faults(record, (name,))
    if not record[name]:
        raise RowRefused(required, name)
    return str(record[name])


# ── what a row changes ────────────────────────────────────────────────────────────────────────────────────────────


def _step(snapshot: Snapshot, member: Member, context: FileContext) -> Step:
    step = _status(snapshot, member, context)
    if not step.code:
        tell_lead(snapshot.record, step)
    tell_end(snapshot.record, step, context)
    tell_contact(snapshot.record, step)
    tell_counts(snapshot.record, step, context)
    return step


def _status(snapshot: Snapshot, member: Member, context: FileContext) -> Step:
    step = Step(member, [], [])
    if _says_the_same(snapshot, member, context):
        if (snapshot.reason == "unable_to_reach") and member.state != "closed":
            step.warnings.append(Warned("attempts-missing", "referral.closing_reason"))
        return step
    if member.state in ("closed", "ended", "turned_down"):
        return _after_the_end(snapshot, step)
    rank, at = RANKS[snapshot.status], _AT[member.state]
    if snapshot.status == "declined":
        return _declined(snapshot, step)
    if rank < at:
        later = snapshot.on is not None and snapshot.on > member.latest
        step.code = "steps-back" if later else "older-than-known"
        return step
    if rank == 3 and member.state == "serving":
        if snapshot.reason != "services_received":
            raise RowRefused("already-closed", "referral.status")
        return step
    if rank >= 1 and at == 0 and not _closes_without_acceptance(snapshot):
        _accept(snapshot, step)
    match snapshot.status:
        case "outreach_initiated" if at < 2:
            step.facts.append(fact("outreach_initiated", on=snapshot.on))
            step.member = replace(step.member, state="outreach", outreach_on=snapshot.on)
        case "closed":
            _close(snapshot, step, context)
        case _:
            pass
    return step


def _says_the_same(snapshot: Snapshot, member: Member, context: FileContext) -> bool:
    """Whether the row tells what is known already, of the same day."""
    on = snapshot.on
    match snapshot.status, snapshot.reason:
        case "pending", _:
            return member.state == "offered"
        case "accepted", _:
            return on == member.accepted_on
        case "declined", _:
            return member.state == "turned_down" and on == member.closed_on
        case "outreach_initiated", _:
            return on == member.outreach_on or any(attempt.on == on for attempt in member.attempts)
        case "closed", "services_received":
            return member.services_on is not None and member.services_on in (on, snapshot.record["ecm.start"])
        case "closed", "unable_to_reach" if on is not None and (UNPROVED, on) in member.asked:
            return True
        case "closed", reason if on is not None and (reason, on) in member.asked:
            return True
        case _, reason:
            return member.state == "closed" and member.closed_as == reason and on == member.closed_on


def _after_the_end(snapshot: Snapshot, step: Step) -> Step:
    """A closed loop stays closed; what is older than its end changes nothing."""
    member = step.member
    end = member.ended_on if member.state == "ended" else member.closed_on
    if snapshot.on is None or (end is not None and snapshot.on <= end):
        step.code = "older-than-known"
        return step
    raise RowRefused("already-closed", "referral.status")


def _declined(snapshot: Snapshot, step: Step) -> Step:
    if step.member.state != "offered":
        raise RowRefused("not-offered", "referral.status")
    step.facts.append(fact("declined", reason="other"))
    step.member = replace(step.member, state="turned_down", closed_on=snapshot.on)
    return step


def _closes_without_acceptance(snapshot: Snapshot) -> bool:
    """A provider that accepted nothing says no, or asks the plan, without naming a lead."""
    return snapshot.status == "closed" and snapshot.reason in ASKS_PLAN


def _accept(snapshot: Snapshot, step: Step) -> None:
    refuse_faults(snapshot.record, ("lead.name",))
    lead = snapshot.record["lead.name"]
    if not lead:
        raise RowRefused("lead-required", "lead.name")
    step.facts.append(fact("accepted", lead=lead))
    step.member = replace(step.member, state="accepted", lead=lead, accepted_on=snapshot.on)


def _close(snapshot: Snapshot, step: Step, context: FileContext) -> None:
    on, reason, member = snapshot.on, snapshot.reason, step.member
    assert on is not None  # noqa: S101 a closing without its day was refused
    match reason:
        case "services_received":
            started = snapshot.record["ecm.start"] or on
            step.facts.append(fact("services_started", on=started))
            step.member = replace(
                member, state="serving", services_on=started, closed_on=on, closed_as=reason
            )
        case "declined_by_member":
            step.facts.append(fact("member_declined", on=on))
            step.member = replace(member, state="closed", closed_on=on, closed_as=reason)
        case "unable_to_reach" if context.reach.met(member.attempts, on, safe=not member.designated_contact):
            step.facts.append(fact("unable_to_reach", on=on))
            step.member = replace(member, state="closed", closed_on=on, closed_as=reason)
        case "provider_declined" if member.state == "offered":
            step.facts.append(fact("declined", reason="other"))
            step.member = replace(member, state="turned_down", closed_on=on)
        case _:
            why = UNPROVED if reason == "unable_to_reach" else reason
            if why == UNPROVED:
                step.warnings.append(Warned("attempts-missing", "referral.closing_reason"))
            text = snapshot.record["referral.closing_text"] if reason == "other" else None
            step.facts.append(fact("plan_asked", why=why, on=on, text=text))
            step.member = replace(member, asked=member.asked | {(why, on)})
