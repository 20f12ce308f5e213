"""What is the referrer told? Pure, of each event: the first referrer, and those merged into its loop.

Each hears of it under its own referral's id, and the second learns nothing of the first (loop.md 2.9). A provider whose
very name reveals treatment for substance use is not named to who does not treat the member (loop.md 6.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from loopkeeper.contract.calendar import la_date, written
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AuthorizationApproved,
    AuthorizationDeemedAdverse,
    AuthorizationDenied,
    AuthorizationOverturned,
    AuthorizationPended,
    AuthorizationResumed,
    Event,
    OutreachTakenBack,
    ReferralAmended,
    ReferralClosed,
    ReferralDeathTakenBack,
    ReferralDeathTold,
    ReferralQuestionsAsked,
    ReferralReceived,
)
from loopkeeper.contract.vocabulary import DenialReason, Outcome
from notification.domain.notices.closings import ENDINGS, REDIRECTED, said_to_referrer
from notification.domain.notices.visibility import consented
from notification.domain.notices.wording import (
    DISCREET,
    USUAL,
    USUAL_NUMBER,
    Names,
    Notice,
    Value,
    last_day,
)
from notification.domain.outreach.state import (
    SELF_REFERRAL,
    Assignment,
    Closing,
    Joined,
    Outreach,
    over,
    served,
)

# Questions whether another plan is the right one begin so (loop.md 2.14).
REDIRECT = "redirect"
# How the closing of a referral that joined another is told: by the loop it joined.
TOLD_BY_THE_OTHER = frozenset({"merged", "already_in_ecm"})


def to_referrers(
    referral: str, before: Outreach, event: Event, after: Outreach, names: Names
) -> Iterator[Notice]:
    """The first referrer, and those merged into it."""
    if isinstance(event, ReferralAmended):
        if event.cause == "joined" and event.joined is not None:
            yield _merged(event, event.joined, before, names)
            if event.joined_asked is not None:
                yield _asked_of(event.joined, event.joined_referrer or "")
            yield from _so_far(event.joined, event.joined_referrer or "", after, names)
        return
    yield from _to_referrer(after.referrer, before, event, after, names)
    for other in after.joined:
        for notice in _to_joined(other, before, event, after, names):
            # Its own loop was closed as merged, and that was told when it was.
            yield Notice(
                notice.code, other.referrer, notice.recipient_kind, notice.variant, facts=notice.facts,
                slots=notice.slots, referral=other.referral,
            )  # fmt: skip


def _to_joined(
    other: Joined, before: Outreach, event: Event, after: Outreach, names: Names
) -> Iterator[Notice]:
    """What is asked is asked of the first alone: the second's referral is closed, and takes no answers."""
    for notice in _to_referrer(other.referrer, before, event, after, names):
        if notice.code == "pended":
            yield Notice("pended", notice.recipient, "referrer", "nothing_asked", slots=notice.slots)
        elif notice.code not in ("received", "questions"):
            yield notice


def _to_referrer(
    referrer: str, before: Outreach, event: Event, after: Outreach, names: Names
) -> Iterator[Notice]:
    # A self-referral's notices of the decision and the closing merge into the member's own (domain.md 5.3).
    merged = SELF_REFERRAL in after.flags and referrer == after.referrer
    to = (referrer, "referrer")
    match event:
        case ReferralReceived():
            yield Notice("received", *to, _received(event, after))
            # Closed before it was known here: the referrer must still hear how it ended.
            if after.closing is not None and not merged:
                yield from _closed(to, after.closing, names)
        case ReferralQuestionsAsked():
            yield _questions(to, event)
        case AuthorizationPended():
            facts = {"by": written(event.by)}
            yield Notice("pended", *to, facts=facts, slots={"due": last_day(event.by)})
        case AuthorizationResumed():
            facts = {"due_at": written(event.due_at)}
            yield Notice("resumed", *to, facts=facts, slots={"due": last_day(event.due_at)})
        case AuthorizationOverturned():
            yield Notice("overturned", *to, facts={"on": event.on.isoformat()}, slots={"on": event.on})
        case ReferralDeathTold() if not merged and event.by != "referrer":
            yield Notice("death_told", *to)
        case ReferralDeathTakenBack() if not merged:
            yield Notice("death_taken_back", *to)
        case OutreachTakenBack() if not merged and before.closing is not None and event.what in ENDINGS:
            outcome = ENDINGS[event.what]
            slots: dict[str, Value] = {"outcome": Outcome.label_of(outcome)}
            yield Notice("taken_back", *to, facts={"outcome": outcome}, slots=slots)
        case ReferralClosed() if before.closing is None and after.closing is not None and not merged:
            yield from _closed(to, after.closing, names)
        case AssignmentAccepted() if not merged and _accepted(event, after):
            yield _assigned(to, event.provider, la_date(event.occurred_at), after, names)
        case _ if not merged:
            yield from _decision(to, before, event, after)
        case _:
            return


def _received(event: ReferralReceived, after: Outreach) -> str:
    """Whether the plan has something to decide: nothing of a start sent alone, of a loop that is over, or where an
    overturned denial opened the referral."""
    if after.closing is not None:
        return "over"
    if event.linked is not None and event.linked.why == "overturned":
        return "overturned"
    return "start" if event.kind == "presumptive_start" else USUAL


def _accepted(event: AssignmentAccepted, after: Outreach) -> bool:
    """Whether it holds: an acceptance that crossed the closing is taken back and told to nobody."""
    return after.assignment is not None and after.assignment.held


def _decision(to: tuple[str, str], before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    match event:
        case AuthorizationApproved():
            yield _authorized(to, event.through, after)
            if event.adverse is not None:
                yield _not_authorized(to, "in_part", event.adverse.reason, event.adverse.rights.appeal_by)
        case AuthorizationDenied():
            variant = "deceased" if event.reason == DenialReason.DECEASED.value else USUAL
            yield _not_authorized(to, variant, event.reason, event.appeal_by)
        case AuthorizationDeemedAdverse() if before.decision != "approved":
            facts = {"appeal_by": event.appeal_by.isoformat()}
            yield Notice(
                "deemed_adverse", *to, facts=facts, slots={"due": event.appeal_by}, due_at=event.notice_due_at
            )
        case _:
            return


def _questions(to: tuple[str, str], event: ReferralQuestionsAsked) -> Notice:
    """How many, and until when. Which ones, is in the referral only: a question can tell a criterion."""
    slots: dict[str, Value] = {"count": str(len(event.questions))}
    facts = {"count": str(len(event.questions))}
    if event.due_at is None:
        return Notice("questions", *to, "undated", facts=facts, slots=slots)
    variant = "reminder" if event.reminder else USUAL
    if any(each.id.startswith(REDIRECT) for each in event.questions):
        variant = "redirect"
    slots["due"] = last_day(event.due_at)
    return Notice("questions", *to, variant, facts=facts | {"due_at": written(event.due_at)}, slots=slots)


def _authorized(to: tuple[str, str], through: date, after: Outreach) -> Notice:
    """What comes next is a provider's acceptance, unless one serves already, or the loop closed without service."""
    held = after.assignment is not None and after.assignment.held
    variant = USUAL
    if over(after):
        variant = "late"
    elif held or after.grant is not None or after.closing is not None:
        variant = "served"
    if after.release_told_by and to[0] not in after.release_told_by:
        # A term that begins with a release tells its day, and custody (loop.md 3.7).
        return Notice("authorized", *to, "undated")
    facts = {"through": through.isoformat()}
    return Notice("authorized", *to, variant, facts=facts, slots={"through": through})


def _not_authorized(to: tuple[str, str], variant: str, reason: str, appeal_by: date) -> Notice:
    facts = {"reason": reason, "appeal_by": appeal_by.isoformat()}
    slots: dict[str, Value] = {"reason": DenialReason.label_of(reason), "due": appeal_by}
    return Notice("not_authorized", *to, variant, facts=facts, slots=slots)


def _closed(to: tuple[str, str], closing: Closing, names: Names) -> Iterator[Notice]:
    """A loop that joined another is told by that one, under this one's id, and once."""
    if closing.outcome in TOLD_BY_THE_OTHER:
        return
    variant, slots = said_to_referrer(closing, names)
    facts = {"outcome": closing.outcome}
    if variant == REDIRECTED:
        facts["right_plan"] = closing.right_plan
    yield Notice("closed", *to, variant, closing=True, facts=facts, slots=slots)


# ── who referred second ───────────────────────────────────────────────────────────────────────────────────


def _merged(event: ReferralAmended, joined: str, before: Outreach, names: Names) -> Notice:
    """A second referrer hears how its own referral ended: it joined one that runs, or the member is in ECM already.
    Of the first referrer it learns nothing; the provider is named to those who treat the member (loop.md 2.9, 2.11)."""
    referrer = event.joined_referrer or ""
    outcome, variant = "merged", "merged"
    slots: dict[str, Value] = {}
    held = before.assignment
    if held is not None and served(before):
        outcome = "already_in_ecm"
        variant, slots = _already(event, referrer, held, before, names)
    return Notice(
        "closed", referrer, "referrer", variant, closing=True, facts={"outcome": outcome}, slots=slots,
        referral=joined, stream=joined,
    )  # fmt: skip


def _already(
    event: ReferralAmended, referrer: str, held: Assignment, before: Outreach, names: Names
) -> tuple[str, dict[str, Value]]:
    """Who treats the member now hears the lead care manager too, since both see the member through the discharge
    (ECMG26 p60-61)."""
    on, until = la_date(event.occurred_at), event.joined_treats_until
    now = until is not None and on <= until
    if not (now or names.of(referrer).treats) or not may_name(held.provider, referrer, before, names, on):
        return "already", {}
    named = names.of(held.provider)
    slots: dict[str, Value] = {"provider": named.name, "provider_phone": named.phone or USUAL_NUMBER}
    if until is None or not now or held.lead is None:
        return "already_named", slots
    slots |= {"lead": held.lead.name, "until": until}
    if before.term is None:
        return "treating_undated", slots
    return "treating", {**slots, "through": before.term.through}


def _asked_of(referral: str, referrer: str) -> Notice:
    """Whether the member wishes to change to the provider that referred is asked under its own id (loop.md 2.11)."""
    one: dict[str, Value] = {"count": "1"}
    return Notice(
        "questions", referrer, "referrer", "undated", facts={"count": "1"}, slots=one, referral=referral,
        stream=referral,
    )  # fmt: skip


def _so_far(referral: str, referrer: str, after: Outreach, names: Names) -> Iterator[Notice]:
    """What a second referrer would have heard until now of the loop it joined, as far as it is true."""
    if after.decision != "approved" or after.term is None or after.closing is not None:
        return
    to = (referrer, "referrer")
    told = [_authorized(to, after.term.through, after)]
    if after.assignment is not None and after.assignment.held:
        told.append(_assigned(to, after.assignment.provider, la_date(after.term.at), after, names))
    for each in told:
        yield Notice(each.code, *to, each.variant, facts=each.facts, slots=each.slots, referral=referral)


# ── who serves ────────────────────────────────────────────────────────────────────────────────────────────


def _assigned(to: tuple[str, str], provider: str, on: date, after: Outreach, names: Names) -> Notice:
    if not may_name(provider, to[0], after, names, on):
        return Notice("assigned", *to, DISCREET)
    named = names.of(provider)
    slots: dict[str, Value] = {"provider": named.name, "provider_phone": named.phone or USUAL_NUMBER}
    return Notice("assigned", *to, facts={"provider": provider}, slots=slots)


def may_name(provider: str, reader: str, state: Outreach, names: Names, on: date) -> bool:
    """A name that reveals treatment is told to the provider itself, and by the member's consent (loop.md 6.4)."""
    return not names.of(provider).reveals or provider == reader or consented(state.consent, reader, on)
