"""What must hold in notification's tables, and what notification knows of a loop."""

from __future__ import annotations

from loopkeeper.store.must_hold import KnownLoop, MustHold
from notification.domain.outreach.state import Outreach

MUST_HOLD = (
    MustHold(
        "I6", "is a notice that is due and has no deadline",
        """SELECT n.id FROM notice n WHERE n.due_at IS NOT NULL AND n.told_at IS NULL AND n.overdue_at IS NULL
           AND NOT (n.recipient_kind = 'member' AND EXISTS (SELECT FROM referral r WHERE r.id = n.referral
             AND (r.state ->> 'deceased' = 'true' OR r.state ->> 'death_told' = 'true')))
           AND NOT EXISTS (SELECT FROM timer t WHERE t.stream = n.referral AND t.kind = 'notice ' || n.id
                           AND t.due_at = n.due_at)""",
    ),
    MustHold("I9", "is in one feed twice", "SELECT id FROM feed GROUP BY subscription, id HAVING count(*) > 1"),
    MustHold(
        "I9", "has a feed with gaps",
        """SELECT s.id FROM subscription s LEFT JOIN feed f ON f.subscription = s.id
           GROUP BY s.id HAVING count(f.id) <> s.sequence - s.pruned OR coalesce(max(f.sequence), s.pruned) <> s.sequence""",
        passing=True,
    ),
    MustHold(
        "I9", "is told twice of one event",
        "SELECT min(id) FROM notice GROUP BY event, recipient, code HAVING count(*) > 1",
    ),
    MustHold(
        "I9", "is to be heard and has no delivery",
        """SELECT f.id FROM feed f JOIN subscription s ON s.id = f.subscription AND s.url IS NOT NULL AND s.state = 'enabled'
           LEFT JOIN delivery d ON d.subscription = f.subscription AND d.sequence = f.sequence
           WHERE d.id IS NULL AND f.at >= s.enabled_at
             AND f.at >= coalesce((SELECT deliveries_before FROM retention), '-infinity')""",
        passing=True,
    ),
    MustHold(
        "I9", "was tried under another webhook id",
        """SELECT d.id FROM delivery d JOIN attempt a ON a.delivery = d.id
           JOIN feed f ON f.subscription = d.subscription AND f.sequence = d.sequence WHERE a.webhook <> f.id""",
    ),
    MustHold(
        "I9", "is delivered without one recorded success",
        """SELECT d.id FROM delivery d LEFT JOIN attempt a ON a.delivery = d.id AND a.outcome = 'delivered'
           WHERE d.state = 'delivered' GROUP BY d.id HAVING count(a.id) = 0""",
    ),
    MustHold(
        "I9", "goes on after a recorded success",
        """SELECT d.id FROM delivery d WHERE d.state = 'pending' AND d.trigger = 'scheduled'
           AND EXISTS (SELECT FROM attempt a WHERE a.delivery = d.id AND a.outcome = 'delivered')""",
    ),
    MustHold(
        "I9", "is a closing that was heard, and nobody noted that it was",
        """SELECT n.id FROM notice n JOIN feed f ON f.notice = n.id
           JOIN delivery d ON d.subscription = f.subscription AND d.sequence = f.sequence
           WHERE n.closing AND n.told_at IS NULL AND d.delivered_at IS NOT NULL""",
        passing=True,
    ),
)  # fmt: skip


def known_loop(state: Outreach) -> KnownLoop:
    """As notification has it."""
    serving = state.assignment
    outcome = state.closing.outcome if state.closing is not None else ""
    return KnownLoop(outcome, serving.assignment if serving is not None and not serving.ended else "")
