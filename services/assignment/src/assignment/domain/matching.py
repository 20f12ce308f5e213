"""Which provider is asked first? Hard filters with the reason of each skip, then the ranking, factor by factor.

A candidate for whom an earlier factor speaks comes before one for whom it does not; among equals the one with more
free places, then by name. Which factors there are, and in which order, is policy (loop.md 5.7, domain.md 4.1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from loopkeeper.contract.events import Contract, ProviderRecorded, Ranked, Skipped
from loopkeeper.contract.vocabulary.providers import ProviderType

# How a program of the member's binds the choice, and the factor that this makes.
TIES: Mapping[str, str] = {
    "must": "program",
    "behavioral_health": "behavioral_health",
    "should": "should_program",
}
SPARE = "spare_capacity"
# Of these the member's or referrer's own order counts: the first named comes first.
NAMED_IN_ORDER = frozenset({"member_choice", "preference"})
STAFF = ProviderType.PLAN_STAFF.value


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
    # Whom the member asked for, who recommends itself, and the provider of each program the member is in.
    chosen: tuple[str, ...] = ()
    referrer: str = ""
    programs: Mapping[str, str] = field(default_factory=dict[str, str])
    # Who served the member before; `moved_with` under another plan, which the member left.
    served_before: frozenset[str] = frozenset()
    moved_with: frozenset[str] = frozenset()
    # Who serves, or is asked to serve, a parent or sibling.
    family_with: frozenset[str] = frozenset()
    # Whom not to ask, and why: the member objected, silence, the plan took an offer back, an assignment ended.
    barred: Mapping[str, str] = field(default_factory=dict[str, str])

    def named(self) -> tuple[str, ...]:
        """Everybody somebody spoke of: for those passed over among them, the reason is told first."""
        everyone = (*self.chosen, *self.programs.values(), self.pcp, *self.moved_with, *self.preferred)
        return tuple(dict.fromkeys(name for name in everyone if name))


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
    *,
    ties: Mapping[str, str] | None = None,
    staff_allowed: bool = False,
) -> Ranking:
    """The order in which to ask. `live` counts the places each provider gave, `specialists` has the provider types
    of a population, `ties` says how a program binds the choice."""
    directory = {entry.provider: entry for entry in entries}
    skipped: list[Skipped] = []
    able: list[ProviderRecorded] = []
    for entry in sorted(entries, key=lambda entry: entry.provider):
        if need.only and entry.provider != need.only:
            continue
        reason = why_not(
            need, entry, live.get(entry.provider, 0), on, hubs=directory, staff_allowed=staff_allowed
        )
        if reason:
            skipped.append(Skipped(provider=entry.provider, reason=reason))
        else:
            able.append(entry)
    if not need.only:
        unknown = (name for name in need.named() if name not in directory)
        skipped += (Skipped(provider=name, reason="not_in_network") for name in unknown)
    named = need.named()
    skipped.sort(key=lambda skip: skip.provider not in named)
    because = {
        entry.provider: _because(need, entry, factors, specialists, ties or {}, directory, on)
        for entry in able
    }
    able.sort(key=lambda entry: _order(need, entry, because[entry.provider], factors, live))
    ranked = tuple(Ranked(provider=entry.provider, because=because[entry.provider]) for entry in able)
    return Ranking(ranked, tuple(skipped))


def why_not(
    need: Need,
    entry: ProviderRecorded,
    live: int,
    on: date,
    *,
    hubs: Mapping[str, ProviderRecorded] | None = None,
    staff_allowed: bool = False,
) -> str:
    """The first hard reason against a provider; empty if it could take the member."""
    if not entry.active:
        return "inactive"
    if not contracted(entry, need.plan, need.populations, on, hubs):
        return "no_contract"
    if STAFF in entry.types and not staff_allowed:
        return "plan_staff"
    if need.county and need.county not in entry.counties:
        return "outside_area"
    if need.age_band not in ("", "unknown") and entry.age_bands and need.age_band not in entry.age_bands:
        return "age"
    if entry.provider in need.declined:
        return "declined"
    if entry.provider in need.barred:
        return need.barred[entry.provider]
    return "full" if live >= entry.capacity else ""


def contracted(
    entry: ProviderRecorded,
    plan: str,
    populations: Sequence[str],
    on: date,
    hubs: Mapping[str, ProviderRecorded] | None = None,
) -> tuple[str, ...]:
    """The populations among these that the provider serves under a contract with this plan in force on this day; all of
    them where none is named, as after a change of plans (loop.md 4.9).

    Where it acts through a hub, the contract is the hub's own and is looked for there (loop.md 1.3); `hubs` is the
    directory by provider."""
    served: set[str] = set()
    for contract in entry.contracts:
        if not in_force(contract, plan, on):
            continue
        covered = set(contract.populations)
        if contract.hub is not None:
            covered &= _of_hub((hubs or {}).get(contract.hub), plan, on)
        served |= covered & set(entry.populations)
    return tuple(population for population in populations or sorted(served) if population in served)


def in_force(contract: Contract, plan: str, on: date) -> bool:
    begun = contract.plan == plan and contract.from_ <= on
    return begun and (contract.through is None or on <= contract.through)


def _of_hub(hub: ProviderRecorded | None, plan: str, on: date) -> set[str]:
    """The populations of the hub's own contracts; a hub has no hub behind it."""
    if hub is None or not hub.active:
        return set()
    own = (each for each in hub.contracts if each.hub is None and in_force(each, plan, on))
    return {population for contract in own for population in contract.populations}


def _because(
    need: Need,
    entry: ProviderRecorded,
    factors: Sequence[str],
    specialists: Mapping[str, Collection[str]],
    ties: Mapping[str, str],
    directory: Mapping[str, ProviderRecorded],
    on: date,
) -> tuple[str, ...]:
    served = contracted(entry, need.plan, need.populations, on, directory)
    recommended = entry.provider in need.preferred and entry.provider not in need.chosen
    speaks = {
        "member_choice": entry.provider in need.chosen,
        "same_after_plan_change": entry.provider in need.moved_with,
        "pcp": entry.provider == need.pcp,
        "known": entry.provider == need.granted_to,
        "self_recommending": recommended and entry.provider == need.referrer,
        "continuity": entry.provider in need.served_before,
        "family": entry.provider in need.family_with,
        "preference": recommended and entry.provider != need.referrer,
        "specialist": any(set(specialists.get(code, ())) & set(entry.types) for code in served),
        "several_populations": len(served) > 1,
        "language": bool(need.language) and need.language in entry.languages,
    } | dict.fromkeys(_program_factors(need, entry.provider, ties), True)
    return tuple(factor for factor in factors if speaks.get(factor, False))


def _program_factors(need: Need, provider: str, ties: Mapping[str, str]) -> Iterator[str]:
    for program, runs in need.programs.items():
        if runs == provider and program in ties:
            yield TIES[ties[program]]


def _order(
    need: Need,
    entry: ProviderRecorded,
    because: tuple[str, ...],
    factors: Sequence[str],
    live: Mapping[str, int],
) -> tuple[bool, tuple[int, ...], int, str]:
    free = entry.capacity - live.get(entry.provider, 0)
    places = tuple(_place(need, entry.provider, factor, because, free) for factor in factors)
    return STAFF in entry.types, places, -free, entry.provider


def _place(need: Need, provider: str, factor: str, because: tuple[str, ...], free: int) -> int:
    if factor == SPARE:
        return -free
    if factor not in because:
        return len(need.chosen) + len(need.preferred) + 1
    if factor in NAMED_IN_ORDER:
        named = need.chosen if factor == "member_choice" else need.preferred
        return named.index(provider)
    return 0
