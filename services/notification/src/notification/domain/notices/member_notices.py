"""What is the member told, and when? Pure: of each event the notices N1, N4, N6, N7 and N10 of domain.md 5.3.

A notice for a member lies in the plan's mailbox until a person hands it over. It names the provider and the lead care
manager, whose calls the member is to expect, but not where safe-contact rules apply (loop.md 6.2): then it says no
more than it must.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentLeadChanged,
    AssignmentPlanAsked,
    AssignmentQuestionTakenBack,
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
    OutreachTakenBack,
    ReferralClosed,
    ReferralReceived,
    Rights,
    Unmet,
)
from notification.domain.notices.closings import ENDINGS, OTHER, help_offered, said_to_member
from notification.domain.notices.provider_notices import prolonged
from notification.domain.notices.wording import DISCREET, USUAL, Coded, Names, Notice, Value, last_day
from notification.domain.outreach.state import (
    SELF_REFERRAL,
    SERVICES_RECEIVED,
    Closing,
    Outreach,
    dead,
    over,
    restricted,
    served,
)

# The state's numbers, for a decision that does not carry its rights: 120 days after the appeal's answer, or after 30
# without one (domain.md 3, NOA).
HEARING_DAYS, UNANSWERED_DAYS = 120, 30
# What ends a loop whose member is served, or goes on in another loop: that one tells.
GOES_ON = frozenset({"merged", "already_in_ecm"})
# The discontinuation that nobody asked for another term, or that the plan said no to one (domain.md 3).
NOT_REAUTHORIZED = 13


def to_member(before: Outreach, event: Event, after: Outreach, names: Names) -> Iterator[Notice]:
    """In the mailbox of the plan, which hands it over or has it handed over. Of the dead nobody is told here."""
    if not after.plan or dead(after):
        return
    match event:
        case AuthorizationApproved():
            yield from _approved(event, after, names)
        case AssignmentAccepted() if after.decision == "approved" and _held(after):
            yield _assigned(event.provider, event.lead, after, names, la_date(event.occurred_at))
        case AssignmentLeadChanged() if _held(after):
            yield _lead_changed(event, after, names)
        case ReferralClosed() if before.closing is None and after.closing is not None:
            yield from _closed(after.closing, after, names)
        case ReferralReceived() if after.closing is not None:
            yield from _closed(after.closing, after, names)
        case _:
            yield from _decided(before, event, after)


def _approved(event: AuthorizationApproved, after: Outreach, names: Names) -> Iterator[Notice]:
    yield _notice(after, "authorized", _yes(after), slots={"through": event.through})
    held = after.assignment
    if held is not None and held.held and held.lead is not None:
        yield _assigned(held.provider, held.lead, after, names, la_date(event.occurred_at))
    if event.adverse is not None:
        adverse = event.adverse
        slots = _denial(adverse.reason, adverse.citation, adverse.rights, adverse.unmet)
        variant = "unmet_in_part" if adverse.unmet else "in_part"
        yield _notice(after, "not_authorized", variant, slots=slots, due_at=adverse.notice_due_at)


def _yes(after: Outreach) -> str:
    """Whether somebody is still to be found, serves already, or will not come since the loop closed without service."""
    if over(after):
        return "late"
    return "served" if _held(after) or after.grant is not None or after.closing is not None else USUAL


def _held(after: Outreach) -> bool:
    return after.assignment is not None and after.assignment.held


def _assigned(provider: str, lead: Lead, after: Outreach, names: Names, on: date) -> Notice:
    """Whom the member will hear from (N1), from when on where that lies ahead, or who helps already."""
    if restricted(after):
        return _notice(after, "assigned", DISCREET)
    slots = _called(provider, lead, names)
    starts_on = after.assignment.starts_on if after.assignment is not None else None
    if served(after):
        return _notice(after, "assigned", "served", slots=slots)
    if starts_on is not None and starts_on > on:
        return _notice(after, "assigned", "planned", slots={**slots, "on": starts_on})
    return _notice(after, "assigned", slots=slots)


def _lead_changed(event: AssignmentLeadChanged, after: Outreach, names: Names) -> Notice:
    if restricted(after):
        return _notice(after, "lead_changed", DISCREET)
    return _notice(after, "lead_changed", slots=_called(event.provider, event.lead, names))


def _called(provider: str, lead: Lead, names: Names) -> Mapping[str, Value]:
    named = names.of(provider)
    phone = lead.phone or named.phone or named.name
    return {"provider": named.name, "provider_phone": phone, "lead": lead.name}


def _closed(closing: Closing, after: Outreach, names: Names) -> Iterator[Notice]:
    """N7 where the plan sends it, and N6 where the loop closed without service. Of a self-referral both are one: who
    referred is the member, so the letter proves the closing too."""
    if closing.outcome in GOES_ON:
        return
    variant, slots = said_to_member(closing, names)
    received = closing.outcome == SERVICES_RECEIVED
    if SELF_REFERRAL in after.flags:
        yield _notice(after, "closed_self", "served" if received else variant, slots=slots, closing=True)
        return
    without = OTHER if variant == OTHER else "without"
    yield _notice(after, "closed", USUAL if received else without, slots=slots)
    if not received:
        variant, slots = help_offered(closing, names)
        yield _notice(after, "help", variant, slots=slots)


def _decided(before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    match event:
        case AuthorizationDenied():
            rights = event.rights or _rights(event.appeal_by)
            slots = _denial(event.reason, event.citation, rights, event.unmet)
            variant = "unmet" if event.unmet else USUAL
            yield _notice(after, "not_authorized", variant, slots=slots, due_at=event.notice_due_at)
        case AuthorizationDeemedAdverse():
            slots = _appeal(event.rights or _rights(event.appeal_by))
            variant = "renewal" if before.decision == "approved" else USUAL
            yield _notice(after, "deemed_adverse", variant, slots=slots, due_at=event.notice_due_at)
        case AuthorizationPended():
            variant = "asked" if SELF_REFERRAL in after.flags else USUAL
            yield _notice(after, "pended", variant, slots={"due": last_day(event.by)})
        case OutreachTakenBack() if before.closing is not None and event.what in ENDINGS:
            # A restricted member was told no more than that it is over, and is called by nobody for this.
            slots = {"outcome": Coded("outcome", ENDINGS[event.what])}
            yield _notice(after, "taken_back", slots=slots)
        case AssignmentPlanAsked(reason="provider_left") if _held(after):
            yield _notice(after, "provider_left", DISCREET if restricted(after) else USUAL)
        case AssignmentQuestionTakenBack() if _held(after):
            yield _notice(after, "provider_stays", DISCREET if restricted(after) else USUAL)
        case AuthorizationOverturned():
            yield _notice(after, "overturned")
        case AuthorizationExtended():
            dates: dict[str, Value] = {"through": event.through, "on": event.from_}
            yield _notice(after, "extended", prolonged(before, event), slots=dates)
        case AuthorizationEnded():
            yield _ended(event, after)
        case AuthorizationPresumptiveEnded() if before.grant and event.reason in ("expired", "revoked"):
            yield from _grant_ended(event, after)
        case _:
            return


def _grant_ended(event: AuthorizationPresumptiveEnded, after: Outreach) -> Iterator[Notice]:
    """An answer is promised only where one was asked for and is still to come (domain.md 2.3)."""
    if over(after) or after.decision == "approved":
        return
    variant = "denied" if after.decision == "denied" else USUAL
    if not after.decision and after.kind == "presumptive_start":
        variant = "unasked"
    yield _notice(after, "presumptive_ended", variant, slots={"through": event.through})


def _ended(event: AuthorizationEnded, after: Outreach) -> Notice:
    rights = event.rights or _rights(event.on)
    slots: dict[str, Value] = {**_appeal(rights), "on": event.on}
    slots["reason"] = _why(event)
    slots["continues_by"] = rights.continues_if_by or event.on
    variant = "upheld" if event.upheld else USUAL
    return _notice(after, "ended", variant, slots=slots, due_at=event.notice_due_at)


def _why(event: AuthorizationEnded) -> Coded:
    """A term that nobody asked to go on ends by a rule; one the plan said no to, by a person (loop.md 4.1, 4.7)."""
    if event.code != NOT_REAUTHORIZED:
        return Coded("discontinuation", str(event.code))
    return Coded("not_reauthorized", "refused" if event.acted_by is not None else "unasked")


def _denial(reason: str, citation: str, rights: Rights, unmet: Sequence[Unmet] | None) -> Mapping[str, Value]:
    """Why, in the words of the person who judged, once each; the criterion itself is in no notice (loop.md 6.3)."""
    said = {"text": " ".join(dict.fromkeys(each.why for each in unmet))} if unmet else {}
    return {**_appeal(rights), **said, "reason": Coded("denial_reason", reason), "citation": citation}


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
