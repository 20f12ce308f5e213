"""Who is told what when a fact is noted, and in which words? Pure: from the states before and after it.

The plan hears every event of its referrals as the event itself, less what is sealed. Referrers, providers, primary care
and members hear notices: words of the policy table, with named slots (loop.md 7.5). Population codes and criteria are
in no notice (loop.md 6.3), and a provider whose very name reveals treatment for substance use is not named to a
referrer who does not treat the member (loop.md 6.4).
"""

from __future__ import annotations

from collections.abc import Iterator

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentStarted,
    AssignmentWithdrawn,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationPresumptiveReminded,
    Event,
    ReferralAmended,
    ReferralClosed,
    ReferralReceived,
    ReferralSupportMoved,
)
from notification.domain.notices.member_notices import to_member
from notification.domain.notices.provider_notices import to_providers
from notification.domain.notices.referrer_notices import may_name, to_referrers
from notification.domain.notices.wording import DISCREET, USUAL_NUMBER, Names, Notice, Value
from notification.domain.outreach.state import Outreach


def notices(
    referral: str, before: Outreach | None, event: Event, after: Outreach, names: Names
) -> list[Notice]:
    """What everybody concerned is told of this event, in a fixed order."""
    earlier = before or Outreach()
    told = [
        *to_referrers(referral, earlier, event, after, names),
        *to_providers(referral, earlier, event, after, names),
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


# ── primary care ──────────────────────────────────────────────────────────────────────────────────────────


def _to_primary_care(event: Event, after: Outreach, names: Names) -> Iterator[Notice]:
    """The member's primary care provider, if another, hears who coordinates the member's care (N9)."""
    if not isinstance(event, AssignmentAccepted):
        return
    pcp = event.pcp or after.pcp
    held = after.assignment is not None and after.assignment.held
    if not pcp or pcp == event.provider or not held:
        return
    due = event.pcp_due_at
    if not may_name(event.provider, pcp, after, names, la_date(event.occurred_at)):
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
        found |= {each.referrer for each in state.joined} | set(state.programs.values())
        found |= {state.assignment.provider} if state.assignment else set()
        found |= {state.closing.right_plan} if state.closing else set()
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
                *(event.program_providers or {}).values(),
            }
        case ReferralClosed():
            found.add(event.right_plan or "")
        case AssignmentAccepted():
            found |= {event.provider, event.pcp or ""}
        case AssignmentMade() | AssignmentStarted() | AuthorizationPresumptiveGranted():
            found.add(event.provider)
        case AssignmentWithdrawn() | AssignmentEnded() | AssignmentDeclined() | AssignmentLeadChanged():
            found.add(event.provider)
        case AuthorizationPresumptiveReminded() | AuthorizationPresumptiveRefused() | ReferralSupportMoved():
            found.add(event.provider)
        case _:
            pass
    found.add(getattr(event, "plan", "") or "")
    return found - {""}
