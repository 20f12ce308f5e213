"""What authorization knows of a loop."""

from __future__ import annotations

from authorization.domain.state import Authorization
from loopkeeper.store.must_hold import Known


def known(state: Authorization) -> Known:
    """As authorization has it; who serves it does not know."""
    return Known(state.outcome)
