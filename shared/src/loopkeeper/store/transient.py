"""Which errors pass by themselves: what a long-lived task waits out instead of ending, and what it says meanwhile."""

from __future__ import annotations

from loopkeeper.event_log.port import LogUnavailable, told
from loopkeeper.postgres.connections import is_transient, too_slow, waits_for_locks
from loopkeeper.store.store import StoreUnavailable


def transient(error: Exception) -> str:
    """What a task that met this error waits for, as a sentence; empty for an error that does not pass by itself."""
    if isinstance(error, LogUnavailable):
        return told(error)
    cause = error.__cause__ if isinstance(error, StoreUnavailable) and error.__cause__ is not None else error
    if too_slow(cause):
        return "the database takes too long over what is asked of it"
    if waits_for_locks(cause):
        return "rows are locked by somebody else"
    if isinstance(error, StoreUnavailable) or is_transient(error):
        return "the database cannot be reached"
    return ""
