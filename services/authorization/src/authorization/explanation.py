"""Why does a request stand as it does? The reasons its events carry, in sentences, with the rows they used."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from authorization.rules import Authorization, Decision, Grant, Review
from loopkeeper.vocabulary.decisions import DenialReason
from loopkeeper.vocabulary.populations import Population

WHY_A_PERSON = {
    "criteria_open": "no population's criteria are all answered and met",
    "switch_off": "the plan has not turned on approval by rule for the population",
    "not_attested": "the form is not attested",
    "eligibility_unconfirmed": "the plan's roster does not confirm the member's coverage",
    "exclusive_program": "the member may be in a program that excludes ECM",
    "already_authorized": "the member has an open authorization",
    "back_dating_unchosen": "the plan has not chosen from which day a term after a grant runs",
    "sample": "it was drawn for the sample that a person reviews",
}


class Explanation(BaseModel):
    """`lines` for people, `policy` the rows that were used."""

    model_config = ConfigDict(frozen=True)

    lines: tuple[str, ...]
    needs_person: tuple[str, ...]
    policy: tuple[str, ...]


def explain(state: Authorization) -> Explanation:
    """The reasons, in the order of the decisions."""
    parts = (state.review, state.grant, state.decision)
    return Explanation(
        lines=tuple(_lines(state)),
        needs_person=state.review.needs_person if state.review else (),
        policy=tuple(dict.fromkeys(ref for part in parts if part is not None for ref in part.policy)),
    )


def _lines(state: Authorization) -> Iterator[str]:
    if state.review is not None:
        yield from _review(state.review, state)
    if state.grant is not None:
        yield from _grant(state.grant)
    elif state.grant_refused:
        yield f"No presumptive grant ({state.grant_refused.replace('_', ' ')}): {state.way_on}"
    if state.decision is not None:
        yield _decision(state.decision)


def _review(review: Review, state: Authorization) -> Iterator[str]:
    yield f"The {review.clock} clock runs: a decision is due by {review.due_at:%Y-%m-%d %H:%M} UTC."
    if review.needs_person:
        reasons = "; ".join(WHY_A_PERSON.get(code, code) for code in review.needs_person)
        yield f"A person must decide: {reasons}."
    elif state.decision is not None and state.decision.by == "rule":
        yield "A rule the plan turned on could approve it: criteria met, attested, coverage confirmed, not in the sample."


def _grant(grant: Grant) -> Iterator[str]:
    label = Population.label_of(grant.population)
    yield (
        f"{grant.provider} may serve under {label} from {grant.from_} through {grant.through}: the directory "
        f"(version {grant.provider_version}) shows a contract for it and a type the state's table pairs with it."
    )
    if grant.ended:
        yield f"The grant ended: {grant.ended}."


def _decision(decision: Decision) -> str:
    if decision.kind == "denied":
        reason = DenialReason.label_of(decision.reason)
        return f"Denied by {decision.person} of the plan: {reason}. Citation: {decision.citation}."
    who = "a rule the plan turned on" if decision.by == "rule" else f"{decision.person} of the plan"
    for_ = ", ".join(Population.label_of(code) for code in decision.populations)
    return f"Approved by {who} for {for_}, from {decision.from_} through {decision.through}, number {decision.number}."
