"""What did the edge know of a referral whose own events are read again after a restore? By which keys its member is found.

The keys are no part of any event. The identity is, sealed: it is opened by machine, and only its blind indexes are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import Event, ReferralAmended, ReferralReceived
from loopkeeper.security.keyring import Unsealable
from loopkeeper.security.sealing import Sealer
from referral_intake.domain.commands import Keys, ReadAgain
from referral_intake.domain.member_keys import keys_of
from referral_intake.domain.state import Referral


def read_again(sealer: Sealer) -> Callable[[Event, str, Referral | None], Command]:
    """How an own event becomes a command that carries what only the edge knew."""

    def command(event: Event, stream: str, state: Referral | None) -> Command:
        keys = Keys()
        if isinstance(event, ReferralReceived):
            keys = _keys(sealer, event.plan, stream, event.sealed)
        elif isinstance(event, ReferralAmended) and state is not None and event.sealed:
            keys = _keys(sealer, state.plan, stream, event.sealed)
        return ReadAgain(fact=event, keys=keys)

    return command


def _keys(sealer: Sealer, plan: str, stream: str, sealed: Mapping[str, str]) -> Keys:
    """None where the plan's key was destroyed: nobody can be found by it any more."""
    if "identity" not in sealed:
        return Keys()
    try:
        found = sealer.open(plan, stream, "identity", sealed["identity"])
        name = (found.get("first_name") or "", found.get("last_name") or "")
        return keys_of(sealer, plan, found.get("cin") or "", found.get("birth_date") or "", name)
    except Unsealable:
        return Keys()
