"""Which provider is asked first? Hard filters with the reason of each skip, then the ranking, factor by factor.

A candidate for whom an earlier factor speaks comes before one for whom it does not; among equals the one with more
free places, then by name. Which factors there are, and in which order, is policy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from loopkeeper.events import ProviderRecorded, Ranked, Skipped


@dataclass(frozen=True, slots=True)
class Need:
    """What a member needs of a provider. `populations` are those authorized or granted."""

    plan: str
    populations: tuple[str, ...]
    county: str
    age_band: str
    language: str
    preferred: tuple[str, ...] = ()
    pcp: str = ""
    granted_to: str = ""
    declined: frozenset[str] = frozenset()
    # Only this provider may be asked: a presumptive grant is its own, by hand a person chose it.
    only: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates, best first, with what speaks for each; and who was passed over, and why."""

    ranked: tuple[Ranked, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def first(self) -> Ranked | None:
        return self.ranked[0] if self.ranked else None


def rank(
    need: Need,
    entries: Sequence[ProviderRecorded],
    live: Mapping[str, int],
    factors: Sequence[str],
    specialists: Mapping[str, Collection[str]],
    on: date,
) -> Ranking:
    """The order in which to ask. `live` counts the assignments each provider holds, `specialists` the provider types
    paired with a population."""
    skipped: list[Skipped] = []
    able: list[ProviderRecorded] = []
    for entry in sorted(entries, key=lambda entry: entry.provider):
        if need.only and entry.provider != need.only:
            continue
        reason = why_not(need, entry, live.get(entry.provider, 0), on)
        if reason:
            skipped.append(Skipped(provider=entry.provider, reason=reason))
        else:
            able.append(entry)
    candidates = [(entry, _because(need, entry, factors, specialists, on)) for entry in able]
    candidates.sort(key=lambda each: _order(each[0], each[1], factors, live))
    ranked = tuple(Ranked(provider=entry.provider, because=because) for entry, because in candidates)
    return Ranking(ranked, tuple(skipped))


def why_not(need: Need, entry: ProviderRecorded, live: int, on: date) -> str:
    """The first hard reason against a provider; empty if it could take the member."""
    if not entry.active:
        return "inactive"
    if not contracted(entry, need.plan, need.populations, on):
        return "no_contract"
    if need.county and need.county not in entry.counties:
        return "outside_area"
    if need.age_band not in ("", "unknown") and entry.age_bands and need.age_band not in entry.age_bands:
        return "age"
    if entry.provider in need.declined:
        return "declined"
    return "full" if live >= entry.capacity else ""


def contracted(entry: ProviderRecorded, plan: str, populations: Sequence[str], on: date) -> tuple[str, ...]:
    """The populations among these that the provider serves under a contract with this plan in force on this day."""
    served: set[str] = set()
    for contract in entry.contracts:
        if (
            contract.plan == plan
            and contract.from_ <= on
            and (contract.through is None or on <= contract.through)
        ):
            served |= set(contract.populations) & set(entry.populations)
    return tuple(population for population in populations if population in served)


def _because(
    need: Need,
    entry: ProviderRecorded,
    factors: Sequence[str],
    specialists: Mapping[str, Collection[str]],
    on: date,
) -> tuple[str, ...]:
    served = contracted(entry, need.plan, need.populations, on)
    speaks = {
        "preference": entry.provider in need.preferred,
        "pcp": entry.provider == need.pcp,
        "known": entry.provider == need.granted_to,
        "specialist": any(set(specialists.get(code, ())) & set(entry.types) for code in served),
        "several_populations": len(served) > 1,
        "language": bool(need.language) and need.language in entry.languages,
    }
    return tuple(factor for factor in factors if speaks.get(factor, False))


def _order(
    entry: ProviderRecorded, because: tuple[str, ...], factors: Sequence[str], live: Mapping[str, int]
) -> tuple[tuple[bool, ...], int, str]:
    free = entry.capacity - live.get(entry.provider, 0)
    return tuple(factor not in because for factor in factors), -free, entry.provider
