"""When are two referrals the same member's, and what does the one that lives on learn of the other? Pure.

The second referrer hears all notices from then on and learns nothing of the first; a population or claim that is new
carries over (loop.md 2.9). Who is already served is not referred again: the lead care manager hears of it (2.11).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from loopkeeper.contract.events import (
    JoinedClaim,
    Linked,
    ReferralAmended,
    ReferralReceived,
    ScreenedPopulation,
)
from referral_intake.domain.commands import Keys
from referral_intake.domain.member_keys import found_as
from referral_intake.domain.state import POSSIBLE, Referral

# Why a claim was refused, where more may still come of it.
MAY_STILL_HOLD = ("", "criteria", "awaiting_provider")


@dataclass(frozen=True, slots=True)
class Others:
    """The referrals that may be the same member's, by id, and by which keys each is found; as they are under the
    member's lock."""

    states: Mapping[str, Referral]
    keys: Mapping[str, Keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class Joins:
    """An open loop of the very same plan, CIN and birth date, in which the second referral goes on."""

    survivor: str
    state: Referral


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyServed:
    """A closed loop through which the member is served. `offers`: who refers now offers to serve itself."""

    through: str
    state: Referral
    offers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """A loop of its own. `possible`: an open one that only a person can tell apart from it."""

    possible: Linked | None


Match = Joins | AlreadyServed | Apart


# ── what is found ─────────────────────────────────────────────────────────────────────────────────────────


def match(stream: str, received: ReferralReceived, keys: Keys, others: Others, reopens: str = "") -> Match:
    """What a referral that comes in finds of its member: open loops first, then one that serves, then who may be the
    same. `reopens`: why it carries an old referral over; what was split is one of its own by a person's word."""
    if reopens == "split":
        return Apart(possible=None)
    if keys.member:
        mine = [
            (name, state)
            for name, state in sorted(others.states.items())
            if state.member == received.member and state.plan == received.plan and name != stream
        ]
        for name, state in mine:
            if state.received_at and not state.closing:
                return Joins(survivor=name, state=state)
        serving = [(name, state) for name, state in mine if state.in_ecm] if not reopens else []
        if serving:
            name, state = serving[-1]
            if completes(state, received):
                # Served already, but still without the formal referral that opens the review.
                return Joins(survivor=name, state=state)
            offers = bool(received.preferred) and received.referrer in received.preferred
            return AlreadyServed(through=name, state=state, offers=offers)
    return Apart(possible=possible(stream, received.member, keys, others))


def possible(stream: str, member: str, keys: Keys, others: Others, *, late: bool = False) -> Linked | None:
    """An open referral that may be the same person's: by CIN alone, or by name and birth date where one lacks the
    CIN (loop.md 2.8); with identity that comes late, the very same member's too."""
    for name, theirs in sorted(others.keys.items()):
        state = others.states.get(name)
        if name == stream or state is None or state.closing is not None or state.received_at is None:
            continue
        same = bool(keys.member) and theirs.member == keys.member and state.member == member
        by_number = bool(keys.cin) and theirs.cin == keys.cin and not same
        by_name = bool(keys.person) and theirs.person == keys.person and not (keys.cin and theirs.cin)
        if by_number or by_name or (late and same):
            return Linked(to=name, why=POSSIBLE)
    return None


def authorized_there(old: Referral) -> tuple[ScreenedPopulation, ...]:
    """The populations under which the plan before authorized the member, as claims on this one (loop.md 4.9)."""
    codes = old.approval.populations if old.approval is not None else ()
    results = {each.code: each for each in old.populations}
    return tuple(
        results.get(code, ScreenedPopulation(code=code, result="unknown")).model_copy(
            update={"claimed": True}
        )
        for code in codes
    )


def may_pass(old: Referral, reader: str, programs: Collection[str], on: date) -> bool:
    """Whether another plan may learn what this loop knows: not of a Part 2 program's word without consent (6.5)."""
    if not {old.referrer, old.served_by} & set(programs):
        return True
    return old.consent is not None and old.consent.lets_read(reader, on)


def served_before(keys: Keys, members: Mapping[str, str], others: Others) -> str:
    """The referral through which the member was served under the plan before, the latest one (loop.md 4.9). `members`
    are the members' ids by their keys."""
    known = {found_as(members, *pair) for pair in keys.moved}
    found = [
        (state.closing.at, name)
        for name, state in others.states.items()
        if state.member in known and state.closing and state.closing.outcome == "services_received"
    ]
    return max(found)[1] if found else ""


def completes(first: Referral, second: ReferralReceived) -> bool:
    """Whether the second is the formal referral that the first, a presumptive start, was waiting for (loop.md 3.1)."""
    return first.kind == "presumptive_start" and second.kind == "full"


# ── what follows ──────────────────────────────────────────────────────────────────────────────────────────


def joined(
    at: datetime, first: Referral, own: str, second: ReferralReceived, resealed: Mapping[str, str]
) -> ReferralAmended:
    """What the surviving loop takes over from the second referral, whose id is `own`. `resealed`: the second form's
    parts, sealed for the survivor, where it had none of its own."""
    return ReferralAmended(
        occurred_at=at,
        cause="joined",
        joined=own,
        joined_referrer=second.referrer,
        joined_treats_until=second.treating_until,
        joined_claim=claim_of(first, second),
        **(_whole(first, second, resealed) if completes(first, second) else added(first, second)),
    )


def claim_of(first: Referral, second: ReferralReceived) -> JoinedClaim | None:
    """What the second claims, to be judged with the loop it joins and answered under its own id (loop.md 3.3). The form
    of a start says its claim once more: that one is judged already."""
    if second.claim is None:
        return None
    if completes(first, second) and first.claim is not None and first.claim.provider == second.claim.provider:
        return None
    start = second.kind == "presumptive_start"
    return JoinedClaim(claim=second.claim, attested=second.attested, start=start)


def _whole(first: Referral, second: ReferralReceived, resealed: Mapping[str, str]) -> dict[str, Any]:
    fields = (
        "form", "urgency", "age_band", "county", "language", "populations", "attested", "preferred", "chosen", "pcp",
        "program_providers", "eligibility", "flags", "consent_holder", "release_on",
    )  # fmt: skip
    changed = {name: getattr(second, name) for name in fields}
    # The answers of the start count as the form's own wherever the form leaves them out.
    changed["populations"] = _completed(first.populations, second.populations)
    return {**changed, "kind": "full", "policy": second.policy, "sealed": resealed or None}


def added(first: Referral | ReferralReceived, second: Referral | ReferralReceived) -> dict[str, Any]:
    """What the first gains from the second: populations and claims, urgency, and whom else somebody wished for."""
    changed: dict[str, Any] = {}
    # Urgent is what one of them says is urgent (loop.md 4.5).
    if second.urgency == "expedited" and first.urgency != "expedited":
        changed["urgency"] = "expedited"
    populations = with_those(first.populations, second.populations)
    if populations != first.populations:
        changed["populations"] = populations
        changed |= {"policy": second.policy} if isinstance(second, ReferralReceived) else {}
    if second.claim is not None and (first.claim is None or _refused(first)):
        changed["claim"] = second.claim
    for name in ("preferred", "chosen"):
        mine: tuple[str, ...] = getattr(first, name)
        more = tuple(dict.fromkeys((*mine, *getattr(second, name))))
        if more != mine:
            changed[name] = more
    return changed


def _refused(first: Referral | ReferralReceived) -> bool:
    """Whether nothing can come of the first's own claim any more."""
    refused = first.grant_refused if isinstance(first, Referral) else ""
    return refused not in MAY_STILL_HOLD


def _completed(
    start: tuple[ScreenedPopulation, ...], form: tuple[ScreenedPopulation, ...]
) -> tuple[ScreenedPopulation, ...]:
    """The form's populations; what the form leaves open is as the start's answers had it."""
    before = {each.code: each for each in start}
    kept = [
        before[each.code].model_copy(update={"claimed": each.claimed or before[each.code].claimed})
        if each.result == "unknown" and each.code in before
        else each
        for each in form
    ]
    known = {each.code for each in form}
    return (*kept, *(each for each in start if each.code not in known))


def with_those(
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
    # What one of them knows counts, whichever came first; met by a listed criterion before met in words.
    best = max((mine, other), key=_weight)
    return best.model_copy(update={"claimed": mine.claimed or other.claimed})


def _weight(screened: ScreenedPopulation) -> int:
    if screened.result == "met":
        return 2 if screened.met_by is not None else 3
    return 1 if screened.result == "unmet" else 0


def served(at: datetime, own: str, found: AlreadyServed, second: ReferralReceived) -> ReferralAmended:
    """What the loop of a member already in ECM learns: who referred, what it claims, and whether it asks for a change of
    provider, which is asked under its own id (loop.md 2.11, 3.3)."""
    return ReferralAmended(
        occurred_at=at,
        cause="joined",
        joined=own,
        joined_referrer=second.referrer,
        joined_treats_until=second.treating_until,
        joined_claim=claim_of(found.state, second),
        joined_asked="provider_change" if asks_for_change(found, second) else None,
    )


def asks_for_change(found: AlreadyServed, second: ReferralReceived) -> bool:
    """Whether an ECM provider that refers offers to serve itself, and is not the one that serves (loop.md 5.7). Where it
    claims, the refusal of its claim asks."""
    held = found.state.offer.provider if found.state.offer else ""
    return found.offers and second.referrer != held and second.claim is None
