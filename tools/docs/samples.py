"""One state for each status and one command of each kind, for the tables status × command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from assignment.domain import commands as turns
from assignment.domain import contexts as finding
from assignment.domain import rules as assigning
from assignment.domain.matching import Ranking
from authorization.domain import commands as requests
from authorization.domain import contexts
from authorization.domain import rules as deciding
from loopkeeper.contract.decider import Command, Context, Plain
from loopkeeper.contract.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentPlanAsked,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationPended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationReviewOpened,
    Claim,
    Event,
    Lead,
    OutreachAttempted,
    OutreachMemberDeclined,
    OutreachServicesStarted,
    OutreachUnableToReach,
    ProviderRecorded,
    Question,
    Ranked,
    ReferralClosed,
    ReferralQuestionsAsked,
    ReferralReceived,
    Rights,
    ScreenedPopulation,
    Unmet,
)
from notification.domain.outreach import commands as outreach
from notification.domain.outreach import rules as reaching
from referral_intake.domain import commands as loops
from referral_intake.domain import rules as receiving
from referral_intake.domain.contexts import CloseContext, MergeContext
from tools.docs.spec import Spec

AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
LATER = AT + timedelta(days=60)
SEED = UUID(int=1)
DAY = date(2026, 3, 2)
PLAN, PROVIDER = "harbor-health-plan", "harbor-street-medicine"
MARIA = ActedBy(organization=PLAN, person="maria-chen")
LUIS = ActedBy(organization=PROVIDER, person="luis-ortega")
LEAD, OTHER_LEAD = Lead(person="luis-ortega", name="Luis Ortega"), Lead(person="mei-tran", name="Mei Tran")
CLAIM = Claim.model_validate({"provider": PROVIDER, "population": "homelessness", "from": DAY})

RECEIVED = ReferralReceived(
    occurred_at=AT,
    plan=PLAN,
    referrer=PROVIDER,
    member="mem_1",
    populations=(
        ScreenedPopulation(code="homelessness", result="met", claimed=True),
        ScreenedPopulation(code="avoidable_utilization", result="met"),
    ),
    attested=True,
    claim=CLAIM,
)
ASKED = ReferralQuestionsAsked(
    occurred_at=AT, questions=(Question(id="populations", pointer="/populations", blocking=True),), due_at=AT
)
REVIEW = AuthorizationReviewOpened(
    occurred_at=AT,
    authorization="auth_1",
    clock="routine",
    due_at=AT,
    cap_at=AT,
    needs_person=("switch_off",),
)
GRANTED = AuthorizationPresumptiveGranted.model_validate(
    {
        "occurred_at": AT, "grant": "grant_1", "provider": PROVIDER, "provider_version": 1,
        "population": "homelessness", "from": DAY, "through": date(2026, 3, 31),
    }
)  # fmt: skip
GRANT_ENDED = AuthorizationPresumptiveEnded(occurred_at=AT, grant="grant_1", reason="expired", through=DAY)
APPROVED = AuthorizationApproved.model_validate(
    {
        "occurred_at": AT, "authorization": "auth_1", "number": "ECM-1", "populations": ("homelessness",),
        "from": DAY, "through": date(2027, 3, 1),
    }
)  # fmt: skip
PENDED = AuthorizationPended(occurred_at=AT, authorization="auth_1", asks=("birth-date",), by=LATER)
DENIED = AuthorizationDenied(
    occurred_at=AT,
    authorization="auth_1",
    reason="criteria_not_met",
    citation="",
    appeal_by=DAY,
    notice_due_at=AT,
)
MADE = AssignmentMade(occurred_at=AT, assignment="asg_1", provider=PROVIDER, answer_due_at=AT)
ACCEPTED = AssignmentAccepted(occurred_at=AT, assignment="asg_1", provider=PROVIDER, lead=LEAD)
DECLINED = AssignmentDeclined(occurred_at=AT, assignment="asg_1", provider=PROVIDER, reason="no_capacity")
ENDED = AssignmentEnded(occurred_at=AT, assignment="asg_1", provider=PROVIDER, reason="grant_over", on=DAY)
PLAN_ASKED = AssignmentPlanAsked(occurred_at=AT, reason="none_left")
ATTEMPTED = OutreachAttempted(
    occurred_at=AT,
    assignment="asg_1",
    number=1,
    actor_kind="peer",
    modality="phone",
    outcome="no_answer",
    reached=False,
)
STARTED = OutreachServicesStarted(occurred_at=AT, assignment="asg_1", on=DAY)
MEMBER_DECLINED = OutreachMemberDeclined(occurred_at=AT, assignment="asg_1", on=DAY, how="phone", attempts=1)
UNREACHED = OutreachUnableToReach(occurred_at=AT, assignment="asg_1", on=DAY, attempts=5)


def _plain(command: Command, at: datetime = AT) -> Callable[[Any], tuple[Command, Context]]:
    """A command whose rule needs nothing but time and seed."""
    return lambda _: (command, Plain(at=at, seed=SEED))


def _closed(outcome: str) -> ReferralClosed:
    return ReferralClosed(occurred_at=AT, outcome=outcome, clr_reason="other")


SERVED, WITHDRAWN = _closed("services_received"), _closed("withdrawn")

# ── intake ────────────────────────────────────────────────────────────────────────────────────────────────

INTAKE_HISTORIES: dict[str, tuple[Event, ...]] = {
    "(unknown)": (),
    "received": (RECEIVED,),
    "needs_information": (RECEIVED, ASKED),
    "pending_authorization": (RECEIVED, REVIEW),
    "authorized": (RECEIVED, APPROVED),
    "assigned": (RECEIVED, APPROVED, MADE),
    "accepted": (RECEIVED, APPROVED, MADE, ACCEPTED),
    "outreach_initiated": (RECEIVED, APPROVED, MADE, ACCEPTED, ATTEMPTED),
    "closed": (RECEIVED, APPROVED, MADE, ACCEPTED, STARTED, SERVED),
}


INTAKE = Spec(
    "Intake: the referral",
    receiving.DECIDER,
    {name: receiving.DECIDER.fold(events) for name, events in INTAKE_HISTORIES.items()},
    {
        "withdraw (referrer)": _plain(loops.WithdrawReferral(by="referrer", acted_by=MARIA)),
        "withdraw (member)": _plain(loops.WithdrawReferral(by="member", acted_by=MARIA)),
        "close by hand (other)": lambda _: (
            loops.CloseReferral(outcome="other", text="moved away", acted_by=MARIA),
            CloseContext(at=AT, seed=SEED, least_attempts=1),
        ),
        # Into the member's other open loop.
        "merge by hand": lambda _: (
            loops.MergeReferral(into="ref_2", acted_by=MARIA),
            MergeContext(at=AT, seed=SEED, own="ref_1", survivor=receiving.DECIDER.fold((RECEIVED,))),
        ),
        "record a release date": _plain(loops.RecordReleaseDate(release_on=DAY, acted_by=MARIA)),
        "time for answers is over": _plain(loops.MeetDeadline(kind="information", due_at=AT), LATER),
        "authorization.denied": _plain(loops.NoteFact(fact=DENIED)),
        "outreach.services_started": _plain(loops.NoteFact(fact=STARTED)),
        "outreach.member_declined": _plain(loops.NoteFact(fact=MEMBER_DECLINED)),
        "outreach.unable_to_reach": _plain(loops.NoteFact(fact=UNREACHED)),
        "any other fact": _plain(loops.NoteFact(fact=ACCEPTED)),
    },
)

# ── authorization ─────────────────────────────────────────────────────────────────────────────────────────

ENTRY = ProviderRecorded.model_validate(
    {
        "occurred_at": AT, "provider": PROVIDER, "version": 1, "types": ("street_medicine",),
        "populations": ("homelessness",),
        "contracts": ({"plan": PLAN, "populations": ("homelessness",), "from": "2025-01-01"},),
    }
)  # fmt: skip
UNMET_FREQUENT = Unmet(
    population="avoidable_utilization", criterion="avoidable_stays_6m", why="Those stays were planned."
)
UNMET = (Unmet(population="homelessness", criterion="in_shelter", why="You live at home."), UNMET_FREQUENT)
RIGHTS = Rights(appeal_by=DAY, hearing_days=120, unanswered_days=30)
DENIAL = contexts.DenialRules(
    needs_license=True, citation="", notice_due_at=AT, rights=RIGHTS, exclusive=(), chosen=(),
    criteria={"homelessness": ("in_shelter",), "avoidable_utilization": ("avoidable_stays_6m",)}, refs=(),
)  # fmt: skip
ENDING = contexts.EndingRules(rights=RIGHTS, refs=())
CLOCKS = contexts.ClockRules(clock="routine", due_at=AT, cap_at=AT, at_risk_at=AT, refs=())
RUNNING_ON = contexts.RunningOn(due_at=AT, at_risk_at=None, refs=())
TERM = contexts.TermRules(months=12, prompt_days=(), notice_days=0, runs_from="decision", refs=())
TIMES: dict[str, Any] = {"at": AT, "seed": SEED}
OPENING = contexts.ReviewContext(
    **TIMES,
    grant=contexts.GrantRules(
        types={"homelessness": ("street_medicine",)},
        days=30,
        again_days=0,
        referral_by=None,
        remind_on=(),
        grants_with=frozenset({"confirmed", "unknown"}),
        at_risk_with=frozenset(),
        refs=(),
    ),
    member_grants=contexts.MemberGrants(),
    provider=ENTRY,
    hubs={},
    own="ref_1",
    joined=None,
    joined_provider=None,
    opens=None,
    clocks=CLOCKS,
    term=TERM,
    approval=contexts.ApprovalRules(
        covered=frozenset({"confirmed"}),
        automatic={"homelessness": 0.0},
        exclusive=(),
        chosen=(),
        must={},
        unless={},
        look_back=90,
        refs=(),
    ),
    draw=0.5,
)
AUTHORIZATION_HISTORIES: dict[str, tuple[Event, ...]] = {
    "(unknown)": (),
    "pending": (RECEIVED, REVIEW),
    "pending, grant live": (RECEIVED, REVIEW, GRANTED),
    "pending, clock paused": (RECEIVED, REVIEW, PENDED),
    "approved": (RECEIVED, REVIEW, APPROVED),
    "approved, a provider serves": (RECEIVED, REVIEW, APPROVED, ACCEPTED),
    "denied": (RECEIVED, REVIEW, DENIED),
    "closed": (RECEIVED, REVIEW, WITHDRAWN),
    "tombstone": (WITHDRAWN,),
}
AUTHORIZATION = Spec(
    "Authorization: the plan's decision",
    deciding.DECIDER,
    {name: deciding.DECIDER.fold(events) for name, events in AUTHORIZATION_HISTORIES.items()},
    {
        "referral.received": lambda _: (requests.OpenReview(fact=RECEIVED), OPENING),
        "approve": lambda _: (requests.Approve(acted_by=MARIA), contexts.ApproveContext(**TIMES, term=TERM)),
        "approve, nobody named": lambda _: (
            requests.Approve(acted_by=ActedBy(organization=PLAN)),
            contexts.ApproveContext(**TIMES, term=TERM),
        ),
        "deny": lambda _: (
            requests.Deny(acted_by=MARIA, reason="criteria_not_met", licensed=True, unmet=UNMET),
            contexts.DenyContext(**TIMES, denial=DENIAL),
        ),
        "deny, forbidden reason": lambda _: (
            requests.Deny(acted_by=MARIA, reason="missing_tar", licensed=True),
            contexts.DenyContext(**TIMES, denial=DENIAL),
        ),
        "modify": lambda _: (
            requests.Modify(
                acted_by=MARIA,
                populations=("homelessness",),
                reason="criteria_not_met",
                licensed=True,
                unmet=(UNMET_FREQUENT,),
            ),
            contexts.ModifyContext(**TIMES, term=TERM, denial=DENIAL),
        ),
        "pend": lambda _: (
            requests.Pend(acted_by=MARIA, asks=("birth-date",)),
            contexts.PendContext(**TIMES, known=frozenset({"birth-date"}), by=LATER, refs=()),
        ),
        "resume": lambda _: (
            requests.Resume(acted_by=MARIA),
            contexts.PauseContext(**TIMES, running_on=RUNNING_ON),
        ),
        "revoke the grant": _plain(requests.RevokeGrant(acted_by=MARIA)),
        "overturn": lambda _: (
            requests.Overturn(acted_by=MARIA, on=DAY),
            contexts.OverturnContext(**TIMES, due_at=LATER, refs=()),
        ),
        "end the term": lambda _: (
            requests.End(acted_by=MARIA, code=1),
            contexts.EndContext(**TIMES, notice_days=10, ending=ENDING),
        ),
        "continue the term": _plain(requests.Continue(acted_by=MARIA)),
        "request reauthorization": lambda _: (
            requests.RequestReauthorization(acted_by=LUIS, provider=PROVIDER),
            contexts.ReauthorizationContext(**TIMES, clocks=CLOCKS),
        ),
        "cap is reached": lambda _: (
            requests.PassDeadline(kind="cap"),
            contexts.CapContext(at=LATER, seed=SEED, notice_due_at=AT, rights=RIGHTS, refs=()),
        ),
        "grant's last day is over": _plain(requests.ExpireGrant(), LATER),
        "referral.closed (services_received)": _plain(requests.NoteFact(fact=SERVED)),
        "referral.closed (withdrawn)": _plain(requests.NoteFact(fact=WITHDRAWN)),
    },
)

# ── assignment ────────────────────────────────────────────────────────────────────────────────────────────

LIMIT = finding.Limit(due_at=AT, at_risk_at=AT, refs=())
OFFERING = finding.Offering(
    ranking=Ranking(ranked=(Ranked(provider="bay-housing-navigators"),)),
    answer_due_at=AT,
    answer_at_risk_at=AT,
    told=LIMIT,
    other_assignment=None,
    refs=(),
)
NEXT = finding.OfferContext(**TIMES, offering=OFFERING)
ASSIGNMENT_HISTORIES: dict[str, tuple[Event, ...]] = {
    "(unknown)": (),
    "waiting": (RECEIVED,),
    "offered": (RECEIVED, APPROVED, MADE),
    "offered, presumptively": (RECEIVED, GRANTED, MADE),
    "accepted": (RECEIVED, APPROVED, MADE, ACCEPTED),
    "accepted, presumptively": (RECEIVED, GRANTED, MADE, ACCEPTED),
    "asked": (RECEIVED, APPROVED, MADE, DECLINED, PLAN_ASKED),
    "closed": (RECEIVED, APPROVED, WITHDRAWN),
}


def _settled(fact: Event) -> Callable[[Any], tuple[Command, Context]]:
    conflict = finding.Conflict(told=LIMIT, other_assignment=None)
    context = finding.SettleContext(**TIMES, offering=OFFERING, conflict=conflict, change=LIMIT)
    return lambda _: (turns.NoteFact(fact=fact), context)


ASSIGNMENT = Spec(
    "Assignment: the provider's turn",
    assigning.DECIDER,
    {name: assigning.DECIDER.fold(events) for name, events in ASSIGNMENT_HISTORIES.items()},
    {
        "authorization.approved": _settled(APPROVED),
        "authorization.presumptive_granted": _settled(GRANTED),
        "authorization.presumptive_ended (expired)": _settled(GRANT_ENDED),
        "accept": lambda _: (
            turns.Accept(assignment="asg_1", provider=PROVIDER, lead=LEAD),
            finding.AcceptContext(**TIMES, contracted=True, pcp_due_at=AT),
        ),
        "decline": lambda _: (
            turns.Decline(assignment="asg_1", provider=PROVIDER, reason="no_capacity"),
            NEXT,
        ),
        "assign by hand": lambda _: (
            turns.AssignByHand(provider="bay-housing-navigators", acted_by=MARIA),
            finding.HandContext(**TIMES, offering=OFFERING, obliged=None),
        ),
        "withdraw": lambda _: (turns.Withdraw(assignment="asg_1", acted_by=MARIA), NEXT),
        "end": lambda _: (turns.End(assignment="asg_1", acted_by=MARIA), NEXT),
        "request a change": lambda _: (
            turns.RequestChange(assignment="asg_1", wished="", acted_by=LUIS),
            finding.ChangeContext(**TIMES, offering=OFFERING, change=LIMIT),
        ),
        "change the lead": _plain(
            turns.ChangeLead(assignment="asg_1", provider=PROVIDER, lead=OTHER_LEAD, acted_by=LUIS)
        ),
        "a limit is reached": _plain(turns.Watch(), LATER),
        "answer overdue": lambda _: (
            turns.AskPlan(),
            finding.SilenceContext(at=LATER, seed=SEED, told=LIMIT, offering=None),
        ),
        "referral.closed (services_received)": _settled(SERVED),
        "referral.closed (withdrawn)": _settled(WITHDRAWN),
    },
)

# ── notification ──────────────────────────────────────────────────────────────────────────────────────────

REACH = outreach.ReachPolicy(attempts=1, days=0, modalities=1, in_person=0)
OUTREACH_HISTORIES: dict[str, tuple[Event, ...]] = {
    "(unknown)": (),
    "waiting": (RECEIVED,),
    "offered": (RECEIVED, MADE),
    "open": (RECEIVED, MADE, ACCEPTED),
    "open, one attempt": (RECEIVED, MADE, ACCEPTED, ATTEMPTED),
    "services started": (RECEIVED, MADE, ACCEPTED, STARTED),
    "closed, services received": (RECEIVED, MADE, ACCEPTED, STARTED, SERVED),
    "closed otherwise": (RECEIVED, MADE, ACCEPTED, WITHDRAWN),
    "assignment ended": (RECEIVED, MADE, ACCEPTED, ENDED),
}
NOTIFICATION = Spec(
    "Notification: outreach",
    reaching.DECIDER,
    {name: reaching.DECIDER.fold(events) for name, events in OUTREACH_HISTORIES.items()},
    {
        "record attempt": _plain(outreach.RecordAttempt(
            provider=PROVIDER, tried_at=AT, actor_kind="peer", modality="phone", outcome="no_answer", reached=False,
        )),
        "start services": _plain(outreach.StartServices(provider=PROVIDER, on=DAY)),
        "member declined": _plain(outreach.DeclineForMember(
            provider=PROVIDER, on=DAY, how="phone"
        )),
        "unable to reach": lambda _: (
            outreach.ReportUnableToReach(provider=PROVIDER, on=DAY),
            outreach.ReachContext(at=AT, seed=SEED, reach=REACH),
        ),
        "change contact": _plain(outreach.ChangeContact(
            provider=PROVIDER, flags=(), sealed={"contact": "sealed"}, seen=""
        )),
        "end service": _plain(outreach.EndService(provider=PROVIDER, code=1, on=DAY)),
        "closing delivered": _plain(outreach.RecordDelivered(
            notice="ntc_1", code="closed", recipient_kind="referrer", delivered_at=AT
        )),
    },
)  # fmt: skip

SPECS = {
    "intake": INTAKE,
    "authorization": AUTHORIZATION,
    "assignment": ASSIGNMENT,
    "notification": NOTIFICATION,
}
