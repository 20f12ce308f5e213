"""What intake does with each event: it notes every fact of the loop, and closes where a fact ends it. And with its own, where
they are read again after a restore."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from loopkeeper.contract.decider import Command
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import (
    PUBLISHERS,
    Event,
    ProviderRecorded,
    ReferralAmended,
    ReferralReceived,
    by_type,
    publisher,
)
from loopkeeper.flow.reactions import Reaction
from loopkeeper.security.keyring import Unsealable
from loopkeeper.security.sealing import Sealer
from referral_intake.domain.commands import Keys, NoteFact, ReadAgain
from referral_intake.domain.member_keys import keys_of
from referral_intake.domain.state import Referral
from referral_intake.persistence.reports import on_entry


def on_fact(event: Event, message: Message) -> NoteFact:
    """Notes the fact in the loop's timeline. What it changes is in `domain/evolve.py`; whether it closes the loop, asks
    the referrer or opens another referral is `domain/rules.note`."""
    return NoteFact(fact=event)


# Every event of another service.
REACTIONS: Mapping[type[Event], Reaction] = {
    **{kind: on_fact for kind in by_type().values() if publisher(kind) != PUBLISHERS["referral"]},
    ProviderRecorded: on_entry,
}


def read_again(sealer: Sealer) -> Callable[[Event, str, Referral | None], Command]:
    """How an own event becomes a command that carries what only the edge knew: by which keys its member is found. They are no
    part of any event. The identity is, sealed: it is opened by machine, and only its blind indexes are kept."""

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
