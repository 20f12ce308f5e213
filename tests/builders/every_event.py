"""One referral's life in every event there is, each with words that nobody outside may read: CANARY."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from loopkeeper.contract import events
from loopkeeper.contract.events import Event
from loopkeeper.testing.rules import MONDAY
from tests.builders.organizations import HARBOR, OTHER, REFERRER, STREET

CANARY = "zebra-crossing"
# What a person of the plan writes of a closing as `other` is for everybody who hears of it, partners aside (loop.md 7.1).
SAID = "The family takes over from here."
PCP, SECOND = "eastside-primary-care", "bayview-hospital"
DAY = date(2026, 3, 2)
LATER = MONDAY + timedelta(days=5)
RIGHTS = events.Rights(
    appeal_by=date(2026, 5, 1), hearing_days=120, unanswered_days=30, continues_if_by=date(2026, 3, 12)
)
POPULATIONS = (
    events.ScreenedPopulation(code="smi_sud", result="met", claimed=True),
    events.ScreenedPopulation(code="homelessness", result="unmet", claimed=False),
)


def make(kind: type[Event], **fields: Any) -> Event:
    return kind.model_validate({"occurred_at": MONDAY, **fields})


def life(provider: str = STREET, **received: Any) -> Sequence[Event]:
    """Every event of a referral that this provider serves, in an order in which each can be told to somebody."""
    e = events
    flags = received.get("flags", ("no_fixed_address",))
    return (
        make(
            e.ReferralReceived, plan=HARBOR, referrer=REFERRER, member="mem_1", county="alameda", age_band="adult",
            language="en", populations=POPULATIONS, pcp=PCP, entered_by=CANARY, preferred=(CANARY,),
            claim={"provider": provider, "population": "smi_sud", "from": DAY},
            sealed={"identity": CANARY, "contact": CANARY, "form": CANARY},
        ).model_copy(update=received),
        make(e.ReferralQuestionsAsked, questions=[{"id": f"answer-{CANARY}", "pointer": f"/{CANARY}"}], due_at=LATER),
        make(e.ReferralQuestionsAsked, questions=[{"id": f"answer-{CANARY}", "pointer": f"/{CANARY}"}]),
        make(e.ReferralAmended, cause="corrected", flags=flags, sealed={"contact": f"{CANARY}2"}),
        make(e.ReferralOverdue, clock="questions", due_at=LATER, state="breached"),
        make(e.ReferralPlanAsked, reason="start_without_form", due_at=LATER),
        make(e.AuthorizationReviewOpened, authorization="auth_1", clock="routine", due_at=LATER, cap_at=LATER,
             needs_person=(CANARY,)),
        make(e.AuthorizationPresumptiveRefused, reason="criteria", way_on=CANARY),
        make(e.AuthorizationPresumptiveRefused, reason="other_provider", way_on=CANARY),
        make(e.AuthorizationPresumptiveGranted, grant="grt_0", provider=provider, provider_version=1,
             population="smi_sud", **{"from": DAY, "through": DAY}),
        make(e.AuthorizationPresumptiveEnded, grant="grt_0", reason="revoked", through=DAY),
        make(e.AuthorizationPresumptiveGranted, grant="grt_1", provider=provider, provider_version=1,
             population="smi_sud", **{"from": DAY, "through": DAY}),
        make(e.AuthorizationPresumptiveReminded, grant="grt_1", provider=provider, day=20, missing="decision", through=DAY),
        make(e.AuthorizationPended, authorization="auth_1", asks=(f"answer-{CANARY}",), by=LATER),
        make(e.AuthorizationResumed, authorization="auth_1", due_at=LATER),
        make(e.AuthorizationExpedited, authorization="auth_1", due_at=LATER),
        make(e.AuthorizationOverdue, authorization="auth_1", clock="routine", due_at=LATER, state="at_risk"),
        make(e.AuthorizationDeemedAdverse, authorization="auth_1", cap_at=LATER, appeal_by=DAY, notice_due_at=LATER,
             rights=RIGHTS),
        make(e.AuthorizationDenied, authorization="auth_1", reason="criteria_not_met", citation="22 CCR 51303",
             external_number=CANARY, appeal_by=DAY, notice_due_at=LATER, rights=RIGHTS),
        make(e.AuthorizationOverturned, authorization="auth_1", on=DAY, due_at=LATER),
        make(e.AuthorizationApproved, authorization="auth_1", number=CANARY, populations=("smi_sud",),
             adverse={"populations": ("homelessness",), "reason": "criteria_not_met", "citation": "22 CCR 51303",
                      "notice_due_at": LATER, "rights": RIGHTS}, **{"from": DAY, "through": DAY}),
        make(e.AssignmentMade, assignment="asg_1", provider=provider, answer_due_at=LATER, basis=CANARY,
             skipped=[{"provider": CANARY, "reason": CANARY}], ranked=[{"provider": CANARY, "because": [CANARY]}]),
        make(e.AssignmentOverdue, assignment="asg_1", clock="provider_answer", due_at=LATER, state="at_risk"),
        make(e.AssignmentAccepted, assignment="asg_1", provider=provider,
             lead={"person": "maria.lopez", "name": "Maria Lopez"}, pcp=PCP, pcp_due_at=LATER),
        make(e.AssignmentStarted, assignment="asg_1", provider=provider, on=DAY),
        make(e.AssignmentLeadChanged, assignment="asg_1", provider=provider,
             lead={"person": "joe.kim", "name": "Joe Kim"}),
        make(e.AssignmentPlanAsked, reason="conflicted", due_at=LATER),
        make(e.OutreachAttempted, assignment="asg_1", number=1, actor_kind="peer", modality="phone",
             outcome="no_answer", reached=False),
        make(e.OutreachAnswered, assignment="asg_1", provider=provider, answer="lead_changed", on=DAY, reason=CANARY,
             lead={"person": "joe.kim", "name": "Joe Kim"}),
        make(e.AssignmentAnswerRefused, assignment="asg_1", answer="lead_changed", reason=CANARY),
        make(e.OutreachInitiated, assignment="asg_1", on=DAY),
        make(e.OutreachClosingReported, assignment="asg_1", reason="other", on=DAY, sealed={"closing": CANARY}),
        make(e.OutreachMonthCounted, assignment="asg_1", month="2026-03", in_person=2, remote=1),
        make(e.OutreachOverdue, assignment="asg_1", clock="first_outreach", due_at=LATER, state="breached"),
        make(e.OutreachContactChanged, flags=flags, sealed={"contact": CANARY},
             acted_by={"organization": HARBOR}),
        make(e.OutreachServicesStarted, assignment="asg_1", on=DAY),
        make(e.ReferralAmended, cause="joined", joined="ref_2", joined_referrer=SECOND),
        make(e.ReferralAmended, cause="release_date", release_on=DAY),
        make(e.ReferralSupportMoved, support="sup_1", code="sobering_centers", status="asked", provider=OTHER),
        make(e.ReferralSupportMoved, support="sup_1", code="sobering_centers", status="done", provider=OTHER),
        make(e.AuthorizationReauthorizationDue, authorization="auth_1", through=DAY, due_at=LATER),
        make(e.AuthorizationReauthorizationRequested, authorization="auth_1", provider=provider, through=DAY),
        make(e.AuthorizationExtended, authorization="auth_1", number=CANARY, **{"from": DAY, "through": DAY}),
        make(e.ReferralBackInCustody, on=DAY, due_at=LATER),
        make(e.ReferralDeathTold, by="plan", due_at=LATER),
        make(e.ReferralDeathConfirmed),
        make(e.ReferralDeathTakenBack),
        make(e.AuthorizationAppealed, authorization="auth_1", on=DAY, continues=True, code=1, ends_on=DAY, due_at=LATER),
        make(e.AuthorizationAppealResolved, authorization="auth_1", upheld=True),
        make(e.OutreachTakenBack, assignment="asg_1", what="attempted", number=1, because="another_day"),
        make(e.AuthorizationEnded, authorization="auth_1", code=1, on=DAY, notice_due_at=LATER, rights=RIGHTS),
        make(e.AuthorizationCoverageLost, authorization="auth_1", answer="ended", on=DAY, due_at=LATER),
        make(e.AuthorizationCoverageReturned, authorization="auth_1", due_at=LATER),
        make(e.AuthorizationEndingConfirmed, authorization="auth_1"),
        make(e.OutreachServiceEnded, assignment="asg_1", code=1, on=DAY),
        make(e.AssignmentQuestionTakenBack, assignment="asg_1", reason="provider_left"),
        make(e.NoticeTakenBack, notice="ntc_1", code="closed", recipient_kind="referrer", because="another_member"),
        make(e.NoticeOverdue, notice="ntc_1", code="closed", recipient_kind="referrer", due_at=LATER),
        make(e.NoticeDelivered, notice="ntc_1", code="closed", recipient_kind="referrer", how="webhook"),
        make(e.ReferralClosed, outcome="other", clr_reason="other", text=SAID),
        make(e.AuthorizationPresumptiveEnded, grant="grt_1", reason="expired", through=DAY),
        make(e.AssignmentEnded, assignment="asg_1", provider=provider, reason=CANARY, on=DAY),
        make(e.AssignmentWithdrawn, assignment="asg_2", provider=provider, reason=CANARY),
        make(e.AssignmentDeclined, assignment="asg_3", provider=provider, reason=CANARY),
        make(e.OutreachMemberDeclined, assignment="asg_3", on=DAY, how="phone", attempts=1),
        make(e.OutreachUnableToReach, assignment="asg_3", on=DAY, how="phone", attempts=1),
    )  # fmt: skip
