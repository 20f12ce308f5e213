"""Why was this provider asked? The ranking its offer kept, in sentences, with the rows it used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from assignment.domain.state import Assignment, Offer
from loopkeeper.contract.events import Ranked, Skipped
from loopkeeper.policy import Policy

WHY_NOT: Mapping[str, str] = {
    "inactive": "is not active",
    "no_contract": "has no contract in force with the plan for the member's populations",
    "outside_area": "does not serve the member's county",
    "age": "does not serve the member's age",
    "declined": "declined this referral before",
    "plan_staff": "is the plan's own staff, which may not be offered members",
    "not_in_network": "has no contract with the plan as a provider of Enhanced Care Management",
    "member_objects": "is not wanted by the member",
    "no_answer": "did not answer in time",
    "taken_back": "had its offer taken back by the plan",
    "ended": "ended this member's assignment before",
    "member_wish": "yielded to the member's wish, as a person of the plan recorded",
    "fits_better": "yielded to one that fits the member's needs better, as a person of the plan recorded",
    "not_practicable": "could not be followed in practice, as a person of the plan recorded",
    "full": "has no free place",
}
BASES: Mapping[str, str] = {
    "presumptive_grant": "it holds the presumptive grant",
    "by_hand": "a named person of the plan chose it",
    "ranking": "nothing spoke for one over another; it has the most free places",
}


QUESTIONS: Mapping[str, str] = {
    "none_left": "no provider can take the member",
    "member_already_assigned": "the member has a live assignment through another referral",
}


class RankingExplanation(BaseModel):
    """`lines` for people; `ranked` and `skipped` for programs; `policy` the rows that were used."""

    model_config = ConfigDict(frozen=True)

    lines: tuple[str, ...]
    ranked: tuple[Ranked, ...]
    skipped: tuple[Skipped, ...]
    policy: tuple[str, ...]


def explain(offer: Offer, policy: Policy) -> RankingExplanation:
    """The reasons of this offer."""
    return RankingExplanation(
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
        yield _passed_over(skip)


def explain_question(state: Assignment) -> RankingExplanation:
    """Why the plan was asked, where no provider's turn is the latest that happened."""
    lines = [f"The plan was asked: {QUESTIONS.get(state.asked, state.asked.replace('_', ' '))}."]
    lines += [_passed_over(skip) for skip in state.asked_skipped]
    return RankingExplanation(
        lines=tuple(lines), ranked=(), skipped=state.asked_skipped, policy=state.asked_policy
    )


def _passed_over(skip: Skipped) -> str:
    return f"{skip.provider} was passed over: it {WHY_NOT.get(skip.reason, skip.reason)}."
