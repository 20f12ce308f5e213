"""The outreach tracking file: one row an attempt.

An attempt belongs to its own day: it is recorded before an acceptance and after the first service too, but never after
the loop was closed. Two attempts of a day are two; a row that is there twice is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from loopkeeper.plan_files.checks import (
    FileContext,
    check_cin,
    check_member,
    check_plan,
    check_provider,
    judged_once,
    refuse_faults,
    warnings,
)
from loopkeeper.plan_files.fields import NOT_AN_ATTEMPT
from loopkeeper.plan_files.members import Attempt, Member
from loopkeeper.plan_files.outcomes import Judged, Outcome, RowRefused, fact, whole
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.table import Record

READ = frozenset(
    {
        "plan.number", "plan.name", "member.cin", "member.last_name", "member.first_name", "member.name",
        "member.birth_date", "provider.npi", "attempt.on", "attempt.method", "attempt.successful", "attempt.outcome",
        "attempt.by", "attempt.minutes",
    }
)  # fmt: skip
HIDDEN = frozenset({"pending"})
SOFT = ("attempt.outcome", "attempt.by", "attempt.minutes")


def judge_otf(
    records: Iterable[Record], members: Mapping[str, Member], layout: Layout, context: FileContext
) -> tuple[Judged, Mapping[str, Member]]:
    """What becomes of each row, and what is known of the members after it. Pure."""
    known = dict(members)
    # How many attempts of one member, day and way this file has told so far.
    told: Counter[tuple[str, date, str]] = Counter()
    outcomes = judged_once(records, lambda record: _row(record, members, known, told, layout, context))
    return whole(outcomes), known


def _row(
    record: Record,
    before: Mapping[str, Member],
    known: dict[str, Member],
    told: Counter[tuple[str, date, str]],
    layout: Layout,
    context: FileContext,
) -> Outcome:
    refuse_faults(record, ())
    check_plan(record, context)
    cin = check_cin(record, context)
    check_provider(record, context)
    member = check_member(record, cin, before, layout, hidden=HIDDEN)
    on = _day(record, context)
    modality = _modality(record)
    reached = _reached(record)
    _open(member, on)
    soft = warnings(record, SOFT)
    told[cin, on, modality] += 1
    recorded = sum(attempt.on == on and attempt.modality == modality for attempt in member.attempts)
    if told[cin, on, modality] <= recorded:
        return Outcome(record.row, "unchanged", cin=cin, code="known", warnings=soft)
    said = fact(
        "attempted",
        on=on,
        modality=modality,
        reached=reached,
        outcome=record["attempt.outcome"],
        by=record["attempt.by"],
        minutes=record["attempt.minutes"],
    )
    known[cin] = replace(known[cin], attempts=(*known[cin].attempts, Attempt(on, modality, reached)))
    return Outcome(record.row, "accepted", cin=cin, facts=[said], warnings=soft, on=on)


def _day(record: Record, context: FileContext) -> date:
    refuse_faults(record, ("attempt.on",))
    on: date | None = record["attempt.on"]
    if on is None:
        raise RowRefused("date-required", "attempt.on")
    if on > context.today:
        raise RowRefused("in-the-future", "attempt.on")
    return on


def _modality(record: Record) -> str:
    if record.faults.get("attempt.method") == "word-unknown":
        raise RowRefused("method-unknown", "attempt.method")
    refuse_faults(record, ("attempt.method",))
    modality = record["attempt.method"]
    if not modality:
        raise RowRefused("method-unknown", "attempt.method")
    if modality == NOT_AN_ATTEMPT:
        raise RowRefused("not-an-attempt", "attempt.method")
    return str(modality)


def _reached(record: Record) -> bool:
    refuse_faults(
        record, [name for name in ("attempt.successful",) if record.faults.get(name) != "word-unknown"]
    )
    reached = record["attempt.successful"]
    if not isinstance(reached, bool):
        raise RowRefused("success-required", "attempt.successful")
    return reached


def _open(member: Member, on: date) -> None:
    """Attempts dated before a closing count late; after it there are none. Services that go on do not close it."""
    end = member.ended_on if member.state == "ended" else member.closed_on
    if member.state in ("closed", "ended", "turned_down") and (end is None or on > end):
        raise RowRefused("already-closed", "attempt.on")
