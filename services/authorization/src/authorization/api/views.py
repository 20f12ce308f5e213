"""What may each reader see of a request? The plan all of it; who serves the term and its clock; operations no reasons."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from authorization.domain.deadlines import Due, due
from authorization.domain.moves import moves
from authorization.domain.state import Authorization, Decision, Grant, Pause, Term, status
from authorization.persistence.columns import waits_for
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import Adverse, Rights, Unmet
from loopkeeper.contract.vocabulary.decisions import Discontinuation as Code
from loopkeeper.policy import Policy


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ShownDue(Shown):
    """The clock that counts now: its deadline, and whether it is on_track, at_risk, breached or met."""

    clock: str
    due_at: datetime
    state: str


class ShownGrant(Shown):
    """A presumptive grant, with the name the state uses. `ended`: expired, approved, denied, revoked or closed; empty
    while live. `payment` is the state's rule, and `payment_source` names its source; nothing here promises it."""

    id: str
    name: str
    provider: str
    population: str
    from_: date
    through: date
    ended: str
    referral_by: date | None
    payment: str
    payment_source: str


class ShownDecision(Shown):
    """Approved or denied. Of a denial, and of the denied part of a modification (`adverse`), with all its notice must say."""

    kind: str
    by: str
    person: str
    at: datetime
    number: str
    external_number: str
    populations: tuple[str, ...]
    from_: date | None
    through: date | None
    must: str
    reason: str
    citation: str
    unmet: tuple[Unmet, ...] | None
    appeal_by: date | None
    notice_due_at: datetime | None
    rights: Rights | None
    adverse: Adverse | None
    overturned_on: date | None


class ShownTerm(Shown):
    """When ECM is authorized. `state`: not_yet, running, extended while a reauthorization waits, or over."""

    number: str
    from_: date
    through: date
    state: str
    renewals: int
    ends_on: date | None
    code: int | None
    why: str
    notice_due_at: datetime | None
    rights: Rights | None


class ShownPause(Shown):
    """What a named person asked for; the decision's clock is paused until then, the cap is not."""

    asks: tuple[str, ...]
    since: datetime
    by: datetime


class ShownDiscontinuation(Shown):
    """What may end the term, for a named person to judge."""

    why: str
    code: int | None
    since: datetime


class PopulationToDecide(Shown):
    """`criteria`: those of its own row, which a denial for unmet criteria picks from; of one request that waits only."""

    code: str
    result: str
    claimed: bool
    met_by: str | None = None
    criteria: tuple[str, ...] | None = None


class ShownClaim(Shown):
    """Who of the plan works on the request, and until when it is theirs; it keeps nobody from deciding."""

    person: str
    until: datetime


class ShownAuthorization(Shown):
    """One request. `needs_person` says why no rule could approve it; `deemed_adverse` what follows once the cap has
    passed undecided; `allowed` which actions the plan may take now. Operations see ids, states and times only, a provider what it holds."""

    id: str
    referral: str
    plan: str
    status: str
    waits_for: str
    due: ShownDue | None
    due_at: datetime | None
    cap_at: datetime | None
    updated_at: datetime
    term: ShownTerm | None = None
    urgency: str | None = None
    populations: tuple[PopulationToDecide, ...] | None = None
    needs_person: tuple[str, ...] | None = None
    eligibility: str | None = None
    grant: ShownGrant | None = None
    grant_refused: str | None = None
    way_on: str | None = None
    decision: ShownDecision | None = None
    pause: ShownPause | None = None
    deemed_adverse: Rights | None = None
    reauthorization_asked_by: str | None = None
    discontinuation: ShownDiscontinuation | None = None
    allowed: tuple[str, ...] | None = None
    claim: ShownClaim | None = None


def show(
    referral: str,
    state: Authorization,
    *,
    reader: str,
    policy: Policy,
    now: datetime,
    updated_at: datetime,
    claim: ShownClaim | None = None,
    criteria: Mapping[str, tuple[str, ...]] | None = None,
) -> ShownAuthorization:
    """The request as this organization may see it. `criteria`: of each population, where they are shown too."""
    whole, holds = state.plan == reader, reader and reader in (state.holder, _granted_to(state))
    asked = state.waiting or state.review
    return ShownAuthorization(
        id=state.authorization,
        referral=referral,
        plan=state.plan,
        status=status(state),
        waits_for=waits_for(state),
        due=_due(state, policy, now),
        due_at=asked.due_at if asked else None,
        cap_at=asked.cap_at if asked else None,
        updated_at=updated_at,
        term=_term(state, state.term, now) if state.term is not None and (whole or holds) else None,
        claim=claim if whole else None,
        **(_for_plan(state, policy, now, criteria or {}) if whole else {}),
    )


def _granted_to(state: Authorization) -> str:
    return state.grant.provider if state.grant is not None and state.grant_live else ""


def _due(state: Authorization, policy: Policy, now: datetime) -> ShownDue | None:
    found = due(state, now)
    opened = state.discontinuation
    if state.waiting is None and opened is not None:
        by = opened.due_at or policy.due("discontinuation_judged", opened.at).at
        found = Due("discontinuation_judged", by, "breached" if now >= by else "on_track")
    return ShownDue(clock=found.clock, due_at=found.due_at, state=found.state) if found else None


def _term(state: Authorization, term: Term, now: datetime) -> ShownTerm:
    today, ending = la_date(now), term.ending
    waits = state.lives_on
    over = today > term.last_day
    clock_state = (
        "not_yet"
        if today < term.from_
        else "over"
        if over and not waits
        else "extended"
        if over
        else "running"
    )
    return ShownTerm(
        number=term.number,
        from_=term.from_,
        through=term.through,
        state=clock_state,
        renewals=term.renewals,
        ends_on=ending.on if ending else None,
        code=ending.code if ending else None,
        why=Code.label_of(str(ending.code)) if ending else "",
        notice_due_at=ending.notice_due_at if ending else None,
        rights=ending.rights if ending else None,
    )


def _for_plan(
    state: Authorization, policy: Policy, now: datetime, criteria: Mapping[str, tuple[str, ...]]
) -> Mapping[str, Any]:
    waiting, opened = state.waiting, state.discontinuation
    return {
        "urgency": state.urgency,
        "populations": tuple(
            PopulationToDecide(
                code=p.code,
                result=p.result,
                claimed=p.claimed,
                met_by=p.met_by,
                criteria=criteria.get(p.code),
            )
            for p in state.populations
        ),
        "needs_person": state.review.needs_person if state.review else (),
        "eligibility": state.eligibility.state,
        "allowed": moves(state, la_date(now)),
        "grant": _grant(state.grant, policy, now) if state.grant else None,
        "grant_refused": state.grant_refused or None,
        "way_on": state.way_on or None,
        "decision": _decision(state.decision) if state.decision else None,
        "pause": _pause(waiting.pause) if waiting is not None and waiting.pause is not None else None,
        "deemed_adverse": waiting.deemed if waiting is not None else None,
        "reauthorization_asked_by": state.reauthorization.provider if state.reauthorization else None,
        "discontinuation": ShownDiscontinuation(why=opened.why, code=opened.code, since=opened.at)
        if opened
        else None,
    }


def _grant(grant: Grant, policy: Policy, now: datetime) -> ShownGrant:
    words = policy.row("presumptive_words", on=la_date(now))
    return ShownGrant(
        id=grant.grant,
        name=words["name"],
        provider=grant.provider,
        population=grant.population,
        from_=grant.from_,
        through=grant.through,
        ended=grant.ended,
        referral_by=grant.referral_by,
        payment=words["payment"],
        payment_source=words.source,
    )


def _decision(decision: Decision) -> ShownDecision:
    return ShownDecision(**{name: getattr(decision, name) for name in ShownDecision.model_fields})


def _pause(pause: Pause) -> ShownPause:
    return ShownPause(asks=pause.asks, since=pause.at, by=pause.by)
