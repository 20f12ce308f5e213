"""How does a loop end? Once, by what happened or by a person's word; and what a person may still do before and after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from loopkeeper.contract.decider import EventOn, Plain, Refused
from loopkeeper.contract.events import (
    ActedBy,
    Event,
    ReferralClosed,
    ReferralDeathConfirmed,
    ReferralDeathTakenBack,
    ReferralDeathTold,
    ReferralPlanAsked,
)
from loopkeeper.contract.vocabulary.decisions import Discontinuation
from loopkeeper.contract.vocabulary.outcomes import clr_reason
from referral_intake.domain.commands import (
    CloseReferral,
    ConfirmDeath,
    EndOfTerm,
    TakeBackDeath,
    TellDeath,
    WithdrawReferral,
)
from referral_intake.domain.contexts import CloseContext, EndingContext, JudgedContext
from referral_intake.domain.deadlines import TERM, timers
from referral_intake.domain.state import AUTHORIZATION_ENDED, Referral

Made = Sequence[Event | EventOn]


def must_be_open(referral: Referral) -> None:
    if referral.closing is not None:
        raise Refused("already-closed", "This referral's loop is already closed.", allowed=allowed(referral))


def close(
    referral: Referral,
    outcome: str,
    at: datetime,
    *,
    acted_by: ActedBy | None = None,
    text: str = "",
    assignment: str | None = None,
    detail: Literal["by_member", "by_referrer", "redirected", "redirect_unanswered"] | None = None,
    right_plan: str | None = None,
) -> ReferralClosed:
    held = referral.offer.assignment if referral.offer else None
    return ReferralClosed(
        occurred_at=at,
        acted_by=acted_by,
        outcome=outcome,
        clr_reason=clr_reason(outcome),
        text=text,
        assignment=assignment or held,
        authorized=referral.approval is not None,
        detail=detail,
        right_plan=right_plan,
    )


def withdraw(referral: Referral, command: WithdrawReferral, context: Plain) -> Made:
    must_be_open(referral)
    if command.by == "referrer" and referral.approval is not None:
        raise Refused(
            "already-authorized",
            "The plan has authorized the service, so only the member can withdraw now.",
            fix="If the member wishes to withdraw, send `by: member`.",
            allowed=("withdraw as the member",),
        )
    detail: Literal["by_member", "by_referrer"] = "by_member" if command.by == "member" else "by_referrer"
    text = f"by the {command.by}"
    return [close(referral, "withdrawn", context.at, acted_by=command.acted_by, text=text, detail=detail)]


def end_of_term(referral: Referral | None, command: EndOfTerm, context: EndingContext) -> Made:
    """The authorization is over and the loop is open: it closes with the ending's reason, or the plan is asked."""
    if referral is None or timers(referral).get(TERM) != command.due_at:
        return []
    return goes_on(referral, context, AUTHORIZATION_ENDED)


def goes_on(
    referral: Referral, context: EndingContext, reason: Literal["authorization_ended", "start_without_form"]
) -> Made:
    """How an open loop goes on once what the member was served under has ended (loop.md 7.6)."""
    code = referral.ending.code if referral.ending is not None else None
    if context.closes_as is None:
        return [
            ReferralPlanAsked(
                occurred_at=context.at, policy=context.refs, reason=reason, code=code, due_at=context.due_at
            )
        ]
    why = Discontinuation.label_of(str(code)).lower() if code is not None else ""
    text = f"the authorization ended: {why}" if why else ""
    return [
        close(referral, context.closes_as, context.at, text=text).model_copy(update={"policy": context.refs})
    ]


# What a named person of the plan may close a loop as; every other outcome has a route or a fact of its own.
BY_HAND = frozenset(
    {"provider_declined", "no_longer_eligible", "unable_to_reach", "declined_by_member", "other"}
)


def close_by_hand(referral: Referral, command: CloseReferral, context: CloseContext) -> Made:
    must_be_open(referral)
    if command.outcome not in BY_HAND:
        raise Refused(
            "not-by-hand",
            "This outcome comes from what happens, not from a person's word.",
            fix="Withdraw, merge or decide it on its own route, or name an outcome a plan can close as.",
            allowed=tuple(sorted(BY_HAND)),
        )
    if command.outcome == "unable_to_reach" and _attempts(referral) < context.least_attempts:
        raise Refused(
            "attempts-missing",
            f"The plan's policy wants {context.least_attempts} attempts on record first.",
            fix="Record the attempts, or close it otherwise.",
        )
    said = f" on {command.on.isoformat()}, {command.how}" if command.on and command.how else ""
    return [close(referral, command.outcome, context.at, acted_by=command.acted_by, text=command.text + said)]


# ── a death ───────────────────────────────────────────────────────────────────────────────────────────────

THE_WORD = "the member has died"


def tell_death(referral: Referral, command: TellDeath, context: JudgedContext) -> Made:
    """Also of a loop that is closed: a member served through it is contacted no more (loop.md 7.7). Told again, it says
    nothing new."""
    if referral.death is not None:
        return []
    return [
        ReferralDeathTold(
            occurred_at=context.at,
            acted_by=command.acted_by,
            policy=context.refs,
            by=command.by,
            on=command.on,
            due_at=context.due_at,
        )
    ]


def confirm_death(referral: Referral, command: ConfirmDeath, context: JudgedContext) -> Made:
    """The loop closes with the word; what lives on behind a closed one is ended by its own acts (loop.md 7.2)."""
    if referral.death is not None and referral.death.confirmed:
        return []
    told = TellDeath(by="plan", on=command.on, acted_by=command.acted_by)
    confirmed = ReferralDeathConfirmed(occurred_at=context.at, acted_by=command.acted_by, on=command.on)
    over = [] if referral.closing is not None else [
        close(referral, "no_longer_eligible", context.at, acted_by=command.acted_by, text=THE_WORD)
    ]  # fmt: skip
    return [*tell_death(referral, told, context), confirmed, *over]


def take_back_death(referral: Referral, command: TakeBackDeath, context: Plain) -> Made:
    """Also where it was confirmed: the closing stays, and is contested (loop.md 7.3, 8.7)."""
    if referral.death is None:
        raise Refused(
            "nothing-to-take-back", "Nobody told that this member has died.", allowed=allowed(referral)
        )
    return [ReferralDeathTakenBack(occurred_at=context.at, acted_by=command.acted_by)]


def _attempts(referral: Referral) -> int:
    return referral.offer.tried if referral.offer else 0


def allowed(referral: Referral) -> tuple[str, ...]:
    """What a person may still do with this referral."""
    if referral.closing is not None:
        return ("contest",)
    return ("withdraw",) if referral.approval is None else ("withdraw as the member",)
