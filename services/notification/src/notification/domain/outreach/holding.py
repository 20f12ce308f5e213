"""Who may report of an outreach, of which day, and what may still be reported?"""

from __future__ import annotations

from datetime import date, datetime

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import ActedBy
from notification.domain.outreach.commands import ProviderCommand
from notification.domain.outreach.state import Assignment, Outreach, assignment_of, seen_by


def holder(outreach: Outreach | None, command: ProviderCommand) -> tuple[Outreach, Assignment]:
    """The row and the assignment the caller accepted. To anyone else there is nothing here (loop.md 1.5)."""
    held = outreach.assignment if outreach is not None else None
    if outreach is None or held is None or held.provider != command.provider or seen_by(outreach) == "":
        if held is not None and held.provider == command.provider and not held.ended:
            raise Refused(
                "not-assigned",
                "No acceptance of this offer has arrived here yet.",
                fix="Accept it; if you just did, send this again in a moment.",
            )
        raise Refused(
            "not-found",
            "There is nothing here that this key may see.",
            fix="Check the address and the key.",
            status=404,
        )
    return outreach, held


def offered_or_held(outreach: Outreach | None, command: ProviderCommand) -> tuple[Outreach, Assignment]:
    """The same, or the offer that the caller has not answered yet."""
    held = outreach.assignment if outreach is not None else None
    if outreach is not None and held is not None and held.provider == command.provider and not held.ended:
        return outreach, held
    return holder(outreach, command)


def may_try_early(outreach: Outreach, command: ProviderCommand) -> str | None:
    """Under which offer the caller may record an attempt before anybody accepted; empty where it has none, as who referred
    or the plan. None: it is not one of them, or somebody accepted. Raises 409 `already-accepted`, `already-closed`."""
    held, caller = outreach.assignment, command.provider
    open_offer = held if held is not None and not held.ended else None
    if open_offer is not None and open_offer.provider == caller:
        return open_offer.assignment if open_offer.accepted_at is None else None
    concerned = {outreach.plan, outreach.referrer, *(each.referrer for each in outreach.joined)} - {""}
    if caller not in concerned or (held is not None and held.provider == caller and seen_by(outreach)):
        return None
    if outreach.closing is not None:
        raise already_over(outreach)
    if open_offer is not None and open_offer.accepted_at is not None:
        raise Refused(
            "already-accepted",
            "A provider has accepted the referral, and records its outreach.",
            fix="Tell that provider, or the plan.",
        )
    return ""


def of_its_days(
    outreach: Outreach | None, command: ProviderCommand, assignment: str
) -> tuple[Outreach, Assignment]:
    """The same, or the caller's own former assignment of this id: what it tells late is of its own days (loop.md 8.6)."""
    found = assignment_of(outreach, assignment) if outreach is not None and assignment else None
    if outreach is not None and found is not None and found.provider == command.provider:
        return outreach, found
    return offered_or_held(outreach, command)


def on_its_days(held: Assignment, on: date) -> bool:
    """Whether the assignment was its provider's on that day."""
    return not held.ended or (held.ended_on is not None and on <= held.ended_on)


def open_holder(outreach: Outreach | None, command: ProviderCommand) -> tuple[Outreach, Assignment]:
    """The same, while outreach is not over. Raises 409 `already-closed`."""
    outreach, held = holder(outreach, command)
    if held.ended or outreach.closing is not None or outreach.ending is not None:
        raise already_over(outreach)
    return outreach, held


def already_over(outreach: Outreach) -> Refused:
    return Refused("already-closed", "This outreach is already over.", allowed=allowed(outreach))


def in_the_future() -> Refused:
    return Refused("in-the-future", "This has not happened yet.", fix="Send the time at which it happened.")


def day_of(on: date | None, at: datetime) -> date:
    """The day given, which must be today or earlier in Los Angeles."""
    if on is None:
        raise Refused("date-required", "The day on which it happened is missing.", fix="Send `on`.")
    if on > la_date(at):
        raise in_the_future()
    return on


def acted_by(held: Assignment, command: ProviderCommand) -> ActedBy:
    """The person named, the lead care manager where none is."""
    return ActedBy(
        organization=command.provider,
        person=command.person or (held.lead.person if held.lead else ""),
        proved=command.proved,
    )


def allowed(outreach: Outreach) -> tuple[str, ...]:
    """What the provider may still do."""
    held = outreach.assignment
    if held is None or not held.held:
        return ()
    if outreach.closing is None and outreach.ending is None:
        return ("attempts", "start-services", "member-declined", "unable-to-reach", "change-contact")
    served = outreach.ending is not None and outreach.ending.how == "services_started"
    ends = served and outreach.ended_service != held.assignment
    return ("attempts", "change-contact", *(["end-service"] if ends else []))
