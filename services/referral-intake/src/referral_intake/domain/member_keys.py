"""By which keys a member of a plan is found: blind indexes of number, birth date and name."""

from __future__ import annotations

from typing import Protocol

from referral_intake.domain.commands import Keys


class BlindIndex(Protocol):
    """Turns values into an index under a plan's key (`sealing.Sealer`): the same for the same values, and readable by nobody."""

    def blind_index(self, plan: str, *values: str) -> str: ...


def keys_of(sealer: BlindIndex, plan: str, number: str, born: str, names: tuple[str, str]) -> Keys:
    """By what a member of this plan is found: number and birth date, the number alone, name and birth date."""
    both = sealer.blind_index(plan, number, born) if number and born else ""
    name = " ".join(names).casefold().split()
    person = sealer.blind_index(plan, "person", " ".join(name), born) if len(name) > 1 and born else ""
    by_number = sealer.blind_index(plan, number) if number else ""
    return Keys(
        member=f"{plan}:{both}" if both else "",
        cin=f"{plan}:{by_number}" if by_number else "",
        person=f"{plan}:{person}" if person else "",
        roster=f"{plan}:{by_number}" if by_number else "",
        birth=both,
    )
