"""What does the lead care manager ask for next to ECM? Community Supports referrals, each with its own small loop.

asked → accepted → done, or asked → declined. They are linked to the member's loop and go on when that is closed as it
should, until the service is given: the lead care manager follows each of them (ECMG26 p62). A service that is given
as it is asked for (sobering centers) has no loop: it is done at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loopkeeper.contract import ids
from loopkeeper.contract.decider import Plain, Refused
from loopkeeper.contract.events import Event, ReferralSupportMoved
from referral_intake.domain.commands import AskSupport, MoveSupport
from referral_intake.domain.state import Referral

# From where a move may come.
FROM: Mapping[str, str] = {"accepted": "asked", "declined": "asked", "done": "accepted"}


def ask_support(referral: Referral, command: AskSupport, context: Plain) -> Sequence[Event]:
    """Only for a member whom a provider serves or has accepted."""
    if referral.offer is None or referral.offer.accepted_at is None:
        raise Refused("illegal-move", "No provider has accepted this member.", fix="Accept the offer first.")
    return [
        ReferralSupportMoved(
            occurred_at=context.at,
            acted_by=command.acted_by,
            support=ids.derive("sup", context.at, context.seed, "support"),
            code=command.code,
            status="asked" if command.tracked else "done",
            provider=command.provider,
        )
    ]


def move_support(referral: Referral, command: MoveSupport, context: Plain) -> Sequence[Event]:
    support = referral.supports.get(command.support)
    if support is None:
        raise Refused("not-found", "There is no such support.", status=404)
    if support.status != FROM[command.to]:
        raise Refused(
            "illegal-move",
            f"It is {support.status}, so it cannot be {command.to}.",
            allowed=moves(support.status),
        )
    return [
        ReferralSupportMoved(
            occurred_at=context.at,
            acted_by=command.acted_by,
            support=command.support,
            code=support.code,
            status=command.to,
            provider=support.provider,
        )
    ]


def moves(status: str) -> tuple[str, ...]:
    """What may happen next to a support with this status."""
    return tuple(to for to, before in FROM.items() if before == status)
