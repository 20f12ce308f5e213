"""Who must be told what when a fact is noted, and in which words? Pure: from the states before and after it.

The plan hears every event of its referrals as the event itself, less what is sealed. Referrers, providers, primary care
and members hear notices: words of the policy table, with named slots (loop.md 7.5). Population codes and criteria stand
in no notice (loop.md 6.3), and a provider whose very name reveals treatment for substance use is not named to a
referrer who does not treat the member (loop.md 6.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from loopkeeper.contract.calendar import la_date, written
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentStarted,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDeemedAdverse,
    AuthorizationDenied,
    AuthorizationOverturned,
    AuthorizationPended,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveReminded,
    AuthorizationResumed,
    Event,
    ReferralAmended,
    ReferralClosed,
    ReferralQuestionsAsked,
    ReferralReceived,
    ReferralSupportMoved,
)
from loopkeeper.contract.vocabulary import DenialReason, Outcome
from notification.domain.notices.member_notices import to_member
from notification.domain.notices.provider_notices import to_providers
from notification.domain.notices.visibility import consented
from notification.domain.notices.wording import DISCREET, USUAL, Names, Notice, Value, last_day
from notification.domain.outreach.state import SELF_REFERRAL, Joined, Outreach

USUAL_NUMBER = "its usual number"


def notices(
    referral: str, before: Outreach | None, event: Event, after: Outreach, names: Names
) -> list[Notice]:
    """What everybody concerned is told of this event, in a fixed order."""
    earlier = before or Outreach()
    told = [
        *_to_referrers(referral, earlier, event, after, names),
        *to_providers(referral, earlier, event, after),
        *_to_primary_care(event, after, names),
        *to_member(earlier, event, after, names),
    ]
    fixed = _fixed_slots(after, names)
    return [
        each.with_slots({**fixed, "referral": each.referral or referral}) for each in told if each.recipient
    ]


def _fixed_slots(after: Outreach, names: Names) -> dict[str, Value]:
    plan = names.of(after.plan)
    return {"plan": plan.name, "plan_phone": plan.phone or USUAL_NUMBER}


# ── referrers ─────────────────────────────────────────────────────────────────────────────────────────────


def _to_referrers(
    referral: str, before: Outreach, event: Event, after: Outreach, names: Names
) -> Iterator[Notice]:
    """The first, and whoever was merged into it: each hears of it under its own referral's id (loop.md 2.9)."""
    if isinstance(event, ReferralAmended):
        if event.cause == "joined" and event.joined is not None:
            yield _merged(Joined(referral=event.joined, referrer=event.joined_referrer or ""), before, names)
            yield from _so_far(event.joined, event.joined_referrer or "", after, names)
        return
    told = list(_to_referrer(after.referrer, before, event, after, names))
    yield from told
    for other in after.joined:
        for notice in _to_referrer(other.referrer, before, event, after, names):
            # Its own loop was closed as merged, and that was told when it was.
            yield Notice(
                notice.code, other.referrer, notice.recipient_kind, notice.variant, facts=notice.facts,
                slots=notice.slots, referral=other.referral,
            )  # fmt: skip


def _to_referrer(
    referrer: str, before: Outreach, event: Event, after: Outreach, names: Names
) -> Iterator[Notice]:
    # A self-referral's notices of the decision and the closing merge into the member's own (domain.md 5.3).
    merged = SELF_REFERRAL in after.flags and referrer == after.referrer
    to = (referrer, "referrer")
    match event:
        case ReferralReceived():
            yield Notice("received", *to)
            # Closed before it was known here: whoever referred must still hear how it ended.
            if after.closing is not None and not merged:
                yield _closed(to, after.closing.outcome)
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
        case ReferralClosed() if before.closing is None and not merged:
            yield _closed(to, event.outcome)
        case AssignmentAccepted() if not merged:
            yield _assigned(to, event.provider, la_date(event.occurred_at), after, names)
        case _ if not merged:
            yield from _decision_to_referrer(to, event)
        case _:
            return


def _decision_to_referrer(to: tuple[str, str], event: Event) -> Iterator[Notice]:
    match event:
        case AuthorizationApproved():
            yield _authorized(to, event.through)
            if event.adverse is not None:
                yield _not_authorized(to, "in_part", event.adverse.reason, event.adverse.rights.appeal_by)
        case AuthorizationDenied():
            yield _not_authorized(to, USUAL, event.reason, event.appeal_by)
        case AuthorizationDeemedAdverse():
            facts = {"appeal_by": event.appeal_by.isoformat()}
            yield Notice(
                "deemed_adverse", *to, facts=facts, slots={"due": event.appeal_by}, due_at=event.notice_due_at
            )
        case _:
            return


def _questions(to: tuple[str, str], event: ReferralQuestionsAsked) -> Notice:
    """How many, and until when. Which ones stands in the referral only: a question can tell a criterion."""
    variant = "reminder" if event.reminder else USUAL
    slots: dict[str, Value] = {"count": str(len(event.questions))}
    facts = {"count": str(len(event.questions))}
    if event.due_at is None:
        return Notice("questions", *to, "undated", facts=facts, slots=slots)
    slots["due"] = last_day(event.due_at)
    return Notice("questions", *to, variant, facts=facts | {"due_at": written(event.due_at)}, slots=slots)


def _authorized(to: tuple[str, str], through: date) -> Notice:
    facts = {"through": through.isoformat()}
    return Notice("authorized", *to, facts=facts, slots={"through": through})


def _not_authorized(to: tuple[str, str], variant: str, reason: str, appeal_by: date) -> Notice:
    facts = {"reason": reason, "appeal_by": appeal_by.isoformat()}
    slots: dict[str, Value] = {"reason": DenialReason.label_of(reason), "due": appeal_by}
    return Notice("not_authorized", *to, variant, facts=facts, slots=slots)


def _closed(to: tuple[str, str], outcome: str) -> Notice:
    slots: dict[str, Value] = {"outcome": Outcome.label_of(outcome)}
    return Notice("closed", *to, closing=True, facts={"outcome": outcome}, slots=slots)


def _merged(joined: Joined, before: Outreach, names: Names) -> Notice:
    """A second referrer hears how its own referral ended: it joined one that runs, or the member is in ECM already.
    Of the first referrer it learns nothing; the provider is named to those who treat the member (loop.md 2.9, 2.11)."""
    to = (joined.referrer, "referrer")
    outcome, variant = "merged", "merged"
    slots: dict[str, Value] = {}
    held = before.assignment
    if held is not None and before.ending is not None and before.ending.how == "services_started":
        outcome, variant = "already_in_ecm", "already"
        provider = names.of(held.provider)
        if _may_name(held.provider, joined.referrer, before, names) and names.of(joined.referrer).treats:
            variant = "already_named"
            slots = {"provider": provider.name, "provider_phone": provider.phone or USUAL_NUMBER}
    return Notice(
        "closed", *to, variant, closing=True, facts={"outcome": outcome}, slots=slots, referral=joined.referral,
        stream=joined.referral,
    )  # fmt: skip


def _so_far(referral: str, referrer: str, after: Outreach, names: Names) -> Iterator[Notice]:
    """What a second referrer would have heard until now of the loop it joined, as far as it stands."""
    if after.decision != "approved" or after.term is None or after.closing is not None:
        return
    to = (referrer, "referrer")
    told = [_authorized(to, after.term.through)]
    if after.assignment is not None and after.assignment.held:
        told.append(_assigned(to, after.assignment.provider, la_date(after.term.at), after, names))
    for each in told:
        yield Notice(each.code, *to, each.variant, facts=each.facts, slots=each.slots, referral=referral)


def _assigned(to: tuple[str, str], provider: str, on: date, after: Outreach, names: Names) -> Notice:
    if not _may_name(provider, to[0], after, names, on):
        return Notice("assigned", *to, DISCREET)
    named = names.of(provider)
    slots: dict[str, Value] = {"provider": named.name, "provider_phone": named.phone or USUAL_NUMBER}
    return Notice("assigned", *to, facts={"provider": provider}, slots=slots)


def _may_name(provider: str, reader: str, state: Outreach, names: Names, on: date | None = None) -> bool:
    """A name that reveals treatment is told to the provider itself, and by the member's consent (loop.md 6.4)."""
    if not names.of(provider).reveals or provider == reader:
        return True
    return on is not None and consented(state.consent, reader, on)


# ── primary care ──────────────────────────────────────────────────────────────────────────────────────────


def _to_primary_care(event: Event, after: Outreach, names: Names) -> Iterator[Notice]:
    """The member's primary care provider, if another, hears who coordinates the member's care (N9)."""
    if not isinstance(event, AssignmentAccepted):
        return
    pcp = event.pcp or after.pcp
    if not pcp or pcp == event.provider:
        return
    due = event.pcp_due_at
    if not _may_name(event.provider, pcp, after, names, la_date(event.occurred_at)):
        yield Notice("pcp_assigned", pcp, "pcp", DISCREET, due_at=due)
        return
    named = names.of(event.provider)
    slots: dict[str, Value] = {"provider": named.name, "provider_phone": named.phone or USUAL_NUMBER}
    yield Notice("pcp_assigned", pcp, "pcp", facts={"provider": event.provider}, slots=slots, due_at=due)


def concerned(state: Outreach | None, event: Event | None) -> set[str]:
    """Every organization that may have to be told something of this event, or is named in it; too many is fine, too few
    is not."""
    found: set[str] = set()
    if state is not None:
        found |= {state.plan, state.referrer, state.claimed_by, state.pcp}
        found |= {each.referrer for each in state.joined}
        found |= {state.assignment.provider} if state.assignment else set()
        found |= {state.grant.provider} if state.grant else set()
    match event:
        case ReferralReceived():
            found |= {
                event.plan,
                event.referrer,
                event.claim.provider if event.claim else "",
                event.pcp or "",
            }
        case ReferralAmended():
            found |= {
                event.joined_referrer or "",
                event.claim.provider if event.claim else "",
                event.pcp or "",
            }
        case AssignmentAccepted():
            found |= {event.provider, event.pcp or ""}
        case AssignmentMade() | AssignmentStarted() | AuthorizationPresumptiveGranted():
            found.add(event.provider)
        case AssignmentWithdrawn() | AssignmentEnded() | AssignmentDeclined() | AssignmentLeadChanged():
            found.add(event.provider)
        case AuthorizationPresumptiveReminded() | ReferralSupportMoved():
            found.add(event.provider)
        case _:
            pass
    return found - {""}
