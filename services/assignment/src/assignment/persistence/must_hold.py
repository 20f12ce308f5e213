"""What must hold in assignment's tables, and what assignment knows of a loop."""

from __future__ import annotations

from assignment.domain.state import Assignment
from loopkeeper.store.must_hold import KnownLoop, MustHold

MUST_HOLD = (
    MustHold(
        "I3", "has two assignments that serve it at once",
        "SELECT referral FROM assignment WHERE live GROUP BY referral HAVING count(*) > 1",
    ),
    MustHold(
        "I3", "is of a member who has two assignments at once",
        """SELECT min(referral) FROM assignment WHERE live AND NOT conflicted AND member <> ''
           GROUP BY member HAVING count(*) > 1""",
    ),
    MustHold(
        "I3", "has a turn that its referral's row does not know",
        """SELECT a.referral FROM assignment a LEFT JOIN referral r ON r.id = a.referral
           WHERE r.id IS NULL GROUP BY a.referral""",
    ),
    MustHold(
        "I3", "has given another number of places than is kept for it",
        """SELECT provider_id FROM places FULL JOIN
             (SELECT provider_id, plan_id, count(*) AS n FROM assignment WHERE held GROUP BY 1, 2) AS counted
             USING (provider_id, plan_id)
           WHERE coalesce(taken, 0) <> coalesce(n, 0)""",
    ),
)  # fmt: skip


def known_loop(state: Assignment) -> KnownLoop:
    """As assignment has it."""
    return KnownLoop(state.outcome, state.live.assignment if state.live is not None else "")
