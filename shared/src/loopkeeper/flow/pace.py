"""How soon does a consumer read again? At once where a poll brought much, else once others had their turn.

A few facts cost a transaction as many do, and a service has one transaction at a time. So who was brought little leaves the
store to others for as long as that took: requests come in between, and what comes meanwhile is read together. The more a
process has to do, the longer all of it takes, and the fuller the polls get; where it has little to do nobody notices.
"""

from __future__ import annotations

# A poll of so many is worth a transaction of its own; and a reader that is behind never waits.
MUCH = 16
# No fact waits longer for this, in seconds.
LONGEST = 0.03


def pause(received: int, took: float) -> float:
    """Seconds until the next poll, behind one that brought so many and took so long with all that it made the service do."""
    return min(took, LONGEST) if 0 < received < MUCH else 0.0
