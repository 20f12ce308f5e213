"""Which port may a server of the demo, or of a test, listen on?"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import chain

# Below what Linux gives by itself to connections and to servers without a wish (32768 and up): between the look and the
# listening, which takes a service seconds, nothing else is given one of these.
LOWEST, ABOVE = 10_000, 32_768
# Where a process begins depends on its id: two that look at the same time look at different ports.
APART = 101


class NoPort(Exception):
    """Every port there is to give is taken."""


def free_port(wanted: int = 0) -> int:
    """This port if it is free, else one that is and that this process has not given before."""
    if wanted and _is_free(wanted):
        return wanted
    for port in _UNGIVEN:
        if _is_free(port):
            return port
    raise NoPort(f"no port from {LOWEST} to {ABOVE - 1} is free")


def free_ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]


def _ungiven() -> Iterator[int]:
    begin = LOWEST + os.getpid() * APART % (ABOVE - LOWEST)
    yield from chain(range(begin, ABOVE), range(LOWEST, begin))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers bind: a connection that ended there a moment ago is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_UNGIVEN = _ungiven()
