"""States written before a former assignment was kept say of it what their journals give.

What a state is was wider since: a row from before would not be found by its former provider, and would differ from its
own journal. Nothing but the state, and what is searched by it, is written: journal and events stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from loopkeeper.contract import events
from loopkeeper.store.journal import VOUCHER
from notification.domain.outreach.rules import DECIDER
from notification.persistence.columns import columns

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

AT_ONCE = 500
# Assignments that ended, or that another one followed.
CONCERNED = """
SELECT id FROM referral WHERE (state -> 'assignment' ->> 'ended')::boolean AND state -> 'assignment' ->> 'ended_on' IS NULL
UNION
SELECT stream FROM journal WHERE type = :made GROUP BY stream HAVING count(DISTINCT convert_from(payload, 'UTF8')::jsonb ->> 'assignment') > 1
ORDER BY 1
"""
JOURNAL = "SELECT stream, type, payload FROM journal WHERE stream = ANY(:streams) ORDER BY stream, n"
STATES = "SELECT id, state FROM referral WHERE id = ANY(:streams) FOR UPDATE"
WRITE = "UPDATE referral SET state = CAST(:state AS jsonb), formerly_held_by = :formerly WHERE id = :id"


def upgrade() -> None:
    bind = op.get_bind()
    made = events.AssignmentMade.wire_type()
    streams = [row[0] for row in bind.execute(sa.text(CONCERNED), {"made": made})]
    for start in range(0, len(streams), AT_ONCE):
        _refold(bind, streams[start : start + AT_ONCE])


def _refold(bind: Any, streams: list[str]) -> None:
    rows = bind.execute(sa.text(STATES), {"streams": streams})
    states = {row.id: DECIDER.state.model_validate(_read(row.state)) for row in rows}
    entries: Iterable[Any] = bind.execute(sa.text(JOURNAL), {"streams": streams}).all()
    for stream, of in groupby(entries, key=lambda entry: entry.stream):
        journal = list(of)
        if stream not in states or any(entry.type == VOUCHER for entry in journal):
            # What only a lost database knew is vouched for, not told: there is nothing to fold.
            continue
        facts = [events.read(entry.type, bytes(entry.payload)) for entry in journal]
        folded = DECIDER.fold(fact for fact in facts if fact is not None)
        if folded is None or folded == states[stream]:
            continue
        formerly = columns(folded)["formerly_held_by"]
        state = orjson.dumps(folded.model_dump(mode="json")).decode()
        bind.execute(sa.text(WRITE), {"id": stream, "state": state, "formerly": formerly})


def _read(state: Any) -> Any:
    return orjson.loads(state) if isinstance(state, str | bytes) else state


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
