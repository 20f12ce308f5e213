"""What are the providers told: who is offered a referral, who serves, who claimed a grant? Pure, of each event.

Whom they serve and how to reach them stands in the assignment, never in a notice (loop.md 1.6, 6.3); that safe-contact
rules stand on a member is said at once (loop.md 6.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from loopkeeper.contract.calendar import written
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentEnded,
    AssignmentMade,
    AssignmentOverdue,
    AssignmentStarted,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationOverturned,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationPresumptiveReminded,
    AuthorizationReauthorizationDue,
    Event,
    OutreachContactChanged,
    OutreachOverdue,
    ReferralAmended,
    ReferralSupportMoved,
)
from notification.domain.notices.wording import USUAL, Notice, Value, last_day
from notification.domain.outreach.state import DO_NOT_CONTACT, Outreach, restricted


def to_providers(referral: str, before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    """The offer and its fate, the decision, the grant, and what changed for whoever serves."""
    match event:
        case AssignmentMade():
            facts = {"assignment": event.assignment, "due_at": written(event.answer_due_at)}
            slots: dict[str, Value] = {"due": last_day(event.answer_due_at)}
            variant = USUAL
            if event.starts_on is not None:
                variant, slots["on"] = "planned", event.starts_on
                facts["starts_on"] = event.starts_on.isoformat()
            yield Notice("offer", event.provider, "provider", variant, facts=facts, slots=slots)
        case AssignmentAccepted():
            yield _yours(event, after)
        case AssignmentOverdue() if event.state == "at_risk" and _waits_for_answer(after, event.assignment):
            yield _reminded(after)
        case AssignmentStarted():
            facts = {"assignment": event.assignment, "on": event.on.isoformat()}
            yield Notice("started", event.provider, "provider", facts=facts, slots={"on": event.on})
        case AssignmentWithdrawn() | AssignmentEnded():
            yield _taken_back(before, event)
        case ReferralAmended():
            yield from _amended(referral, before, event, after)
        case ReferralSupportMoved():
            yield from _support(event, after)
        case OutreachContactChanged():
            yield from _contact_changed(event, after)
        case OutreachOverdue():
            facts = {"assignment": event.assignment, "clock": event.clock, "due_at": written(event.due_at)}
            slots = {"due": last_day(event.due_at)}
            code = "outreach_late" if event.clock == "first_outreach" else "outreach_long"
            yield Notice(code, _holding(after), "provider", event.state, facts=facts, slots=slots)
        case _:
            yield from _decision_to_providers(before, event, after)


def _decision_to_providers(before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    match event:
        case AuthorizationApproved():
            for provider in _serving(before):
                yield _through("decided", provider, event.through, "approved")
        case AuthorizationDenied():
            for provider in _serving(before):
                yield Notice("decided", provider, "provider", "denied")
        case AuthorizationReauthorizationDue():
            facts = {"through": event.through.isoformat(), "due_at": written(event.due_at)}
            slots: dict[str, Value] = {"through": event.through, "due": last_day(event.due_at)}
            yield Notice("reauthorization_due", _holding(after), "provider", facts=facts, slots=slots)
        case AuthorizationExtended():
            yield _through("extended", _holding(after), event.through)
        case AuthorizationEnded():
            yield Notice(
                "ended",
                _holding(after),
                "provider",
                facts={"on": event.on.isoformat()},
                slots={"on": event.on},
            )
        case AuthorizationOverturned():
            for provider in _serving(before):
                yield Notice("overturned", provider, "provider", slots={"on": event.on})
        case _:
            yield from _grant_to_providers(before, event, after)


def _grant_to_providers(before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    match event:
        case AuthorizationPresumptiveGranted():
            facts = {"grant": event.grant, "through": event.through.isoformat()}
            slots: dict[str, Value] = {"through": event.through}
            yield Notice("presumptive_granted", event.provider, "provider", facts=facts, slots=slots)
        case AuthorizationPresumptiveRefused():
            # Only with an open authorization elsewhere there is a way on of its own (loop.md 3.3).
            variant = event.reason if event.reason in ("other_provider", "awaiting_provider") else USUAL
            facts = {"reason": event.reason}
            yield Notice("presumptive_refused", after.claimed_by, "provider", variant, facts=facts)
        case AuthorizationPresumptiveReminded():
            facts = {
                "grant": event.grant, "missing": event.missing, "day": str(event.day),
                "through": event.through.isoformat(),
            }  # fmt: skip
            slots = {"through": event.through}
            yield Notice(
                "presumptive_reminded", event.provider, "provider", event.missing, facts=facts, slots=slots
            )
        case AuthorizationPresumptiveEnded() if before.grant and before.grant.grant == event.grant:
            facts = {"grant": event.grant, "reason": event.reason, "through": event.through.isoformat()}
            slots = {"through": event.through}
            yield Notice("presumptive_ended", before.grant.provider, "provider", facts=facts, slots=slots)
        case _:
            return


def _yours(event: AssignmentAccepted, after: Outreach) -> Notice:
    """Whom to serve stands in the assignment, identity included (N8); how to reach them safely beats every default."""
    variant = USUAL
    if restricted(after):
        variant = "forbidden" if DO_NOT_CONTACT in after.flags else "careful"
    facts = {"assignment": event.assignment}
    start = after.term.at if after.term is not None else None
    return Notice("yours", event.provider, "provider", variant, facts=facts, start=start)


def _waits_for_answer(after: Outreach, assignment: str) -> bool:
    offer = after.assignment
    return (
        offer is not None and offer.assignment == assignment and not offer.ended and offer.accepted_at is None
    )


def _reminded(after: Outreach) -> Notice:
    offer = after.assignment
    assert offer is not None  # noqa: S101 looked at by the caller
    due = offer.answer_due_at
    slots: dict[str, Value] = {"due": last_day(due)} if due else {"due": "its last day"}
    return Notice(
        "offer_reminded", offer.provider, "provider", facts={"assignment": offer.assignment}, slots=slots
    )


def _through(code: str, provider: str, through: date, variant: str = USUAL) -> Notice:
    facts = {"through": through.isoformat()}
    return Notice(code, provider, "provider", variant, facts=facts, slots={"through": through})


def _taken_back(before: Outreach, event: AssignmentWithdrawn | AssignmentEnded) -> Notice:
    held = (
        before.assignment if before.assignment and before.assignment.assignment == event.assignment else None
    )
    provider = event.provider or (held.provider if held else "")
    offered = isinstance(event, AssignmentWithdrawn) and (held is None or held.accepted_at is None)
    code = "offer_withdrawn" if offered else "assignment_ended"
    return Notice(code, provider, "provider", facts={"assignment": event.assignment})


def _amended(referral: str, before: Outreach, event: ReferralAmended, after: Outreach) -> Iterator[Notice]:
    """Who serves hears that contact or start changed, and that its member was referred again; the rest it reads."""
    provider = _holding(after)
    served = before.ending is not None and before.ending.how == "services_started"
    if event.cause == "joined" and served:
        yield Notice("referred_again", provider, "provider", facts={"referral": referral})
    contact = event.sealed is not None and "contact" in event.sealed and after.contact != before.contact
    if contact or restricted(after) != restricted(before):
        yield Notice("contact_changed", provider, "provider", _caution(after))
    if event.cause == "release_date":
        yield Notice("start_moved", provider, "provider")


def _contact_changed(event: OutreachContactChanged, after: Outreach) -> Iterator[Notice]:
    provider = _holding(after)
    if event.acted_by is None or event.acted_by.organization != provider:
        yield Notice("contact_changed", provider, "provider", _caution(after))


def _caution(after: Outreach) -> str:
    return "careful" if restricted(after) else USUAL


def _support(event: ReferralSupportMoved, after: Outreach) -> Iterator[Notice]:
    """A Community Supports referral: its provider is asked, its sender hears what became of it. Which service it is
    stands in no webhook."""
    facts = {"support": event.support, "status": event.status}
    if event.status == "asked":
        yield Notice("support_asked", event.provider, "provider", facts=facts)
    else:
        yield Notice("support_moved", _holding(after), "provider", facts=facts, slots={"moved": event.status})


def _holding(now: Outreach) -> str:
    held = now.assignment
    return held.provider if held is not None and held.held else ""


def _serving(before: Outreach) -> Iterator[str]:
    """The providers that serve already: by a live assignment, by a grant."""
    granted = [before.grant.provider] if before.grant else []
    return iter(dict.fromkeys(each for each in [_holding(before), *granted] if each))
