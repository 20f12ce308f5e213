"""In which words is a closing told? Pure: the variant of each letter and its slots, by how the loop closed.

`other` carries its text; a redirect says to which plan, or that nobody said to send it there; a letter to somebody who
said no offers nothing (loop.md 7.1, 2.13, 2.14).
"""

from __future__ import annotations

from collections.abc import Mapping

from loopkeeper.contract.vocabulary import Outcome
from notification.domain.notices.wording import USUAL, Coded, Names, Value
from notification.domain.outreach.state import Closing

REDIRECTED, UNANSWERED, BY_MEMBER = "redirected", "redirect_unanswered", "by_member"
# As what a fact of outreach closes the loop; taken back, it is told to whom the closing was told (loop.md 8.7).
ENDINGS: Mapping[str, str] = {
    "services_started": Outcome.SERVICES_RECEIVED,
    "member_declined": Outcome.DECLINED_BY_MEMBER,
    "unable_to_reach": Outcome.UNABLE_TO_REACH,
}
OTHER, UNKNOWN_PLAN = "other", "redirect_unknown"
# N6, the letter about help, where the usual one would not fit; the rest is without service for want of a team or a call.
HELP: Mapping[str, str] = {
    Outcome.DECLINED_BY_MEMBER: "declined",
    Outcome.WITHDRAWN: "taken_back",
    Outcome.NOT_AUTHORIZED: "denied",
    Outcome.NO_LONGER_ELIGIBLE: "not_eligible",
}


def said_to_referrer(closing: Closing, names: Names) -> tuple[str, dict[str, Value]]:
    """The variant of `closed` and its slots; the outcome by its label."""
    variant, slots = _elsewhere(closing, names)
    return variant, {**slots, "outcome": Outcome.label_of(closing.outcome)}


def said_to_member(closing: Closing, names: Names) -> tuple[str, dict[str, Value]]:
    """The variant of `closed_self` and its slots; the outcome in the phrase of the letter's language."""
    variant, slots = _elsewhere(closing, names)
    return variant, {**slots, "outcome": Coded("outcome", closing.outcome)}


def help_offered(closing: Closing, names: Names) -> tuple[str, dict[str, Value]]:
    """The variant of `help` and its slots."""
    variant, slots = said_to_member(closing, names)
    if variant != USUAL:
        return variant, slots
    if closing.detail == BY_MEMBER:
        return "declined", slots
    return HELP.get(closing.outcome, USUAL), slots


def _elsewhere(closing: Closing, names: Names) -> tuple[str, dict[str, Value]]:
    plan: dict[str, Value] = {"other_plan": names.of(closing.right_plan).name}
    match closing.detail:
        case "redirected":
            return REDIRECTED, plan
        case "redirect_unanswered":
            return (UNANSWERED, plan) if closing.right_plan else (UNKNOWN_PLAN, {})
        case _ if closing.outcome == Outcome.OTHER.value and closing.text:
            return OTHER, {"text": closing.text}
        case _:
            return USUAL, {}
