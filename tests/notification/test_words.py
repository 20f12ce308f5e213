"""Every text of every notice, by the events it can follow: what it must say, and what it must not (loop.md 7.5).

One line a text: the facts, the last of which tells it; whose it is; what is in it; what would be false or more than
is owed there; the rule or source. A text without a line fails, so does a line without its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest

from loopkeeper.contract import events
from loopkeeper.contract.events import Event
from tests.builders.every_event import DAY, LATER, PCP, RIGHTS, SECOND, make
from tests.builders.facts import closed
from tests.builders.notification import accepted, approved, made, received
from tests.builders.organizations import HARBOR, OTHER, STREET
from tests.notification.telling import POLICY, Said, said

e = events
ON = date(2026, 3, 2)
SOON = DAY + timedelta(days=20)
BAY = "bay-health-plan"
WORDS = "The family takes over from here."
Facts = tuple[Event, ...]


def granted(**changes: Any) -> Event:
    return make(e.AuthorizationPresumptiveGranted, grant="grt_1", provider=STREET, provider_version=1,
                population="homelessness", **{"from": DAY, "through": DAY}, **changes)  # fmt: skip


def grant_ended(reason: str) -> Event:
    return make(e.AuthorizationPresumptiveEnded, grant="grt_1", reason=reason, through=DAY)


def refused(reason: str) -> Event:
    return make(e.AuthorizationPresumptiveRefused, reason=reason)


def denied(reason: str = "criteria_not_met") -> Event:
    return make(e.AuthorizationDenied, authorization="auth_1", reason=reason, citation="22 CCR 51303", appeal_by=DAY,
                notice_due_at=LATER, rights=RIGHTS)  # fmt: skip


def unmet(*why: str) -> list[e.Unmet]:
    """What a licensed person says of populations; no notice tells which, nor the criterion."""
    codes = ("homelessness", "smi_sud")
    return [
        e.Unmet(population=code, criterion="in_shelter", why=words)
        for code, words in zip(codes, why, strict=False)
    ]


def ended(code: int, **changes: Any) -> Event:
    return make(e.AuthorizationEnded, authorization="auth_1", code=code, on=DAY, notice_due_at=LATER, rights=RIGHTS,
                **changes)  # fmt: skip


def extended(number: str, first: date) -> Event:
    return make(e.AuthorizationExtended, authorization="auth_1", number=number,
                **{"from": first, "through": date(2027, 3, 1)})  # fmt: skip


def asked(*ids: str, **changes: Any) -> Event:
    found = [{"id": each, "pointer": "/plan"} for each in ids]
    return make(e.ReferralQuestionsAsked, questions=found, **changes)


def joined(who: str = SECOND, until: date | None = None) -> Event:
    return make(
        e.ReferralAmended, cause="joined", joined="ref_2", joined_referrer=who, joined_treats_until=until
    )


def over(outcome: str, **changes: Any) -> Event:
    return make(e.ReferralClosed, outcome=outcome, clr_reason="other", **changes)


def late(clock: str, state: str) -> Event:
    return make(e.OutreachOverdue, assignment="asg_1", clock=clock, due_at=LATER, state=state)


CLAIM = {"provider": STREET, "population": "homelessness", "from": DAY}
ASKED = received(claim=CLAIM)
START_ALONE = received(claim=CLAIM, kind="presumptive_start")
OPEN = (received(), made(), accepted())
SELF = received(flags=("self_referral",))
SERVICES = make(e.OutreachServicesStarted, assignment="asg_1", on=DAY)
SERVED = (*OPEN, approved(), SERVICES, closed())
PENDED = make(e.AuthorizationPended, authorization="auth_1", asks=("birth-date",), by=LATER)
DEEMED = make(e.AuthorizationDeemedAdverse, authorization="auth_1", cap_at=LATER, appeal_by=DAY, notice_due_at=LATER,
              rights=RIGHTS)  # fmt: skip
OVERTURNED = make(e.AuthorizationOverturned, authorization="auth_1", on=DAY, due_at=LATER)
PARTLY = approved().model_copy(
    update={"adverse": e.Adverse.model_validate({
        "populations": ("homelessness",), "reason": "criteria_not_met", "citation": "22 CCR 51303",
        "notice_due_at": LATER, "rights": RIGHTS,
    })}
)  # fmt: skip
APPEALED = make(e.AuthorizationAppealed, authorization="auth_1", on=DAY, continues=True, code=9, ends_on=DAY,
                due_at=LATER)  # fmt: skip
RESOLVED = make(e.AuthorizationAppealResolved, authorization="auth_1", upheld=True)
TOLD_DEAD = make(e.ReferralDeathTold, by="plan", due_at=LATER)
NOT_DEAD = make(e.ReferralDeathTakenBack)
ERROR = make(e.OutreachTakenBack, assignment="asg_1", what="services_started", because="another_member",
             acted_by={"organization": HARBOR, "person": "ana-reyes"})  # fmt: skip
PLANNED = make(e.AssignmentMade, assignment="asg_1", provider=STREET, answer_due_at=LATER, starts_on=SOON)
STARTED = make(e.AssignmentStarted, assignment="asg_1", provider=STREET, on=SOON)
IN_ALW = {"flags": ["program_alw"], "program_providers": {"alw": OTHER}}
CHOOSES = (received(**IN_ALW), made(), accepted(), approved())
CHOSE = make(e.ReferralAmended, cause="corrected", flags=["program_alw", "chose_alw"])
NO_CONTACT, CAREFUL = ("do_not_contact",), ("safe_contact",)
REDIRECTED = over("other", text=f"redirected to {BAY}", detail="redirected", right_plan=BAY)
UNANSWERED = over("other", text="redirected: nobody said so", detail="redirect_unanswered", right_plan=BAY)
UNKNOWN = over("other", text="redirected: nobody said so", detail="redirect_unanswered")
NO_TEAM = over("provider_declined")
WITHDRAWN = over("withdrawn", text="by the referrer", detail="by_referrer")
NOTHING_PROMISED = ("will tell you", "will call", "will be told", "will help", "still tell you")


@dataclass(frozen=True)
class Line:
    """`code/variant` as `kind` reads it after these facts."""

    kind: str
    text: str
    facts: Facts
    says: tuple[str, ...]
    never: tuple[str, ...]
    rule: str


def line(kind: str, text: str, facts: Facts, *says: str, never: tuple[str, ...] = (), rule: str) -> Line:
    return Line(kind, text, facts, says, never, rule)


REFERRERS = (
    line("referrer", "authorized/undated", (received(), make(e.ReferralAmended, cause="release_date", release_on=SOON,
         acted_by={"organization": HARBOR, "person": "ana-reyes"}), approved()), "authorized Enhanced Care Management",
         never=("March", "2027", "release"), rule="loop.md 3.7: the day tells custody"),
    line("referrer", "death_told/usual", (*OPEN, TOLD_DEAD), "has died", "Contact the member no more", rule="loop.md 7.7"),
    line("referrer", "death_taken_back/usual", (*OPEN, TOLD_DEAD, NOT_DEAD), "is not so", rule="loop.md 7.7"),
    line("referrer", "taken_back/usual", (*SERVED, ERROR), "Services received", "taken back", "contest the closing",
         never=("Harbor Street",), rule="loop.md 8.7, 7.3"),
    line("referrer", "received/usual", (received(),), "now decides whether", "you will be told", rule="5.3"),
    line("referrer", "received/start", (START_ALONE,), "Nothing is asked of Harbor Health Plan yet",
         "send it the full referral", never=("now decides", "will be told"), rule="loop.md 3.1"),
    line("referrer", "received/overturned", (received(linked={"to": "ref_0", "why": "overturned"}),),
         "was overturned", never=("decides whether",), rule="loop.md 4.8"),
    line("referrer", "received/over", (NO_TEAM, received()), "closed already", never=("decides", "will be told"),
         rule="loop.md 7.1"),
    line("referrer", "questions/usual", (received(), asked("county", due_at=LATER)), "Open questions", ": 1.",
         "by March 7, 2026", rule="loop.md 2.2"),
    line("referrer", "questions/reminder", (received(), asked("county", due_at=LATER, reminder=1)),
         "still open: 1", "decides on what is there", rule="loop.md 2.2"),
    line("referrer", "questions/undated", (received(), asked("county")), "Open questions", never=("{", " by March"),
         rule="loop.md 2.2"),
    line("referrer", "questions/redirect", (received(), asked(f"redirect-{BAY}", due_at=LATER)),
         "may not be the right plan", "by March 7, 2026", "closed then", never=("decides on what",),
         rule="loop.md 2.14"),
    line("referrer", "authorized/usual", (received(), approved()), "through March 1, 2027",
         "when one has accepted", never=("told which",), rule="loop.md 6.4: the provider may stay unnamed"),
    line("referrer", "authorized/served", (*OPEN, approved()), "serves the member already",
         never=("asked next", "accept it next"), rule="loop.md 7.2"),
    line("referrer", "authorized/served", (*OPEN, SERVICES, closed(), approved()), "serves the member already",
         never=("asked next",), rule="loop.md 7.2: a decision after the close is told"),
    line("referrer", "authorized/late", (received(), NO_TEAM, approved()), "closed before", "no provider is asked",
         "refer again", never=("you will be told",), rule="loop.md 7.2"),
    line("referrer", "assigned/usual", OPEN, "Harbor Street Medicine accepted", "415-555-0101",
         "in the way that are right", never=("will now reach out",), rule="loop.md 3.7, 6.2: not now, not any way"),
    line("referrer", "assigned/discreet", (received(), made(OTHER, "asg_1"), accepted(OTHER, "asg_1")),
         "A provider accepted", never=("Bayview",), rule="loop.md 6.4"),
    line("referrer", "not_authorized/usual", (received(), denied()), "No Population of Focus is met",
         "may appeal to Harbor Health Plan by March 2, 2026", rule="ECMG26 p104"),
    line("referrer", "not_authorized/deceased", (received(), denied("deceased")), "The member has died",
         never=("appeal", "letter"), rule="loop.md 4.3: no letter goes to the dead, so none is promised"),
    line("referrer", "not_authorized/in_part", (received(), PARTLY), "only in part", "may appeal",
         rule="ECMG26 p104"),
    line("referrer", "deemed_adverse/usual", (received(), DEEMED), "counts as not authorized",
         "still decides it", "may appeal", rule="42 CFR 438.404(c)"),
    line("referrer", "pended/usual", (received(), PENDED), "please answer them by", rule="loop.md 4.1"),
    line("referrer", "pended/nothing_asked", (received(), joined(), PENDED), "Nothing is asked of you",
         never=("please answer",), rule="loop.md 2.9: a merged referral takes no answers"),
    line("referrer", "resumed/usual", (received(), PENDED, make(e.AuthorizationResumed, authorization="auth_1",
         due_at=LATER)), "goes on deciding", "by March 7, 2026", never=("has what it needed",),
         rule="loop.md 4.1: the time may have run out without an answer"),
    line("referrer", "overturned/usual", (received(), denied(), OVERTURNED), "was overturned",
         "you need not refer again", rule="loop.md 4.8"),
    *(
        line("referrer", "closed/usual", (*OPEN, over(outcome)), label, "Nothing more is expected of you",
             never=NOTHING_PROMISED, rule="loop.md 7.1")
        for outcome, label in (
            ("services_received", "Services received"), ("provider_declined", "No provider could take"),
            ("unable_to_reach", "could not be reached"), ("no_longer_eligible", "no longer eligible"),
            ("declined_by_member", "The member declined"), ("withdrawn", "Withdrawn"),
            ("not_authorized", "Not authorized"),
        )
    ),
    line("referrer", "closed/other", (*OPEN, over("other", text=WORDS)), f'"{WORDS}"', never=("Other",),
         rule="loop.md 7.1: other carries its text"),
    line("referrer", "closed/redirected", (received(), REDIRECTED), "was sent on to Bay Health Plan",
         "under which you hear what follows", never=("Nothing more is expected",), rule="loop.md 2.14"),
    line("referrer", "closed/redirect_unanswered", (received(), UNANSWERED), "send a referral to Bay Health Plan",
         "Nothing follows", rule="loop.md 2.14: it says whom to write to"),
    line("referrer", "closed/redirect_unknown", (received(), UNKNOWN), "write to a plan of that county",
         rule="loop.md 2.14: it says whom to write to"),
    line("referrer", "closed/merged", (*OPEN, joined()), "joined an earlier referral",
         "everything that follows under this number", rule="loop.md 2.9"),
    line("referrer", "closed/already", (*SERVED, joined()), "already receives", never=("Harbor Street", "Maria"),
         rule="loop.md 2.11: not to who does not treat"),
    line("referrer", "closed/already", (*SERVED, joined(until=DAY - timedelta(days=1))), "already receives",
         never=("Harbor Street", "Maria"), rule="loop.md 2.11: who treated until yesterday treats no more"),
    line("referrer", "closed/already_named", (*SERVED, joined(PCP)), "from Harbor Street Medicine", "415-555-0101",
         never=("Maria",), rule="loop.md 2.11"),
    line("referrer", "closed/treating", (*SERVED, joined(until=SOON)),
         "Maria Lopez of Harbor Street Medicine is the lead care manager", "415-555-0101", "through March 1, 2027",
         "until March 22, 2026", rule="loop.md 2.11; ECMG26 p60-61"),
    line("referrer", "closed/treating_undated", (*OPEN, SERVICES, closed(), joined(until=SOON)),
         "Maria Lopez of Harbor Street Medicine", "until March 22, 2026", never=("authorized",),
         rule="loop.md 2.11: no term yet"),
)  # fmt: skip
PROVIDERS = (
    line("provider", "visit_late/at_risk", (*OPEN, late("weekly_visit", "at_risk")), "is to be visited in person by",
         never=("Rent", "rent"), rule="ECMG26 p18; loop.md 6.3"),
    line("provider", "visit_late/breached", (*OPEN, late("weekly_visit", "breached")), "was to be visited in person by",
         "as each week", never=("Rent", "rent"), rule="ECMG26 p18; loop.md 6.3"),
    line("provider", "start_taken_back/usual", (*OPEN, make(e.ReferralBackInCustody, on=DAY, due_at=LATER)),
         "cannot be met for now", "record a new day", never=("custody", "jail", "release"), rule="loop.md 3.7"),
    line("provider", "death_told/usual", (*OPEN, TOLD_DEAD), "has died", "Contact nobody",
         rule="loop.md 7.7: all contact stops at once"),
    line("provider", "death_told/usual", (received(), made(), TOLD_DEAD), "Contact nobody",
         rule="loop.md 7.7: of an offer too"),
    line("provider", "death_taken_back/usual", (*OPEN, TOLD_DEAD, NOT_DEAD), "is not so", "may go on as before",
         rule="loop.md 7.7"),
    line("provider", "taken_back/usual", (*SERVED, ERROR), "as an error", "contests that within 30 days",
         rule="loop.md 8.7, 7.3"),
    line("provider", "extended/appealed", (*SERVED, ended(9), APPEALED, extended("A-1", DAY)), "appealed in time",
         "Go on serving", never=("does not end after all",), rule="loop.md 7.8; 42 CFR 438.420"),
    line("provider", "offer/usual", (received(), made()), "offers you", "by March 7, 2026", rule="loop.md 5.2"),
    line("provider", "offer/usual", (received(), PLANNED), "Accept or decline it", never=("March 22", "begin"),
         rule="loop.md 3.7: the day tells custody"),
    line("provider", "offer/claimed", (ASKED, granted(), made().model_copy(update={"kind": "presumptive"})),
         "that you claimed", "lead care manager",
         rule="loop.md 3.2, 5.4"),
    line("provider", "offer_reminded/usual", (received(), made(), make(e.AssignmentOverdue, assignment="asg_1",
         clock="provider_answer", due_at=LATER, state="at_risk")), "Accept or decline it by", rule="loop.md 5.6"),
    line("provider", "offer_withdrawn/usual", (received(), made(), make(e.AssignmentWithdrawn, assignment="asg_1",
         reason="plan")), "nothing more to do", rule="loop.md 7.2"),
    line("provider", "assignment_ended/usual", (*OPEN, make(e.AssignmentEnded, assignment="asg_1", reason="by_plan",
         on=DAY)), "has ended", rule="loop.md 7.2"),
    line("provider", "yours/usual", OPEN, "Reach out promptly", rule="ECMG26 p56"),
    line("provider", "yours/careful", (received(flags=CAREFUL), made(), accepted()), "read them",
         "use no other way", never=("promptly",), rule="loop.md 6.2"),
    line("provider", "yours/forbidden", (received(flags=NO_CONTACT), made(), accepted()), "is not to be contacted",
         never=("Reach out", "Record every attempt"), rule="loop.md 6.2"),
    line("provider", "yours/planned", (received(), PLANNED, accepted()), "live from March 22, 2026", "Reach out then",
         never=("promptly",), rule="loop.md 3.7"),
    line("provider", "started/usual", (received(), PLANNED, accepted(), STARTED), "you may serve the member now",
         rule="loop.md 3.7"),
    line("provider", "started/unanswered", (received(), PLANNED, STARTED), "Your answer to the offer",
         never=("you may serve",), rule="loop.md 5.3"),
    line("provider", "decided/approved", (*OPEN, approved()), "through March 1, 2027", "Go on serving",
         rule="loop.md 3.4"),
    line("provider", "decided/denied", (ASKED, granted(), denied()), "did not authorize",
         "ends with the day on which you are told", rule="loop.md 3.4"),
    line("provider", "overturned/usual", (ASKED, granted(), denied(), OVERTURNED), "was overturned",
         "provider that is to serve", never=("go on serving",), rule="loop.md 4.8: the new referral is offered anew"),
    line("provider", "presumptive_granted/usual", (ASKED, granted()), "through March 2, 2026",
         "until you are told Harbor Health Plan's decision", rule="loop.md 3.4"),
    line("provider", "presumptive_granted/payment_at_risk", (ASKED, granted(at_risk="not_found")), "through March 2, 2026",
         "until you are told Harbor Health Plan's decision", "owes no payment for one who is not its member",
         rule="loop.md 2.5, ECMG26 p109"),
    line("provider", "presumptive_granted/referral_at_risk", (START_ALONE, granted(referral_by=SOON, at_risk="left")),
         "send it the full referral by March 22, 2026", "owes no payment for one who is not its member",
         never=("decision",), rule="loop.md 2.5, ECMG26 p109"),
    line("provider", "presumptive_granted/referral", (START_ALONE, granted(referral_by=SOON)),
         "send it the full referral by March 22, 2026", never=("decision",), rule="loop.md 3.1"),
    *(
        line("provider", "presumptive_refused/usual", (ASKED, refused(reason)), words, "decides the referral as usual",
             rule="loop.md 3.2")
        for reason, words in (
            ("no_row", "pairs no provider type"), ("type", "you are of no type"), ("contract", "shows no contract"),
            ("criteria", "complete the form"), ("renewal", "with you already"), ("recent", "a short time ago"),
            ("ahead", "too far ahead"), ("coverage_ended", "who covers the member now"),
        )
    ),
    line("provider", "presumptive_refused/referral", (START_ALONE, refused("criteria")), "has nothing to decide yet",
         "send it the full referral", never=("as usual",), rule="loop.md 3.1"),
    line("provider", "presumptive_refused/other_provider", (ASKED, refused("other_provider")),
         "Ask the member whom they want", rule="loop.md 3.3"),
    line("provider", "presumptive_refused/awaiting_provider", (ASKED, refused("awaiting_provider")),
         "waits until the directory has your entry", rule="loop.md 3.6"),
    *(
        line("provider", f"presumptive_reminded/{missing}", (ASKED, granted(), make(e.AuthorizationPresumptiveReminded,
             grant="grt_1", provider=STREET, day=20, missing=missing, through=DAY)), *says, rule="loop.md 3.4")
        for missing, says in (
            ("referral", ("Send it to Harbor Health Plan now",)),
            ("decision", ("You have nothing to send", "told to you")),
        )
    ),
    line("provider", "presumptive_ended/expired_decision", (ASKED, granted(), grant_ended("expired")),
         "has not decided yet", "You have nothing to send", rule="loop.md 3.4"),
    line("provider", "presumptive_ended/expired_referral", (START_ALONE, granted(), grant_ended("expired")),
         "send Harbor Health Plan the full referral", never=("has not decided", "told to you"),
         rule="loop.md 3.4: an expiry says what to send, and to whom"),
    line("provider", "presumptive_ended/approved", (ASKED, granted(), approved(), grant_ended("approved")),
         "holds in its place", rule="loop.md 3.5"),
    line("provider", "presumptive_ended/denied", (ASKED, granted(), denied(), grant_ended("denied")),
         "did not authorize", rule="loop.md 3.5"),
    line("provider", "presumptive_ended/denied", (ASKED, granted(), denied(), grant_ended("expired")),
         "did not authorize", never=("has not decided",), rule="loop.md 3.4: it ran out before the no was told"),
    line("provider", "presumptive_ended/revoked", (ASKED, granted(), grant_ended("revoked")), "revoked it",
         rule="loop.md 3.5"),
    line("provider", "presumptive_ended/closed", (ASKED, granted(), over("withdrawn"), grant_ended("closed")),
         "closed without service", never=("has not decided",), rule="loop.md 7.2"),
    line("provider", "reauthorization_due/usual", (*SERVED, make(e.AuthorizationReauthorizationDue,
         authorization="auth_1", through=DAY, due_at=LATER)), "ask for reauthorization by March 7, 2026",
         rule="loop.md 4.7"),
    line("provider", "extended/usual", (*SERVED, extended("A-2", date(2027, 3, 2))), "extended the authorization",
         rule="loop.md 4.7"),
    line("provider", "extended/goes_on", (*SERVED, ended(3), extended("A-1", DAY)), "does not end after all",
         never=("extended",), rule="loop.md 4.7: a notice of an ending is taken back"),
    line("provider", "extended/moved", (received(), PLANNED, accepted(), approved(), extended("A-1", SOON)),
         "from March 22, 2026 through March 1, 2027", never=("Go on serving",), rule="loop.md 3.7"),
    line("provider", "ended/usual", (*SERVED, ended(9)), "its last day is March 2, 2026", "may appeal",
         never=("other help", "Serve the member"), rule="ECMG26 p115-116: no more is owed"),
    line("provider", "ended/deceased", (*SERVED, ended(14)), "has died", never=("Serve", "appeal", "until then"),
         rule="loop.md 7.2"),
    line("provider", "contact_changed/usual", (*OPEN, make(e.OutreachContactChanged, flags=())),
         "before the next contact", rule="loop.md 6.2"),
    line("provider", "contact_changed/careful", (*OPEN, make(e.OutreachContactChanged, flags=CAREFUL)),
         "use no other way", rule="loop.md 6.2"),
    line("provider", "contact_changed/forbidden", (*OPEN, make(e.OutreachContactChanged, flags=NO_CONTACT)),
         "is not to be contacted any more", never=("next contact",), rule="loop.md 6.2"),
    line("provider", "start_moved/usual", (*OPEN, make(e.ReferralAmended, cause="release_date", release_on=SOON)),
         "has moved", never=("March",), rule="loop.md 3.7"),
    line("provider", "program_chosen/usual", (*CHOOSES, CHOSE), "go on serving the member until you are told",
         never=("hospice", "waiver", "HIV"), rule="loop.md 4.4; ECMG26 p65-66"),
    line("provider", "program_chosen/other_program", (*CHOOSES, CHOSE), "chose it over Enhanced Care Management",
         never=("waiver", "HIV", "stop"), rule="loop.md 4.4; ECMG26 p65-66"),
    line("provider", "referred_again/usual", (*SERVED, joined()), "referred again by somebody else",
         never=("good hands", "Bayview"), rule="loop.md 2.9, 2.11"),
    line("provider", "referred_again/treating", (*SERVED, joined(until=SOON)),
         "Bayview Hospital (415-555-0105) treats the member", "until March 22, 2026",
         rule="loop.md 2.11; ECMG26 p60-61"),
    line("provider", "support_asked/usual", (*SERVED, make(e.ReferralSupportMoved, support="sup_1",
         code="sobering_centers", status="asked", provider=OTHER)), "accept or decline", never=("sobering",),
         rule="ECMG26 p62"),
    line("provider", "support_moved/usual", (*SERVED, make(e.ReferralSupportMoved, support="sup_1",
         code="sobering_centers", status="declined", provider=OTHER)), "moved: declined", never=("sobering",),
         rule="ECMG26 p62"),
    line("provider", "outreach_late/at_risk", (*OPEN, late("first_outreach", "at_risk")), "will be late soon",
         "rules of contact", rule="loop.md 6.2"),
    line("provider", "outreach_late/breached", (*OPEN, late("first_outreach", "breached")), "Reach out now",
         "by the rules of contact", rule="loop.md 6.2"),
    line("provider", "outreach_late/forbidden", (received(flags=NO_CONTACT), made(), accepted(),
         late("first_outreach", "breached")), "Attempt nothing", never=("Reach out",), rule="loop.md 6.2"),
    line("provider", "outreach_long/breached", (*OPEN, late("outreach_window", "breached")), "by March 7, 2026",
         never=("since long before",), rule="domain.md 10"),
    line("provider", "outreach_long/forbidden", (received(flags=NO_CONTACT), made(), accepted(),
         late("outreach_window", "breached")), "Attempt nothing", rule="loop.md 6.2"),
    line("pcp", "pcp_assigned/usual", (received(pcp=PCP), made(), accepted()), "Harbor Street Medicine coordinates",
         rule="ECMG26 p114"),
    line("pcp", "pcp_assigned/discreet", (received(pcp=PCP), made(OTHER, "asg_1"), accepted(OTHER, "asg_1")),
         "A provider coordinates", never=("Bayview",), rule="loop.md 6.4"),
)  # fmt: skip
MEMBERS = (
    line("member", "provider_left/usual", (*OPEN, make(e.AssignmentPlanAsked, assignment="asg_1", reason="provider_left")),
         "does not stop", "looks for a new team", never=("Harbor Street",), rule="loop.md 5.10"),
    line("member", "provider_left/discreet", (received(flags=CAREFUL), made(), accepted(),
         make(e.AssignmentPlanAsked, assignment="asg_1", reason="provider_left")), "a new team",
         never=("Harbor Street", "will hear"), rule="loop.md 6.2"),
    line("member", "provider_stays/usual",
         (*OPEN, make(e.AssignmentQuestionTakenBack, assignment="asg_1", reason="provider_left")),
         "your team stays the same", "ask for another team", never=("Harbor Street",), rule="loop.md 5.10"),
    line("member", "provider_stays/discreet", (received(flags=CAREFUL), made(), accepted(),
         make(e.AssignmentQuestionTakenBack, assignment="asg_1", reason="provider_left")), "nothing changes",
         never=("Harbor Street", "your team"), rule="loop.md 6.2"),
    line("member", "extended/appealed", (*SERVED, ended(9), APPEALED, extended("A-1", DAY)), "You asked Harbor Health Plan",
         "until Harbor Health Plan has looked at it", never=("said yes", "does not end", "March 1"),
         rule="loop.md 7.8; 42 CFR 438.420"),
    line("member", "ended/upheld", (*SERVED, ended(9), APPEALED, extended("A-1", DAY), RESOLVED, ended(9, upheld=True)),
         "still says", "State Hearing", "120 days", never=("by May 1", "you can appeal"),
         rule="loop.md 7.8; 42 CFR 438.408(f)"),
    line("member", "taken_back/usual", (*SERVED, ERROR), "your help has started", "That was wrong", rule="loop.md 8.7"),
    line("member", "authorized/usual", (received(), approved()), "will tell you who will help you",
         never=("call you",), rule="loop.md 6.2: not everybody may be called"),
    line("member", "authorized/served", (*OPEN, approved()), "can go on through March 1, 2027",
         never=("will tell you",), rule="domain.md 5.3 N1"),
    line("member", "authorized/late", (received(), over("unable_to_reach"), approved()), "no one will call you",
         never=("will tell you",), rule="loop.md 7.2"),
    line("member", "assigned/usual", (received(), approved(), made(), accepted()), "Maria Lopez", "415-555-0101",
         rule="domain.md 5.3 N1"),
    line("member", "assigned/served", (*OPEN, SERVICES, closed(), approved()), "goes on with your help",
         never=("soon",), rule="domain.md 5.3 N1"),
    line("member", "assigned/planned", (received(), approved(), PLANNED, accepted()), "from March 22, 2026 on",
         never=("soon",), rule="loop.md 3.7"),
    line("member", "assigned/discreet", (received(flags=CAREFUL), approved(), made(), accepted()),
         "in the way that you said is safe", never=("Harbor Street", "Maria"), rule="loop.md 6.2"),
    line("member", "not_authorized/usual", (received(), denied()), "do not fit the rules", "22 CCR 51303",
         "May 1, 2026", "State Hearing", rule="ECMG26 p104"),
    line("member", "not_authorized/unmet", (received(), denied().model_copy(update={"unmet": unmet(WORDS, WORDS)})),
         "do not fit the rules", f'says about it: "{WORDS}". The rule', "State Hearing",
         never=("homelessness", "shelter"), rule="loop.md 4.3; 42 CFR 438.404(b)(2): why, in words"),
    line("member", "not_authorized/unmet_in_part", (received(), PARTLY.model_copy(update={"adverse":
         PARTLY.adverse.model_copy(update={"unmet": unmet(WORDS, "The other.")})})), "no to a part",
         f'"{WORDS} The other."', never=("homelessness", "shelter"), rule="loop.md 4.3; 42 CFR 438.404(b)(2)"),
    line("member", "not_authorized/in_part", (received(), PARTLY), "yes to a part", "no to a part", "State Hearing",
         rule="ECMG26 p104"),
    line("member", "deemed_adverse/usual", (received(), DEEMED), "counts as a no", "still has to look at it",
         rule="42 CFR 438.404(c)"),
    line("member", "deemed_adverse/renewal", (*SERVED, DEEMED), "your help goes on until it does", "counts as a no",
         rule="loop.md 4.5, 4.7"),
    line("member", "pended/usual", (received(), PENDED), "do not have to do a thing", "at most",
         never=("the person who sent",), rule="loop.md 4.1"),
    line("member", "pended/asked", (SELF, PENDED), "Please answer by March 7, 2026",
         never=("do not have to do a thing",), rule="loop.md 2.2: who referred is the member"),
    line("member", "overturned/usual", (received(), denied(), OVERTURNED), "changed to a yes", never=("call you",),
         rule="loop.md 4.8"),
    line("member", "extended/usual", (*SERVED, extended("A-2", date(2027, 3, 2))), "said yes", rule="loop.md 4.7"),
    line("member", "extended/goes_on", (*SERVED, ended(3), extended("A-1", DAY)), "does not end",
         never=("said yes",), rule="loop.md 4.7: nothing was asked"),
    line("member", "extended/moved", (received(), PLANNED, accepted(), approved(), extended("A-1", SOON)),
         "can start on March 22, 2026", never=("said yes",), rule="loop.md 3.7"),
    *(
        line("member", "ended/usual", (*SERVED, ended(code)), words, "March 12, 2026", "State Hearing",
             rule="ECMG26 p80, 115-116")
        for code, words in (
            (1, "met your goals"), (2, "ready for less help"), (3, "do not want it or did not answer"),
            (4, "could not reach you"), (5, "in jail or prison"), (6, "said no to it"), (7, "does the same"),
            (8, "your Medi-Cal ended"), (9, "a new health plan"), (10, "moved out of the county"),
            (11, "moved out of the country"), (12, "not safe to go on"), (15, "had to stop"),
        )
    ),
    line("member", "ended/usual", (*SERVED, ended(13)), "no one asked us to let it go on", never=("said no when",),
         rule="loop.md 4.7: a rule ends what nobody asked to prolong"),
    line("member", "ended/usual", (*SERVED, ended(13, acted_by={"organization": "harbor", "person": "maria"})),
         "the plan said no when it was asked", never=("no one asked",), rule="loop.md 4.1"),
    line("member", "presumptive_ended/usual", (ASKED, granted(), grant_ended("expired")), "still tell you yes or no",
         rule="domain.md 2.3"),
    line("member", "presumptive_ended/usual", (ASKED, granted(), grant_ended("revoked")), "still tell you yes or no",
         rule="domain.md 2.3"),
    line("member", "presumptive_ended/unasked", (START_ALONE, granted(), grant_ended("expired")),
         "No one has asked Harbor Health Plan yet", "so can you", never=("tell you yes or no",),
         rule="loop.md 3.1: no answer is promised where nothing was asked"),
    line("member", "presumptive_ended/denied", (ASKED, granted(), denied(), grant_ended("expired")),
         "The plan said no", never=("still tell you",), rule="loop.md 3.5"),
    line("member", "lead_changed/usual", (*SERVED, make(e.AssignmentLeadChanged, assignment="asg_1",
         provider=STREET, lead={"person": "joe.kim", "name": "Joe Kim"})), "Joe Kim", rule="ECMG26 p115"),
    line("member", "lead_changed/discreet", (received(flags=CAREFUL), made(), accepted(),
         make(e.AssignmentLeadChanged, assignment="asg_1", provider=STREET,
              lead={"person": "joe.kim", "name": "Joe Kim"})), "you said is safe", never=("Joe",), rule="loop.md 6.2"),
    line("member", "help/usual", (*OPEN, NO_TEAM), "no team could take you", "help you find a team",
         never=("could not start",), rule="domain.md 5.3 N6"),
    line("member", "help/usual", (*OPEN, over("unable_to_reach")), "we could not reach you", rule="domain.md 5.3 N6"),
    line("member", "help/declined", (*OPEN, over("declined_by_member")), "That is fine", "change your mind",
         never=("find a team", "could not"), rule="ECMG26 p115: a member may say no at any time"),
    line("member", "help/declined", (received(), over("withdrawn", detail="by_member")), "That is fine",
         never=("find a team",), rule="loop.md 2.13"),
    line("member", "help/taken_back", (received(), WITHDRAWN), "then took it back", "on your own",
         never=("You do not want", "find a team"), rule="loop.md 2.13: the member may not know of it"),
    line("member", "help/denied", (received(), denied(), over("not_authorized")), "how to appeal",
         never=("find a team",), rule="domain.md 5.3 N6"),
    line("member", "help/not_eligible", (*OPEN, over("no_longer_eligible")), "If that changes",
         never=("find a team", "can help you find"), rule="domain.md 5.3 N6: the plan may owe nothing any more"),
    line("member", "help/other", (*OPEN, over("other", text=WORDS)), f'"{WORDS}"', never=("had to stop",),
         rule="loop.md 7.1"),
    *(
        found
        for code, first in (("help", received()), ("closed_self", SELF))
        for found in (
            line("member", f"{code}/redirected", (first, REDIRECTED), "Now Bay Health Plan looks at it",
                 never=("could not start", "find a team"), rule="loop.md 2.14"),
            line("member", f"{code}/redirect_unanswered", (first, UNANSWERED), "ask Bay Health Plan",
                 never=("looks at it",), rule="loop.md 2.14"),
            line("member", f"{code}/redirect_unknown", (first, UNKNOWN), "on your card", rule="loop.md 2.14"),
        )
    ),
    line("member", "closed_self/usual", (SELF, over("unable_to_reach")), "we could not reach you",
         never=("help you find",), rule="domain.md 5.3"),
    line("member", "closed_self/usual", (SELF, over("withdrawn", detail="by_member")), "it was taken back",
         rule="domain.md 5.3"),
    line("member", "closed_self/served", (SELF, made(), accepted(), approved(), closed()), "your help has started",
         never=("ask for ECM again", "other help"), rule="domain.md 5.3"),
    line("member", "closed_self/other", (SELF, over("other", text=WORDS)), f'"{WORDS}"', rule="loop.md 7.1"),
)  # fmt: skip
# N7 is switched off until a plan switches it on: its words are judged all the same.
OPTIONAL = {("closed", "usual"), ("closed", "without"), ("closed", "other")}
TABLE = (*REFERRERS, *PROVIDERS, *MEMBERS)
# What the last fact must not tell at all: to whom, and why.
SILENT: tuple[tuple[str, str, Facts, str], ...] = (
    (
        "closed",
        "referrer",
        (received(), over("merged", merged_into="ref_9")),
        "told by the loop it joined, once",
    ),
    ("closed_self", "member", (SELF, over("merged", merged_into="ref_9")), "told by the loop it joined"),
    ("help", "member", (received(), over("merged")), "the member has a loop"),
    ("help", "member", (received(), over("already_in_ecm")), "the member is served"),
    ("help", "member", (*OPEN, closed()), "the member is served"),
    (
        "assigned",
        "referrer",
        (received(), made(), over("withdrawn"), accepted()),
        "the acceptance is taken back",
    ),
    (
        "assigned",
        "member",
        (received(), approved(), made(), over("withdrawn"), accepted()),
        "nobody will come",
    ),
    ("yours", "provider", (received(), made(), over("withdrawn"), accepted()), "there is nobody to serve"),
    ("pcp_assigned", "pcp", (received(pcp=PCP), made(), over("withdrawn"), accepted()), "nobody coordinates"),
    ("decided", "provider", (ASKED, granted(), over("withdrawn"), approved()), "there is nobody to serve"),
    ("deemed_adverse", "referrer", (*SERVED, DEEMED), "a reauthorization is not what was referred"),
    (
        "presumptive_ended",
        "member",
        (ASKED, granted(), NO_TEAM, grant_ended("expired")),
        "the help letter went",
    ),
    ("presumptive_ended", "member", (ASKED, granted(), approved(), grant_ended("approved")), "it goes on"),
    ("not_authorized", "member", (received(), denied("deceased")), "of the dead nobody is told here"),
    ("extended", "member", (*SERVED, TOLD_DEAD, extended("A-2", DAY)), "of the dead nobody is told here"),
    ("authorized", "member", (*OPEN, TOLD_DEAD, approved()), "nobody writes to the dead"),
    (
        "death_told",
        "provider",
        (*OPEN, TOLD_DEAD.model_copy(update={"by": "provider"})),
        "it told that itself",
    ),
    ("taken_back", "member", (*OPEN, SERVICES, ERROR), "nobody was told of an ending yet"),
    ("ended", "member", (*SERVED, ended(14)), "of the dead nobody is told here"),
    ("referred_again", "provider", (*SERVED, joined(STREET)), "it referred itself"),
)


def told(facts: Facts) -> list[Said]:
    return [each for each in said(facts) if each.event is facts[-1]]


def letter(one: Line, facts: Facts) -> Said:
    code, _, variant = one.text.partition("/")
    found = [e for e in told(facts) if (e.notice.code, e.notice.variant, e.kind) == (code, variant, one.kind)]
    assert found, {(e.notice.code, e.notice.variant, e.kind) for e in told(facts)}
    return found[-1]


@pytest.mark.parametrize(
    "one", TABLE, ids=lambda one: f"{one.kind}-{one.text}-{type(one.facts[-1]).__name__}"
)
def test_each_text_says_what_is_so_and_promises_no_more(one: Line) -> None:
    """loop.md 7.5, and of each line its own rule."""
    text = letter(one, one.facts).text
    assert [words for words in one.says if words not in text] == [], f"{one.rule}: {text}"
    assert [words for words in one.never if words in text] == [], f"{one.rule}: {text}"
    assert "{" not in text
    assert "  " not in text


@pytest.mark.parametrize("one", MEMBERS, ids=lambda one: f"{one.text}-{type(one.facts[-1]).__name__}")
def test_each_letter_is_there_in_spanish_with_the_same_days_names_and_numbers(one: Line) -> None:
    """domain.md 7.5; every draft of letters.yaml has its pair in letters_es.yaml."""
    first = next(n for n, fact in enumerate(one.facts) if isinstance(fact, e.ReferralReceived))
    spanish = (
        *one.facts[:first],
        one.facts[first].model_copy(update={"language": "es"}),
        *one.facts[first + 1 :],
    )
    english, found = letter(one, one.facts), letter(one, spanish)
    assert found.duty.words["state"] == "draft"
    assert found.text
    for name, value in english.notice.slots.items():
        if isinstance(value, str) and value in english.text and name != "outcome":
            assert value in found.text, (name, found.text)
    for english_only in (" you ", " your ", "March", " the plan "):
        assert english_only not in found.text.replace(WORDS, "")


def test_every_text_of_the_policy_has_a_line_and_every_line_its_text() -> None:
    rows = POLICY.rows("notices", on=ON, language="en")
    packaged = {(row["recipient"], f"{row['code']}/{row['variant']}") for row in rows}
    optional = {("member", f"{code}/{variant}") for code, variant in OPTIONAL}
    assert packaged - {(one.kind, one.text) for one in TABLE} == optional
    assert {(one.kind, one.text) for one in TABLE} <= packaged


@pytest.mark.parametrize(
    ("code", "kind", "facts", "why"), SILENT, ids=lambda x: x if isinstance(x, str) else ""
)
def test_what_is_told_elsewhere_or_no_longer_so_is_not_told(
    code: str, kind: str, facts: Facts, why: str
) -> None:
    """loop.md 7.2, 7.5, 8.4."""
    assert (code, kind) not in {(each.notice.code, each.kind) for each in told(facts)}, why


@pytest.mark.parametrize("outcome", ["withdrawn", "declined_by_member", "other", "not_authorized",
                         "no_longer_eligible", "unable_to_reach", "provider_declined"])  # fmt: skip
def test_a_closing_without_service_promises_no_call_and_no_decision_to_anybody(outcome: str) -> None:
    for each in told((*OPEN, over(outcome, text=WORDS))):
        if each.notice.code in ("closed", "help"):
            text = each.text.replace("No one will call", "")
            assert [words for words in NOTHING_PROMISED if words in text] == [], text


@pytest.mark.parametrize(("until", "consent", "named"), [
    (SOON, None, False),
    (SOON, {"scope": "tpo", "on": DAY}, True),
    (SOON, {"scope": "named", "to": (SECOND,), "on": DAY}, True),
    (SOON, {"scope": "named", "to": (PCP,), "on": DAY}, False),
    (SOON, {"scope": "revoked", "on": DAY}, False),
    (None, {"scope": "tpo", "on": DAY}, False),
])  # fmt: skip
def test_a_hospital_hears_of_a_provider_whose_name_reveals_treatment_by_consent_only(
    until: date | None, consent: dict[str, Any] | None, named: bool
) -> None:
    """loop.md 2.11, 6.4, 6.5; 42 CFR 2.31."""
    told_consent = [make(e.OutreachContactChanged, flags=(), consent=consent)] if consent else []
    facts = (received(), made(OTHER, "asg_1"), accepted(OTHER, "asg_1"), approved(), SERVICES, closed(),
             *told_consent, joined(until=until))  # fmt: skip
    (found,) = [each for each in told(facts) if each.notice.recipient == SECOND]
    assert ("Bayview Recovery" in found.text) is named
    assert ("Maria" in found.text) is named
