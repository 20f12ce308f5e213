"""What outreach to a member may do, from the provider's acceptance until the loop is over.

received → (offer) → accepted: outreach is open → attempts, numbered per assignment
         → services started | member declined | unable to reach → intake closes the loop
         → whoever referred is told → told, once per notice

Every attempt is recorded, whatever policy says; policy only decides when nobody could be reached (loop.md 6.1).
First services end outreach but not the assignment: attempts after them are still recorded (loop.md 7.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from loopkeeper.calendar import la_date
from loopkeeper.decider import Command, Decider, Refused, State
from loopkeeper.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    Event,
    Lead,
    NoticeDelivered,
    OutreachAttempted,
    OutreachMemberDeclined,
    OutreachServicesStarted,
    OutreachUnableToReach,
    ReferralClosed,
    ReferralReceived,
)

SERVICES_RECEIVED = "services_received"
# A referral flagged so asks nobody to appear in person at the member's place.
UNSAFE = frozenset({"do_not_contact", "safe_contact"})


class Part(BaseModel):
    """A group of fields that came with one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Assignment(Part):
    """The newest offer or assignment. `accepted_at` opens outreach; `ended` takes it away again."""

    assignment: str
    provider: str
    answer_due_at: datetime | None = None
    accepted_at: datetime | None = None
    lead: Lead | None = None
    ended: bool = False

    @property
    def held(self) -> bool:
        return self.accepted_at is not None and not self.ended


class Grant(Part):
    grant: str
    provider: str


class Attempt(Part):
    assignment: str
    number: int
    at: datetime
    actor_kind: str
    modality: str
    outcome: str
    reached: bool


class Ending(Part):
    """How outreach itself ended, before or after the loop closed."""

    how: Literal["services_started", "member_declined", "unable_to_reach"]
    on: date


class Closing(Part):
    outcome: str
    at: datetime


class Outreach(State):
    """What is known of one referral that decides who may reach out, and who must be told."""

    plan: str = ""
    referrer: str = ""
    member: str = ""
    county: str = ""
    age_band: str = ""
    language: str = ""
    flags: tuple[str, ...] = ()
    claimed_by: str = ""
    grant: Grant | None = None
    decision: Literal["", "approved", "denied"] = ""
    assignment: Assignment | None = None
    attempts: tuple[Attempt, ...] = ()
    ending: Ending | None = None
    closing: Closing | None = None
    told: tuple[str, ...] = ()


class ReachPolicy(Part):
    """What must have been tried before a plan's member counts as unreachable; `ref` names the policy row."""

    attempts: int
    days: int
    modalities: int
    in_person: int
    ref: str = ""


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────


class NoteFact(Command):
    """Another service's event about this referral."""


class ProviderCommand(Command):
    """What the provider that holds the assignment may say. `provider` is the caller's organization."""

    provider: str
    person: str = ""


class RecordAttempt(ProviderCommand):
    tried_at: datetime
    actor_kind: str
    modality: str
    outcome: str
    reached: bool


class StartServices(ProviderCommand):
    on: date | None


class DeclineForMember(ProviderCommand):
    on: date | None
    how: str


class ReportUnableToReach(ProviderCommand):
    """`reach` is filled in by the store's view from the plan's policy."""

    on: date | None
    reach: ReachPolicy | None = None


class RecordDelivered(Command):
    """A closing's notice was taken by its recipient's endpoint. From a worker, so it never raises."""

    notice: str
    code: str
    recipient_kind: str
    delivered_at: datetime
    how: Literal["webhook", "mailbox", "hand_over"] = "webhook"


# ── decide ────────────────────────────────────────────────────────────────────────────────────────────────


def decide(outreach: Outreach | None, command: Command) -> Sequence[Event]:
    match command:
        case NoteFact():
            return ()
        case RecordAttempt():
            return [attempt(outreach, command)]
        case StartServices():
            return [start_services(outreach, command)]
        case DeclineForMember():
            return [decline_for_member(outreach, command)]
        case ReportUnableToReach():
            return [report_unable_to_reach(outreach, command)]
        case RecordDelivered():
            return record_delivered(outreach, command)
        case _:
            raise TypeError(f"notification has no rule for {type(command).__name__}")


def attempt(outreach: Outreach | None, command: RecordAttempt) -> OutreachAttempted:
    now, held = holder(outreach, command)
    if held.ended:
        raise already_over(now)
    if command.tried_at > command.at:
        raise in_the_future()
    return OutreachAttempted(
        occurred_at=command.tried_at,
        acted_by=acted_by(held, command),
        assignment=held.assignment,
        number=len(attempts_of(now, held.assignment)) + 1,
        actor_kind=command.actor_kind,
        modality=command.modality,
        outcome=command.outcome,
        reached=command.reached,
    )


def start_services(outreach: Outreach | None, command: StartServices) -> OutreachServicesStarted:
    _, held = open_holder(outreach, command)
    return OutreachServicesStarted(
        occurred_at=command.at,
        acted_by=acted_by(held, command),
        assignment=held.assignment,
        on=day_of(command.on, command.at),
    )


def decline_for_member(outreach: Outreach | None, command: DeclineForMember) -> OutreachMemberDeclined:
    now, held = open_holder(outreach, command)
    return OutreachMemberDeclined(
        occurred_at=command.at,
        acted_by=acted_by(held, command),
        assignment=held.assignment,
        on=day_of(command.on, command.at),
        how=command.how,
        attempts=len(attempts_of(now, held.assignment)),
    )


def report_unable_to_reach(outreach: Outreach | None, command: ReportUnableToReach) -> OutreachUnableToReach:
    now, held = open_holder(outreach, command)
    on = day_of(command.on, command.at)
    tried = attempts_of(now, held.assignment)
    if command.reach is None:
        raise TypeError("the plan's reach policy was not filled in")
    lacking = missing(tried, on, command.reach, safe=UNSAFE.isdisjoint(now.flags))
    if lacking:
        raise Refused(
            "attempts-missing",
            f"Before a member counts as unreachable there must be: {'; '.join(lacking)}.",
            fix="Record the attempts that were made, or go on reaching out.",
            allowed=allowed(now),
        )
    return OutreachUnableToReach(
        occurred_at=command.at,
        acted_by=acted_by(held, command),
        policy=(command.reach.ref,) if command.reach.ref else (),
        assignment=held.assignment,
        on=on,
        how=", ".join(sorted({each.modality for each in tried})),
        attempts=len(tried),
    )


def record_delivered(outreach: Outreach | None, command: RecordDelivered) -> Sequence[NoticeDelivered]:
    if outreach is None or command.notice in outreach.told:
        return ()
    return [
        NoticeDelivered(
            occurred_at=command.delivered_at,
            notice=command.notice,
            code=command.code,
            recipient_kind=command.recipient_kind,
            how=command.how,
        )
    ]


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


def holder(outreach: Outreach | None, command: ProviderCommand) -> tuple[Outreach, Assignment]:
    """The row and the assignment the caller accepted. To anyone else there is nothing here (loop.md 1.5)."""
    held = outreach.assignment if outreach is not None else None
    if outreach is None or held is None or held.provider != command.provider or seen_by(outreach) == "":
        if held is not None and held.provider == command.provider and not held.ended:
            raise Refused("not-assigned", "The offer is not accepted yet.", fix="Accept it first.")
        raise Refused(
            "not-found",
            "There is nothing here that this key may see.",
            fix="Check the address and the key.",
            status=404,
        )
    return outreach, held


def open_holder(outreach: Outreach | None, command: ProviderCommand) -> tuple[Outreach, Assignment]:
    """The same, while outreach is not over. Raises 409 `already-closed`."""
    now, held = holder(outreach, command)
    if held.ended or now.closing is not None or now.ending is not None:
        raise already_over(now)
    return now, held


def already_over(now: Outreach) -> Refused:
    return Refused("already-closed", "This outreach is already over.", allowed=allowed(now))


def in_the_future() -> Refused:
    return Refused("in-the-future", "This has not happened yet.", fix="Send the time at which it happened.")


def day_of(on: date | None, at: datetime) -> date:
    """The day given, which must be today or earlier in Los Angeles."""
    if on is None:
        raise Refused("date-required", "The day on which it happened is missing.", fix="Send `on`.")
    if on > la_date(at):
        raise in_the_future()
    return on


def acted_by(held: Assignment, command: ProviderCommand) -> ActedBy:
    """The person named, the lead care manager where none is."""
    return ActedBy(
        organization=command.provider, person=command.person or (held.lead.person if held.lead else "")
    )


def allowed(now: Outreach) -> tuple[str, ...]:
    """What the provider may still do."""
    held = now.assignment
    if held is None or not held.held:
        return ()
    if now.closing is not None or now.ending is not None:
        return ("attempts",)
    return ("attempts", "start-services", "member-declined", "unable-to-reach")


# ── evolve ────────────────────────────────────────────────────────────────────────────────────────────────


def evolve(outreach: Outreach | None, event: Event) -> Outreach:
    """The row after this fact. Any order is bearable: an unknown referral becomes a bare row."""
    now = outreach or Outreach()
    changes = _changes(now, event)
    return now.model_copy(update=changes) if changes else now


def _changes(now: Outreach, event: Event) -> Mapping[str, Any]:
    match event:
        case ReferralReceived():
            return _received(event)
        case ReferralClosed():
            return _closed(now, event)
        case AuthorizationPresumptiveGranted():
            return {"grant": Grant(grant=event.grant, provider=event.provider)}
        case AuthorizationPresumptiveEnded():
            return {"grant": None} if now.grant and now.grant.grant == event.grant else {}
        case AuthorizationApproved():
            return {"decision": "approved"}
        case AuthorizationDenied():
            return {"decision": "denied"}
        case NoticeDelivered():
            return {} if event.notice in now.told else {"told": (*now.told, event.notice)}
        case OutreachAttempted():
            return _attempted(now, event)
        case OutreachServicesStarted():
            return {"ending": Ending(how="services_started", on=event.on)}
        case OutreachMemberDeclined():
            return {"ending": Ending(how="member_declined", on=event.on)}
        case OutreachUnableToReach():
            return {"ending": Ending(how="unable_to_reach", on=event.on)}
        case _:
            return _assignment_changes(now, event)


def _received(event: ReferralReceived) -> Mapping[str, Any]:
    copied = ("plan", "referrer", "member", "county", "age_band", "language", "flags")
    return {
        **{name: getattr(event, name) for name in copied},
        "claimed_by": event.claim.provider if event.claim else "",
    }


def _closed(now: Outreach, event: ReferralClosed) -> Mapping[str, Any]:
    if now.closing is not None:
        return {}
    changes: dict[str, Any] = {"closing": Closing(outcome=event.outcome, at=event.occurred_at)}
    if event.outcome != SERVICES_RECEIVED and now.assignment is not None:
        changes["assignment"] = now.assignment.model_copy(update={"ended": True})
    return changes


def _assignment_changes(now: Outreach, event: Event) -> Mapping[str, Any]:
    held = now.assignment
    match event:
        case AssignmentMade():
            # A late offer of what was accepted already changes nothing; one for a closed loop is never live.
            if held is not None and held.assignment == event.assignment:
                return {}
            offer = Assignment(
                assignment=event.assignment,
                provider=event.provider,
                answer_due_at=event.answer_due_at,
                ended=_over(now),
            )
            return {"assignment": offer} | ({} if now.closing else {"ending": None})
        case AssignmentAccepted():
            if held is not None and held.assignment != event.assignment and not held.ended:
                return {}
            return {"assignment": _accepted(now, event)}
        case AssignmentDeclined() | AssignmentWithdrawn() | AssignmentEnded():
            if held is None or held.assignment != event.assignment:
                return {}
            return {"assignment": held.model_copy(update={"ended": True})}
        case _:
            return {}


def _accepted(now: Outreach, event: AssignmentAccepted) -> Assignment:
    held = now.assignment
    if held is None or held.assignment != event.assignment:
        held = Assignment(assignment=event.assignment, provider=event.provider, ended=_over(now))
    return held.model_copy(update={"accepted_at": event.occurred_at, "lead": event.lead})


def _over(now: Outreach) -> bool:
    return now.closing is not None and now.closing.outcome != SERVICES_RECEIVED


def _attempted(now: Outreach, event: OutreachAttempted) -> Mapping[str, Any]:
    made = Attempt(
        assignment=event.assignment,
        number=event.number,
        at=event.occurred_at,
        actor_kind=event.actor_kind,
        modality=event.modality,
        outcome=event.outcome,
        reached=event.reached,
    )
    return {"attempts": (*now.attempts, made)}


# ── what can be read from the state ───────────────────────────────────────────────────────────────────────


def attempts_of(now: Outreach, assignment: str) -> tuple[Attempt, ...]:
    return tuple(each for each in now.attempts if each.assignment == assignment)


def seen_by(now: Outreach) -> str:
    """The provider that may see this outreach: the one whose assignment is live, and after the loop's end the one
    that held it last. An offer is not enough."""
    held = now.assignment
    if held is None or held.accepted_at is None:
        return ""
    return held.provider if not held.ended or now.closing is not None else ""


def status(now: Outreach) -> str:
    """`waiting` for a provider, `open`, how it ended, or `closed` by something else."""
    if now.ending is not None:
        return now.ending.how
    if now.closing is not None:
        return "closed"
    return "open" if now.assignment is not None and now.assignment.held else "waiting"


DECIDER: Decider[Outreach] = Decider("outreach", Outreach, decide, evolve)
