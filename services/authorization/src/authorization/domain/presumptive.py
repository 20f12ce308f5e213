"""May a provider start serving before the plan has decided, and until when? The state's table, and a grant's life.

Since 2026 the state calls this streamlined authorization. A grant needs all of: claimed and attested by the
organization that will serve; that organization contracted by the plan for that very population and of a type the
table pairs with it, as the directory says, never as the form does; the population's criteria met; the initial
authorization of this member; no other grant (loop.md 3.2). It ends with its thirtieth day, or with the day on which
a decision is made and told to the provider, whichever comes first (3.4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from authorization.domain.commands import RevokeGrant
from authorization.domain.contexts import MemberGrants
from authorization.domain.deadlines import day_begins, grant_over_at, grant_through
from authorization.domain.state import SERVICES_RECEIVED, Authorization, Grant
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Plain, Refused
from loopkeeper.contract.events import (
    ActedBy,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveReminded,
    Claim,
    Contract,
    Eligibility,
    Event,
    ProviderRecorded,
    ScreenedPopulation,
)

GRANTED = "granted"
# Refusals that more answers may remove.
FIXABLE = ("", "criteria", "coverage_ended")


@dataclass(frozen=True, slots=True)
class Refusal:
    """No grant: the reason's code, the way on in a sentence, and whose directory entry would be looked at again."""

    reason: str
    way_on: str
    awaits: str = ""


WAYS_ON = {
    "no_row": "The table pairs no provider type with this population; the plan's decision comes first.",
    "type": "The provider is of no type the table pairs with this population; the plan's decision comes first.",
    "contract": "The directory shows no contract of this plan with the provider for this population on that day.",
    "criteria": "The answers do not meet the population's criteria, or nobody attested them; complete the form.",
    "other_provider": "Another provider has an open authorization, or was granted one. Ask the member, and answer the "
    "question about it at this referral: if they wish, a change of provider is settled with the plan.",
    "renewal": "A grant is for a first authorization only; this member has one with this provider.",
    "recent": "The member has or had a grant of this plan a short time ago; the plan's decision comes first.",
    "coverage_ended": "The roster shows no coverage by this plan on the day of the first service; ask who covers the "
    "member now.",
    "ahead": "The first service lies further ahead than a grant lasts; claim it when the day is near.",
    "awaiting_provider": "The directory does not know this provider, or the hub it acts through, yet; the claim is "
    "looked at again when it does.",
}
# Transitioning from incarceration has no row: the justice-involved guide governs it (ECMG26 p106 with note 74).
RELEASE_WAY_ON = (
    "Who received pre-release services is authorized from the day of release: give it, and no grant is needed. "
    "Otherwise the plan's decision comes first."
)


def judge(
    claim: Claim,
    *,
    population: str = "",
    plan: str,
    referrer: str,
    attested: bool,
    populations: Sequence[ScreenedPopulation],
    provider: ProviderRecorded | None,
    types: Collection[str],
    member_grants: MemberGrants,
    again_from: date | None,
    latest: date,
    start: bool = False,
    hubs: Mapping[str, ProviderRecorded] | None = None,
    insured: bool = True,
) -> Refusal | None:
    """None where the grant is to be made. `population` is one of those claimed, the first unless it is named; `types` are
    those the table pairs with it, `again_from` the first day on which this member may have another grant, `latest` the
    last on which a first service is near enough; `insured`: whether the roster lets a grant be made. A `start` sent alone
    has no answers yet:
    its attestation says that the criteria are met, unless what it answers says they are not."""
    code = population or claim.population
    if member_grants.open_with is not None:
        return refused("renewal" if member_grants.open_with == claim.provider else "other_provider")
    if member_grants.grant_live or (again_from is not None and claim.from_ < again_from):
        return refused("recent")
    if not insured:
        return refused("coverage_ended")
    if claim.from_ > latest:
        return refused("ahead")
    if not types:
        refusal = refused("no_row")
        return Refusal("no_row", RELEASE_WAY_ON) if code == "incarceration" else refusal
    if provider is None:
        return refused("awaiting_provider", claim.provider)
    known = hubs or {}
    if claim.provider != referrer or code not in provider.populations:
        return refused("contract")
    if code not in covered(provider, plan, claim.from_, known):
        hub = _unknown_hub(claim, code, plan, provider, known)
        return refused("awaiting_provider", hub) if hub else refused("contract")
    if not set(types) & set(provider.types):
        return refused("type")
    result = next((p.result for p in populations if p.code == code), "unknown")
    met = result == "met" or (start and result == "unknown")
    return None if met and attested else refused("criteria")


def refused(reason: str, awaits: str = "") -> Refusal:
    return Refusal(reason, WAYS_ON[reason], awaits)


def _unknown_hub(
    claim: Claim, code: str, plan: str, provider: ProviderRecorded, hubs: Mapping[str, ProviderRecorded]
) -> str:
    """The hub whose contract may cover this claim and whose entry has not arrived; empty for none."""
    through = (
        contract.hub
        for contract in _in_force(provider, plan, claim.from_)
        if contract.hub is not None and code in contract.populations
    )
    return min((hub for hub in through if hub not in hubs), default="")


def covered(
    entry: ProviderRecorded, plan: str, on: date, hubs: Mapping[str, ProviderRecorded] | None = None
) -> frozenset[str]:
    """The populations for which this plan contracts the provider on a day. Through a hub, the contract is the hub's
    own and is looked for there (loop.md 1.3)."""
    found: set[str] = set()
    for contract in _in_force(entry, plan, on):
        populations = frozenset(contract.populations)
        if contract.hub is not None:
            hub = (hubs or {}).get(contract.hub)
            # A hub has no hub behind it: of its own contracts, those through one count for nothing.
            populations &= covered(hub, plan, on) if hub is not None else frozenset()
        found |= populations
    return frozenset(found)


def _in_force(entry: ProviderRecorded, plan: str, on: date) -> Iterator[Contract]:
    for contract in entry.contracts:
        begun = contract.from_ <= on and (contract.through is None or on <= contract.through)
        if entry.active and contract.plan == plan and begun:
            yield contract


def hubs_of(entries: Iterable[ProviderRecorded]) -> frozenset[str]:
    """The hubs that these act through."""
    return frozenset(c.hub for entry in entries for c in entry.contracts if c.hub is not None)


# ── a grant's life ────────────────────────────────────────────────────────────────────────────────────────


def grant_from(eligibility: Eligibility, claim: Claim) -> date:
    """Day 0 of a grant: that of the first service, or the first covered day where it comes later (loop.md 2.5)."""
    begins = eligibility.from_
    later = begins is not None and eligibility.on(claim.from_) == "begins_later"
    return begins if later and begins is not None else claim.from_


def expire(state: Authorization | None, at: datetime) -> Sequence[Event]:
    grant = state.grant if state is not None and state.grant_live else None
    if state is None or grant is None or at < grant_over_at(state, grant):
        return []
    return [grant_ended(at, grant, "expired", grant_through(state, grant))]


def remind(state: Authorization, at: datetime) -> Sequence[Event]:
    """Of what is missing, the formal referral or the plan's decision; once for all days that have passed."""
    grant = state.grant
    days = [day for day in grant.remind_on if day_begins(day) <= at] if grant is not None else []
    if grant is None or not days:
        return []
    reminded = AuthorizationPresumptiveReminded(
        occurred_at=at,
        policy=grant.policy,
        grant=grant.grant,
        provider=grant.provider,
        day=(days[-1] - grant.from_).days,
        missing="referral" if state.review is None else "decision",
        through=grant.through,
    )
    return [reminded]


def end_with_loop(state: Authorization | None, at: datetime) -> Sequence[Event]:
    """First services end nothing; any other closing ends the grant (loop.md 7.2), unless it was denied: then it runs
    until its provider has heard so."""
    if state is None or state.grant is None or not state.grant_live:
        return []
    if state.decision is not None and state.decision.kind == "denied":
        return []
    # The state's outcome is that of the first closing; a later one changes nothing (loop.md 7.1).
    if state.outcome == SERVICES_RECEIVED:
        return []
    return [grant_ended(at, state.grant, "closed")]


def end_when_told(state: Authorization, at: datetime) -> Sequence[Event]:
    """The provider has heard the denial: the grant ends with this day (loop.md 3.4)."""
    decision = state.decision
    if state.grant is None or not state.grant_live or decision is None or state.told_on is None:
        return []
    if decision.kind != "denied":
        return []
    return [grant_ended(at, state.grant, "denied", state.told_on)]


def revoke(state: Authorization | None, command: RevokeGrant, context: Plain) -> Sequence[Event]:
    if state is None or not state.authorization:
        raise Refused("not-found", "There is nothing here that this key may see.", status=404)
    if not command.acted_by.person:
        raise Refused(
            "person-required",
            "Revoking a grant names the person who revoked it.",
            fix="Send acted_by with person and title.",
        )
    if state.grant is None or not state.grant_live:
        raise Refused("no-live-grant", "There is no grant here that is still running.")
    return [grant_ended(context.at, state.grant, "revoked", acted_by=command.acted_by)]


def grant_ended(
    at: datetime,
    grant: Grant | AuthorizationPresumptiveGranted,
    reason: Any,
    on: date | None = None,
    *,
    acted_by: ActedBy | None = None,
) -> AuthorizationPresumptiveEnded:
    """The end of a grant: with the day of what ended it, but never after its own last day (loop.md 3.4)."""
    through = min(on or la_date(at), grant.through)
    return AuthorizationPresumptiveEnded(
        occurred_at=at, acted_by=acted_by, grant=grant.grant, reason=reason, through=through
    )
