"""What follows in a term when the member's coverage ends or returns? A named person is asked, and nothing else happens.

No payment is owed without coverage (ECMG26 p109), but nobody's term ends by a roster: the ending stays a person's act,
with its notice (loop.md 2.5, 7.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from authorization.domain.contexts import Judged
from authorization.domain.state import LOST_COVERAGE, Authorization, Term
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import AuthorizationCoverageLost, AuthorizationCoverageReturned, Event

LOST = frozenset({"ended", "left", "not_found"})


def coverage_changed(state: Authorization, at: datetime, judged: Judged) -> Iterator[Event]:
    """The question about the term, asked once for each loss; or that it is taken back. `judged`: by when."""
    term, today = state.term, la_date(at)
    if term is None or today > term.through:
        return
    answer = state.eligibility.on(today)
    if answer in LOST and state.was_covered and not state.coverage_lost and goes_on(term, today):
        yield AuthorizationCoverageLost.model_validate(
            {
                "occurred_at": at,
                "policy": judged.refs,
                "authorization": state.authorization,
                "answer": answer,
                "on": state.eligibility.last_day,
                "due_at": judged.due_at,
            }
        )
    elif answer == "confirmed":
        ended_for_it = term.ending is not None and term.ending.code == LOST_COVERAGE
        if state.coverage_lost or ended_for_it:
            yield AuthorizationCoverageReturned(
                occurred_at=at,
                policy=judged.refs if ended_for_it else (),
                authorization=state.authorization,
                due_at=judged.due_at if ended_for_it else None,
            )


def goes_on(term: Term, today: date) -> bool:
    """Whether the term runs, or will, and nobody has ended it."""
    return term.ending is None and today <= term.last_day


def coverage_ends_on(state: Authorization) -> date | None:
    """The last covered day inside the term, where nobody was asked about it yet."""
    term, through = state.term, state.eligibility.last_day
    if term is None or through is None or term.ending is not None or state.coverage_lost:
        return None
    return through if state.was_covered and through < term.through else None
