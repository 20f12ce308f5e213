"""When two referrals are the same member's: what the one that lives on learns of the other.

The second referrer hears all notices from then on and learns nothing of the first; a population or claim that is new
carries over (loop.md 2.9). Who is already served is not referred again: the lead care manager hears of it (2.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.events import (
    Event,
    Linked,
    Question,
    ReferralAmended,
    ReferralQuestionsAsked,
    ReferralReceived,
    ScreenedPopulation,
)
from referral_intake.domain.state import PROVIDER_CHANGE, Referral


class Match(BaseModel):
    """What is found of the same member as a referral comes in, under the member's lock.

    `survivor`: an open loop of the very same plan, CIN and birth date; `served`: a closed one whose member is in ECM;
    `other` its state. `possible`: one that only a person can tell apart. `redirect`: the question whether another plan
    is the right one. `resealed`: this form's parts, sealed for the survivor, where it had none of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    own: str = ""
    survivor: str | None = None
    served: str | None = None
    other: Referral | None = None
    serves_itself: bool = False
    possible: Linked | None = None
    redirect: tuple[Question, ...] = ()
    resealed: Mapping[str, str] = {}


def joined(at: datetime, match: Match, second: ReferralReceived) -> ReferralAmended:
    """What the surviving loop takes over from the second referral."""
    first = match.other or Referral()
    return ReferralAmended(
        occurred_at=at,
        cause="joined",
        joined=match.own,
        joined_referrer=second.referrer,
        joined_treats_until=second.treating_until,
        **(_whole(second, match) if _completes(first, second) else added(first, second)),
    )


def _completes(first: Referral, second: ReferralReceived) -> bool:
    """Whether the second is the formal referral that the first, a presumptive start, was waiting for (loop.md 3.1)."""
    return first.kind == "presumptive_start" and second.kind == "full"


def _whole(second: ReferralReceived, match: Match) -> dict[str, Any]:
    fields = (
        "form", "urgency", "age_band", "county", "language", "populations", "attested", "preferred", "chosen", "pcp",
        "program_providers", "eligibility", "flags", "consent_holder", "release_on",
    )  # fmt: skip
    changed = {name: getattr(second, name) for name in fields}
    return {**changed, "kind": "full", "policy": second.policy, "sealed": match.resealed or None}


def added(first: Referral | ReferralReceived, second: Referral | ReferralReceived) -> dict[str, Any]:
    """What the first gains from the second: populations and claims, and whom else somebody wished for."""
    changed: dict[str, Any] = {}
    populations = _with(first.populations, second.populations)
    if populations != first.populations:
        changed["populations"] = populations
        changed |= {"policy": second.policy} if isinstance(second, ReferralReceived) else {}
    if first.claim is None and second.claim is not None:
        changed["claim"] = second.claim
    for name in ("preferred", "chosen"):
        mine: tuple[str, ...] = getattr(first, name)
        more = tuple(dict.fromkeys((*mine, *getattr(second, name))))
        if more != mine:
            changed[name] = more
    return changed


def _with(
    first: tuple[ScreenedPopulation, ...], second: tuple[ScreenedPopulation, ...]
) -> tuple[ScreenedPopulation, ...]:
    """The first's populations, each with what the second adds: a claim, or criteria met where they were not."""
    more = {each.code: each for each in second}
    known = {each.code for each in first}
    kept = [_better(each, more.get(each.code)) for each in first]
    return (*kept, *(each for each in second if each.code not in known))


def _better(mine: ScreenedPopulation, other: ScreenedPopulation | None) -> ScreenedPopulation:
    if other is None:
        return mine
    met = "met" if "met" in (mine.result, other.result) else mine.result
    return ScreenedPopulation(code=mine.code, result=met, claimed=mine.claimed or other.claimed)


def served(at: datetime, match: Match, second: ReferralReceived) -> list[Event]:
    """What the loop of a member already in ECM learns: who referred, and, of an ECM provider, whether the member
    wishes to change to it (loop.md 2.11, 5.7)."""
    first = match.other or Referral()
    word = ReferralAmended(
        occurred_at=at,
        cause="joined",
        joined=match.own,
        joined_referrer=second.referrer,
        joined_treats_until=second.treating_until,
    )
    held = first.offer.provider if first.offer else ""
    if not match.serves_itself or second.referrer == held:
        return [word]
    change = Question(id=PROVIDER_CHANGE, pointer="/preference/provider")
    return [word, ReferralQuestionsAsked(occurred_at=at, questions=(change,))]
