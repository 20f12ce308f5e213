"""When do tasks wake that nothing but their period wakes? All those of a process together, on its beats.

Who is woken pays for it, the process and the PostgreSQL it asks: both come out of their rest, which costs an idle
installation more than what it does then. A dozen looks a second are a dozen awakenings where each keeps a time of its own.
"""

from __future__ import annotations

import random

# Seconds from one beat to the next: what repeats less often than that comes on some beat, what repeats more often on none.
BEAT = 1.0
# Processes that were started together do not look together.
_first = random.random() * BEAT  # noqa: S311 spreads work, protects nothing


def after(now: float, seconds: float) -> float:
    """When to wake for what comes in about so many seconds: on the beat that is nearest then, half of one sooner or later at
    most; exactly then if that is sooner than a beat. Times are the event loop's."""
    due = now + seconds
    return due if seconds < BEAT else round((due - _first) / BEAT) * BEAT + _first
