"""What is the member told, and when? Pure: of each event the notices N1, N4, N6, N7 and N10 of domain.md 5.3.

A notice for a member lies in the plan's mailbox until a person hands it over. It names the provider and the lead care
manager, whose calls the member is to expect, but not where safe-contact rules stand (loop.md 6.2): then it says no
more than it must.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentLeadChanged,
    AuthorizationApproved,
    AuthorizationDeemedAdverse,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationOverturned,
    AuthorizationPended,
    AuthorizationPresumptiveEnded,
    Event,
    Lead,
    ReferralClosed,
    ReferralReceived,
    Rights,
)
from notification.domain.notices.wording import DISCREET, USUAL, Coded, Names, Notice, Value, last_day
from notification.domain.outreach.state import SELF_REFERRAL, SERVICES_RECEIVED, Outreach, restricted

# The state's numbers, for a decision that does not carry its rights: 120 days after the appeal's answer, or after 30
# without one (domain.md 3, NOA).
HEARING_DAYS, UNANSWERED_DAYS = 120, 30
# After these nobody needs help to find another service: the member has one, or this loop joined another.
NO_HELP = frozenset({SERVICES_RECEIVED, "merged", "already_in_ecm"})


def to_member(before: Outreach, event: Event, after: Outreach, names: Names) -> Iterator[Notice]:
    """In the mailbox of the plan, which hands it over or has it handed over. Of the dead nobody is told here."""
    if not after.plan or after.deceased:
        return
    match event:
        case AuthorizationApproved():
            yield from _approved(event, after, names)
        case AssignmentAccepted() if after.decision == "approved":
            yield _assigned(event.provider, event.lead, after, names)
        case AssignmentLeadChanged():
            yield _lead_changed(event, after, names)
        case ReferralClosed() if before.closing is None:
            yield from _closed(event.outcome, after)
        case ReferralReceived() if after.closing is not None:
            yield from _closed(after.closing.outcome, after)
        case _:
            yield from _decided(before, event, after)


def _approved(event: AuthorizationApproved, after: Outreach, names: Names) -> Iterator[Notice]:
    yield _notice(after, "authorized", slots={"through": event.through})
    held = after.assignment
    if held is not None and held.held and held.lead is not None:
        yield _assigned(held.provider, held.lead, after, names)
    if event.adverse is not None:
        adverse = event.adverse
        slots = _denial(adverse.reason, adverse.citation, adverse.rights)
        yield _notice(after, "not_authorized", "in_part", slots=slots, due_at=adverse.notice_due_at)


def _assigned(provider: str, lead: Lead, after: Outreach, names: Names) -> Notice:
    """Whom the member will hear from (N1)."""
    if restricted(after):
        return _notice(after, "assigned", DISCREET)
    return _notice(after, "assigned", slots=_called(provider, lead, names))


def _lead_changed(event: AssignmentLeadChanged, after: Outreach, names: Names) -> Notice:
    if restricted(after):
        return _notice(after, "lead_changed", DISCREET)
    return _notice(after, "lead_changed", slots=_called(event.provider, event.lead, names))


def _called(provider: str, lead: Lead, names: Names) -> Mapping[str, Value]:
    named = names.of(provider)
    phone = lead.phone or named.phone or named.name
    return {"provider": named.name, "provider_phone": phone, "lead": lead.name}


def _closed(outcome: str, after: Outreach) -> Iterator[Notice]:
    if SELF_REFERRAL in after.flags:
        # Who referred is the member: the closing's notice merges into the member's, and proves the closing.
        slots: Mapping[str, Value] = {"outcome": Coded("outcome", outcome)}
        yield _notice(after, "closed_self", slots=slots, closing=True)
        return
    yield _notice(after, "closed")
    if outcome not in NO_HELP:
        yield _notice(after, "help")


def _decided(before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    match event:
        case AuthorizationDenied():
            slots = _denial(event.reason, event.citation, event.rights or _rights(event.appeal_by))
            yield _notice(after, "not_authorized", slots=slots, due_at=event.notice_due_at)
        case AuthorizationDeemedAdverse():
            slots = _appeal(event.rights or _rights(event.appeal_by))
            yield _notice(after, "deemed_adverse", slots=slots, due_at=event.notice_due_at)
        case AuthorizationPended():
            yield _notice(after, "pended", slots={"due": last_day(event.by)})
        case AuthorizationOverturned():
            yield _notice(after, "overturned")
        case AuthorizationExtended():
            yield _notice(after, "extended", slots={"through": event.through})
        case AuthorizationEnded():
            yield _ended(event, after)
        case AuthorizationPresumptiveEnded() if before.grant and event.reason in ("expired", "revoked"):
            yield _notice(after, "presumptive_ended", slots={"through": event.through})
        case _:
            return


def _ended(event: AuthorizationEnded, after: Outreach) -> Notice:
    rights = event.rights or _rights(event.on)
    slots: dict[str, Value] = {**_appeal(rights), "on": event.on}
    slots["reason"] = Coded("discontinuation", str(event.code))
    slots["continues_by"] = rights.continues_if_by or event.on
    return _notice(after, "ended", slots=slots, due_at=event.notice_due_at)


def _denial(reason: str, citation: str, rights: Rights) -> Mapping[str, Value]:
    return {**_appeal(rights), "reason": Coded("denial_reason", reason), "citation": citation}


def _appeal(rights: Rights) -> dict[str, Value]:
    return {
        "appeal_by": rights.appeal_by,
        "hearing_days": str(rights.hearing_days),
        "unanswered_days": str(rights.unanswered_days),
    }


def _rights(appeal_by: date) -> Rights:
    return Rights(appeal_by=appeal_by, hearing_days=HEARING_DAYS, unanswered_days=UNANSWERED_DAYS)


def _notice(
    after: Outreach,
    code: str,
    variant: str = USUAL,
    *,
    slots: Mapping[str, Value] | None = None,
    due_at: datetime | None = None,
    closing: bool = False,
) -> Notice:
    return Notice(code, after.plan, "member", variant, closing, slots=slots or {}, due_at=due_at)
