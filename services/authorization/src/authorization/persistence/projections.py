"""By which index a member is looked up: written next to the request when its sealed identity comes in or changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from authorization.domain.state import Authorization
from authorization.persistence.columns import columns
from authorization.persistence.open_authorizations import index, remember
from loopkeeper.contract.events import ReferralAmended, ReferralReceived
from loopkeeper.kernel.wake import Waker
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Change, Projection, Wrote, nothing
from loopkeeper.store.gathered import Gathered


class LookupProjection(Projection[Authorization]):
    """Keeps the blind index of CIN and birth date: it is in no event, and is made of the sealed identity. `awaiting` wakes
    where a request waits for a provider that the directory may know."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self.awaiting = Waker()

    async def write(
        self, connection: Connection, writes: Gathered, changes: Sequence[Change[Authorization]], loaded: Any
    ) -> Wrote:
        await remember(writes, _indexes(self._sealer, changes))
        waits = any(
            change.after is not None and columns(change.after)["awaiting_provider"] for change in changes
        )
        return Wrote(committed=self.awaiting.wake if waits else nothing)


def _indexes(sealer: Sealer, changes: Sequence[Change[Authorization]]) -> Mapping[str, tuple[str, str]]:
    """The look-up index of each request whose identity came or changed in this batch."""
    found: dict[str, tuple[str, str]] = {}
    for change in changes:
        command, after = change.submission.command, change.after
        fact = command.fact if command is not None else None
        if isinstance(fact, ReferralReceived | ReferralAmended) and fact.sealed and after is not None:
            text = index(sealer, after.plan, change.stream, after.sealed.get("identity", ""))
            if text:
                found[change.stream] = (after.plan, text)
    return found
