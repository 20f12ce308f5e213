"""What happened to one referral, by the days on which it happened, as its events tell it; and how it was on a given day.

Every fact belongs to its own day (loop.md 8.6), whenever it was heard of: what a file reports late changes the month it
speaks of, and what was taken back never happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationReauthorizationRequested,
    Event,
    Lead,
    OutreachAttempted,
    OutreachInitiated,
    OutreachMemberDeclined,
    OutreachMonthCounted,
    OutreachServiceEnded,
    OutreachServicesStarted,
    OutreachTakenBack,
    OutreachUnableToReach,
    ReferralAmended,
    ReferralClosed,
    ReferralReceived,
    ReferralSetAside,
    ReferralSupportMoved,
    ScreenedPopulation,
)
from loopkeeper.contract.vocabulary.outcomes import clr_status

IDENTITY = "identity"
SERVICES_RECEIVED = "services_received"


@dataclass(slots=True)
class Turn:
    """One provider's turn: offered, and perhaps accepted and over again, each by its day. `declined`: it said no."""

    assignment: str
    provider: str
    made_on: date
    accepted_on: date | None = None
    over_on: date | None = None
    declined: bool = False
    lead: Lead | None = None

    def live(self, day: date) -> bool:
        """Whether it is this provider's on that day, offered or accepted."""
        return self.made_on <= day and (self.over_on is None or day < self.over_on)

    def served(self, day: date) -> bool:
        return self.accepted_on is not None and self.accepted_on <= day and self.live(day)


@dataclass(slots=True)
class Tried:
    """One attempt to reach the member."""

    assignment: str
    number: int
    on: date
    modality: str
    reached: bool


@dataclass(slots=True)
class Term:
    """What was authorized. `said_on`: when the plan said so."""

    said_on: date
    number: str
    from_: date
    through: date
    ended_on: date | None = None
    code: int | None = None


@dataclass(slots=True)
class Grant:
    """A presumptive authorization."""

    grant: str
    from_: date
    through: date


@dataclass(slots=True)
class Support:
    """A Community Supports referral, by the days of its moves."""

    code: str
    provider: str = ""
    moved: dict[str, date] = field(default_factory=dict[str, date])


@dataclass(slots=True)
class History:
    """One referral as its events tell it."""

    referral: str
    plan: str = ""
    referrer: str = ""
    received_on: date | None = None
    age_band: str = ""
    county: str = ""
    populations: tuple[str, ...] = ()
    # Under whose key and where: the sealed part that says who the member is.
    identity: str = ""
    denied_on: date | None = None
    term: Term | None = None
    approved_on: date | None = None
    grant: Grant | None = None
    turns: list[Turn] = field(default_factory=list[Turn])
    attempts: list[Tried] = field(default_factory=list[Tried])
    initiated_on: date | None = None
    started_on: date | None = None
    declined_on: date | None = None
    unreached_on: date | None = None
    service_ended_on: date | None = None
    service_ended_as: int | None = None
    # In person and remote, by assignment and month.
    encounters: dict[tuple[str, str], tuple[int, int]] = field(
        default_factory=dict[tuple[str, str], tuple[int, int]]
    )
    supports: dict[str, Support] = field(default_factory=dict[str, Support])
    outcome: str = ""
    clr_reason: str = ""
    closing_on: date | None = None

    # ── how it was on a day ───────────────────────────────────────────────────────────────────────────────

    @property
    def counts(self) -> bool:
        """Whether it is a referral of its own: one that was merged is counted where it went."""
        return self.received_on is not None and self.outcome != "merged"

    @property
    def closed_on(self) -> date | None:
        """The day of the fact that closed it, or else of its closing."""
        if self.closing_on is None:
            return None
        fact = {
            SERVICES_RECEIVED: self.started_on,
            "declined_by_member": self.declined_on,
            "unable_to_reach": self.unreached_on,
        }.get(self.outcome)
        if fact is None or self.received_on is None:
            return self.closing_on
        return min(self.closing_on, max(fact, self.received_on))

    def closed(self, day: date) -> bool:
        return self.closed_on is not None and self.closed_on <= day

    def open(self, day: date) -> bool:
        return self.received_on is not None and self.received_on <= day and not self.closed(day)

    def authorized(self, day: date) -> bool:
        """Whether the plan had said yes by that day."""
        return self.approved_on is not None and self.approved_on <= day

    def turn(self, day: date) -> Turn | None:
        """Whose turn it was on that day."""
        return next((each for each in reversed(self.turns) if each.live(day)), None)

    def served_by(self, day: date) -> Turn | None:
        """Who had accepted and served on that day; of a closed loop the one that served last."""
        live = next((each for each in reversed(self.turns) if each.served(day)), None)
        if live is not None or not self.closed(day):
            return live
        accepted = (each for each in reversed(self.turns) if each.accepted_on and each.accepted_on <= day)
        return next(accepted, None)

    def tried_by(self, day: date) -> list[Tried]:
        """The attempts through that day."""
        return [each for each in self.attempts if each.on <= day]

    def enrolled_from(self, day: date) -> date | None:
        """Since when ECM is received, as it was on that day."""
        return self.started_on if self.started_on is not None and self.started_on <= day else None

    def ended(self, day: date) -> tuple[date, int | None] | None:
        """The last day of ECM and the state's code, where it had ended by that day; a later end is not known yet."""
        term = self.term
        ends = [(term.ended_on, term.code)] if term is not None and term.ended_on is not None else []
        if self.service_ended_on is not None:
            ends.append((self.service_ended_on, self.service_ended_as))
        past = [(on, code) for on, code in ends if on <= day]
        return min(past, key=lambda each: each[0]) if past else None

    def enrolled(self, first: date, last: date) -> bool:
        """Whether the member received ECM on any of these days."""
        if self.enrolled_from(last) is None:
            return False
        ended = self.ended(last)
        return ended is None or ended[0] >= first

    def status(self, day: date) -> str:
        """The state's status of the loop on that day."""
        if self.closed(day):
            return clr_status("closed").value
        turn = self.turn(day)
        if turn is not None and turn.served(day):
            begun = self.initiated_on is not None and self.initiated_on <= day
            tried = any(each.assignment == turn.assignment for each in self.tried_by(day))
            return clr_status("outreach_initiated" if begun or tried else "accepted").value
        if turn is not None:
            return clr_status("assigned").value
        asked = [each for each in self.turns if each.made_on <= day]
        return clr_status("received", declined=bool(asked) and asked[-1].declined).value

    def authorization(self, day: date) -> str:
        """approved, presumptive, denied, ended or pending, as it was on that day."""
        if self.term is not None and self.authorized(day):
            ended = self.term.ended_on is not None and self.term.ended_on < day
            return "ended" if ended else "approved"
        if self.grant is not None and self.grant.from_ <= day <= self.grant.through:
            return "presumptive"
        return "denied" if self.denied_on is not None and self.denied_on <= day else "pending"

    def met(self, turn: Turn, months: Iterable[str]) -> tuple[int, int]:
        """Encounters in person and remote in these months, as a provider's file counts them."""
        found = [self.encounters.get((turn.assignment, month), (0, 0)) for month in months]
        return sum(each[0] for each in found), sum(each[1] for each in found)


def told(referral: str, events: Iterable[Event]) -> History:
    """The history of a referral whose events these are, in the order in which they were noted."""
    history = History(referral)
    for event in events:
        fold = FOLD.get(type(event))
        if fold is not None:
            fold(history, event)
    return history


# ── intake's own ──────────────────────────────────────────────────────────────────────────────────────────


def _received(history: History, event: ReferralReceived) -> None:
    history.plan, history.referrer = event.plan, event.referrer
    history.received_on = la_date(event.occurred_at)
    history.age_band, history.county = event.age_band, event.county
    history.populations = _concerned(event.populations)
    history.identity = event.sealed.get(IDENTITY, "")


def _set_aside(history: History, event: ReferralSetAside) -> None:
    _received(history, event.received)


def _amended(history: History, event: ReferralAmended) -> None:
    if event.age_band is not None:
        history.age_band = event.age_band
    if event.county is not None:
        history.county = event.county
    if event.populations is not None:
        history.populations = _concerned(event.populations)
    if event.sealed is not None and IDENTITY in event.sealed:
        history.identity = event.sealed[IDENTITY]


def _concerned(populations: Iterable[ScreenedPopulation]) -> tuple[str, ...]:
    return tuple(each.code for each in populations if each.claimed or each.result == "met")


def _support_moved(history: History, event: ReferralSupportMoved) -> None:
    support = history.supports.setdefault(event.support, Support(event.code))
    support.provider = event.provider or support.provider
    support.moved.setdefault(event.status, la_date(event.occurred_at))


def _closed(history: History, event: ReferralClosed) -> None:
    if history.closing_on is not None:
        return
    history.outcome, history.clr_reason = event.outcome, event.clr_reason
    history.closing_on = la_date(event.occurred_at)
    if event.outcome != SERVICES_RECEIVED:
        for turn in history.turns:
            turn.over_on = turn.over_on or history.closing_on


# ── authorization ─────────────────────────────────────────────────────────────────────────────────────────


def _approved(history: History, event: AuthorizationApproved) -> None:
    said_on = la_date(event.occurred_at)
    history.approved_on = history.approved_on or said_on
    history.term = Term(said_on, event.number, event.from_, event.through)


def _extended(history: History, event: AuthorizationExtended) -> None:
    said_on = history.term.said_on if history.term is not None else la_date(event.occurred_at)
    history.term = Term(said_on, event.number, event.from_, event.through)


def _reauthorization_requested(history: History, event: AuthorizationReauthorizationRequested) -> None:
    if history.term is not None:
        history.term.ended_on = history.term.code = None


def _term_ended(history: History, event: AuthorizationEnded) -> None:
    if history.term is not None:
        history.term.ended_on, history.term.code = event.on, event.code


def _denied(history: History, event: AuthorizationDenied) -> None:
    history.denied_on = history.denied_on or la_date(event.occurred_at)


def _granted(history: History, event: AuthorizationPresumptiveGranted) -> None:
    if not event.carried_by:
        history.grant = Grant(event.grant, event.from_, event.through)


def _grant_ended(history: History, event: AuthorizationPresumptiveEnded) -> None:
    if history.grant is not None and history.grant.grant == event.grant:
        history.grant.through = event.through


# ── assignment ────────────────────────────────────────────────────────────────────────────────────────────


def _made(history: History, event: AssignmentMade) -> None:
    if _turn(history, event.assignment) is not None:
        return
    history.turns.append(
        Turn(event.assignment, event.provider, event.starts_on or la_date(event.occurred_at))
    )


def _accepted(history: History, event: AssignmentAccepted) -> None:
    turn = _turn(history, event.assignment)
    on = la_date(event.occurred_at)
    if turn is None:
        turn = Turn(event.assignment, event.provider, on)
        history.turns.append(turn)
    turn.accepted_on, turn.lead = max(on, turn.made_on), event.lead


def _lead_changed(history: History, event: AssignmentLeadChanged) -> None:
    if (turn := _turn(history, event.assignment)) is not None:
        turn.lead = event.lead


def _over(history: History, event: AssignmentDeclined | AssignmentWithdrawn | AssignmentEnded) -> None:
    if (turn := _turn(history, event.assignment)) is not None:
        # An ending says its last day; an offer that is over is nobody's on that day.
        ended = isinstance(event, AssignmentEnded)
        turn.over_on = event.on + timedelta(days=1) if ended else la_date(event.occurred_at)
        turn.declined = isinstance(event, AssignmentDeclined)


def _turn(history: History, assignment: str) -> Turn | None:
    return next((each for each in history.turns if each.assignment == assignment), None)


# ── outreach ──────────────────────────────────────────────────────────────────────────────────────────────


def _attempted(history: History, event: OutreachAttempted) -> None:
    on = la_date(event.occurred_at)
    history.attempts.append(Tried(event.assignment, event.number, on, event.modality, event.reached))


def _initiated(history: History, event: OutreachInitiated) -> None:
    history.initiated_on = event.on


def _started(history: History, event: OutreachServicesStarted) -> None:
    history.started_on = event.on


def _member_declined(history: History, event: OutreachMemberDeclined) -> None:
    history.declined_on = event.on


def _unreached(history: History, event: OutreachUnableToReach) -> None:
    history.unreached_on = event.on


def _service_ended(history: History, event: OutreachServiceEnded) -> None:
    history.service_ended_on, history.service_ended_as = event.on, event.code


def _month_counted(history: History, event: OutreachMonthCounted) -> None:
    history.encounters[event.assignment, event.month] = (event.in_person or 0, event.remote or 0)


def _taken_back(history: History, event: OutreachTakenBack) -> None:
    match event.what:
        case "attempted":
            gone = (event.assignment, event.number)
            history.attempts = [each for each in history.attempts if (each.assignment, each.number) != gone]
        case "services_started":
            history.started_on = None
        case "member_declined":
            history.declined_on = None
        case "unable_to_reach":
            history.unreached_on = None
        case "service_ended":
            history.service_ended_on = history.service_ended_as = None
        case "initiated":
            history.initiated_on = None


# Every event of which a figure is made; no other is read for a report.
FOLD: Mapping[type[Event], Callable[[History, Any], None]] = {
    ReferralReceived: _received,
    ReferralSetAside: _set_aside,
    ReferralAmended: _amended,
    ReferralSupportMoved: _support_moved,
    ReferralClosed: _closed,
    AuthorizationApproved: _approved,
    AuthorizationExtended: _extended,
    AuthorizationReauthorizationRequested: _reauthorization_requested,
    AuthorizationEnded: _term_ended,
    AuthorizationDenied: _denied,
    AuthorizationPresumptiveGranted: _granted,
    AuthorizationPresumptiveEnded: _grant_ended,
    AssignmentMade: _made,
    AssignmentAccepted: _accepted,
    AssignmentLeadChanged: _lead_changed,
    AssignmentDeclined: _over,
    AssignmentWithdrawn: _over,
    AssignmentEnded: _over,
    OutreachAttempted: _attempted,
    OutreachInitiated: _initiated,
    OutreachServicesStarted: _started,
    OutreachMemberDeclined: _member_declined,
    OutreachUnableToReach: _unreached,
    OutreachServiceEnded: _service_ended,
    OutreachMonthCounted: _month_counted,
    OutreachTakenBack: _taken_back,
}
