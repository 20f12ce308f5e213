"""What authorization knows of a loop."""

from __future__ import annotations

from authorization.domain.state import Authorization
from loopkeeper.store.must_hold import KnownLoop


def known_loop(state: Authorization) -> KnownLoop:
    """As authorization has it; who serves it does not know."""
    return KnownLoop(state.outcome)
