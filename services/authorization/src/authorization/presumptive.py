"""May a provider start serving before the plan has decided? The state's table and its conditions, as one judgement.

Since 2026 the state calls this streamlined authorization. A grant needs all of: claimed and attested by the
organization that will serve; that organization contracted by the plan for that very population and of a type the
table pairs with it, as the directory says, never as the form does; the population's criteria met; the initial
authorization of this member; no other grant (loop.md 3.2).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from loopkeeper.events import Claim, ProviderRecorded, ScreenedPopulation


@dataclass(frozen=True, slots=True)
class Standing:
    """What the plan has granted or authorized this member through other referrals."""

    open_with: str | None = None
    grant_live: bool = False
    last_grant_through: date | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """No grant: the reason's code, and the way on in a sentence."""

    reason: str
    way_on: str


WAYS_ON = {
    "no_row": "The table pairs no provider type with this population; the plan's decision comes first.",
    "type": "The provider is of no type the table pairs with this population; the plan's decision comes first.",
    "contract": "The directory shows no contract of this plan with the provider for this population on that day.",
    "criteria": "The answers do not meet the population's criteria, or nobody attested them; complete the form.",
    "other_provider": "Another provider has an open authorization. Ask the member; if they wish, a change of provider "
    "is settled with the plan.",
    "renewal": "A grant is for a first authorization only; this member has one with this provider.",
    "recent": "The member has or had a grant of this plan a short time ago; the plan's decision comes first.",
    "awaiting_provider": "The directory does not know this provider yet; the claim is looked at again when it does.",
}


def judge(
    claim: Claim,
    *,
    plan: str,
    referrer: str,
    attested: bool,
    populations: Sequence[ScreenedPopulation],
    provider: ProviderRecorded | None,
    types: Collection[str],
    standing: Standing,
    again_from: date | None,
) -> Refusal | None:
    """None where the grant is to be made. `types` are those the table pairs with the claimed population,
    `again_from` the first day on which this member may have another grant."""
    if standing.open_with is not None:
        return _refused("renewal" if standing.open_with == claim.provider else "other_provider")
    if standing.grant_live or (again_from is not None and claim.from_ < again_from):
        return _refused("recent")
    if not types:
        return _refused("no_row")
    if provider is None:
        return _refused("awaiting_provider")
    if claim.provider != referrer or not _contracted(claim, plan, provider):
        return _refused("contract")
    if not set(types) & set(provider.types):
        return _refused("type")
    met = any(p.code == claim.population and p.result == "met" for p in populations)
    return None if met and attested else _refused("criteria")


def _refused(reason: str) -> Refusal:
    return Refusal(reason, WAYS_ON[reason])


def _contracted(claim: Claim, plan: str, provider: ProviderRecorded) -> bool:
    if not provider.active or claim.population not in provider.populations:
        return False
    return any(
        contract.plan == plan
        and claim.population in contract.populations
        and contract.from_ <= claim.from_
        and (contract.through is None or claim.from_ <= contract.through)
        for contract in provider.contracts
    )
