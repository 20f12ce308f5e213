"""Why a request is in its state: the reasons its events carry, in sentences, with the rows they used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from authorization.domain.state import Authorization, Decision, Discontinuation, Grant, Review, Term
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import Unmet
from loopkeeper.contract.vocabulary.decisions import DenialReason
from loopkeeper.contract.vocabulary.decisions import Discontinuation as Code
from loopkeeper.contract.vocabulary.populations import Population

WHY_A_PERSON = {
    "other_factor": "the criteria are met only by another factor given in words, which a person judges "
    "(GET /v1/referrals/{id}/member shows it)",
    "criteria_open": "no population's criteria are all answered and met",
    "switch_off": "the plan has not turned on approval by rule for the population",
    "not_attested": "the form is not attested",
    "eligibility_unconfirmed": "the plan's roster does not confirm the member's coverage",
    "exclusive_program": "the member may be in a program that excludes ECM",
    "choice_open": "the member has not chosen yet between ECM and another program",
    "program_chosen": "the member chose another program over ECM",
    "already_authorized": "the member has an open authorization",
    "term_over": "a term from the first service claimed would be over already",
    "back_dating_unchosen": "the plan has not chosen from which day a term after a grant runs",
    "sample": "it was drawn for the sample that a person reviews",
}


class DecisionExplanation(BaseModel):
    """`lines` for people, `policy` the rows that were used."""

    model_config = ConfigDict(frozen=True)

    lines: tuple[str, ...]
    needs_person: tuple[str, ...]
    policy: tuple[str, ...]


WHY_IT_MUST = {
    "plan_change": "the member received ECM in the last 90 days of the plan before, so nothing more is asked",
    "transitional_rent": "the member is authorized for Transitional Rent, so nothing more is asked",
    "release_day": "the member received services before release, so ECM is authorized from that day",
    "overturned": "an appeal or a hearing overturned the denial",
}


def explain(state: Authorization) -> DecisionExplanation:
    """The reasons, in the order of the decisions."""
    ending = state.term.ending if state.term is not None else None
    parts = (state.review, state.grant, state.decision, state.reauthorization, ending)
    return DecisionExplanation(
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
        yield from _decision(state.decision)
    if state.term is not None:
        yield from _term(state.term, state)
    if state.discontinuation is not None:
        yield _discontinuation(state.discontinuation)


def _review(review: Review, state: Authorization) -> Iterator[str]:
    yield f"The {review.clock} clock runs: a decision is due by {review.due_at:%Y-%m-%d %H:%M} UTC."
    if review.pause is not None:
        asks = ", ".join(review.pause.asks)
        yield f"It is paused since {la_date(review.pause.at)}: {asks} was asked for. The cap is not paused."
    if "breached" in review.said:
        yield "The decision is overdue. That decides nothing: a person must."
    if review.deemed is not None:
        yield (
            f"Undecided at the legal cap, it is adverse by law since {la_date(review.cap_at)}; an appeal is possible "
            f"through {review.deemed.appeal_by}. A person can still decide."
        )
    if review.needs_person:
        reasons = "; ".join(WHY_A_PERSON.get(code, code) for code in review.needs_person)
        yield f"A person must decide: {reasons}."
    elif state.decision is not None and state.decision.by == "rule" and not state.decision.must:
        yield "A rule the plan turned on could approve it: criteria met, attested, coverage confirmed, not in the sample."


def _grant(grant: Grant) -> Iterator[str]:
    label = Population.label_of(grant.population)
    yield (
        f"{grant.provider} may serve under {label} from {grant.from_} through {grant.through}: the directory "
        f"(version {grant.provider_version}) shows a contract for it and a type the state's table pairs with it."
    )
    if grant.ended:
        yield f"The grant ended: {grant.ended}."


def _decision(decision: Decision) -> Iterator[str]:
    if decision.kind == "denied":
        reason = DenialReason.label_of(decision.reason)
        yield f"Denied by {decision.person} of the plan: {reason}. Citation: {decision.citation}."
        yield from _unmet(decision.unmet or ())
        if decision.overturned_on is not None:
            yield f"The denial was overturned on {decision.overturned_on}; a linked referral follows it."
        return
    who = "a rule the plan turned on" if decision.by == "rule" else f"{decision.person} of the plan"
    if decision.must:
        yield f"It had to be authorized: {WHY_IT_MUST.get(decision.must, decision.must)}."
        who = "rule" if decision.by == "rule" else who
    for_ = ", ".join(Population.label_of(code) for code in decision.populations)
    yield f"Approved by {who} for {for_}, from {decision.from_} through {decision.through}, number {decision.number}."
    if decision.adverse is not None:
        left = ", ".join(Population.label_of(code) for code in decision.adverse.populations)
        reason = DenialReason.label_of(decision.adverse.reason)
        yield f"Not approved for {left}: {reason}. Citation: {decision.adverse.citation}."
        yield from _unmet(decision.adverse.unmet or ())


def _unmet(said: Sequence[Unmet]) -> Iterator[str]:
    for each in said:
        criterion = f", {each.criterion.replace('_', ' ')}" if each.criterion else ""
        yield f"Not met of {Population.label_of(each.population)}{criterion}: {each.why}"


def _term(term: Term, state: Authorization) -> Iterator[str]:
    asked = state.reauthorization
    if term.renewals:
        yield f"Extended {term.renewals} times; it runs from {term.from_} through {term.through}."
    if asked is not None:
        yield f"{asked.provider} asked for another term; this one lives on until the plan decides."
    if term.ending is not None:
        who = (
            f"{term.ending.person} of the plan" if term.ending.person else "nobody's request for another term"
        )
        why = Code.label_of(str(term.ending.code))
        yield f"It ends with {term.ending.on} by {who}: {why} (code {term.ending.code})."


def _discontinuation(opened: Discontinuation) -> str:
    why = opened.why.replace("_", " ")
    return f"Since {la_date(opened.at)} a person of the plan must judge whether the term ends: {why}."
