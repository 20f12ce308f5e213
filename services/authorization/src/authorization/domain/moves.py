"""What may a named person of the plan do about a request now? What a page offers, and what a rule would not refuse."""

from __future__ import annotations

from datetime import date

from authorization.domain.decisions import allowed
from authorization.domain.state import Authorization


def moves(state: Authorization, today: date) -> tuple[str, ...]:
    """The plan's actions by their names in the API; each may still be refused for what it says."""
    found = list(allowed(state))
    if state.grant_live:
        found.append("revoke-grant")
    decision = state.decision
    if decision is not None and decision.kind == "denied" and decision.overturned_on is None:
        found.append("overturn")
    return (*found, *(each for each in _of_term(state, today) if each not in found))


def _of_term(state: Authorization, today: date) -> tuple[str, ...]:
    term = state.term
    if term is None:
        return ()
    waits = state.lives_on
    by_person = term.ending is not None and bool(term.ending.person)
    over = today > term.last_day
    ends = not by_person and (waits or not over)
    appealed = state.appeal is not None
    goes_on = appealed or (not over and (state.discontinuation is not None or term.ending is not None))
    rights = term.ending.rights if term.ending is not None else None
    appeals = term.ending is not None and not appealed and (rights is None or today <= rights.appeal_by)
    return (
        *(["end"] if ends or appealed else []),
        *(["continue"] if goes_on else []),
        *(["appeal"] if appeals else []),
    )
