"""Next step of an open loop: its actor, what, by when, and the state of the clock that runs (loop.md 7.6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from loopkeeper.contract.calendar import end_of_la_day
from referral_intake.domain.state import (
    DEATH_TOLD,
    OF_THE_ACCEPTED,
    OF_THE_ENDED,
    START_OPEN,
    Fact,
    PlanAsked,
    Referral,
    Status,
    status,
)

# What the plan is asked whatever the status is.
OF_ANY_STATUS = OF_THE_ENDED | {DEATH_TOLD, START_OPEN}


class NextStep(Fact):
    """The next actor, what, by when. `actor` is empty for a closed loop, `loopkeeper` where a service acts; `organization`
    is whose people act. `step` is a code, and what else the sentence says is in `values`."""

    actor: str
    step: str
    organization: str = ""
    due_at: datetime | None = None
    values: Mapping[str, str] = {}

    @property
    def sentence(self) -> str:
        """What must be done, in English."""
        words = STEPS.get(self.step, "")
        through = self.values.get("through")
        return f"{words}, before the grant ends after {through}" if through else words


def next_step(referral: Referral) -> NextStep:
    """The next step of an open loop (loop.md 7.6)."""
    step = _next_step(referral)
    offer = referral.offer
    whose = {
        "plan": referral.plan,
        "referrer": referral.referrer,
        "provider": offer.provider if offer is not None else "",
    }
    organization = whose.get(step.actor, "")
    return step.model_copy(update={"organization": organization}) if organization else step


def _next_step(referral: Referral) -> NextStep:
    offer, asked = referral.offer, question_to_plan(referral)
    match status(referral):
        case Status.CLOSED:
            return NextStep(actor="", step="")
        case _ if asked is not None and asked.reason in OF_ANY_STATUS:
            return NextStep(actor="plan", step=asked.reason, due_at=asked.due_at)
        case Status.ACCEPTED | Status.OUTREACH_INITIATED if asked and asked.reason in OF_THE_ACCEPTED:
            return NextStep(actor="plan", step=asked.reason, due_at=asked.due_at)
        case Status.OUTREACH_INITIATED:
            return NextStep(actor="provider", step="reach_out")
        case Status.ACCEPTED:
            return NextStep(actor="provider", step="reach_out_first")
        case Status.ASSIGNED if offer is not None and asked is not None:
            return NextStep(actor="plan", step=asked.reason, due_at=asked.due_at)
        case Status.ASSIGNED if offer is not None:
            return NextStep(actor="provider", step="answer_offer", due_at=offer.answer_due_at)
        case _:
            return _before_assignment(referral)


def question_to_plan(referral: Referral) -> PlanAsked | None:
    """What assigning asks the plan; while nothing is authorized there is nobody to assign."""
    if referral.death is not None and not referral.death.confirmed:
        return PlanAsked(reason=DEATH_TOLD, due_at=referral.death.due_at)
    if referral.custody_due_at is not None:
        return PlanAsked(reason=START_OPEN, due_at=referral.custody_due_at)
    authorized = referral.approval is not None or referral.grant is not None
    if referral.plan_asked is not None and referral.plan_asked.reason in OF_THE_ENDED:
        return referral.plan_asked
    return referral.plan_asked if authorized or referral.offer is not None else None


def _before_assignment(referral: Referral) -> NextStep:
    asked, review = question_to_plan(referral), referral.review
    if asked is not None:
        return NextStep(actor="plan", step=asked.reason, due_at=asked.due_at)
    if referral.approval is not None:
        return NextStep(actor="loopkeeper", step="offer_referral")
    if referral.blocked:
        due_at = referral.questions_due_at
        return NextStep(actor="referrer", step="answer_questions", due_at=due_at)
    if review is not None:
        return NextStep(actor="plan", step="decide", due_at=review.due_at)
    if referral.kind == "presumptive_start":
        through = referral.grant.through if referral.grant else None
        values = {"through": through.isoformat()} if through else {}
        due_at = end_of_la_day(through) if through else None
        return NextStep(actor="referrer", step="send_full_referral", values=values, due_at=due_at)
    return NextStep(actor="loopkeeper", step="open_review")


class Due(Fact):
    """A clock of this loop: by when, and its state."""

    clock: str
    due_at: datetime
    state: Literal["on_track", "at_risk", "breached", "met"]


def due(referral: Referral, now: datetime) -> Due | None:
    """The clock that runs, as it is at this moment; with none running, how the plan's decision kept its own."""
    running = _running(referral)
    if running is None:
        decided = referral.decided
        if decided is None:
            return None
        kept = decided.at <= decided.due_at
        return Due(clock=decided.clock, due_at=decided.due_at, state="met" if kept else "breached")
    clock, at = running
    told = next((o.state for o in referral.overdue if o.clock == clock and o.due_at == at), "")
    if now >= at or told == "breached":
        return Due(clock=clock, due_at=at, state="breached")
    return Due(clock=clock, due_at=at, state="at_risk" if told == "at_risk" else "on_track")


def _running(referral: Referral) -> tuple[str, datetime] | None:
    offer, asked, review = referral.offer, question_to_plan(referral), referral.review
    if referral.closing is not None:
        return None
    if asked is not None and asked.due_at is not None:
        return ("plan_asked", asked.due_at)
    if offer is not None:
        return ("provider_answer", offer.answer_due_at) if offer.accepted_at is None else None
    if referral.blocked and referral.questions_due_at is not None:
        return ("information", referral.questions_due_at)
    if review is None:
        return None
    if review.pended_until is not None:
        return ("information", review.pended_until)
    return (f"decision_{review.clock}", review.due_at)


# What must be done, by code; those of the plan's questions are the reasons for which assigning asks.
STEPS: Mapping[str, str] = {
    "open_review": "open the plan's review",
    "answer_questions": "answer the open questions",
    "send_full_referral": "send the full referral",
    "decide": "decide the authorization",
    "offer_referral": "offer the referral to a provider",
    "answer_offer": "accept or decline the offer",
    "reach_out_first": "make the first outreach attempt",
    "reach_out": "keep reaching out until the member answers",
    "authorization_ended": "close the loop, or say how it goes on: the authorization has ended",
    "start_without_form": "close the loop, or get the full referral: the grant has ended and no form came",
    "start_open": "record the first day, or say how it goes on: from when on the member can be met is open",
    "death_told": "confirm that the member has died, or take it back: nobody contacts the member meanwhile",
    "coverage_ended": "say how to go on: the roster shows no coverage any more, so no provider is asked",
    "none_left": "name a provider: every candidate declined or none fits",
    "no_answer": "ask the provider or name another: the offer was not answered in time",
    "member_already_assigned": "say how to go on: the member already has a provider through another referral",
    "conflicted": "say which of two assignments of this member is right",
    "reported_provider_declined": "close the loop or name another provider: the provider reports that it cannot serve",
    "reported_no_longer_eligible": "close the loop or say why not: the provider reports the member no longer eligible",
    "reported_unable_to_reach": "close the loop or ask for more attempts: the provider reports the member not reached",
    "reported_other": "close the loop or say why not: the provider reports another reason, in its own words",
    "provider_left": "assign another provider by hand: the one there was left, or its contract is over",
    "change_requested": "assign another provider by hand: the member asks for a change",
}
