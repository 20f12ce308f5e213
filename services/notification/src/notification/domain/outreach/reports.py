"""What a provider's file says, and no route takes: an answer to an offer, outreach begun, a closing for the plan, a month.

A file is read by the same rules as the routes. What assignment decides is passed on; what only a person of the plan may
say asks the plan, and closes nothing (loop.md 5.5, 6.8, 7.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from loopkeeper.contract.decider import Plain, Refused
from loopkeeper.contract.events import (
    Event,
    OutreachAnswered,
    OutreachClosingReported,
    OutreachInitiated,
    OutreachMonthCounted,
)
from notification.domain.outreach.commands import (
    CountMonth,
    JudgedContext,
    ReportAnswer,
    ReportClosing,
    ReportInitiated,
)
from notification.domain.outreach.holding import (
    acted_by,
    already_over,
    day_of,
    holder,
    of_its_days,
    offered_or_held,
    open_holder,
)
from notification.domain.outreach.state import Answered, Month, Outreach, ReportedClosing


def report_answer(outreach: Outreach | None, command: ReportAnswer, context: Plain) -> Iterator[Event]:
    """The provider's answer, for assignment to decide. Said again, it is no news."""
    outreach, held = offered_or_held(outreach, command)
    on = day_of(command.on, context.at)
    if held.assignment != command.assignment:
        raise not_offered()
    accepted = held.accepted_at is not None
    if held.answered == Answered(answer=command.answer, on=on) and command.answer != "lead_changed":
        return
    match command.answer:
        case "accepted":
            if accepted:
                return
            if command.lead is None:
                raise Refused(
                    "lead-required",
                    "Accepting names the lead care manager.",
                    fix="Name the lead care manager.",
                )
        case "declined":
            if accepted:
                raise not_offered()
        case "lead_changed":
            if not accepted:
                raise Refused("not-live", "Accepting names the lead care manager.", fix="Accept first.")
            if command.lead is None or command.lead == held.lead:
                return
    if outreach.closing is not None and held.ended:
        raise already_over(outreach)
    yield OutreachAnswered(
        occurred_at=context.at,
        acted_by=acted_by(held, command),
        assignment=held.assignment,
        provider=command.provider,
        answer=command.answer,
        on=on,
        lead=command.lead,
        reason=command.reason,
    )


def not_offered() -> Refused:
    return Refused(
        "not-offered",
        "This offer is no longer open.",
        fix="You accepted it: end services, or ask the plan to close.",
    )


def report_initiated(outreach: Outreach | None, command: ReportInitiated, context: Plain) -> Iterator[Event]:
    """A status, and no attempt: it opens the status `outreach_initiated` and counts toward nothing (loop.md 6.8)."""
    _, held = open_holder(outreach, command)
    on = day_of(command.on, context.at)
    if held.initiated_on is not None and held.initiated_on <= on:
        return
    yield OutreachInitiated(
        occurred_at=context.at, acted_by=acted_by(held, command), assignment=held.assignment, on=on
    )


def report_closing(
    outreach: Outreach | None, command: ReportClosing, context: JudgedContext
) -> Iterator[Event]:
    """The plan is asked by a date; the loop stays open until a named person of it closes it (loop.md 5.5, 7.6)."""
    outreach, held = offered_or_held(outreach, command)
    if held.ended or outreach.closing is not None:
        raise already_over(outreach)
    on = day_of(command.on, context.at)
    if ReportedClosing(assignment=held.assignment, reason=command.reason, on=on) in outreach.reported:
        return
    yield OutreachClosingReported(
        occurred_at=context.at,
        acted_by=acted_by(held, command),
        policy=context.refs,
        assignment=held.assignment,
        reason=command.reason,
        on=on,
        due_at=context.due_at,
        sealed=command.sealed,
    )


def count_month(outreach: Outreach | None, command: CountMonth, context: Plain) -> Iterator[Event]:
    """A month's encounters. What a later file counts replaces it; a number it does not say stays (loop.md 6.10)."""
    outreach, held = (
        of_its_days(outreach, command, command.assignment)
        if command.assignment
        else holder(outreach, command)
    )
    before = next(
        (
            each
            for each in outreach.months
            if (each.assignment, each.month) == (held.assignment, command.month)
        ),
        Month(assignment=held.assignment, month=command.month),
    )
    in_person = before.in_person if command.in_person is None else command.in_person
    remote = before.remote if command.remote is None else command.remote
    if (in_person, remote) == (before.in_person, before.remote):
        return
    yield OutreachMonthCounted(
        occurred_at=context.at,
        acted_by=acted_by(held, command),
        assignment=held.assignment,
        month=command.month,
        in_person=in_person,
        remote=remote,
    )
