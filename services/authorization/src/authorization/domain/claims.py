"""What becomes of a claim to serve? The grant or its refusal, by the state's table, and to whom it is answered.

A claim is the loop's own, or that of a referral that joined it; the latter is answered under its own id (loop.md 3.3).
Each population of a claim is judged by itself, and all that hold are one grant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from authorization.domain.commands import LookAgain
from authorization.domain.contexts import ClaimContext, GrantRules, MemberGrants
from authorization.domain.presumptive import Refusal, grant_from, judge, refused
from authorization.domain.state import Authorization, status
from loopkeeper.contract import ids
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import EventOn
from loopkeeper.contract.events import (
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    Claim,
    ClaimResult,
    Event,
    ReferralAmended,
)

GRANTED = "granted"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim as it is judged: who made it, what its own claimant attested, whether it came before its form, and under
    which other referral it is answered with, where that one joined this loop."""

    claim: Claim
    claimant: str
    attested: bool
    start: bool
    under: str = ""


def claim_judged(
    state: Authorization, context: ClaimContext, authorization: str = ""
) -> list[Event | EventOn]:
    """The grant or its refusal of the claim that this loop has; nothing where nothing was claimed, or where the same was
    said before."""
    claim, second = state.claim, state.second
    if claim is None or context.grant is None or state.grant is not None:
        return []
    claimed = Claimed(
        claim,
        state.claimed_by or state.referrer,
        second.attested if second is not None else state.attested,
        second.start if second is not None else state.kind == "presumptive_start",
        second.referral if second is not None else "",
    )
    verdicts = _verdicts(state, claimed, context, context.grant)
    if any(verdict is None for verdict in verdicts.values()):
        return _granted(state, claimed, verdicts, context, context.grant, authorization)
    refusal = next(iter(verdicts.values()))
    if refusal is None or (refusal.reason, refusal.awaits) == (state.grant_refused, state.awaited):
        return []
    return _refusals(state, claimed, verdicts, context, context.grant, authorization)


def joined_claim_judged(
    state: Authorization, news: ReferralAmended, context: ClaimContext
) -> list[Event | EventOn]:
    """The claim of a referral that joined this loop, answered under that one's id (loop.md 3.3). Another's open
    authorization or live grant refuses it; what nobody has accepted yet does not."""
    joined, rules = news.joined_claim, context.joined
    if joined is None or news.joined is None or rules is None:
        return []
    claimed = Claimed(joined.claim, joined.claim.provider, joined.attested, joined.start, news.joined)
    verdicts = _verdicts(state, claimed, replace(context, provider=context.joined_provider), rules)
    if any(verdict is None for verdict in verdicts.values()):
        return _granted(state, claimed, verdicts, context, rules)
    kept = state.second is not None and state.second.referral == news.joined and state.claim == joined.claim
    return _refusals(state, claimed, verdicts, context, rules, kept=kept)


def _verdicts(
    state: Authorization, claimed: Claimed, context: ClaimContext, rules: GrantRules
) -> Mapping[str, Refusal | None]:
    """What becomes of each population claimed: None where it is granted."""
    member_grants = _within(state, claimed.claimant, context)
    last = member_grants.last_grant_through
    # The day of the first service, or the first covered one after it, and what the roster says of it (loop.md 2.5).
    claim = claimed.claim.model_copy(update={"from_": grant_from(state.eligibility, claimed.claim)})
    insured = state.eligibility.on(claimed.claim.from_) in rules.grants_with
    return {
        code: judge(
            claim,
            population=code,
            plan=state.plan,
            referrer=claimed.claimant,
            attested=claimed.attested,
            populations=state.populations,
            provider=context.provider,
            types=rules.types.get(code, ()),
            member_grants=member_grants,
            again_from=last + timedelta(days=rules.again_days) if last else None,
            latest=la_date(context.at) + timedelta(days=rules.days),
            start=claimed.start,
            hubs=context.hubs,
            insured=insured,
        )
        for code in claimed.claim.populations
    }


def _within(state: Authorization, claimant: str, context: ClaimContext) -> MemberGrants:
    """What is live through other referrals and through this loop itself. A term whose offer nobody accepted is
    nobody's yet (ECMG26 p112)."""
    found, grant, term = context.member_grants, state.grant, state.term
    if term is not None and (state.reauthorization is not None or term.last_day >= la_date(context.at)):
        served = grant.provider if grant is not None and grant.ended == "approved" else ""
        holder = state.holder or served
        found = replace(found, open_with=found.open_with or holder or None)
    if grant is None:
        return found
    if not grant.ended:
        if grant.provider != claimant:
            return replace(found, open_with=found.open_with or grant.provider)
        return replace(found, grant_live=True)
    ended = [day for day in (found.last_grant_through, grant.through) if day is not None]
    return replace(found, last_grant_through=max(ended))


def _refusals(
    state: Authorization,
    claimed: Claimed,
    verdicts: Mapping[str, Refusal | None],
    context: ClaimContext,
    rules: GrantRules,
    authorization: str = "",
    *,
    kept: bool = True,
) -> list[Event | EventOn]:
    """The refusal: here, where the claim is this loop's (`kept`), and under the referral that made it. Only what is kept
    here is looked at again, so a claim that is not kept awaits nobody."""
    refusal = next(verdict for verdict in verdicts.values() if verdict is not None)
    if not kept and refusal.awaits:
        refusal = refused("contract")
    event = AuthorizationPresumptiveRefused(
        occurred_at=context.at,
        policy=rules.refs,
        authorization=authorization,
        reason=refusal.reason,
        way_on=refusal.way_on,
        awaits=refusal.awaits,
        provider=claimed.claim.provider,
        plan=state.plan,
        results=_results(verdicts),
        claimed_by=claimed.under,
    )
    if not claimed.under:
        return [event]
    answer = event.model_copy(update={"claimed_by": "", "awaits": "", "authorization": ""})
    return [*([event] if kept else []), _under(claimed, answer, context)]


def _granted(
    state: Authorization,
    claimed: Claimed,
    verdicts: Mapping[str, Refusal | None],
    context: ClaimContext,
    rules: GrantRules,
    authorization: str = "",
) -> list[Event | EventOn]:
    claim, today = claimed.claim, la_date(context.at)
    day, answer = grant_from(state.eligibility, claim), state.eligibility.on(claim.from_)
    provider = context.joined_provider if claimed.under and context.joined is not None else context.provider
    granted = AuthorizationPresumptiveGranted.model_validate(
        {
            "occurred_at": context.at,
            "policy": rules.refs,
            "authorization": authorization,
            "grant": ids.derive("grant", context.at, context.seed, "grant"),
            "provider": claim.provider,
            "provider_version": provider.version if provider else 0,
            "population": next(code for code, verdict in verdicts.items() if verdict is None),
            "from": day,
            # Day 0 is the first; thirty days end with the day before day 30, or the last covered day (loop.md 3.4, 2.5).
            "through": min(day + timedelta(days=rules.days - 1), state.eligibility.last_day or date.max),
            "at_risk": answer if answer in rules.at_risk_with else "",
            "referral_by": rules.referral_by,
            "remind_on": tuple(each for each in rules.remind_on if each > today),
            "results": _results(verdicts),
            "claimed_by": claimed.under,
        }
    )
    if not claimed.under:
        return [granted]
    answer = granted.model_copy(
        update={"claimed_by": "", "carried_by": context.own, "authorization": "", "remind_on": ()}
    )
    return [granted, _under(claimed, answer, context)]


def _under(claimed: Claimed, answer: Event, context: ClaimContext) -> EventOn:
    return EventOn(claimed.under, answer, opens=claimed.under in context.opens)


def _results(verdicts: Mapping[str, Refusal | None]) -> tuple[ClaimResult, ...]:
    """What became of each population, where there are several."""
    if len(verdicts) < 2:
        return ()
    return tuple(
        ClaimResult(population=code, result=verdict.reason if verdict is not None else GRANTED)
        for code, verdict in verdicts.items()
    )


def look_again(
    state: Authorization | None, command: LookAgain, context: ClaimContext
) -> Iterator[Event | EventOn]:
    """A claim that waited is judged now, unless the loop or the decision came first."""
    if state is None or status(state) not in ("pending", "started"):
        return
    if state.claim is None or state.awaited != command.waits_for or context.provider is None:
        return
    yield from claim_judged(state, context)
