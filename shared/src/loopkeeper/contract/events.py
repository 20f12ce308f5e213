"""What the services say to each other: every event, its one publisher and its data.

An event is minimal and additive: a new optional field is fine, anything else is a new version, and the shape before it
becomes a `Superseded` one (contract/event.py). `occurred_at` is when it happened; when we learned it is the envelope's
time. The wire type is `ecm.<name>.v<version>`.
Sealed parts travel in `referral.received`, `referral.amended`, `outreach.contact_changed` and
`outreach.closing_reported` only, a provider's NPI in `provider.recorded`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from pydantic import ConfigDict, Field

# What every reader of an event needs is imported from here.
from loopkeeper.contract.event import ActedBy as ActedBy
from loopkeeper.contract.event import Catalog, EventPart, Superseded
from loopkeeper.contract.event import Event as Event


class ScreenedPopulation(EventPart):
    """A population by the answers. `met_by`: what alone meets it where no listed criterion does, another factor of an
    open list given in words; no rule approves on it (loop.md 2.4)."""

    code: str
    result: Literal["met", "unmet", "unknown"]
    claimed: bool = False
    met_by: Literal["other_factor"] | None = None


class Claim(EventPart):
    """A presumptive claim: who will serve, under which population, from which first service on. `also`: further
    populations of the same claim; each is judged by itself, and all that hold are one grant."""

    provider: str
    population: str
    from_: date = Field(alias="from")
    also: tuple[str, ...] = ()

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    @property
    def populations(self) -> tuple[str, ...]:
        """All that the claim relies on, in its own order."""
        return tuple(dict.fromkeys((self.population, *self.also)))


class JoinedClaim(EventPart):
    """The claim of a referral that joined another, with what its own claimant attested. `start`: it came before its
    form, whose answers its attestation replaces."""

    claim: Claim
    attested: bool = False
    start: bool = False


class ClaimResult(EventPart):
    """What became of one population of a claim: `granted`, or why not."""

    population: str
    result: str


class Eligibility(EventPart):
    """What the plan's roster said when intake asked, of that day: `unknown` never denies. `left`: a later whole roster
    does not name the member any more. `from` and `through` are the coverage it has of the member."""

    state: Literal[
        "confirmed", "begins_later", "ended", "left", "not_found", "other_birth_date", "unknown"
    ] = "unknown"
    programs: tuple[str, ...] = ()
    from_: date | None = Field(default=None, alias="from")
    through: date | None = None

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    def on(self, day: date) -> str:
        """The answer for this day (loop.md 2.5): by the coverage, where there is one; else as it was given."""
        if self.from_ is None or self.state not in ("confirmed", "begins_later", "ended"):
            return self.state
        if day < self.from_:
            return "begins_later"
        return "ended" if self.through is not None and day > self.through else "confirmed"

    @property
    def last_day(self) -> date | None:
        """The last covered day, where the roster knows of one."""
        return self.through if self.state in ("confirmed", "begins_later", "ended") else None


class PlanChange(EventPart):
    """That the member received ECM under another plan, and how that is known. `stated` is what was said of it that may
    speak against it, by code; `enrolled_through` the last day under the old plan (loop.md 4.9)."""

    how: Literal["old_plan", "data_feed", "member", "provider", "other"]
    stated: tuple[str, ...] = ()
    last_service_on: date | None = None
    enrolled_through: date | None = None


class Linked(EventPart):
    to: str
    why: str


class Question(EventPart):
    id: str
    pointer: str
    blocking: bool = False


class Contract(EventPart):
    """A plan's contract with a provider for these populations, in force from `from` through `through`."""

    plan: str
    populations: tuple[str, ...] = ()
    hub: str | None = None
    from_: date = Field(alias="from")
    through: date | None = None

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class Lead(EventPart):
    """The lead care manager: the provider's own id of the person, the name the member will ask for, and the number to
    call, where it is not the provider's."""

    person: str
    name: str
    phone: str | None = None


class Rights(EventPart):
    """What may be done against an adverse decision, and until when: an appeal to the plan through `appeal_by`; a state
    hearing within `hearing_days` of the appeal's answer, or once it stayed out for `unanswered_days`. What runs goes
    on meanwhile if the appeal comes through `continues_if_by`."""

    appeal_by: date
    hearing_days: int
    unanswered_days: int
    continues_if_by: date | None = None


class Unmet(EventPart):
    """What a named person found not to be met of one population: a criterion of that population's own row, and why, in
    words for the member and the plan. `criterion` is empty where the population has no row."""

    population: str
    criterion: str
    why: str


class Adverse(EventPart):
    """The part of an approval that is a denial: which populations were not approved, why, and what may be done."""

    populations: tuple[str, ...]
    reason: str
    citation: str
    notice_due_at: datetime
    rights: Rights
    # Of the reason criteria_not_met, for each of the populations (loop.md 4.3).
    unmet: tuple[Unmet, ...] | None = None


class Consent(EventPart):
    """A consent to share what a Part 2 program knows, or that it was taken back: whom it lets read, since and until
    when. `tpo`: treatment, payment and operations; `named`: only the organizations of `to` (42 CFR 2.31)."""

    scope: Literal["tpo", "named", "revoked"]
    to: tuple[str, ...] = ()
    on: date
    through: date | None = None

    def lets_read(self, organization: str, on: date) -> bool:
        """Whether this organization may read what a Part 2 program knows on that day (42 CFR 2.31)."""
        if self.scope == "revoked" or on < self.on or (self.through is not None and on > self.through):
            return False
        return self.scope == "tpo" or organization in self.to


class Skipped(EventPart):
    provider: str
    reason: str


class Ranked(EventPart):
    """A candidate that could have taken the referral, and what spoke for it, in the order of the ranking."""

    provider: str
    because: tuple[str, ...] = ()


# ── intake ────────────────────────────────────────────────────────────────────────────────────────────────


class ReferralReceived(Event):
    wire = "referral.received"
    plan: str
    referrer: str
    member: str
    # A presumptive start comes before its form: a grant, and no review yet (loop.md 3.1).
    kind: Literal["full", "presumptive_start"] = "full"
    form: Literal["adult", "child_youth"] = "adult"
    received_via: str = "api"
    entered_by: str = ""
    urgency: Literal["routine", "expedited"] = "routine"
    age_band: str = "unknown"
    county: str = ""
    language: str = ""
    populations: tuple[ScreenedPopulation, ...] = ()
    attested: bool = False
    claim: Claim | None = None
    # Providers wished for, and whose wish it was the member's own.
    preferred: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    pcp: str | None = None
    # The provider that runs a program the member is in, by program (loop.md 5.7).
    program_providers: Mapping[str, str] = Field(default_factory=dict)
    # The referral of a parent or sibling by the same referrer: a family is best served by one team.
    family_of: str | None = None
    eligibility: Eligibility = Eligibility()
    flags: tuple[str, ...] = ()
    # Who holds consent for a minor: self, parent, guardian, court or county; empty for an adult (loop.md 6.6).
    consent_holder: str = ""
    # The day of release from a correctional facility, where pre-release services were received (loop.md 3.7).
    release_on: date | None = None
    plan_change: PlanChange | None = None
    # The last day on which who refers expects to treat the member: a hospital with the member in it (loop.md 2.11).
    treating_until: date | None = None
    # The day on which it was received first, where another plan was asked before this one (loop.md 2.14).
    first_received_on: date | None = None
    linked: Linked | None = None
    sealed: Mapping[str, str] = Field(default_factory=dict)


class ReferralQuestionsAsked(Event):
    wire = "referral.questions_asked"
    questions: tuple[Question, ...]
    due_at: datetime | None = None
    # The instants at which an unanswered blocking question is asked again; `reminder` numbers those askings.
    remind_at: tuple[datetime, ...] = ()
    reminder: int = 0


class ReferralSetAside(Event):
    """What came in of a referral that is over as it arrives (merged, already in ECM), kept for the reviewer of that
    later. Only its closing is published, so that nobody begins work on it (loop.md 2.9)."""

    wire = "referral.set_aside"
    published = False
    received: ReferralReceived


class ReferralAmended(Event):
    """What changed of a referral, and why. A field that is None did not change; `sealed` holds changed parts whole."""

    wire = "referral.amended"
    corrects = True
    cause: Literal["answered", "joined", "split", "corrected", "release_date", "roster"]
    # The second referral that was merged into this one, and who sent it.
    joined: str | None = None
    joined_referrer: str | None = None
    # Until when who sent it expects to treat the member.
    joined_treats_until: date | None = None
    # Its claim, judged here and answered under its own id; and whether it asks for a change of provider (2.11).
    joined_claim: JoinedClaim | None = None
    joined_asked: Literal["provider_change"] | None = None
    member: str | None = None
    kind: Literal["full"] | None = None
    form: Literal["adult", "child_youth"] | None = None
    urgency: Literal["routine", "expedited"] | None = None
    age_band: str | None = None
    county: str | None = None
    language: str | None = None
    populations: tuple[ScreenedPopulation, ...] | None = None
    attested: bool | None = None
    claim: Claim | None = None
    preferred: tuple[str, ...] | None = None
    chosen: tuple[str, ...] | None = None
    pcp: str | None = None
    program_providers: Mapping[str, str] | None = None
    eligibility: Eligibility | None = None
    flags: tuple[str, ...] | None = None
    consent_holder: str | None = None
    release_on: date | None = None
    plan_change: PlanChange | None = None
    questions: tuple[Question, ...] | None = None
    linked: Linked | None = None
    sealed: Mapping[str, str] | None = None


class ReferralOverdue(Event):
    """A step of intake took longer than its limit, or soon will have: a fact next to the status, never an end."""

    wire = "referral.overdue"
    clock: str
    due_at: datetime
    state: Literal["at_risk", "breached"]


class ReferralPlanAsked(Event):
    """What the member was served under has ended and the loop is still open: a named person of the plan closes it, or
    says how it goes on (loop.md 7.6)."""

    wire = "referral.plan_asked"
    reason: Literal["authorization_ended", "start_without_form"]
    code: int | None = None
    due_at: datetime


class ReferralDeathTold(Event):
    """Somebody concerned told that the member has died: all contact with the member stops at once, and a named person of
    the plan confirms it or takes it back until `due_at` (loop.md 7.7). `by`: who told it."""

    wire = "referral.death_told"
    by: Literal["referrer", "provider", "plan"]
    on: date | None = None
    due_at: datetime


class ReferralDeathConfirmed(Event):
    wire = "referral.death_confirmed"
    on: date | None = None


class ReferralDeathTakenBack(Event):
    """The word of the member's death was wrong: contact goes on as before."""

    wire = "referral.death_taken_back"


class ReferralBackInCustody(Event):
    """The member is in custody again since that day: the day of release is not known any more, so the start is taken back,
    outreach waits, and the plan judges until `due_at` how it goes on (loop.md 3.7)."""

    wire = "referral.back_in_custody"
    on: date
    due_at: datetime


class ReferralSupportMoved(Event):
    """A Community Supports referral of the lead care manager, linked to this loop, moved (loop.md, child referrals)."""

    wire = "referral.support_moved"
    support: str
    code: str
    status: Literal["asked", "accepted", "declined", "done"]
    provider: str = ""


class ReferralClosed(Event):
    wire = "referral.closed"
    outcome: str
    clr_reason: str
    text: str = ""
    merged_into: str | None = None
    assignment: str | None = None
    # Whether the plan had authorized before: then what lives on, and how it ends, is the plan's own act.
    authorized: bool = False
    # Who withdrew, or whether another plan was the right one, and which (loop.md 2.13, 2.14).
    detail: Literal["by_member", "by_referrer", "redirected", "redirect_unanswered"] | None = None
    right_plan: str | None = None


# ── authorization ─────────────────────────────────────────────────────────────────────────────────────────


class AuthorizationReviewOpened(Event):
    wire = "authorization.review_opened"
    authorization: str
    clock: str
    due_at: datetime
    cap_at: datetime
    # Why no rule could approve it at once, as codes; none if one did in the same breath.
    needs_person: tuple[str, ...] = ()
    # From when on the decision is said to be at risk.
    at_risk_at: datetime | None = None


class AuthorizationPresumptiveGranted(Event):
    wire = "authorization.presumptive_granted"
    grant: str
    provider: str
    provider_version: int
    population: str
    from_: date = Field(alias="from")
    through: date
    # Of a start sent alone, under which the review will be opened.
    authorization: str = ""
    # What of the member's coverage puts the payment at risk; empty for nothing (loop.md 2.5).
    at_risk: Literal["", "left", "not_found", "other_birth_date"] = ""
    # The last day on which the plan urges the formal referral, and the days on which what is missing is reminded of.
    referral_by: date | None = None
    remind_on: tuple[date, ...] = ()
    # What became of each population, where the claim named several.
    results: tuple[ClaimResult, ...] = ()
    # The referral that made the claim, where it joined this one; and, told under that one, the loop that has the grant.
    claimed_by: str = ""
    carried_by: str = ""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    @property
    def populations(self) -> tuple[str, ...]:
        """All that the grant covers."""
        return tuple(each.population for each in self.results if each.result == "granted") or (
            self.population,
        )


class AuthorizationPresumptiveRefused(Event):
    wire = "authorization.presumptive_refused"
    reason: str
    way_on: str = ""
    authorization: str = ""
    # Whose directory entry is waited for, where the reason is awaiting_provider: the provider's, or its hub's.
    awaits: str = ""
    # Who claimed, of which plan, and what became of each population, where it named several.
    provider: str = ""
    plan: str = ""
    results: tuple[ClaimResult, ...] = ()
    # The referral that made the claim, where it joined this one and is answered under its own id.
    claimed_by: str = ""


class AuthorizationPresumptiveEnded(Event):
    wire = "authorization.presumptive_ended"
    grant: str
    reason: Literal["expired", "approved", "denied", "revoked", "closed"]
    # The last day the grant covers.
    through: date


class AuthorizationPresumptiveReminded(Event):
    wire = "authorization.presumptive_reminded"
    grant: str
    provider: str
    day: int
    missing: Literal["referral", "decision"]
    through: date


class AuthorizationPended(Event):
    """A named person asks for what the standard has and the form lacks; the decision's clock stops until `by`."""

    wire = "authorization.pended"
    authorization: str
    asks: tuple[str, ...]
    by: datetime


class AuthorizationResumed(Event):
    """The clock runs on; `due_at` is the deadline that follows. The cap never stopped."""

    wire = "authorization.resumed"
    authorization: str
    due_at: datetime
    at_risk_at: datetime | None = None


class AuthorizationExpedited(Event):
    """What waits became urgent: the expedited clock and its own cap run from when the urgency arrived (`since`), and
    never past the cap there was. Without `cap_at`, of an older program, the cap stays what it was."""

    wire = "authorization.expedited"
    authorization: str
    due_at: datetime
    at_risk_at: datetime | None = None
    cap_at: datetime | None = None
    since: datetime | None = None


class AuthorizationOverdue(Event):
    wire = "authorization.overdue"
    authorization: str
    clock: str
    due_at: datetime
    state: Literal["at_risk", "breached"]


class AuthorizationDeemedAdverse(Event):
    """Undecided at the legal cap: an adverse determination by law; the review stays open for a person (loop.md 4.5)."""

    wire = "authorization.deemed_adverse"
    authorization: str
    cap_at: datetime
    appeal_by: date
    notice_due_at: datetime
    rights: Rights | None = None


class AuthorizationOverturned(Event):
    """An appeal or hearing overturned the denial: intake opens a linked, authorized referral (loop.md 4.8)."""

    wire = "authorization.overturned"
    authorization: str
    on: date
    due_at: datetime


class AuthorizationReauthorizationDue(Event):
    wire = "authorization.reauthorization_due"
    authorization: str
    through: date
    due_at: datetime


class AuthorizationReauthorizationRequested(Event):
    """Asked before the end, so the term lives on until this is decided and noticed (loop.md 4.7)."""

    wire = "authorization.reauthorization_requested"
    authorization: str
    provider: str
    through: date
    # The clocks of this decision, as of any other.
    clock: str = "routine"
    due_at: datetime | None = None
    at_risk_at: datetime | None = None
    cap_at: datetime | None = None


class AuthorizationExtended(Event):
    """The term runs from `from` through `through` now; a notice that it would end is taken back by this."""

    wire = "authorization.extended"
    authorization: str
    number: str
    from_: date = Field(alias="from")
    through: date
    external_number: str | None = None
    # The days on which reauthorization is prompted, and the one on which the notice of the end must go.
    prompts_on: tuple[date, ...] = ()
    notice_on: date | None = None

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class AuthorizationEnded(Event):
    """The term's last day is `on`, by a discontinuation code of 1 to 15 (domain.md 3). Said days ahead, since the
    member's notice must be ten days old by then; `extended` or `reauthorization_requested` takes it back."""

    wire = "authorization.ended"
    authorization: str
    code: int
    on: date
    notice_due_at: datetime | None = None
    rights: Rights | None = None
    external_number: str | None = None
    # The ending was appealed against, and upheld: what is left is a hearing.
    upheld: Literal[True] | None = None


class AuthorizationCoverageLost(Event):
    """The coverage ended inside the term: no payment is owed from then on, and a named person of the plan judges until
    `due_at` whether the term ends. Nothing ends by this (loop.md 2.5). `on`: the last covered day that is known."""

    wire = "authorization.coverage_lost"
    authorization: str
    answer: Literal["ended", "left", "not_found"]
    on: date | None = None
    due_at: datetime


class AuthorizationCoverageReturned(Event):
    """The member is covered again: the question about the term is taken back. Where a person ended the term for it,
    another is asked until `due_at` whether that holds."""

    wire = "authorization.coverage_returned"
    authorization: str
    due_at: datetime | None = None


class AuthorizationEndingConfirmed(Event):
    """A named person judged that the ending of the term holds, though what it was made for is over."""

    wire = "authorization.ending_confirmed"
    authorization: str


class AuthorizationAppealed(Event):
    """The member appealed against the ending of the term, on this day, and the plan recorded it. `continues`: in time, so
    the term goes on until that is resolved (42 CFR 438.420); `extended` then takes the ending back for as long. `code` and
    `ends_on` are the ending's. A hearing asked for against an ending that an appeal upheld is one too."""

    wire = "authorization.appealed"
    authorization: str
    on: date
    continues: bool
    code: int
    ends_on: date
    due_at: datetime


class AuthorizationAppealResolved(Event):
    """The appeal against the ending was resolved: `upheld`, the term ends after all; else it goes on."""

    wire = "authorization.appeal_resolved"
    authorization: str
    upheld: bool


class AuthorizationApproved(Event):
    wire = "authorization.approved"
    authorization: str = ""
    number: str
    external_number: str | None = None
    populations: tuple[str, ...] = ()
    modified: bool = False
    by: Literal["rule", "person"] = "person"
    from_: date = Field(alias="from")
    through: date
    # Why it had to be authorized, with nothing more asked (loop.md 4.2).
    must: str = ""
    # What was not approved of it.
    adverse: Adverse | None = None
    prompts_on: tuple[date, ...] = ()
    notice_on: date | None = None

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)


class AuthorizationDenied(Event):
    wire = "authorization.denied"
    authorization: str = ""
    external_number: str | None = None
    reason: str
    citation: str
    appeal_by: date
    notice_due_at: datetime
    rights: Rights | None = None
    # Of the reason criteria_not_met, for each population asked for (loop.md 4.3).
    unmet: tuple[Unmet, ...] | None = None


# ── assignment ────────────────────────────────────────────────────────────────────────────────────────────


class AssignmentMade(Event):
    wire = "assignment.made"
    assignment: str
    provider: str
    kind: Literal["ecm", "presumptive"] = "ecm"
    basis: str = ""
    answer_due_at: datetime
    skipped: tuple[Skipped, ...] = ()
    ranked: tuple[Ranked, ...] = ()
    # A planned assignment is live from this day on (loop.md 3.7, 5.3).
    starts_on: date | None = None
    # How many were passed over for each reason; `skipped` keeps the beginning of a long list.
    skipped_for: Mapping[str, int] | None = None
    # When the silence about this offer is at risk of becoming too long, and by when some provider must have been told
    # whom to serve (loop.md 5.8).
    answer_at_risk_at: datetime | None = None
    told_due_at: datetime | None = None
    told_at_risk_at: datetime | None = None


class AssignmentAccepted(Event):
    wire = "assignment.accepted"
    assignment: str
    provider: str
    lead: Lead
    # The member's primary care provider, where it is another, and by when it must be told (loop.md 5.8).
    pcp: str | None = None
    pcp_due_at: datetime | None = None


class AssignmentDeclined(Event):
    wire = "assignment.declined"
    assignment: str
    provider: str = ""
    reason: str


class AssignmentWithdrawn(Event):
    wire = "assignment.withdrawn"
    assignment: str
    provider: str = ""
    reason: str


class AssignmentPlanAsked(Event):
    wire = "assignment.plan_asked"
    reason: Literal[
        "none_left",
        "no_answer",
        "member_already_assigned",
        "conflicted",
        "change_requested",
        "coverage_ended",
        "provider_left",
    ]
    assignment: str | None = None
    due_at: datetime | None = None
    at_risk_at: datetime | None = None
    # The provider the member asks for instead, if one was named; and who was passed over, and why.
    wished: str | None = None
    skipped: tuple[Skipped, ...] | None = None


class AssignmentQuestionTakenBack(Event):
    """The plan need not answer any more: the provider that had left is under contract again (loop.md 5.10). `open`: what it
    was asked before and still is, by `due_at`."""

    wire = "assignment.question_taken_back"
    assignment: str
    reason: Literal["provider_left"]
    open: Literal["change_requested"] | None = None
    due_at: datetime | None = None


class AssignmentEnded(Event):
    wire = "assignment.ended"
    assignment: str
    provider: str = ""
    reason: str
    on: date


class AssignmentLeadChanged(Event):
    wire = "assignment.lead_changed"
    assignment: str
    provider: str
    lead: Lead


class AssignmentAnswerRefused(Event):
    """What a provider's file says of an offer cannot be any more: `reason` is the refusal that `:accept`, `:decline` or
    `:change-lead` would give."""

    wire = "assignment.answer_refused"
    assignment: str
    answer: Literal["accepted", "declined", "lead_changed"]
    reason: str


class AssignmentStarted(Event):
    """A planned assignment is live from today: the member was released (loop.md 3.7)."""

    wire = "assignment.started"
    assignment: str
    provider: str
    on: date


class AssignmentOverdue(Event):
    """A step of assignment took longer than its limit, or soon will have. `assignment` is empty where none is made."""

    wire = "assignment.overdue"
    assignment: str = ""
    clock: str
    due_at: datetime
    state: Literal["at_risk", "breached"]


class ProviderRecorded(Event):
    wire = "provider.recorded"
    provider: str
    version: int
    active: bool = True
    name: str = ""
    # The part `npi`, sealed under the program's own key: services compare and write it, nobody else reads it.
    sealed: Mapping[str, str] = Field(default_factory=dict)
    phone: str = ""
    types: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()
    age_bands: tuple[str, ...] = ()
    counties: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    contracts: tuple[Contract, ...] = ()
    capacity: int = 0
    answers_by: Literal["api", "file"] = "api"
    verified_at: datetime | None = None


# ── notification ──────────────────────────────────────────────────────────────────────────────────────────


class OutreachAttempted(Event):
    wire = "outreach.attempted"
    assignment: str
    number: int
    actor_kind: str
    modality: str
    outcome: str
    reached: bool
    minutes: int | None = None
    # Made while the offer was open: it changes no status, and counts toward no unable_to_reach (loop.md 6.1).
    before_acceptance: bool = False


class OutreachServicesStarted(Event):
    wire = "outreach.services_started"
    assignment: str
    on: date


class OutreachMemberDeclined(Event):
    wire = "outreach.member_declined"
    assignment: str
    on: date
    how: str
    attempts: int


class OutreachUnableToReach(Event):
    wire = "outreach.unable_to_reach"
    assignment: str
    on: date
    how: str = ""
    attempts: int


class OutreachServiceEnded(Event):
    """The provider ends services under a term, by a discontinuation code; the plan decides about the term."""

    wire = "outreach.service_ended"
    assignment: str
    code: int
    on: date


class OutreachContactChanged(Event):
    """A correction of how the member is reached: `flags` are the referral's flags whole, `sealed` the contact part
    whole. `consent` comes where a consent to share was given or taken back with it."""

    wire = "outreach.contact_changed"
    flags: tuple[str, ...]
    sealed: Mapping[str, str] = Field(default_factory=dict)
    consent: Consent | None = None


class OutreachAnswered(Event):
    """What a provider's file says of its offer: it took the member on that day, declined, or has another lead care
    manager. Assignment decides by the rules of its own routes, and says so."""

    wire = "outreach.answered"
    assignment: str
    provider: str
    answer: Literal["accepted", "declined", "lead_changed"]
    on: date
    lead: Lead | None = None
    reason: str = ""


class OutreachInitiated(Event):
    """Outreach has begun, as a provider's file reports it: a status, and no attempt."""

    wire = "outreach.initiated"
    assignment: str
    on: date


class OutreachClosingReported(Event):
    """A provider's file says why it would close the loop, where only a named person of the plan closes it. `sealed`: the
    part `closing` with the provider's own words."""

    wire = "outreach.closing_reported"
    assignment: str
    reason: Literal["provider_declined", "no_longer_eligible", "unable_to_reach", "other"]
    on: date
    # By when the plan answers; none in those from before it was asked by a date.
    due_at: datetime | None = None
    sealed: Mapping[str, str] = Field(default_factory=dict)


class OutreachMonthCounted(Event):
    """How many encounters a provider's file counts in a month, YYYY-MM; a later count of the month replaces it."""

    wire = "outreach.month_counted"
    assignment: str
    month: str
    in_person: int | None = None
    remote: int | None = None


class OutreachTakenBack(Event):
    """A fact of outreach was recorded in error, and its author or the plan takes it back (loop.md 8.7). `number`: of an
    attempt. A closing that followed stays, and is contested (7.3)."""

    wire = "outreach.taken_back"
    assignment: str
    what: Literal[
        "attempted", "services_started", "member_declined", "unable_to_reach", "service_ended", "initiated"
    ]
    number: int | None = None
    because: Literal["did_not_happen", "another_member", "another_day", "recorded_twice", "another_outcome"]


class OutreachOverdue(Event):
    wire = "outreach.overdue"
    assignment: str
    clock: str
    due_at: datetime
    state: Literal["at_risk", "breached"]


class NoticeOverdue(Event):
    wire = "notice.overdue"
    notice: str
    code: str
    recipient_kind: str
    due_at: datetime


class NoticeDelivered(Event):
    """A notice was told: a closing, a member's, or a decision to the provider that serves (other notices' arrival is
    no news for the other services)."""

    wire = "notice.delivered"
    notice: str
    code: str
    recipient_kind: str
    how: Literal["webhook", "mailbox", "hand_over"]


class NoticeTakenBack(Event):
    """A hand-over was recorded in error: the notice is not told, and is to be told (loop.md 8.7)."""

    wire = "notice.taken_back"
    notice: str
    code: str
    recipient_kind: str
    because: Literal["did_not_happen", "another_member", "another_recipient"]


PUBLISHERS: Mapping[str, str] = {
    "referral": "intake",
    "authorization": "authorization",
    "assignment": "assignment",
    "provider": "assignment",
    "outreach": "notification",
    "notice": "notification",
}


# Made once, here: no class that a test makes later is an event of the product.
CATALOG = Catalog(Event.__subclasses__(), Superseded.__subclasses__())


def by_type() -> Mapping[str, type[Event]]:
    """Every event class by its wire type, in its newest version."""
    return CATALOG.by_type


def publisher(kind: type[Event] | type[Superseded]) -> str:
    """The one service that owns this event's noun."""
    return PUBLISHERS[kind.wire.partition(".")[0]]


def read(wire_type: str, data: bytes) -> Event | None:
    """`Catalog.read` of every event of the product."""
    return CATALOG.read(wire_type, data)
