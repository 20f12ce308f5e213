"""What does each reader see of a referral? A plan its members' whole, a referrer what it sent and its state.

Nothing here is identity: that is opened elsewhere, and audited. To a referrer no provider is named, because a
provider's name can reveal what the member is treated for (loop.md 6.4); operations see ids, states and times.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract import events
from loopkeeper.contract.event_text import sentence as sentence_of
from loopkeeper.contract.event_values import values as values_of
from loopkeeper.contract.events import (
    AssignmentMade,
    AssignmentPlanAsked,
    AssignmentQuestionTakenBack,
    AssignmentStarted,
    AuthorizationApproved,
    AuthorizationExtended,
    Event,
    ReferralAmended,
    ReferralBackInCustody,
)
from loopkeeper.security.organizations import Client, Role
from referral_intake.domain.form.form_standard import sentence as question_sentence
from referral_intake.domain.next_step import NextStep, due, next_step
from referral_intake.domain.state import POSSIBLE, Referral, status

Reader = Literal["plan", "provider", "referrer", "operations"]
# What a referrer hears of the way between reception and closing; who was asked and who declined is not among it.
REFERRER_HEARS = frozenset(
    {
        "referral.received",
        "referral.questions_asked",
        "referral.set_aside",
        "referral.amended",
        "referral.overdue",
        "referral.closed",
        "referral.death_told",
        "referral.death_confirmed",
        "referral.death_taken_back",
        "outreach.taken_back",
        "authorization.review_opened",
        "authorization.presumptive_granted",
        "authorization.presumptive_refused",
        "authorization.presumptive_ended",
        "authorization.approved",
        "authorization.denied",
        "assignment.accepted",
        "outreach.services_started",
        "notice.delivered",
    }
)


# A reader that may not know which.
A_PROVIDER = "A provider"


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ShownPopulation(Shown):
    code: str
    result: str
    claimed: bool
    met_by: str | None = None


class ShownQuestion(Shown):
    id: str
    pointer: str
    asks: str
    blocking: bool


class ShownStep(Shown):
    """The next actor, the step and its date; `actor` is empty once the loop is closed. `step` says it in English, `code` and
    `values` for programs with words of their own. `organization`: whose people act next, where the reader may know; `since`:
    when the fact came after which this is the next step."""

    actor: str
    step: str
    due_at: datetime | None = None
    code: str = ""
    values: Mapping[str, str] = {}
    organization: str | None = None
    since: datetime | None = None


class ReferralDue(Shown):
    """The clock that runs, and whether it is on_track, at_risk, breached or met."""

    clock: str
    due_at: datetime
    state: str


class ShownClosing(Shown):
    outcome: str
    clr_reason: str
    text: str
    at: datetime
    told_at: datetime | None = None


class ReferralAuthorization(Shown):
    """The plan's review and decision; `number` once it is approved."""

    id: str = ""
    decision_due_at: datetime | None = None
    number: str = ""
    from_: date | None = None
    through: date | None = None
    denied: bool = False
    presumptive_through: date | None = None


class ShownLink(Shown):
    """The referral this one carries over, and why."""

    to: str
    why: str


class ShownChild(Shown):
    """A Community Supports referral linked to this loop."""

    id: str
    code: str
    status: str


class ShownOverdue(Shown):
    """A step that took too long, or soon will have."""

    clock: str
    due_at: datetime
    state: str


class ShownReferral(Shown):
    """A referral as this reader may see it; what is not for them is left out."""

    id: str
    status: str
    plan: str
    received_at: datetime
    updated_at: datetime
    next_step: ShownStep
    due: ReferralDue | None = None
    authorization: ReferralAuthorization
    referrer: str | None = None
    form: str | None = None
    urgency: str | None = None
    county: str | None = None
    language: str | None = None
    consent_holder: str | None = None
    release_on: date | None = None
    first_received_on: date | None = None
    linked: ShownLink | None = None
    possible_duplicate_of: str | None = None
    overdue: tuple[ShownOverdue, ...] = ()
    populations: tuple[ShownPopulation, ...] | None = None
    questions: tuple[ShownQuestion, ...] | None = None
    eligibility: str | None = None
    provider: str | None = None
    lead: str | None = None
    supports: tuple[ShownChild, ...] | None = None
    closing: ShownClosing | None = None


class ShownEvent(Shown):
    """One line of the timeline: what happened, when, and when we learned it. `sentence` says it in English; `type` with
    `values`, which say no more, is for programs with words of their own. `proved`: the person who acted had signed in."""

    event_id: str
    type: str
    source: str
    at: datetime
    occurred_at: datetime
    sentence: str
    values: Mapping[str, Any] = {}
    policy: tuple[str, ...] = ()
    acted_by: str | None = None
    person: str | None = None
    proved: bool = False
    authorization: str | None = None
    assignment: str | None = None
    trace_id: str | None = None


def reader(client: Client, referral: Referral) -> Reader:
    """As whom this client reads this referral: the role that shows most. Row-level security has let it through."""
    mine = client.organization
    if Role.PLAN in client.roles and referral.plan == mine:
        return "plan"
    held = referral.offer
    if Role.PROVIDER in client.roles and held and held.accepted_at and held.provider == mine:
        return "provider"
    if Role.REFERRER in client.roles and referral.referrer == mine:
        return "referrer"
    return "operations"


def knows_release(client: Client, who: Reader, referral: Referral) -> bool:
    """Whether this reader may know the day of release, which tells custody: the plan, who serves after it, and who told it
    (loop.md 3.7)."""
    return who in ("plan", "provider") or client.organization in referral.release_told_by


def show(
    client: Client,
    row: Mapping[str, Any],
    referral: Referral,
    now: datetime,
    since: Mapping[str, datetime] | None = None,
) -> ShownReferral:
    """The referral of this row for this client, its clock as it is now; `since` when its next step became that."""
    who = reader(client, referral)
    running, knows = due(referral, now), knows_release(client, who, referral)
    step = next_step(referral)
    return ShownReferral(
        id=row["id"],
        status=status(referral).value,
        plan=referral.plan,
        received_at=row["created_at"],
        updated_at=row["at"],
        next_step=_step(who, step, (since or {}).get(row["id"])),
        due=ReferralDue(**running.model_dump()) if running is not None else None,
        authorization=_authorization(referral, knows=knows),
        closing=_closing(referral),
        overdue=tuple(ShownOverdue(clock=o.clock, due_at=o.due_at, state=o.state) for o in referral.overdue),
        **(_known_to_parties(who, referral, knows=knows) if who != "operations" else {}),
    )


def _step(who: Reader, step: NextStep, since: datetime | None) -> ShownStep:
    # A provider's name may say what the member is treated for (loop.md 6.4).
    named = who != "referrer" or step.actor != "provider"
    return ShownStep(
        actor=step.actor,
        step=step.sentence,
        due_at=step.due_at,
        code=step.step,
        values=step.values,
        organization=step.organization or None if named else None,
        since=since if step.actor else None,
    )


def _known_to_parties(who: Reader, referral: Referral, *, knows: bool) -> dict[str, Any]:
    held = referral.offer
    named = held if who in ("plan", "provider") else None
    return {
        "referrer": referral.referrer,
        "form": referral.form,
        "urgency": referral.urgency,
        "county": referral.county,
        "language": referral.language,
        "consent_holder": referral.consent_holder or None,
        "release_on": referral.release_on if knows else None,
        "first_received_on": referral.first_received_on,
        "linked": _link(who, referral),
        "possible_duplicate_of": _possible(referral) if who == "plan" else None,
        "populations": tuple(
            ShownPopulation(code=p.code, result=p.result, claimed=p.claimed, met_by=p.met_by)
            for p in referral.populations
        ),
        "questions": shown_questions(referral),
        "eligibility": referral.eligibility.state if who == "plan" else None,
        "supports": tuple(
            ShownChild(id=name, code=kept.code, status=kept.status)
            for name, kept in sorted(referral.supports.items())
        )
        if who in ("plan", "provider")
        else None,
        "provider": named.provider if named else None,
        "lead": named.lead or None if named else None,
    }


def _link(who: Reader, referral: Referral) -> ShownLink | None:
    """That the member was served under another plan is the new plan's to know."""
    link = referral.linked
    if link is None or link.why == POSSIBLE or (link.why == "plan_change" and who != "plan"):
        return None
    return ShownLink(to=link.to, why=link.why)


def _possible(referral: Referral) -> str | None:
    """The plan's to judge, and nobody else's to know of (loop.md 2.8)."""
    link = referral.linked
    return link.to if link and link.why == POSSIBLE else None


def shown_questions(referral: Referral) -> tuple[ShownQuestion, ...]:
    """The open questions in words."""
    return tuple(
        ShownQuestion(id=q.id, pointer=q.pointer, asks=question_sentence(q.id), blocking=q.blocking)
        for q in referral.questions
    )


def _authorization(referral: Referral, *, knows: bool) -> ReferralAuthorization:
    review, approval, grant = referral.review, referral.approval, referral.grant
    # A term that begins with the release tells its day.
    dated = approval if knows or not referral.release_told_by else None
    return ReferralAuthorization(
        id=review.authorization if review else "",
        decision_due_at=review.due_at if review else None,
        number=approval.number if approval else "",
        from_=dated.from_ if dated else None,
        through=dated.through if dated else None,
        denied=referral.denied,
        presumptive_through=grant.through if grant else None,
    )


def _closing(referral: Referral) -> ShownClosing | None:
    closing = referral.closing
    if closing is None:
        return None
    return ShownClosing(
        outcome=closing.outcome,
        clr_reason=closing.clr_reason,
        text=closing.text,
        at=closing.at,
        told_at=referral.told_at,
    )


def show_event(
    who: Reader, client: Client, entry: Mapping[str, Any], *, knows: bool = True
) -> ShownEvent | None:
    """A journal row for this reader; None where it is not for them, or of a type unknown here. `knows`: whether it may
    know of a release (`knows_release`)."""
    event = events.read(entry["type"], entry["payload"])
    if event is None or not _may_see(who, client, event) or not (knows or _tells_no_release(event)):
        return None
    if not knows and isinstance(event, ReferralAmended):
        event = event.model_copy(update={"release_on": None})
    explained = who in ("plan", "operations")
    said = _unnamed(event, client) if who == "referrer" else event
    person = _staff(who, client, event)
    return ShownEvent(
        event_id=str(entry["id"]),
        type=event.wire,
        source=entry["source"].strip("/"),
        at=entry["at"],
        occurred_at=event.occurred_at,
        sentence=sentence_of(said, whole=who == "plan"),
        values={
            name: value for name, value in values_of(said, whole=who == "plan").items() if value != A_PROVIDER
        },
        policy=event.policy if explained else (),
        acted_by=_organization(who, client, event),
        person=person,
        proved=bool(person and event.acted_by and event.acted_by.proved),
        authorization=getattr(event, "authorization", None) or None,
        assignment=getattr(event, "assignment", None) if who != "referrer" else None,
        trace_id=_trace_id(entry["traceparent"]) if explained else None,
    )


def _may_see(who: Reader, client: Client, event: Event) -> bool:
    """A referrer hears the way of its own referral; a provider nothing of who else was asked and what they said."""
    if who == "referrer":
        # A claim that joined is answered under its own referral.
        return event.wire in REFERRER_HEARS and not getattr(event, "claimed_by", "")
    other = getattr(event, "provider", None)
    asked = event.wire.startswith("assignment.") and bool(other) and other != client.organization
    plans = isinstance(event, AssignmentPlanAsked | AssignmentQuestionTakenBack)
    return not (who == "provider" and (asked or plans))


def _tells_no_release(event: Event) -> bool:
    """Whether nothing of this event tells that or when the member is released."""
    match event:
        case ReferralBackInCustody() | AssignmentStarted():
            return False
        case ReferralAmended():
            return event.cause != "release_date"
        case AuthorizationApproved():
            return event.must != "release_day"
        case AuthorizationExtended():
            return False
        case AssignmentMade():
            return event.starts_on is None
        case _:
            return True


def _organization(who: Reader, client: Client, event: Event) -> str | None:
    """Who acted. To a referrer a provider's name may say what the member is treated for (loop.md 6.4)."""
    actor = event.acted_by
    if actor is None or (who == "referrer" and event.wire.startswith(("assignment.", "outreach."))):
        return None
    return actor.organization


def _staff(who: Reader, client: Client, event: Event) -> str | None:
    """The person, for that person's own organization and for the plan, by the organization's own staff id."""
    actor = event.acted_by
    if actor is None or not actor.person:
        return None
    return actor.person if who == "plan" or actor.organization == client.organization else None


def _unnamed(event: Event, client: Client) -> Event:
    """The event without another organization's name."""
    provider = getattr(event, "provider", None)
    if not provider or provider == client.organization:
        return event
    return event.model_copy(update={"provider": A_PROVIDER})


def _trace_id(traceparent: str) -> str | None:
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else None
