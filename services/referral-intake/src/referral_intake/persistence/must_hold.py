"""What must hold in intake's tables, and what intake knows of a loop."""

from __future__ import annotations

from loopkeeper.store.must_hold import KnownLoop, MustHold
from referral_intake.domain.state import Referral
from referral_intake.persistence.columns import columns

MUST_HOLD = (
    MustHold(
        "I2", "was made twice by one request",
        """SELECT min(stream) FROM journal WHERE own AND type = 'ecm.referral.received.v1'
           GROUP BY causation HAVING count(DISTINCT stream) > 1""",
    ),
    MustHold(
        "I4", "is closed without a closing, or has one and is open",
        """SELECT r.id FROM referral r WHERE (r.status = 'closed') <> EXISTS (
             SELECT FROM journal j WHERE j.stream = r.id AND j.own AND j.type = 'ecm.referral.closed.v1')""",
    ),
)  # fmt: skip


def known_loop(state: Referral) -> KnownLoop:
    """As intake has it."""
    now = columns(state)
    stalled = now["status"] != "closed" and now["next_actor"] in ("", "loopkeeper")
    outcome = state.closing.outcome if state.closing is not None else ""
    return KnownLoop(outcome, state.offer.assignment if state.offer is not None else "", stalled)
