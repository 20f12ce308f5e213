"""What authorization's rules are asked about David, referred by the street team that serves him already, and what policy
says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal

from authorization.domain.commands import (
    Amend,
    Appeal,
    Approve,
    Continue,
    Deny,
    End,
    LookAgain,
    Modify,
    OpenReview,
    Overturn,
    PassDeadline,
    Pend,
    RequestReauthorization,
    Resume,
    RevokeGrant,
)
from authorization.domain.contexts import (
    AmendContext,
    AppealContext,
    ApprovalRules,
    ApproveContext,
    CapContext,
    ClaimContext,
    ClockRules,
    DenialRules,
    DenyContext,
    EndContext,
    EndingRules,
    GrantRules,
    Judged,
    MemberGrants,
    ModifyContext,
    OverturnContext,
    PauseContext,
    PendContext,
    ReauthorizationContext,
    ReviewContext,
    RunningOn,
    TermContext,
    TermRules,
)
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.decider import Plain
from loopkeeper.contract.events import (
    ActedBy,
    AuthorizationApproved,
    Claim,
    Contract,
    Eligibility,
    Event,
    ProviderRecorded,
    ReferralAmended,
    ReferralReceived,
    Rights,
    ScreenedPopulation,
    Unmet,
)
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand, command_of, given
from tests.builders import facts
from tests.builders.facts import HOMELESS, TODAY
from tests.builders.organizations import HARBOR, LUIS, MARIA, STREET

TEAM = STREET
FREQUENT = ScreenedPopulation(code="avoidable_utilization", result="met")

TIMES: dict[str, Any] = {"at": MONDAY, "seed": SEED}


# As the policy table `coverage` has it.
ANSWERS = ("confirmed", "begins_later", "ended", "left", "not_found", "other_birth_date", "unknown")
COVERED = frozenset({"confirmed", "begins_later"})
GRANTS_WITH = frozenset(ANSWERS) - {"ended"}
AT_RISK_WITH = frozenset({"left", "not_found", "other_birth_date"})


@dataclass(frozen=True)
class Rules:
    """What policy says, in one piece, as these tests tell it; contexts get the parts that they need."""

    clock: str = "routine"
    due_at: datetime = MONDAY
    cap_at: datetime = MONDAY
    at_risk_at: datetime | None = None
    review_refs: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    grant_days: int = 30
    again_days: int = 0
    referral_by: date | None = None
    remind_on: tuple[date, ...] = ()
    grant_refs: tuple[str, ...] = ()
    automatic: Mapping[str, float] = field(default_factory=dict[str, float])
    exclusive: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    approve_refs: tuple[str, ...] = ()
    must: Mapping[str, str] = field(default_factory=dict[str, str])
    unless: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    look_back: int = 90
    term_months: int = 12
    prompt_days: tuple[int, ...] = ()
    notice_days: int = 0
    term_from: Literal["first_service", "decision"] | None = None
    term_refs: tuple[str, ...] = ()

    def model_copy(self, update: Mapping[str, Any]) -> Rules:
        return replace(self, **update)

    def clocks(self) -> ClockRules:
        risk: Any = self.at_risk_at
        return ClockRules(
            clock=self.clock, due_at=self.due_at, cap_at=self.cap_at, at_risk_at=risk, refs=self.review_refs
        )

    def running_on(self) -> RunningOn:
        return RunningOn(due_at=self.due_at, at_risk_at=self.at_risk_at, refs=self.review_refs)

    def term(self) -> TermRules:
        return TermRules(
            months=self.term_months, prompt_days=self.prompt_days, notice_days=self.notice_days,
            runs_from=self.term_from, refs=self.term_refs,
        )  # fmt: skip

    def grant(self) -> GrantRules:
        return GrantRules(
            types=dict.fromkeys(Population.codes(), self.types), days=self.grant_days, again_days=self.again_days,
            referral_by=self.referral_by, remind_on=self.remind_on, refs=self.grant_refs, grants_with=GRANTS_WITH,
            at_risk_with=AT_RISK_WITH,
        )  # fmt: skip

    def approval(self) -> ApprovalRules:
        return ApprovalRules(
            automatic=self.automatic,
            exclusive=self.exclusive,
            chosen=self.chosen,
            must=self.must,
            refs=self.approve_refs,
            covered=COVERED,
            unless=self.unless,
            look_back=self.look_back,
        )


RULES = Rules(
    clock="routine",
    due_at=MONDAY + timedelta(days=7),
    cap_at=MONDAY + timedelta(days=8),
    types=("street_medicine",),
    automatic={"homelessness": 0.0},
    exclusive=("hospice", "pace"),
    chosen=("alw", "ccm"),
    term_from="first_service",
)
ENTRY = ProviderRecorded(
    occurred_at=MONDAY,
    provider=TEAM,
    version=4,
    types=("street_medicine",),
    populations=("homelessness",),
    contracts=(
        Contract.model_validate({"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"}),
    ),
)


def claim(provider: str = TEAM, population: str = "homelessness", from_: date = TODAY) -> Claim:
    return Claim.model_validate({"provider": provider, "population": population, "from": from_})


def received(**changes: Any) -> ReferralReceived:
    """A referral of which every condition for an approval by rule holds; the team claims to serve."""
    fields: dict[str, Any] = {
        "referrer": TEAM,
        "populations": (HOMELESS,),
        "attested": True,
        "claim": claim(),
        "eligibility": Eligibility(state="confirmed"),
    }
    return facts.received(**{**fields, **changes})


# Not on the plan's roster: a person decides, the grant goes on meanwhile.
UNSURE = Eligibility(state="unknown")


def claimed(rules: Rules, **known: Any) -> dict[str, Any]:
    """What a claim is judged by; the directory knows the team."""
    member_grants = MemberGrants(
        open_with=known.get("open_with"),
        grant_live=known.get("member_grant_live", False),
        last_grant_through=known.get("last_grant_through"),
    )
    provider = known.get("provider", ENTRY)
    # The claim of a referral that joins is judged alike, by its own provider's entry.
    joined = rules.grant() if "joined_provider" in known else None
    return {
        "own": "ref_1", "grant": rules.grant(), "member_grants": member_grants, "provider": provider,
        "hubs": known.get("hubs", {}), "joined": joined, "joined_provider": known.get("joined_provider"),
        "opens": known.get("opens", frozenset()),
    }  # fmt: skip


def review(rules: Rules, **known: Any) -> dict[str, Any]:
    """What opens a review, or approves at once."""
    parts = {"clocks": rules.clocks(), "term": rules.term(), "approval": rules.approval()}
    return {**TIMES, **claimed(rules, **known), **parts, "draw": known.get("draw", 0.0)}


def open_review(fact: ReferralReceived, rules: Rules = RULES, **known: Any) -> AskedCommand:
    return OpenReview(fact=fact), ReviewContext(**review(rules, **known))


def look_again(waits_for: str, rules: Rules = RULES, **known: Any) -> AskedCommand:
    return LookAgain(waits_for=waits_for), ClaimContext(**TIMES, **claimed(rules, **known))


def opened(fact: ReferralReceived, rules: Rules = RULES, **known: Any) -> list[Event]:
    """What follows when the referral is heard; the directory knows the team."""
    return given(DECIDER).when(open_review(fact, rules, **known)).events


def pending(**changes: Any) -> Authorization:
    """A request that waits for a person, its grant live."""
    fact = received(**{"eligibility": UNSURE, **changes})
    return given(DECIDER, fact, *opened(fact)).state


def approve(rules: Rules = RULES, acted_by: ActedBy = MARIA, **changes: Any) -> AskedCommand:
    return Approve(acted_by=acted_by, **changes), ApproveContext(**TIMES, term=rules.term())


RIGHTS = Rights(appeal_by=date(2026, 5, 1), hearing_days=120, unanswered_days=30)
DENIAL = DenialRules(
    needs_license=False,
    citation="ECM Policy Guide",
    notice_due_at=MONDAY + timedelta(days=2),
    rights=RIGHTS,
    exclusive=(),
    chosen=(),
    criteria={
        "homelessness": ("in_shelter", "complex_need"),
        "avoidable_utilization": ("avoidable_ed_visits_6m", "avoidable_stays_6m"),
    },
    refs=(),
)
# What of a denial policy says; the rest is the person's word.
OF_POLICY = {"needs_license", "notice_due_at", "rights", "exclusive", "chosen", "criteria", "refs"}
# What the licensed person says of each population.
WHY = "You told us that you live with your sister."
UNMET_HOMELESS = Unmet(population="homelessness", criterion="in_shelter", why=WHY)
UNMET_FREQUENT = Unmet(population="avoidable_utilization", criterion="avoidable_stays_6m", why=WHY)


def deny(reason: str = "no_active_medi_cal", acted_by: ActedBy = MARIA, **changes: Any) -> AskedCommand:
    # The plan told the provider itself; without that, the grant waits for our notice.
    said = {"licensed": False, "citation": "ECM Policy Guide", "provider_told": True, **changes}
    if reason == "criteria_not_met":
        said = {"unmet": (UNMET_HOMELESS,), **said}
    command = Deny(reason=reason, acted_by=acted_by, **{k: v for k, v in said.items() if k not in OF_POLICY})
    denial = replace(DENIAL, **{k: v for k, v in changes.items() if k in OF_POLICY})
    return command, DenyContext(**TIMES, denial=denial)


def modify(populations: tuple[str, ...], **changes: Any) -> AskedCommand:
    rules, denial = changes.pop("rules", RULES), replace(DENIAL, **changes.pop("denial", {}))
    said = {"acted_by": MARIA, "reason": "criteria_not_met", "licensed": True, **changes}
    if said["reason"] == "criteria_not_met":
        said = {"unmet": (UNMET_FREQUENT,), **said}
    context = ModifyContext(**TIMES, term=rules.term(), denial=denial)
    return Modify(populations=populations, **said), context


def pend(*asks: str, acted_by: ActedBy = MARIA) -> AskedCommand:
    known = frozenset({"birth-date", "county", "answer-complex_need"})
    context = PendContext(**TIMES, known=known, by=MONDAY + timedelta(days=14), refs=())
    return Pend(acted_by=acted_by, asks=asks), context


def resume(acted_by: ActedBy = MARIA, rules: Rules = RULES) -> AskedCommand:
    return Resume(acted_by=acted_by), PauseContext(**TIMES, running_on=rules.running_on())


def amended(cause: str = "answered", at: datetime = MONDAY, **changes: Any) -> ReferralAmended:
    return ReferralAmended.model_validate({"occurred_at": at, "cause": cause, **changes})


def amend(fact: ReferralAmended, rules: Rules = RULES, **known: Any) -> AskedCommand:
    judged = Judged(due_at=MONDAY + timedelta(days=14), refs=())
    return Amend(fact=fact), AmendContext(
        **review(rules, **known), running_on=rules.running_on(), judged=judged
    )


def comes(kind: str, rules: Rules = RULES) -> AskedCommand:
    """This deadline comes, with what the policy says then."""
    command, ending = PassDeadline(kind=kind), EndingRules(rights=RIGHTS, refs=())
    match kind:
        case "cap":
            notice = DENIAL.notice_due_at
            return command, CapContext(**TIMES, notice_due_at=notice, rights=RIGHTS, refs=())
        case "pause":
            return command, PauseContext(**TIMES, running_on=rules.running_on())
        case "term":
            return command, TermContext(**TIMES, ending=ending)
        case _:
            return command


def end(code: int = 1, acted_by: ActedBy = MARIA, **changes: Any) -> AskedCommand:
    ending = EndingRules(rights=RIGHTS, refs=())
    context = EndContext(**TIMES, notice_days=10, ending=ending)
    return End(acted_by=acted_by, code=code, **changes), context


def appeal(on: date, acted_by: ActedBy = MARIA, at: datetime = MONDAY) -> AskedCommand:
    context = AppealContext(at=at, seed=SEED, due_at=at + timedelta(days=30), refs=())
    return Appeal(acted_by=acted_by, on=on), context


def ask_again(rules: Rules = RULES, acted_by: ActedBy = LUIS, provider: str = TEAM) -> AskedCommand:
    command = RequestReauthorization(acted_by=acted_by, provider=provider)
    return command, ReauthorizationContext(**TIMES, clocks=rules.clocks())


def revoke(acted_by: ActedBy = MARIA) -> AskedCommand:
    return RevokeGrant(acted_by=acted_by)


def go_on(acted_by: ActedBy = MARIA) -> AskedCommand:
    return Continue(acted_by=acted_by)


def overturn(on: date, acted_by: ActedBy = MARIA) -> AskedCommand:
    context = OverturnContext(**TIMES, due_at=MONDAY + timedelta(days=60), refs=())
    return Overturn(acted_by=acted_by, on=on), context


# ── as the service looks it up ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class LookedUp:
    """A command with the context that the service gives it, its parts in one piece as the tests above tell them."""

    asking: AskedCommand
    rules: Rules
    parts: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.parts[name]
        except KeyError:
            raise AttributeError(name) from None


def looked_up(
    loaded: AuthorizationLoaded,
    stream: str,
    state: Authorization | None,
    asking: AskedCommand,
    at: datetime = MONDAY,
) -> LookedUp:
    """What the service says to this command, at this time."""
    pair: Any = loaded.with_context(stream, state, command_of(asking), Plain(at=at, seed=SEED))
    command, context = pair
    found: dict[str, Any] = {}
    if (clocks := getattr(context, "clocks", None)) is not None:
        found |= {"clock": clocks.clock, "due_at": clocks.due_at, "cap_at": clocks.cap_at}
        found |= {"at_risk_at": clocks.at_risk_at, "review_refs": clocks.refs}
    if (on := getattr(context, "running_on", None)) is not None:
        found |= {"due_at": on.due_at, "at_risk_at": on.at_risk_at, "review_refs": on.refs}
    if (term := getattr(context, "term", None)) is not None:
        found |= {"term_months": term.months, "prompt_days": term.prompt_days, "term_refs": term.refs}
        found |= {"notice_days": term.notice_days, "term_from": term.runs_from}
    if (grant := getattr(context, "grant", None)) is not None:
        found |= {
            "types": next(iter(grant.types.values()), ()),
            "grant_days": grant.days,
            "again_days": grant.again_days,
        }
        found |= {"referral_by": grant.referral_by, "remind_on": grant.remind_on, "grant_refs": grant.refs}
    if (approval := getattr(context, "approval", None)) is not None:
        found |= {"automatic": approval.automatic, "exclusive": approval.exclusive, "must": approval.must}
        found |= {"chosen": approval.chosen}
        found |= {"approve_refs": approval.refs, "unless": approval.unless, "look_back": approval.look_back}
    parts: dict[str, Any] = {
        name: getattr(context, name) for name in ("denial", "provider", "hubs") if hasattr(context, name)
    }
    if isinstance(context, CapContext):
        parts["denial"] = context
    if isinstance(context, DenyContext):
        denial = context.denial
        parts |= {"needs_license": denial.needs_license, "notice_due_at": denial.notice_due_at}
        parts |= {"citation": command.citation or denial.citation, "appeal_by": denial.rights.appeal_by}
    if isinstance(context, ClaimContext):
        member_grants = context.member_grants
        parts |= {"open_with": member_grants.open_with, "member_grant_live": member_grants.grant_live}
        parts |= {"last_grant_through": member_grants.last_grant_through}
    return LookedUp(pair, Rules(**found), parts)


def approval(events: list[Event]) -> AuthorizationApproved:
    """The one approval among these."""
    (found,) = [event for event in events if isinstance(event, AuthorizationApproved)]
    return found


def wires(events: list[Event]) -> list[str]:
    return [event.wire.removeprefix("authorization.") for event in events]
