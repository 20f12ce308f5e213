"""What a plan may decide about a referral, and what a rule may do before a person does.

    received → review opened → approved, by a rule the plan turned on or by a named person
                             → denied, only by a named person
             → presumptive grant of 30 days, by claim → expired, or ended by the decision

A rule may approve or ask; only a person denies (HSC 1367.01(k)). First services close the loop and end nothing here;
any other closing before the decision ends review and grant (loop.md 7.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from authorization.presumptive import Standing, judge
from loopkeeper import ids
from loopkeeper.calendar import end_of_la_day, la_date, term_through
from loopkeeper.decider import Command, Decider, Refused, State
from loopkeeper.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentEnded,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationReviewOpened,
    Claim,
    Eligibility,
    Event,
    ProviderRecorded,
    ReferralClosed,
    ReferralReceived,
    ScreenedPopulation,
)
from loopkeeper.vocabulary.decisions import DenialReason, ForbiddenReason

SERVICES_RECEIVED = "services_received"
Status = Literal["", "pending", "approved", "denied", "closed"]


class Fact(BaseModel):
    """A group of fields that came with one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Review(Fact):
    authorization: str
    clock: str
    due_at: datetime
    cap_at: datetime
    needs_person: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()


class Grant(Fact):
    grant: str
    provider: str
    provider_version: int
    population: str
    from_: date
    through: date
    ended: str = ""
    policy: tuple[str, ...] = ()


class Decision(Fact):
    kind: Literal["approved", "denied"]
    at: datetime
    by: str = "person"
    person: str = ""
    number: str = ""
    external_number: str = ""
    populations: tuple[str, ...] = ()
    from_: date | None = None
    through: date | None = None
    reason: str = ""
    citation: str = ""
    appeal_by: date | None = None
    policy: tuple[str, ...] = ()


class Authorization(State):
    """One referral's request for authorization, as the facts so far make it."""

    received_at: datetime | None = None
    plan: str = ""
    referrer: str = ""
    member: str = ""
    urgency: str = ""
    county: str = ""
    age_band: str = ""
    populations: tuple[ScreenedPopulation, ...] = ()
    attested: bool = False
    claim: Claim | None = None
    eligibility: Eligibility = Eligibility()
    flags: tuple[str, ...] = ()
    sealed: Mapping[str, str] = {}
    review: Review | None = None
    grant: Grant | None = None
    grant_refused: str = ""
    way_on: str = ""
    decision: Decision | None = None
    holder: str = ""
    outcome: str = ""

    @property
    def grant_live(self) -> bool:
        return self.grant is not None and not self.grant.ended


class Rules(Fact):
    """What policy says for one command, looked up at the edge by the date of the fact. `refs` name the rows."""

    clock: str = "routine"
    due_at: datetime = datetime.min.replace(tzinfo=UTC)
    cap_at: datetime = datetime.min.replace(tzinfo=UTC)
    review_refs: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    grant_days: int = 30
    again_days: int = 0
    grant_refs: tuple[str, ...] = ()
    # Populations a rule may approve for this plan, and their sample.
    automatic: Mapping[str, float] = {}
    exclusive: tuple[str, ...] = ()
    approve_refs: tuple[str, ...] = ()
    term_months: int = 12
    # None: the plan has not chosen, and there is no default.
    term_from: Literal["first_service", "decision"] | None = None
    term_refs: tuple[str, ...] = ()


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────


class OpenReview(Command):
    """`referral.received`. `draw` in [0, 1) decides the sample: made from the event's id, so a redelivery draws alike."""

    rules: Rules = Rules()
    draw: float = 0.0
    provider: ProviderRecorded | None = None
    open_with: str | None = None
    member_grant_live: bool = False
    last_grant_through: date | None = None


class LookAgain(Command):
    """The directory now knows the provider a claim waits for."""

    waits_for: str
    rules: Rules = Rules()
    provider: ProviderRecorded | None = None
    open_with: str | None = None
    member_grant_live: bool = False
    last_grant_through: date | None = None


class NoteFact(Command):
    """An event of another service about this referral."""


class ExpireGrant(Command):
    """The last day of a grant is over."""


class Approve(Command):
    """A named person of the plan approves, here or in the plan's own system (`external_number`)."""

    acted_by: ActedBy
    populations: tuple[str, ...] = ()
    external_number: str = ""
    rules: Rules = Rules()


class Deny(Command):
    """A named person of the plan denies."""

    acted_by: ActedBy
    reason: str
    licensed: bool
    needs_license: bool = False
    citation: str = ""
    appeal_by: date | None = None
    notice_due_at: datetime | None = None
    external_number: str = ""
    refs: tuple[str, ...] = ()


# ── decide ────────────────────────────────────────────────────────────────────────────────────────────────


def decide(state: Authorization | None, command: Command) -> Sequence[Event]:
    match command:
        case OpenReview():
            return list(open_review(state, command))
        case LookAgain():
            return list(look_again(state, command))
        case NoteFact(fact=ReferralClosed()):
            return end_with_loop(state, command.at)
        case NoteFact():
            return []
        case ExpireGrant():
            return expire(state, command.at)
        case Approve():
            return list(approve(state, command))
        case Deny():
            return list(deny(state, command))
        case _:
            raise TypeError(f"authorization has no rule for {type(command).__name__}")


def open_review(state: Authorization | None, command: OpenReview) -> Iterator[Event]:
    """Opens the review of a referral once; a loop already over is a tombstone and opens nothing."""
    if state is None or state.review is not None or state.outcome:
        return
    rules = command.rules
    person = person_because(state, command)
    opened = AuthorizationReviewOpened(
        occurred_at=command.at,
        policy=rules.review_refs,
        authorization=ids.derive("auth", command.at, command.seed, "review"),
        clock=rules.clock,
        due_at=rules.due_at,
        cap_at=rules.cap_at,
        needs_person=person,
    )
    yield opened
    granted = claim_judged(state, command)
    yield from granted
    if person:
        return
    grant = next((event for event in granted if isinstance(event, AuthorizationPresumptiveGranted)), None)
    start = grant.from_ if grant and rules.term_from == "first_service" else la_date(command.at)
    yield approval(
        command, opened.authorization, rules, start, met(state), by="rule",
        refs=(*rules.approve_refs, *(rules.term_refs if grant else ())),
    )  # fmt: skip
    if grant is not None:
        yield grant_ended(command.at, grant, "approved")


def person_because(state: Authorization, command: OpenReview) -> tuple[str, ...]:
    """Why a person must decide, as codes; empty where a rule may approve (loop.md 4.2)."""
    rules = command.rules
    switched = [code for code in met(state) if code in rules.automatic]
    reported = {flag.removeprefix("program_") for flag in state.flags if flag.startswith("program_")}
    excluded = set(rules.exclusive) & (reported | set(state.eligibility.programs))
    claimed_start = state.claim is not None and rules.term_from is None
    checks = (
        (not met(state), "criteria_open"),
        (bool(met(state)) and not switched, "switch_off"),
        (not state.attested, "not_attested"),
        (state.eligibility.state != "confirmed", "eligibility_unconfirmed"),
        (bool(excluded), "exclusive_program"),
        (command.open_with is not None, "already_authorized"),
        (claimed_start, "back_dating_unchosen"),
        (any(command.draw < rules.automatic[code] for code in switched), "sample"),
    )
    return tuple(code for holds, code in checks if holds)


def claim_judged(state: Authorization, command: OpenReview | LookAgain) -> list[Event]:
    """The grant or its refusal; nothing where nothing was claimed."""
    claim, rules = state.claim, command.rules
    if claim is None:
        return []
    last = command.last_grant_through
    refusal = judge(
        claim,
        plan=state.plan,
        referrer=state.referrer,
        attested=state.attested,
        populations=state.populations,
        provider=command.provider,
        types=rules.types,
        standing=Standing(command.open_with, command.member_grant_live, last),
        again_from=last + timedelta(days=rules.again_days) if last else None,
    )
    if refusal is not None:
        return [
            AuthorizationPresumptiveRefused(
                occurred_at=command.at, policy=rules.grant_refs, reason=refusal.reason, way_on=refusal.way_on
            )
        ]
    version = command.provider.version if command.provider else 0
    granted = AuthorizationPresumptiveGranted.model_validate(
        {
            "occurred_at": command.at,
            "policy": rules.grant_refs,
            "grant": ids.derive("grant", command.at, command.seed, "grant"),
            "provider": claim.provider,
            "provider_version": version,
            "population": claim.population,
            "from": claim.from_,
            # Day 0 is the first; thirty days end with the day before day 30 (loop.md 3.4).
            "through": claim.from_ + timedelta(days=rules.grant_days - 1),
        }
    )
    return [granted]


def look_again(state: Authorization | None, command: LookAgain) -> Iterator[Event]:
    """A claim that waited is judged now, unless the loop or the decision came first."""
    if state is None or state.grant_refused != "awaiting_provider" or status(state) != "pending":
        return
    if state.claim is None or state.claim.provider != command.waits_for or command.provider is None:
        return
    yield from claim_judged(state, command)


def expire(state: Authorization | None, at: datetime) -> Sequence[Event]:
    if state is None or state.grant is None or not state.grant_live or at < grant_over_at(state.grant):
        return []
    return [grant_ended(at, state.grant, "expired")]


def end_with_loop(state: Authorization | None, at: datetime) -> Sequence[Event]:
    """First services end nothing; any other closing before the decision ends the grant (loop.md 7.2)."""
    if state is None or state.grant is None or not state.grant_live or state.decision is not None:
        return []
    # The state's outcome is that of the first closing; a later one changes nothing (loop.md 7.1).
    if state.outcome == SERVICES_RECEIVED:
        return []
    return [grant_ended(at, state.grant, "closed")]


def approve(state: Authorization | None, command: Approve) -> Iterator[Event]:
    current, review = decidable(state)
    if not command.acted_by.person:
        raise person_required("An approval names the person who approved.")
    unknown = set(command.populations) - {p.code for p in current.populations}
    if unknown:
        raise Refused(
            "illegal-move",
            "Only populations of the referral can be approved.",
            fix="Name populations the referral claims or meets, or none for all that are met.",
            allowed=allowed(current),
        )
    rules, grant = command.rules, current.grant
    if grant is not None and rules.term_from is None:
        raise Refused(
            "illegal-move",
            "The plan has not chosen from which day a term runs that follows a presumptive grant.",
            fix="Add the plan's row to the policy table back_dating.",
            allowed=allowed(current),
        )
    dated_back = grant is not None and rules.term_from == "first_service"
    start = grant.from_ if grant is not None and dated_back else la_date(command.at)
    # A person who approves though no rule sees criteria met approves what was claimed.
    chosen = command.populations or met(current) or claimed(current)
    yield approval(
        command, review.authorization, rules, start, chosen, by="person", acted_by=command.acted_by,
        external_number=command.external_number, modified=bool(set(met(current)) - set(chosen)),
        refs=rules.term_refs if grant is not None else (),
    )  # fmt: skip
    if grant is not None and current.grant_live:
        yield grant_ended(command.at, grant, "approved")


def deny(state: Authorization | None, command: Deny) -> Iterator[Event]:
    current, review = decidable(state)
    check_reason(command, current)
    if command.appeal_by is None or command.notice_due_at is None:
        raise TypeError("a denial's dates were not filled in")
    yield AuthorizationDenied(
        occurred_at=command.at,
        acted_by=command.acted_by,
        policy=command.refs,
        authorization=review.authorization,
        external_number=command.external_number or None,
        reason=command.reason,
        citation=command.citation,
        appeal_by=command.appeal_by,
        notice_due_at=command.notice_due_at,
    )
    if current.grant is not None and current.grant_live:
        yield grant_ended(command.at, current.grant, "denied")


def check_reason(command: Deny, current: Authorization) -> None:
    """Raises where the reason is forbidden or unknown, or the person may not give it (loop.md 4.1, 4.3)."""
    if command.reason in ForbiddenReason.codes():
        raise Refused(
            "reason-forbidden",
            f"Nobody may be denied ECM for this: {ForbiddenReason.label_of(command.reason).lower()}.",
            fix=f"Use one of {', '.join(sorted(DenialReason.codes()))}, if it is so.",
            allowed=allowed(current),
        )
    if command.reason not in DenialReason.codes():
        raise Refused(
            "reason-unknown",
            "A denial needs one of the reasons listed.",
            fix=f"Use one of {', '.join(sorted(DenialReason.codes()))}.",
            allowed=allowed(current),
        )
    if not command.acted_by.person:
        raise person_required("A denial names the person who denied.")
    if command.needs_license and not command.licensed:
        raise person_required("A denial for this reason is a licensed person's judgement.")


def decidable(state: Authorization | None) -> tuple[Authorization, Review]:
    """The open request. Raises `already-decided` or `illegal-move`."""
    if state is None or state.review is None:
        raise Refused("not-found", "There is nothing here that this key may see.", status=404)
    if state.decision is not None:
        raise Refused("already-decided", f"This was {state.decision.kind} before.", allowed=allowed(state))
    if status(state) == "closed":
        raise Refused(
            "illegal-move", "The loop was closed before a decision; nothing is left to decide.", allowed=()
        )
    return state, state.review


def person_required(sentence: str) -> Refused:
    return Refused(
        "person-required", sentence, fix="Send acted_by with person, title and, if asked, licence."
    )


def approval(
    command: Command,
    authorization: str,
    rules: Rules,
    start: date,
    populations: Sequence[str],
    *,
    by: Literal["rule", "person"],
    refs: Sequence[str],
    acted_by: ActedBy | None = None,
    external_number: str = "",
    modified: bool = False,
) -> AuthorizationApproved:
    number = ids.derive("ecm", command.at, command.seed, "number")
    return AuthorizationApproved.model_validate(
        {
            "occurred_at": command.at,
            "acted_by": acted_by,
            "policy": tuple(dict.fromkeys(refs)),
            "authorization": authorization,
            "number": f"ECM-{number[-10:].upper()}",
            "external_number": external_number or None,
            "populations": tuple(populations),
            "modified": modified,
            "by": by,
            "from": start,
            "through": term_through(start, rules.term_months),
        }
    )


def grant_ended(
    at: datetime, grant: Grant | AuthorizationPresumptiveGranted, reason: Any
) -> AuthorizationPresumptiveEnded:
    """The end of a grant: with the day of what ended it, but never after its own last day (loop.md 3.4)."""
    through = min(la_date(at), grant.through)
    return AuthorizationPresumptiveEnded(occurred_at=at, grant=grant.grant, reason=reason, through=through)


def met(state: Authorization) -> tuple[str, ...]:
    return tuple(p.code for p in state.populations if p.result == "met")


def claimed(state: Authorization) -> tuple[str, ...]:
    return tuple(p.code for p in state.populations if p.claimed)


def grant_over_at(grant: Grant) -> datetime:
    """The end of the last covered Los Angeles day."""
    return end_of_la_day(grant.through)


def allowed(state: Authorization) -> tuple[str, ...]:
    return ("approve", "deny") if status(state) == "pending" else ()


# ── evolve ────────────────────────────────────────────────────────────────────────────────────────────────


def evolve(state: Authorization | None, event: Event) -> Authorization:
    """The request after this fact. Any order is bearable; a closing of an unknown referral leaves a tombstone."""
    now = state or Authorization()
    changes = _changes(now, event)
    return now.model_copy(update=changes) if changes else now


def _changes(now: Authorization, event: Event) -> Mapping[str, Any]:
    match event:
        case ReferralReceived():
            return _received(event)
        case ReferralClosed():
            return {} if now.outcome else {"outcome": event.outcome}
        case AuthorizationReviewOpened():
            return {
                "review": Review(
                    authorization=event.authorization,
                    clock=event.clock,
                    due_at=event.due_at,
                    cap_at=event.cap_at,
                    needs_person=event.needs_person,
                    policy=event.policy,
                )
            }
        case AuthorizationPresumptiveGranted():
            return {"grant": _grant(event), "grant_refused": "", "way_on": ""}
        case AuthorizationPresumptiveRefused():
            return {"grant_refused": event.reason, "way_on": event.way_on}
        case AuthorizationPresumptiveEnded():
            if now.grant is None or now.grant.grant != event.grant:
                return {}
            return {"grant": now.grant.model_copy(update={"ended": event.reason, "through": event.through})}
        case AuthorizationApproved() | AuthorizationDenied():
            return {"decision": _decision(event)}
        case AssignmentAccepted():
            return {"holder": event.provider}
        case AssignmentEnded():
            return {"holder": ""} if event.provider in ("", now.holder) else {}
        case _:
            return {}


def _received(event: ReferralReceived) -> Mapping[str, Any]:
    copied = (
        "plan", "referrer", "member", "urgency", "county", "age_band", "populations", "attested", "claim",
        "eligibility", "flags",
    )  # fmt: skip
    identity = {part: text for part, text in event.sealed.items() if part == "identity"}
    return {
        "received_at": event.occurred_at,
        "sealed": identity,
        **{name: getattr(event, name) for name in copied},
    }


def _grant(event: AuthorizationPresumptiveGranted) -> Grant:
    return Grant(
        grant=event.grant,
        provider=event.provider,
        provider_version=event.provider_version,
        population=event.population,
        from_=event.from_,
        through=event.through,
        policy=event.policy,
    )


def _decision(event: AuthorizationApproved | AuthorizationDenied) -> Decision:
    person = event.acted_by.person if event.acted_by else ""
    if isinstance(event, AuthorizationDenied):
        return Decision(
            kind="denied",
            at=event.occurred_at,
            person=person,
            external_number=event.external_number or "",
            reason=event.reason,
            citation=event.citation,
            appeal_by=event.appeal_by,
            policy=event.policy,
        )
    return Decision(
        kind="approved",
        at=event.occurred_at,
        by=event.by,
        person=person,
        number=event.number,
        external_number=event.external_number or "",
        populations=event.populations,
        from_=event.from_,
        through=event.through,
        policy=event.policy,
    )


# ── what can be read from the state ───────────────────────────────────────────────────────────────────────


def status(state: Authorization) -> Status:
    """pending until decided; closed where the loop ended before a decision; empty for a bare tombstone."""
    if state.decision is not None:
        return state.decision.kind
    if state.review is None:
        return ""
    return "closed" if state.outcome and state.outcome != SERVICES_RECEIVED else "pending"


def timers(state: Authorization) -> Mapping[str, datetime]:
    """The deadlines that live: the end of a live grant. The decision's own clock escalates, it never decides."""
    return {"grant": grant_over_at(state.grant)} if state.grant is not None and state.grant_live else {}


DECIDER: Decider[Authorization] = Decider("authorization", Authorization, decide, evolve)
