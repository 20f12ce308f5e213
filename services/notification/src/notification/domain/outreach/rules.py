"""What outreach to a member may do, from the provider's acceptance until the loop is over.

received → (offer) → accepted: outreach is open → attempts, numbered per assignment
         → services started | member declined | unable to reach → intake closes the loop
         → everybody concerned is told → told, once per notice

Every attempt is recorded, whatever policy says; policy only decides when nobody could be reached (loop.md 6.1).
First services end outreach but not the assignment: attempts after them are still recorded (loop.md 7.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Literal, assert_never

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Decider, InvariantBroken, Plain, Refused
from loopkeeper.contract.events import (
    ActedBy,
    Event,
    NoticeDelivered,
    NoticeOverdue,
    NoticeTakenBack,
    OutreachAttempted,
    OutreachContactChanged,
    OutreachMemberDeclined,
    OutreachOverdue,
    OutreachServiceEnded,
    OutreachServicesStarted,
    OutreachTakenBack,
    OutreachUnableToReach,
)
from loopkeeper.contract.vocabulary.decisions import Discontinuation
from notification.domain.outreach.commands import (
    Asked,
    ChangeContact,
    CountMonth,
    DeclineForMember,
    Delivery,
    EndService,
    HandOverContext,
    NoteFact,
    NoticeContext,
    RaiseClock,
    RaiseNotice,
    ReachContext,
    ReachPolicy,
    RecordAttempt,
    RecordDelivered,
    RecordHandOver,
    ReportAnswer,
    ReportClosing,
    ReportInitiated,
    ReportUnableToReach,
    StartServices,
    TakeBack,
    TakeBackHandOver,
)
from notification.domain.outreach.evolve import evolve
from notification.domain.outreach.holding import (
    acted_by,
    already_over,
    day_of,
    holder,
    in_the_future,
    may_try_early,
    of_its_days,
    on_its_days,
    open_holder,
)
from notification.domain.outreach.holding import allowed as allowed
from notification.domain.outreach.reports import count_month, report_answer, report_closing, report_initiated
from notification.domain.outreach.state import (
    IN_PERSON,
    TRANSITIONAL_RENT,
    WEEKLY_VISIT,
    Assignment,
    Attempt,
    Outreach,
    attempts_of,
    counted,
    dead,
    over,
    raised,
    restricted,
    seen_by,
)

# The clocks of outreach, in the order in which they run out, with what they are when they do.
FIRST_AT_RISK, FIRST_OUTREACH, WINDOW = "first_outreach_at_risk", "first_outreach", "outreach_window"
# Of who is authorized for Transitional Rent: a visit in person each week (ECMG26 p18).
VISIT, VISIT_AT_RISK = WEEKLY_VISIT, "weekly_visit_at_risk"
CLOCKS: Mapping[str, tuple[str, Literal["at_risk", "breached"]]] = {
    FIRST_AT_RISK: (FIRST_OUTREACH, "at_risk"),
    FIRST_OUTREACH: (FIRST_OUTREACH, "breached"),
    WINDOW: (WINDOW, "breached"),
    VISIT_AT_RISK: (VISIT, "at_risk"),
    VISIT: (VISIT, "breached"),
}
VISITS = (VISIT_AT_RISK, VISIT)


# ── decide ────────────────────────────────────────────────────────────────────────────────────────────────


def decide(outreach: Outreach | None, asked: Asked) -> Sequence[Event]:
    match asked:
        case (NoteFact(), _):
            return ()
        case (RecordAttempt() as command, context):
            return [attempt(outreach, command, context)]
        case (StartServices() as command, context):
            return [start_services(outreach, command, context)]
        case (DeclineForMember() as command, context):
            return [decline_for_member(outreach, command, context)]
        case (ReportUnableToReach() as command, context):
            return [report_unable_to_reach(outreach, command, context)]
        case (ChangeContact() as command, context):
            return [change_contact(outreach, command, context)]
        case (EndService() as command, context):
            return [end_service(outreach, command, context)]
        case (ReportAnswer() as command, context):
            return list(report_answer(outreach, command, context))
        case (ReportInitiated() as command, context):
            return list(report_initiated(outreach, command, context))
        case (ReportClosing() as command, context):
            return list(report_closing(outreach, command, context))
        case (CountMonth() as command, context):
            return list(count_month(outreach, command, context))
        case (TakeBack() as command, context):
            return [take_back(outreach, command, context)]
        case (RecordHandOver() as command, context):
            return [hand_over(outreach, command, context)]
        case (TakeBackHandOver() as command, context):
            return list(take_back_hand_over(outreach, command, context))
        case (RecordDelivered() as command, _):
            return record_delivered(outreach, command)
        case (RaiseClock() as command, _):
            return raise_clock(outreach, command)
        case (RaiseNotice() as command, context):
            return raise_notice(outreach, command, context)
        case _:
            assert_never(asked)


def attempt(outreach: Outreach | None, command: RecordAttempt, context: Plain) -> OutreachAttempted:
    """Since the acceptance by who accepted; before it by who referred, the plan, or whom it offered the referral
    (loop.md 6.1): outreach needs no authorization (ECMG26 p110)."""
    if command.assignment:
        outreach, held = of_its_days(outreach, command, command.assignment)
        if not on_its_days(held, la_date(command.tried_at)):
            raise already_over(outreach)
        early = held.accepted_at is None
        return _attempted(outreach, command, context, held.assignment, acted_by(held, command), early=early)
    if outreach is not None and (offer := may_try_early(outreach, command)) is not None:
        return _attempted(outreach, command, context, offer, ActedBy(
            organization=command.provider, person=command.person, proved=command.proved), early=True)  # fmt: skip
    outreach, held = holder(outreach, command)
    if held.ended:
        raise already_over(outreach)
    return _attempted(outreach, command, context, held.assignment, acted_by(held, command), early=False)


def _attempted(
    outreach: Outreach, command: RecordAttempt, context: Plain, assignment: str, by: ActedBy, *, early: bool
) -> OutreachAttempted:
    if command.tried_at > context.at:
        raise in_the_future()
    return OutreachAttempted(
        occurred_at=command.tried_at,
        acted_by=by,
        assignment=assignment,
        number=len(attempts_of(outreach, assignment)) + 1,
        actor_kind=command.actor_kind,
        modality=command.modality,
        outcome=command.outcome,
        reached=command.reached,
        minutes=command.minutes,
        before_acceptance=early,
    )


def start_services(
    outreach: Outreach | None, command: StartServices, context: Plain
) -> OutreachServicesStarted:
    _, held = open_holder(outreach, command)
    return OutreachServicesStarted(
        occurred_at=context.at,
        acted_by=acted_by(held, command),
        assignment=held.assignment,
        on=day_of(command.on, context.at),
    )


def decline_for_member(
    outreach: Outreach | None, command: DeclineForMember, context: Plain
) -> OutreachMemberDeclined:
    outreach, held = open_holder(outreach, command)
    return OutreachMemberDeclined(
        occurred_at=context.at,
        acted_by=acted_by(held, command),
        assignment=held.assignment,
        on=day_of(command.on, context.at),
        how=command.how,
        attempts=len(attempts_of(outreach, held.assignment)),
    )


def report_unable_to_reach(
    outreach: Outreach | None, command: ReportUnableToReach, context: ReachContext
) -> OutreachUnableToReach:
    outreach, held = open_holder(outreach, command)
    on, reach = day_of(command.on, context.at), context.reach
    tried = counted(outreach, held.assignment)
    lacking = missing(tried, on, reach, safe=not restricted(outreach))
    if lacking:
        raise Refused(
            "attempts-missing",
            f"Before a member counts as unreachable there must be: {'; '.join(lacking)}.",
            fix="Record the attempts that were made, or go on reaching out.",
            allowed=allowed(outreach),
        )
    return OutreachUnableToReach(
        occurred_at=context.at,
        acted_by=acted_by(held, command),
        policy=(reach.ref,) if reach.ref else (),
        assignment=held.assignment,
        on=on,
        how=", ".join(sorted({each.modality for each in tried})),
        attempts=len(tried),
    )


def change_contact(
    outreach: Outreach | None, command: ChangeContact, context: Plain
) -> OutreachContactChanged:
    outreach, held = holder(outreach, command)
    if held.ended:
        raise already_over(outreach)
    if command.seen != outreach.contact:
        raise Refused("stale", "The contact was changed since it was read.", fix="Send it again.", status=412)
    return OutreachContactChanged(
        occurred_at=context.at,
        acted_by=acted_by(held, command),
        flags=command.flags,
        sealed=command.sealed,
        consent=command.consent,
    )


def end_service(outreach: Outreach | None, command: EndService, context: Plain) -> OutreachServiceEnded:
    outreach, held = holder(outreach, command)
    if str(command.code) not in Discontinuation.codes():
        raise Refused(
            "code-unknown",
            "This is no discontinuation code.",
            fix="Send one from 1 to 15.",
            allowed=sorted(Discontinuation.codes(), key=int),
        )
    if held.ended or outreach.ended_service == held.assignment:
        raise already_over(outreach)
    if outreach.ending is None or outreach.ending.how != "services_started":
        raise Refused(
            "not-started",
            "Services have not started.",
            fix="Where the member declines or cannot be reached, say so by those commands.",
            allowed=allowed(outreach),
        )
    return OutreachServiceEnded(
        occurred_at=context.at,
        acted_by=acted_by(held, command),
        assignment=held.assignment,
        code=command.code,
        on=day_of(command.on, context.at),
    )


def take_back(outreach: Outreach | None, command: TakeBack, context: Plain) -> OutreachTakenBack:
    """By its author or the plan (loop.md 8.7). What followed stays: a closing is contested (7.3)."""
    held = outreach.assignment if outreach is not None else None
    plan = outreach is not None and outreach.plan == command.provider
    if (
        outreach is None
        or held is None
        or not (plan or (held.provider == command.provider and seen_by(outreach)))
    ):
        raise Refused(
            "not-found",
            "There is nothing here that this key may see.",
            fix="Check the address and the key.",
            status=404,
        )
    if not _is_recorded(outreach, held, command):
        raise Refused(
            "nothing-to-take-back",
            "No such fact is on record.",
            fix="Name one that is; an attempt by its number.",
            allowed=allowed(outreach),
        )
    return OutreachTakenBack(
        occurred_at=context.at,
        acted_by=ActedBy(organization=command.provider, person=command.person, proved=command.proved),
        assignment=held.assignment,
        what=command.what,
        number=command.number if command.what == "attempted" else None,
        because=command.because,
    )


def _is_recorded(outreach: Outreach, held: Assignment, command: TakeBack) -> bool:
    match command.what:
        case "attempted":
            tried = attempts_of(outreach, held.assignment)
            return any(each.number == command.number and not each.taken_back for each in tried)
        case "initiated":
            return held.initiated_on is not None
        case "service_ended":
            return outreach.ended_service == held.assignment
        case _:
            return outreach.ending is not None and outreach.ending.how == command.what


def record_delivered(outreach: Outreach | None, command: RecordDelivered) -> Sequence[NoticeDelivered]:
    """Also of a referral that is only a tombstone here: what it was merged into told its referrer."""
    if outreach is not None and command.notice in outreach.told:
        return ()
    return [delivered(command, command.how)]


def hand_over(outreach: Outreach | None, command: RecordHandOver, context: Plain) -> NoticeDelivered:
    if outreach is not None and command.notice in outreach.told:
        raise already_told()
    if command.delivered_at > context.at:
        raise in_the_future()
    return delivered(command, "hand_over", command.acted_by)


def take_back_hand_over(
    outreach: Outreach | None, command: TakeBackHandOver, context: HandOverContext
) -> Iterator[Event]:
    """By who recorded it, or the plan (loop.md 8.7). Where the recipient's endpoint took the notice too, it is told by
    that; else it is to be told. What followed stays."""
    found, by = context.handed_over, command.acted_by.organization
    plan = outreach.plan if outreach is not None else ""
    if found is None or by not in (found.by, plan):
        raise Refused(
            "nothing-to-take-back",
            "No hand-over of this notice is on record that your organization may take back.",
            fix="Only the organization that recorded a hand-over, or the plan, takes it back.",
        )
    yield NoticeTakenBack(
        occurred_at=context.at,
        acted_by=command.acted_by,
        notice=command.notice,
        code=found.code,
        recipient_kind=found.recipient_kind,
        because=command.because,
    )
    if found.heard_at is not None:
        yield NoticeDelivered(
            occurred_at=found.heard_at,
            notice=command.notice,
            code=found.code,
            recipient_kind=found.recipient_kind,
            how="webhook",
        )


def delivered(
    command: Delivery, how: Literal["webhook", "mailbox", "hand_over"], acted_by: ActedBy | None = None
) -> NoticeDelivered:
    return NoticeDelivered(
        occurred_at=command.delivered_at,
        acted_by=acted_by,
        notice=command.notice,
        code=command.code,
        recipient_kind=command.recipient_kind,
        how=how,
    )


def already_told() -> Refused:
    return Refused("already-told", "This was told already.", fix="There is nothing more to do.")


def raise_clock(outreach: Outreach | None, command: RaiseClock) -> Sequence[OutreachOverdue]:
    """A fact next to the status: it never ends outreach (loop.md 7.6)."""
    if outreach is None or command.clock not in running_clocks(outreach):
        return ()
    if outreach.assignment is None:
        raise InvariantBroken("a clock of outreach runs without an assignment")
    clock, state = CLOCKS[command.clock]
    return [
        OutreachOverdue(
            occurred_at=command.due_at,
            assignment=outreach.assignment.assignment,
            clock=clock,
            due_at=command.due_at,
            state=state,
        )
    ]


def raise_notice(
    outreach: Outreach | None, command: RaiseNotice, context: NoticeContext
) -> Sequence[NoticeOverdue]:
    """Only of a notice that is not told, and is still to be: nobody tells the dead anything."""
    if context.untold is None:
        return ()
    if context.untold.recipient_kind == "member" and outreach is not None and dead(outreach):
        return ()
    return [
        NoticeOverdue(
            occurred_at=command.due_at,
            notice=command.notice,
            code=context.untold.code,
            recipient_kind=context.untold.recipient_kind,
            due_at=command.due_at,
        )
    ]


def running_clocks(outreach: Outreach) -> tuple[str, ...]:
    """The clocks that run: the first attempt is due after an acceptance, something must come of outreach, and who is
    authorized for Transitional Rent is visited each week."""
    return (*_of_outreach(outreach), *_of_visits(outreach))


def _of_visits(outreach: Outreach) -> tuple[str, ...]:
    """While the next weekly visit is awaited: also after first services, until the assignment ends. Rules of contact beat
    it: nobody is asked to appear where that may endanger the member (loop.md 6.2)."""
    held = outreach.assignment
    if held is None or not held.held or held.inside or over(outreach) or restricted(outreach):
        return ()
    if TRANSITIONAL_RENT not in outreach.flags:
        return ()
    return tuple(each for each in VISITS if raised(held.assignment, *CLOCKS[each]) not in outreach.raised)


def last_visit(outreach: Outreach) -> datetime | None:
    """When the member was last visited in person under this assignment; None where not yet."""
    held = outreach.assignment
    tried = counted(outreach, held.assignment) if held is not None else ()
    return max((each.at for each in tried if each.modality == IN_PERSON), default=None)


def _of_outreach(outreach: Outreach) -> tuple[str, ...]:
    held = outreach.assignment
    if (
        held is None
        or not held.held
        or outreach.ending is not None
        or outreach.closing is not None
        or dead(outreach)
        or held.inside
    ):
        return ()
    begun = held.initiated_on is not None or counted(outreach, held.assignment)
    waits = [WINDOW] if begun else [FIRST_AT_RISK, FIRST_OUTREACH, WINDOW]
    return tuple(each for each in waits if raised(held.assignment, *CLOCKS[each]) not in outreach.raised)


def missing(tried: Sequence[Attempt], on: date, reach: ReachPolicy, *, safe: bool) -> list[str]:
    """What the policy still asks for, in words; empty when it is satisfied. Where contact may endanger the
    member (`safe` false) nobody is asked to appear in person."""
    days = (on - min(la_date(each.at) for each in tried)).days if tried else 0
    modalities = len({each.modality for each in tried})
    in_person = sum(each.modality == "in_person" for each in tried)
    asked = (
        (len(tried) < reach.attempts, f"{reach.attempts} attempts (recorded: {len(tried)})"),
        (days < reach.days, f"{reach.days} days since the first attempt (so far: {days})"),
        (modalities < reach.modalities, f"{reach.modalities} different ways (so far: {modalities})"),
        (safe and in_person < reach.in_person, f"{reach.in_person} in person (so far: {in_person})"),
    )
    return [words for lacks, words in asked if lacks]


DECIDER: Decider[Outreach, Asked] = Decider("outreach", Outreach, decide, evolve)
