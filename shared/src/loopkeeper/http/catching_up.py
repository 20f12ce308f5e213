"""What hears a caller of a service that is closed? It waits, and then `503 catching-up`: a 404 for what was answered 201 would be
acted upon."""

from __future__ import annotations

from loopkeeper.store.gate import Gate

# Operations look at a closed service too: why it is closed, what is parked.
ANSWERED_WHILE_CLOSED = "/v1/operations/"


async def until_open(service: object) -> None:
    """Wait until this service is open, for as long as a caller may. Raises `CatchingUp`. What has no gate is open."""
    gate = getattr(getattr(service, "store", None), "gate", None)
    if isinstance(gate, Gate):
        await gate.passed()
