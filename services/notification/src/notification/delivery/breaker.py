"""When is an endpoint that does not answer left alone for a while?

After five attempts in a row without an answer nothing is sent to it for half a minute; then one delivery asks, and each one
that has no answer either doubles the pause, up to ten minutes. What is due meanwhile waits, and no try of it is used up. Any
answer ends that, also a refusal: the endpoint is there, and says what it thinks of one webhook.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from notification.delivery.webhook import Attempted

OPENS_AFTER = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=10)
# What a server, or what is in front of it, says for want of an answer of its own.
NO_ANSWER = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Breaker:
    """How many attempts in a row had no answer, and until when no more are made."""

    failures: int = 0
    open_until: datetime | None = None


def silent(attempted: Attempted) -> bool:
    """Whether nobody answered: a timeout, a line that was refused or cut, a gateway that speaks for its server."""
    return attempted.status is None or attempted.status in NO_ANSWER


def after(breaker: Breaker, attempts: Iterable[tuple[datetime, bool]]) -> Breaker:
    """The breaker after these attempts, in order: when each ended, and whether it was silent."""
    for at, unanswered in attempts:
        breaker = _after_one(breaker, at) if unanswered else Breaker()
    return breaker


def _after_one(breaker: Breaker, at: datetime) -> Breaker:
    if breaker.open_until is not None and at < breaker.open_until:
        # It was under way when the breaker opened.
        return breaker
    failures = breaker.failures + 1
    if failures < OPENS_AFTER:
        return Breaker(failures)
    # Twenty doublings are far beyond the longest pause.
    pause = FIRST_PAUSE * 2 ** min(failures - OPENS_AFTER, 20)
    return Breaker(failures, at + min(pause, LONGEST_PAUSE))
