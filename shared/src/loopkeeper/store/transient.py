"""Which errors pass by themselves: what a long-lived task waits out instead of ending, and what it says meanwhile."""

from __future__ import annotations

from loopkeeper.event_log.port import BusUnavailable, told
from loopkeeper.postgres.connections import passes
from loopkeeper.store.store import StoreUnavailable


def transient(error: Exception) -> str:
    """What a task that met this error waits for, as a sentence; empty for an error that does not pass by itself."""
    if isinstance(error, BusUnavailable):
        return told(error)
    if isinstance(error, StoreUnavailable) or passes(error):
        return "the database cannot be reached"
    return ""
