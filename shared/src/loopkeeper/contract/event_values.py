"""What an event's sentence says next to its words, for anyone who words it in another language: codes, dates and counts.

The wire type is the code of the sentence, these are its values. There is nothing among them that the English sentence
of `event_text` does not say, so a reader who may see the one may see the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loopkeeper.contract import events
from loopkeeper.contract.events import Event

# By event, the fields its sentence says; a list that it only counts is in COUNTED.
SAYS: Mapping[type[Event], tuple[str, ...]] = {
    events.ReferralReceived: ("referrer", "plan"),
    events.ReferralQuestionsAsked: ("questions", "reminder", "due_at"),
    events.ReferralSetAside: ("referrer", "plan"),
    events.ReferralAmended: ("cause", "questions", "release_on"),
    events.ReferralOverdue: ("due_at", "state"),
    events.ReferralPlanAsked: ("reason", "due_at"),
    events.ReferralSupportMoved: ("code", "status"),
    events.ReferralDeathTold: ("by", "due_at"),
    events.ReferralDeathConfirmed: (),
    events.ReferralBackInCustody: ("on", "due_at"),
    events.ReferralDeathTakenBack: (),
    events.ReferralClosed: ("outcome", "text"),
    events.AuthorizationReviewOpened: ("clock", "due_at"),
    events.AuthorizationPresumptiveGranted: ("provider", "through"),
    events.AuthorizationPresumptiveRefused: ("reason", "way_on"),
    events.AuthorizationPresumptiveEnded: ("reason", "through"),
    events.AuthorizationPresumptiveReminded: ("missing", "through"),
    events.AuthorizationPended: ("by",),
    events.AuthorizationResumed: ("due_at",),
    events.AuthorizationExpedited: ("due_at",),
    events.AuthorizationOverdue: ("state", "due_at"),
    events.AuthorizationDeemedAdverse: ("appeal_by",),
    events.AuthorizationOverturned: ("on",),
    events.AuthorizationReauthorizationDue: ("through",),
    events.AuthorizationReauthorizationRequested: ("provider", "through"),
    events.AuthorizationExtended: ("number", "from", "through"),
    events.AuthorizationEnded: ("on",),
    events.AuthorizationCoverageLost: ("due_at", "on"),
    events.AuthorizationCoverageReturned: ("due_at",),
    events.AuthorizationEndingConfirmed: (),
    events.AuthorizationAppealed: ("on", "continues", "due_at"),
    events.AuthorizationAppealResolved: ("upheld",),
    events.AuthorizationApproved: ("by", "must", "number", "from", "through", "modified"),
    events.AuthorizationDenied: ("appeal_by",),
    events.AssignmentMade: ("provider", "basis", "answer_due_at", "starts_on", "skipped"),
    events.AssignmentAccepted: ("provider",),
    events.AssignmentDeclined: ("provider", "reason"),
    events.AssignmentAnswerRefused: ("answer", "reason"),
    events.AssignmentWithdrawn: ("provider", "reason"),
    events.AssignmentPlanAsked: ("reason", "due_at"),
    events.AssignmentEnded: ("provider", "reason", "on"),
    events.AssignmentLeadChanged: ("provider",),
    events.AssignmentStarted: ("provider", "on"),
    events.AssignmentQuestionTakenBack: (),
    events.AssignmentOverdue: ("clock", "due_at", "state"),
    events.ProviderRecorded: ("provider", "version"),
    events.OutreachAttempted: ("number", "modality", "outcome", "reached"),
    events.OutreachAnswered: ("provider", "answer", "on"),
    events.OutreachInitiated: ("on",),
    events.OutreachClosingReported: ("reason", "on", "due_at"),
    events.OutreachMonthCounted: ("month",),
    events.OutreachServicesStarted: ("on",),
    events.OutreachMemberDeclined: ("on", "how"),
    events.OutreachUnableToReach: ("attempts", "on"),
    events.OutreachServiceEnded: ("on",),
    events.OutreachContactChanged: (),
    events.OutreachTakenBack: ("what", "number", "because"),
    events.OutreachOverdue: ("clock", "due_at", "state"),
    events.NoticeDelivered: ("code", "recipient_kind", "how"),
    events.NoticeTakenBack: ("code", "recipient_kind", "because"),
    events.NoticeOverdue: ("code", "recipient_kind", "due_at"),
}
# What the plan's sentence also says (loop.md 6.3).
PLAN_HEARS: Mapping[type[Event], tuple[str, ...]] = {
    events.AuthorizationPresumptiveGranted: ("population",),
    events.AuthorizationPended: ("asks",),
    events.AuthorizationEnded: ("code",),
    events.AuthorizationDenied: ("reason",),
}
COUNTED = frozenset({"questions", "skipped"})


def values(event: Event, *, whole: bool = False) -> dict[str, Any]:
    """The values of this event's sentence, as JSON has them; a field without one is left out."""
    if isinstance(event, events.ReferralSetAside):
        return values(event.received, whole=whole)
    said = (*SAYS.get(type(event), ()), *(PLAN_HEARS.get(type(event), ()) if whole else ()))
    unsaid = _unsaid(event)
    names = tuple(name for name in said if name not in unsaid)
    document = event.model_dump(mode="json", by_alias=True, exclude_none=True)
    found = {
        name: len(document[name]) if name in COUNTED else document[name]
        for name in names
        if document.get(name) not in (None, "")
    }
    if whole and isinstance(event, events.ReferralReceived):
        found["met"] = [each.code for each in event.populations if each.result == "met"]
    return found


def _unsaid(event: Event) -> tuple[str, ...]:
    """What the sentence leaves out for what this event is."""
    match event:
        case events.OutreachAttempted(reached=True):
            return ("outcome",)
        case events.ReferralQuestionsAsked(reminder=0):
            return ("due_at", "reminder")
        case events.ReferralAmended(cause="answered" | "corrected"):
            return ("release_on",)
        case events.ReferralAmended(cause="release_date"):
            return ("questions",)
        case events.ReferralAmended():
            return ("questions", "release_on")
        case _:
            return ()
