"""What hears a caller of a service that is closed? It waits, and then `503 catching-up`: a 404 for what was answered 201 would be
acted upon."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from loopkeeper.store.gate import Gate

# Operations look at a closed service too: why it is closed, what is parked.
ANSWERED_WHILE_CLOSED = "/v1/operations/"


@runtime_checkable
class Gated(Protocol):
    """What has a gate."""

    @property
    def gate(self) -> Gate: ...


async def until_open(service: object) -> None:
    """Wait until this service is open, for as long as a caller may. Raises `CatchingUp`. What has no gate is open."""
    store = getattr(service, "store", None)
    if isinstance(store, Gated):
        await store.gate.passed()
