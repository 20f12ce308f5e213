"""Why was this provider asked? The ranking its offer kept, in sentences, with the rows it used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from assignment.rules import Offer
from loopkeeper.events import Ranked, Skipped
from loopkeeper.policy import Policy

WHY_NOT: Mapping[str, str] = {
    "inactive": "is not active",
    "no_contract": "has no contract in force with the plan for the member's populations",
    "outside_area": "does not serve the member's county",
    "age": "does not serve the member's age",
    "declined": "declined this referral before",
    "full": "has no free place",
}
BASES: Mapping[str, str] = {
    "presumptive_grant": "it holds the presumptive grant",
    "by_hand": "a named person of the plan chose it",
    "ranking": "nothing spoke for one over another; it has the most free places",
}


class Explanation(BaseModel):
    """`lines` for people; `ranked` and `skipped` for programs; `policy` the rows that were used."""

    model_config = ConfigDict(frozen=True)

    lines: tuple[str, ...]
    ranked: tuple[Ranked, ...]
    skipped: tuple[Skipped, ...]
    policy: tuple[str, ...]


def explain(offer: Offer, policy: Policy) -> Explanation:
    """The reasons of this offer."""
    return Explanation(
        lines=tuple(_lines(offer, _factors(offer, policy))),
        ranked=offer.ranked,
        skipped=offer.skipped,
        policy=offer.policy,
    )


def _factors(offer: Offer, policy: Policy) -> Mapping[str, str]:
    rows = (policy.by_ref(ref) for ref in offer.policy)
    return {row["factor"]: row["says"] for row in rows if row is not None and row.table == "ranking"}


def _lines(offer: Offer, factors: Mapping[str, str]) -> Iterator[str]:
    because = BASES.get(offer.basis) or factors.get(offer.basis, offer.basis.replace("_", " "))
    yield f"{offer.provider} was asked: {because}."
    for place, candidate in enumerate(offer.ranked, start=1):
        says = "; ".join(factors.get(factor, factor) for factor in candidate.because) or "no factor"
        yield f"{place}. {candidate.provider}: {says}."
    for skip in offer.skipped:
        yield f"{skip.provider} was passed over: it {WHY_NOT.get(skip.reason, skip.reason)}."
