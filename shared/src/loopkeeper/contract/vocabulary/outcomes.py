"""Which states can a loop have, how can it end, and what are these to the state's closed-loop tracking?"""

from __future__ import annotations

from collections.abc import Mapping

from loopkeeper.contract.vocabulary.codes import Code


class Status(Code):
    """A referral's status; the first that holds, read from the last to the first (loop.md 8.1)."""

    RECEIVED = "received", "Received"
    PENDING_AUTHORIZATION = "pending_authorization", "Waiting for the plan's decision"
    NEEDS_INFORMATION = "needs_information", "Waiting for answers"
    AUTHORIZED = "authorized", "Authorized"
    ASSIGNED = "assigned", "Offered to a provider"
    ACCEPTED = "accepted", "Accepted by a provider"
    OUTREACH_INITIATED = "outreach_initiated", "Outreach under way"
    CLOSED = "closed", "Closed"


class Outcome(Code):
    """How a loop closes (loop.md 7.1)."""

    SERVICES_RECEIVED = "services_received", "Services received"
    PROVIDER_DECLINED = "provider_declined", "No provider could take the member"
    UNABLE_TO_REACH = "unable_to_reach", "The member could not be reached"
    NO_LONGER_ELIGIBLE = "no_longer_eligible", "The member is no longer eligible"
    DECLINED_BY_MEMBER = "declined_by_member", "The member declined"
    WITHDRAWN = "withdrawn", "Withdrawn"
    ALREADY_IN_ECM = "already_in_ecm", "The member already receives ECM"
    NOT_AUTHORIZED = "not_authorized", "Not authorized"
    MERGED = "merged", "Merged into an earlier referral"
    OTHER = "other", "Other"


class ClrStatus(Code):
    """The state's referral status. Only "Declined" is confirmed as its word (domain.md 5.2)."""

    PENDING = "pending", "Pending"
    ACCEPTED = "accepted", "Accepted"
    DECLINED = "declined", "Declined"
    OUTREACH_INITIATED = "outreach_initiated", "Outreach Initiated"
    LOOP_CLOSED = "loop_closed", "Referral Loop Closed"


class ClrReason(Code):
    """The state's reasons for closing a loop. Only "Services Received" is confirmed as its word (domain.md 5.2)."""

    SERVICES_RECEIVED = "services_received", "Services Received"
    PROVIDER_DECLINED = "service_provider_declined", "Service Provider Declined"
    UNABLE_TO_REACH = "unable_to_reach_member", "Unable to Reach Member"
    NO_LONGER_ELIGIBLE = "member_no_longer_eligible", "Member No Longer Eligible"
    DECLINED_BY_MEMBER = "member_declines_services", "Member No Longer Needs Services or Declines Services"
    OTHER = "other", "Other"


_REASONS: Mapping[str, ClrReason] = {
    Outcome.SERVICES_RECEIVED: ClrReason.SERVICES_RECEIVED,
    Outcome.PROVIDER_DECLINED: ClrReason.PROVIDER_DECLINED,
    Outcome.UNABLE_TO_REACH: ClrReason.UNABLE_TO_REACH,
    Outcome.NO_LONGER_ELIGIBLE: ClrReason.NO_LONGER_ELIGIBLE,
    Outcome.DECLINED_BY_MEMBER: ClrReason.DECLINED_BY_MEMBER,
}

_STATUSES: Mapping[str, ClrStatus] = {
    Status.ACCEPTED: ClrStatus.ACCEPTED,
    Status.OUTREACH_INITIATED: ClrStatus.OUTREACH_INITIATED,
    Status.CLOSED: ClrStatus.LOOP_CLOSED,
}


def clr_reason(outcome: str) -> ClrReason:
    """The state's closing reason of an outcome: the first five have one of their own, the rest are Other."""
    return _REASONS.get(Outcome(outcome), ClrReason.OTHER)


def clr_status(status: str, *, declined: bool = False) -> ClrStatus:
    """The state's status of ours. `declined`: the last provider asked said no and no other has been asked since.

    A decline shows only while nobody holds the referral; it never closes the loop (domain.md 5.2).
    """
    state = Status(status)
    if declined and state not in _STATUSES and state is not Status.ASSIGNED:
        return ClrStatus.DECLINED
    return _STATUSES.get(state, ClrStatus.PENDING)
