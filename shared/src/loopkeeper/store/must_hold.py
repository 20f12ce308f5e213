"""What must hold in one service's own tables, said by the service, and what it knows of a loop, in words all services share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MustHold:
    """One promise as a query for what breaks it: each row's first column names the referral or row, `what` says the rest.
    `passing`: what work under way may break for a moment."""

    invariant: str
    what: str
    query: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class KnownLoop:
    """How a loop ended (empty: it has not), and the assignment that serves it now; None where a service does not know."""

    outcome: str = ""
    serving: str | None = None
    # Open, and nobody but us could move it.
    stalled: bool = False


# True of every service.
EVERYWHERE = (
    MustHold(
        "I1", "was answered and does not exist",
        """SELECT c.stream FROM claim c LEFT JOIN referral r ON r.id = c.stream
           WHERE c.stream LIKE 'ref\\_%' AND r.id IS NULL AND NOT EXISTS (SELECT FROM parked p WHERE p.stream = c.stream)
             AND EXISTS (SELECT FROM journal j WHERE j.causation = c.id::text AND j.own)
           GROUP BY c.stream""",
    ),
    MustHold(
        "I7", "waits to be sent, and its journal row is missing",
        """SELECT o.stream FROM outbox o LEFT JOIN journal j USING (stream, n) WHERE j.stream IS NULL GROUP BY o.stream""",
    ),
    MustHold(
        "I7", "waits to be sent, and is not the service's own",
        "SELECT o.stream FROM outbox o JOIN journal j USING (stream, n) WHERE NOT j.own GROUP BY o.stream",
    ),
    MustHold(
        "I7", "has an event whose command published others that are missing",
        """SELECT min(stream) FROM journal WHERE command_id IS NOT NULL
           GROUP BY command_id HAVING count(*) <> max(parts) OR count(DISTINCT part) <> max(parts)""",
    ),
    MustHold(
        "I8", "waits to be sent in another order than it was decided",
        """SELECT a.stream FROM outbox a JOIN outbox b USING (stream)
           WHERE a.position < b.position AND a.n > b.n GROUP BY a.stream""",
    ),
    MustHold(
        "I10", "has parked facts and no mark, so that later ones pass them",
        """SELECT p.stream FROM parked p LEFT JOIN parked_stream s USING (stream) WHERE s.stream IS NULL GROUP BY p.stream""",
    ),
    MustHold(
        "I10", "is set aside, and the service takes commands",
        """SELECT s.stream FROM parked_stream s WHERE s.error = 'waits until the service has read what it lost'
           AND NOT EXISTS (SELECT FROM restored WHERE finished_at IS NULL)""",
        passing=True,
    ),
    MustHold(
        "I11", "may be changed or deleted: its guard is off",
        """SELECT name FROM unnest(ARRAY['journal']) AS t (name) WHERE NOT EXISTS (
             SELECT FROM pg_trigger g WHERE g.tgrelid = to_regclass(name) AND NOT g.tgisinternal AND g.tgenabled <> 'D')""",
    ),
)  # fmt: skip
