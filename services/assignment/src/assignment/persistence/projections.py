"""The row of every provider's turn: what people and the ranking read of it, and what takes a place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from assignment.domain.state import Assignment, Offer
from assignment.persistence.turns import offer_row, shown, write_assignments
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import Change, Projection, Wrote
from loopkeeper.store.gathered import Gathered


class AssignmentProjection(Projection[Assignment]):
    """Writes the turns that changed, and those whose referral now shows something else."""

    async def write(
        self, connection: Connection, writes: Gathered, changes: Sequence[Change[Assignment]], loaded: Any
    ) -> Wrote:
        """What ended first: only then may the member's next one be live."""
        rows: dict[str, dict[str, Any]] = {}
        moved = False
        for change in changes:
            after = change.after
            if after is None:
                continue
            before = {o.assignment: o for o in change.before.offers} if change.before else {}
            # What an offer shows of the referral changed with it.
            amended = change.before is not None and shown(change.before) != shown(after)
            for offer in after.offers:
                if amended or before.get(offer.assignment) != offer:
                    n = change.written[-1][0].n
                    rows[offer.assignment] = {
                        **offer_row(change.stream, after, offer),
                        "n": n,
                        "at": change.at,
                    }
            moved = moved or amended or _started(before.values(), after)
        if rows:
            ordered = sorted(rows.values(), key=lambda row: (row["live"], row["id"]))
            # Where no turn ended and no member changed, none of these rows concerns another.
            alone = not moved and all(row["live"] for row in ordered)
            await write_assignments(writes if alone else connection, ordered, moved)
        return Wrote()


def _started(before: Iterable[Offer], after: Assignment) -> bool:
    """Whether a planned turn has become live."""
    planned = (offer.assignment for offer in before if offer.held and not offer.live)
    return any(after.live is not None and after.live.assignment == each for each in planned)
