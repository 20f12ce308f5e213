"""What are the providers told: who is offered a referral, who serves, who claimed a grant? Pure, of each event.

Whom they serve and how to reach them is in the assignment, never in a notice (loop.md 1.6, 6.3); that safe-contact
rules apply to a member is said at once (loop.md 6.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from loopkeeper.contract.calendar import la_date, written
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
    OutreachTakenBack,
    ReferralAmended,
    ReferralBackInCustody,
    ReferralDeathTakenBack,
    ReferralDeathTold,
    ReferralSupportMoved,
)
from notification.domain.notices.wording import (
    USUAL,
    USUAL_NUMBER,
    Coded,
    Names,
    Notice,
    Value,
    last_day,
)
from notification.domain.outreach.state import (
    DECEASED_CODE,
    DO_NOT_CONTACT,
    Outreach,
    chosen_instead,
    over,
    restricted,
    served,
)


def to_providers(
    referral: str, before: Outreach, event: Event, after: Outreach, names: Names
) -> Iterator[Notice]:
    """The offer and its fate, the decision, the grant, and what changed for the provider that serves."""
    match event:
        case AssignmentMade():
            yield _offer(event)
        case AssignmentAccepted() if _holding(after):
            yield _yours(event, after)
        case AssignmentOverdue() if event.state == "at_risk":
            yield from _reminded(after, event.assignment)
        case AssignmentStarted():
            if _waits_for_answer(after, event.assignment):
                unanswered = {"assignment": event.assignment}
                yield Notice("started", event.provider, "provider", "unanswered", facts=unanswered)
                return
            facts = {"assignment": event.assignment, "on": event.on.isoformat()}
            yield Notice("started", event.provider, "provider", facts=facts, slots={"on": event.on})
        case AssignmentWithdrawn() | AssignmentEnded():
            yield _taken_back(before, event)
        case ReferralAmended():
            yield from _amended(referral, before, event, after, names)
        case ReferralSupportMoved():
            yield from _support(event, after)
        case OutreachContactChanged():
            yield from _contact_changed(event, after)
        case OutreachOverdue(clock="weekly_visit"):
            facts = {"assignment": event.assignment, "clock": event.clock, "due_at": written(event.due_at)}
            slots = {"due": last_day(event.due_at)}
            yield Notice("visit_late", _holding(after), "provider", event.state, facts=facts, slots=slots)
        case OutreachOverdue():
            facts = {"assignment": event.assignment, "clock": event.clock, "due_at": written(event.due_at)}
            slots = {"due": last_day(event.due_at)}
            code = "outreach_late" if event.clock == "first_outreach" else "outreach_long"
            variant = "forbidden" if DO_NOT_CONTACT in after.flags else event.state
            yield Notice(code, _holding(after), "provider", variant, facts=facts, slots=slots)
        case _:
            yield from _decision_to_providers(before, event, after)


def _offer(event: AssignmentMade) -> Notice:
    """One under a grant is the claimant's to accept, so that the member has a lead care manager. The day from which a
    planned one is live tells custody, and is told to who accepted (loop.md 3.7)."""
    facts = {"assignment": event.assignment, "due_at": written(event.answer_due_at)}
    slots: dict[str, Value] = {"due": last_day(event.answer_due_at)}
    variant = "claimed" if event.kind == "presumptive" else USUAL
    return Notice("offer", event.provider, "provider", variant, facts=facts, slots=slots)


def _decision_to_providers(before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    match event:
        case AuthorizationApproved() if not over(after):
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
            yield _extended(before, event, after)
        case AuthorizationEnded():
            variant = "deceased" if event.code == DECEASED_CODE else USUAL
            facts = {"on": event.on.isoformat()}
            yield Notice("ended", _holding(after), "provider", variant, facts=facts, slots={"on": event.on})
        case ReferralBackInCustody():
            yield Notice("start_taken_back", _holding(before), "provider")
        case ReferralDeathTold() if event.by != "provider":
            yield from _of_death("death_told", before)
        case ReferralDeathTakenBack():
            yield from _of_death("death_taken_back", before)
        case OutreachTakenBack() if event.acted_by is not None and event.acted_by.organization == after.plan:
            facts = {"assignment": event.assignment, "what": event.what}
            yield Notice("taken_back", _holding(before), "provider", facts=facts)
        case AuthorizationOverturned():
            for provider in _serving(before):
                yield Notice("overturned", provider, "provider", slots={"on": event.on})
        case _:
            yield from _grant_to_providers(before, event, after)


def _grant_to_providers(before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    match event:
        case AuthorizationPresumptiveGranted() if not event.carried_by:
            facts = {"grant": event.grant, "through": event.through.isoformat()}
            slots: dict[str, Value] = {"through": event.through, "due": event.referral_by or event.through}
            variant = "referral" if _start(after) else USUAL
            if event.at_risk:
                # Nothing is owed for one who is not the plan's member (ECMG26 p109).
                variant = "referral_at_risk" if _start(after) else "payment_at_risk"
            # A claim that joined another loop is answered under its own id.
            yield Notice(
                "presumptive_granted", event.provider, "provider", variant, facts=facts, slots=slots,
                referral=event.claimed_by,
            )  # fmt: skip
        case AuthorizationPresumptiveRefused() if not event.claimed_by:
            yield _refused(event, after)
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
            variant = _how_ended(event, after)
            yield Notice(
                "presumptive_ended", before.grant.provider, "provider", variant, facts=facts, slots=slots
            )
        case _:
            return


def _start(outreach: Outreach) -> bool:
    """A start sent alone asked nothing of the plan: the full referral does (loop.md 3.1)."""
    return outreach.kind == "presumptive_start"


def _refused(event: AuthorizationPresumptiveRefused, after: Outreach) -> Notice:
    """Why, and what comes next: with an open authorization elsewhere the member's wish (loop.md 3.3); the directory's
    entry where it is waited for; else the plan's decision, which of a start sent alone must first be asked for."""
    variant = "referral" if _start(after) else USUAL
    if event.reason in ("other_provider", "awaiting_provider"):
        variant = event.reason
    slots: dict[str, Value] = {"reason": Coded("grant_refusal", event.reason)}
    facts = {"reason": event.reason}
    claimant = event.provider or after.claimed_by
    return Notice("presumptive_refused", claimant, "provider", variant, facts=facts, slots=slots)


def _how_ended(event: AuthorizationPresumptiveEnded, after: Outreach) -> str:
    """An expiry says what is missing, and who sends it (loop.md 3.4)."""
    if event.reason != "expired":
        return event.reason
    if after.decision:
        return after.decision
    if over(after):
        return "closed"
    return "expired_referral" if _start(after) else "expired_decision"


def _of_death(code: str, outreach: Outreach) -> Iterator[Notice]:
    """To who serves, and to who was offered the referral: neither may contact the member (loop.md 7.7)."""
    held = outreach.assignment
    if held is not None and not held.ended:
        yield Notice(code, held.provider, "provider")


def _yours(event: AssignmentAccepted, after: Outreach) -> Notice:
    """Whom to serve is in the assignment, identity included (N8); how to reach them safely beats every default."""
    variant, slots = _caution(after), dict[str, Value]()
    starts_on = after.assignment.starts_on if after.assignment is not None else None
    if variant == USUAL and starts_on is not None and starts_on > la_date(event.occurred_at):
        variant, slots = "planned", {"on": starts_on}
    facts = {"assignment": event.assignment}
    start = after.term.at if after.term is not None else None
    return Notice("yours", event.provider, "provider", variant, facts=facts, slots=slots, start=start)


def _waits_for_answer(after: Outreach, assignment: str) -> bool:
    offer = after.assignment
    return (
        offer is not None and offer.assignment == assignment and not offer.ended and offer.accepted_at is None
    )


def _reminded(after: Outreach, assignment: str) -> Iterator[Notice]:
    """Only while this offer waits for its answer."""
    offer = after.assignment
    if offer is None or not _waits_for_answer(after, assignment):
        return
    due = offer.answer_due_at
    slots: dict[str, Value] = {"due": last_day(due)} if due else {"due": "its last day"}
    facts = {"assignment": offer.assignment}
    yield Notice("offer_reminded", offer.provider, "provider", facts=facts, slots=slots)


def _through(code: str, provider: str, through: date, variant: str = USUAL) -> Notice:
    facts = {"through": through.isoformat()}
    return Notice(code, provider, "provider", variant, facts=facts, slots={"through": through})


def _extended(before: Outreach, event: AuthorizationExtended, after: Outreach) -> Notice:
    """Another term, by another number; the same one that does not end after all; or one that begins on another day."""
    variant = prolonged(before, event)
    facts = {"through": event.through.isoformat()}
    slots: dict[str, Value] = {"through": event.through, "on": event.from_}
    return Notice("extended", _holding(after), "provider", variant, facts=facts, slots=slots)


def prolonged(before: Outreach, event: AuthorizationExtended) -> str:
    """How a term goes on: `usual` by the plan's yes to another, `goes_on` as the same, `moved` to another first day,
    `appealed` until the member's appeal is resolved."""
    term = before.term
    if before.appealed:
        return "appealed"
    if term is None or term.number != event.number:
        return USUAL
    return "goes_on" if term.from_ == event.from_ else "moved"


def _taken_back(before: Outreach, event: AssignmentWithdrawn | AssignmentEnded) -> Notice:
    held = (
        before.assignment if before.assignment and before.assignment.assignment == event.assignment else None
    )
    provider = event.provider or (held.provider if held else "")
    offered = isinstance(event, AssignmentWithdrawn) and (held is None or held.accepted_at is None)
    code = "offer_withdrawn" if offered else "assignment_ended"
    return Notice(code, provider, "provider", facts={"assignment": event.assignment})


def _amended(
    referral: str, before: Outreach, event: ReferralAmended, after: Outreach, names: Names
) -> Iterator[Notice]:
    """Who serves hears that contact or start changed, and that its member was referred again; the rest it reads."""
    provider = _holding(after)
    if event.cause == "joined" and served(before) and event.joined_referrer != provider:
        yield _referred_again(referral, provider, event, names)
    contact = event.sealed is not None and "contact" in event.sealed and after.contact != before.contact
    if contact or restricted(after) != restricted(before):
        yield Notice("contact_changed", provider, "provider", _caution(after))
    if event.cause == "release_date":
        yield Notice("start_moved", provider, "provider")
    yield from _program_chosen(before, provider, after)


def _program_chosen(before: Outreach, provider: str, after: Outreach) -> Iterator[Notice]:
    """A choice of another program made after the yes is told to both (loop.md 4.4). Which program it is, is in no
    notice: it can tell what the member is treated for."""
    chosen = chosen_instead(after.flags) - chosen_instead(before.flags)
    if not chosen or after.decision != "approved":
        return
    yield Notice("program_chosen", provider, "provider")
    runs = {after.programs.get(program, "") for program in chosen} - {provider}
    for other in sorted(runs):
        yield Notice("program_chosen", other, "provider", "other_program")


def _referred_again(referral: str, provider: str, event: ReferralAmended, names: Names) -> Notice:
    """Who treats the member now is named, and until when: the lead care manager is there before the discharge
    (ECMG26 p60-61). A name that reveals what it treats is not."""
    facts, until = {"referral": referral}, event.joined_treats_until
    sender = names.of(event.joined_referrer or "")
    if until is None or until < la_date(event.occurred_at) or sender.reveals:
        return Notice("referred_again", provider, "provider", facts=facts)
    slots: dict[str, Value] = {"sender": f"{sender.name} ({sender.phone or USUAL_NUMBER})", "until": until}
    return Notice("referred_again", provider, "provider", "treating", facts=facts, slots=slots)


def _contact_changed(event: OutreachContactChanged, after: Outreach) -> Iterator[Notice]:
    provider = _holding(after)
    if event.acted_by is None or event.acted_by.organization != provider:
        yield Notice("contact_changed", provider, "provider", _caution(after))


def _caution(after: Outreach) -> str:
    """Which rules of contact a provider must read first; that nobody may contact the member beats all."""
    if not restricted(after):
        return USUAL
    return "forbidden" if DO_NOT_CONTACT in after.flags else "careful"


def _support(event: ReferralSupportMoved, after: Outreach) -> Iterator[Notice]:
    """A Community Supports referral: its provider is asked, its sender hears what became of it. Which service it is
    is in no webhook."""
    facts = {"support": event.support, "status": event.status}
    if event.status == "asked":
        yield Notice("support_asked", event.provider, "provider", facts=facts)
    else:
        yield Notice("support_moved", _holding(after), "provider", facts=facts, slots={"moved": event.status})


def _holding(outreach: Outreach) -> str:
    held = outreach.assignment
    return held.provider if held is not None and held.held else ""


def _serving(before: Outreach) -> Iterator[str]:
    """The providers that serve already: by a live assignment, by a grant."""
    granted = [before.grant.provider] if before.grant else []
    return iter(dict.fromkeys(each for each in [_holding(before), *granted] if each))
