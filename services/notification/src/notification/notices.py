"""Who must be told what when a fact is noted, and in which words? Pure: from the states before and after it.

The plan hears every event of its referrals as the event itself, less what is sealed. Referrers and providers hear
notices: words of the policy table, with named slots (loop.md 7.5). Population codes and criteria stand in no notice
(loop.md 6.3), and a provider whose very name reveals treatment for substance use is not named to a referrer who
does not treat the member (loop.md 6.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from loopkeeper.calendar import la_date
from loopkeeper.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    Event,
    ProviderRecorded,
    ReferralClosed,
    ReferralReceived,
)
from loopkeeper.vocabulary import DenialReason, Outcome, Population, ProviderType
from notification.rules import Outreach

# Everything a notice's words may name. No slot holds anything of the member.
SLOTS = frozenset(
    {"referral", "plan", "plan_phone", "provider", "provider_phone", "due", "through", "outcome", "reason"}
)
SLOT = re.compile(r"{(\w*)}")

# A provider of these types, or one serving only this population, is known for treating substance use.
REVEALING_TYPES = frozenset({ProviderType.SPECIALTY_BH_OPERATED, ProviderType.SPECIALTY_BH_CONTRACTED})
REVEALING_POPULATION = Population.SMI_SUD

USUAL = "usual"
DISCREET = "discreet"


@dataclass(frozen=True, slots=True)
class Named:
    """How an organization is called and reached in words."""

    name: str
    phone: str = ""
    reveals: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """Plans and referrers from the organizations file, providers from the directory copy."""

    known: Mapping[str, Named] = field(default_factory=dict[str, Named])

    def of(self, organization: str) -> Named:
        return self.known.get(organization) or Named(organization)


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing one organization is to be told in words. `facts` travel beside the words, for programs."""

    code: str
    recipient: str
    recipient_kind: str
    variant: str = USUAL
    closing: bool = False
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    slots: Mapping[str, str] = field(default_factory=dict[str, str])

    def id(self, event: UUID) -> str:
        """The same for the same event, recipient and code, also after a restore."""
        return f"ntc_{uuid5(event, f'{self.recipient}|{self.code}').hex}"

    @property
    def wire_type(self) -> str:
        return f"ecm.notice.{self.code}.v1"


def notices(
    referral: str, before: Outreach | None, event: Event, after: Outreach, names: Names
) -> list[Notice]:
    """What the referrer and the providers concerned are told of this event, in a fixed order."""
    earlier = before or Outreach()
    told = [*_to_referrer(earlier, event, after, names), *_to_providers(earlier, event, after)]
    fixed = _fixed_slots(referral, after, names)
    return [_with_slots(notice, fixed) for notice in told if notice.recipient]


def _with_slots(notice: Notice, fixed: Mapping[str, str]) -> Notice:
    return Notice(
        notice.code,
        notice.recipient,
        notice.recipient_kind,
        notice.variant,
        notice.closing,
        notice.facts,
        {**fixed, **notice.slots},
    )


def _fixed_slots(referral: str, after: Outreach, names: Names) -> Mapping[str, str]:
    plan = names.of(after.plan)
    return {"referral": referral, "plan": plan.name, "plan_phone": plan.phone or "its usual number"}


def _to_referrer(before: Outreach, event: Event, after: Outreach, names: Names) -> Iterator[Notice]:
    to = (after.referrer, "referrer")
    match event:
        case ReferralReceived():
            yield Notice("received", *to)
            # Closed before it was known here: whoever referred must still hear how it ended.
            if after.closing is not None:
                yield _closed(to, after.closing.outcome)
        case AuthorizationApproved():
            through = {"through": event.through.isoformat()}
            yield Notice("authorized", *to, facts=through, slots={"through": day_in_words(event.through)})
        case AuthorizationDenied():
            facts = {"reason": event.reason, "appeal_by": event.appeal_by.isoformat()}
            slots = {
                "reason": DenialReason.label_of(event.reason),
                "due": day_in_words(event.appeal_by),
            }
            yield Notice("not_authorized", *to, facts=facts, slots=slots)
        case AssignmentAccepted():
            yield _assigned(to, event, names)
        case ReferralClosed() if before.closing is None:
            yield _closed(to, event.outcome)
        case _:
            return


def _closed(to: tuple[str, str], outcome: str) -> Notice:
    return Notice(
        "closed",
        *to,
        closing=True,
        facts={"outcome": outcome},
        slots={"outcome": Outcome.label_of(outcome)},
    )


def _assigned(to: tuple[str, str], event: AssignmentAccepted, names: Names) -> Notice:
    provider = names.of(event.provider)
    if provider.reveals and event.provider != to[0]:
        return Notice("assigned", *to, variant=DISCREET)
    return Notice(
        "assigned",
        *to,
        facts={"provider": event.provider},
        slots={"provider": provider.name, "provider_phone": provider.phone or "its usual number"},
    )


def _to_providers(before: Outreach, event: Event, after: Outreach) -> Iterator[Notice]:
    match event:
        case AssignmentMade():
            facts = {"assignment": event.assignment, "due_at": event.answer_due_at.isoformat()}
            slots = {"due": time_in_words(event.answer_due_at)}
            yield Notice("offer", event.provider, "provider", facts=facts, slots=slots)
        case AssignmentWithdrawn() | AssignmentEnded():
            yield _taken_back(before, event)
        case AuthorizationApproved():
            through = {"through": event.through.isoformat()}
            slots = {"through": day_in_words(event.through)}
            for provider in _decided_for(before):
                yield Notice("decided", provider, "provider", "approved", facts=through, slots=slots)
        case AuthorizationDenied():
            for provider in _decided_for(before):
                yield Notice("decided", provider, "provider", "denied")
        case AuthorizationPresumptiveGranted():
            facts = {"grant": event.grant, "through": event.through.isoformat()}
            slots = {"through": day_in_words(event.through)}
            yield Notice("presumptive_granted", event.provider, "provider", facts=facts, slots=slots)
        case AuthorizationPresumptiveRefused():
            yield Notice("presumptive_refused", after.claimed_by, "provider", facts={"reason": event.reason})
        case AuthorizationPresumptiveEnded() if before.grant and before.grant.grant == event.grant:
            facts = {"grant": event.grant, "reason": event.reason, "through": event.through.isoformat()}
            slots = {"through": day_in_words(event.through)}
            yield Notice("presumptive_ended", before.grant.provider, "provider", facts=facts, slots=slots)
        case _:
            return


def _taken_back(before: Outreach, event: AssignmentWithdrawn | AssignmentEnded) -> Notice:
    held = (
        before.assignment if before.assignment and before.assignment.assignment == event.assignment else None
    )
    provider = event.provider or (held.provider if held else "")
    offered = isinstance(event, AssignmentWithdrawn) and (held is None or held.accepted_at is None)
    code = "offer_withdrawn" if offered else "assignment_ended"
    return Notice(code, provider, "provider", facts={"assignment": event.assignment})


def _decided_for(before: Outreach) -> Iterator[str]:
    """The providers that serve already: by a live assignment, by a grant."""
    held = [before.assignment.provider] if before.assignment and before.assignment.held else []
    granted = [before.grant.provider] if before.grant else []
    return iter(dict.fromkeys([*held, *granted]))


def concerned(state: Outreach | None, event: Event | None) -> set[str]:
    """Every organization that may have to be told something of this event; too many is fine, too few is not."""
    found: set[str] = set()
    if state is not None:
        found |= {state.plan, state.referrer, state.claimed_by}
        found |= {state.assignment.provider} if state.assignment else set()
        found |= {state.grant.provider} if state.grant else set()
    match event:
        case ReferralReceived():
            found |= {event.plan, event.referrer, event.claim.provider if event.claim else ""}
        case AssignmentMade() | AssignmentAccepted() | AuthorizationPresumptiveGranted():
            found.add(event.provider)
        case AssignmentWithdrawn() | AssignmentEnded() | AssignmentDeclined():
            found.add(event.provider)
        case _:
            pass
    return found - {""}


def render(template: str, slots: Mapping[str, str]) -> str:
    """The words with their slots filled. Raises LookupError for a slot that is not allowed or has no value."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in SLOTS or found[1] not in slots:
            raise LookupError(f"a notice's words name the slot {found[1]!r}, which this notice does not have")
        return slots[found[1]]

    return SLOT.sub(value, template)


def event_body(event: Event, payload: bytes) -> dict[str, Any]:
    """What a plan's endpoint gets of an event: its data, without the sealed parts."""
    data: dict[str, Any] = orjson.loads(payload)
    data.pop("sealed", None)
    return data


def reveals(entry: ProviderRecorded) -> bool:
    """Whether this provider's name alone tells that it treats substance use."""
    only = bool(entry.populations) and set(entry.populations) == {REVEALING_POPULATION}
    return only or not REVEALING_TYPES.isdisjoint(entry.types)


def time_in_words(at: datetime) -> str:
    """The last day of a deadline in Los Angeles: one that ends at midnight belongs to the day before."""
    return day_in_words(la_date(at - at.resolution))


def day_in_words(day: date) -> str:
    return f"{day:%B} {day.day}, {day.year}"
