"""How other programs relate to ECM, and what is still for the member to choose? Roster and form count alike.

Between a waiver, the plan's own case management or CCT and ECM the member chooses, told of both (ECMG26 p65-66, 77, 83);
county case management yields to ECM and leaves no choice (p67-70). How each program relates is policy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date

from loopkeeper.contract.events import Question
from loopkeeper.policy.rows import Policy

TABLE = "program_overlap"
MEMBER_CHOICE = "member_choice"
CHOICE, CHOSE, CHOSE_ECM = "choice-", "chose_", "chose_ecm_over_"


def overlaps_on(policy: Policy, day: date) -> Mapping[str, str]:
    """The rule of each program on a day; none where the policy here has no such table."""
    if TABLE not in policy.tables:
        return {}
    return {row["program"]: row["rule"] for row in policy.rows(TABLE, on=day)}


def choice_of(program: str) -> Question:
    """What the member, told of both, chooses: this program, or ECM (loop.md 4.4)."""
    return Question(id=f"{CHOICE}{program}", pointer=f"/member_choices/{program}")


def choices_open(
    programs: Iterable[str], flags: Collection[str], overlaps: Mapping[str, str]
) -> Iterator[Question]:
    """Of the programs that the plan's roster names, those between which and ECM the member still has to choose."""
    for program in programs:
        chosen = {f"{CHOSE}{program}", f"{CHOSE_ECM}{program}"} & set(flags)
        if overlaps.get(program) == MEMBER_CHOICE and not chosen:
            yield choice_of(program)


def with_a_choice(flags: Iterable[str], overlaps: Mapping[str, str]) -> tuple[str, ...]:
    """The flags without a choice that nobody has."""
    return tuple(flag for flag in flags if _has_choice(flag, overlaps))


def _has_choice(flag: str, overlaps: Mapping[str, str]) -> bool:
    if not flag.startswith(CHOSE) or not overlaps:
        return True
    return overlaps.get(flag.removeprefix(CHOSE_ECM).removeprefix(CHOSE)) == MEMBER_CHOICE


def newly_chosen(before: Collection[str], after: Iterable[str]) -> tuple[str, ...]:
    """The programs chosen over ECM that were not before."""
    return tuple(
        flag.removeprefix(CHOSE)
        for flag in after
        if flag.startswith(CHOSE) and not flag.startswith(CHOSE_ECM) and flag not in before
    )
