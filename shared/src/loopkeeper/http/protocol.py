"""What happens before there is a request: how many connections there may be, and how long and how large a head.

httptools bounds nothing: an address or a header grows for as long as somebody sends, and each piece is copied into what
came before; uvicorn starts no clock before the first answer. So four callers who never end their heads keep everybody
waiting. Here the bytes that are no body have a budget, a head has a time, and connections have a number; whatever is
refused is told as a problem, like everything else.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from loopkeeper.http import problems
from loopkeeper.http.middleware import MOST_ADDRESS_BYTES, address_too_long, headers_too_large
from loopkeeper.kernel.errors import Problem
from loopkeeper.kernel.settings import Settings, read
from loopkeeper.observability.exchange import new_trace_id

# No more is parsed at once, so that others have their turn in between.
SLICE = 16 * 1024
# Bytes of a request that are no body: its address, headers, trailers and what is between chunks. A body earns some:
# one in chunks of a kilobyte is honest.
MOST_BESIDE_BODY = 32 * 1024
EARNED = 1 / 32
SECONDS_FOR_A_HEAD = 10.0
# Who takes nothing of an answer for so long is gone.
SECONDS_FOR_A_READER = 60.0
# What is refused may still be sending: it is heard out for so long, so that it reads why.
SECONDS_TO_LISTEN = 1.0
MOST_LISTENED = 1024 * 1024
# So many connections over the bound are told why; more are ended without a word, since each is a file of the process.
MOST_TOLD = 200
# What a process opens apart from connections of callers: databases, the log, webhooks, files.
FILES_BESIDE = 600

Network = IPv4Network | IPv6Network


def too_many_connections() -> Problem:
    """Raised nowhere: written where a connection is not taken."""
    return Problem(
        503,
        "too-many-connections",
        "More connections are open than are served.",
        fix="Use fewer connections, each for many requests; come back after the seconds of Retry-After.",
        headers={"Retry-After": "2"},
    )


def head_too_slow() -> Problem:
    return Problem(
        408,
        "head-too-slow",
        f"The head of the request did not arrive within {SECONDS_FOR_A_HEAD:g} seconds.",
        fix="Send it again.",
    )


def not_http() -> Problem:
    return Problem(400, "not-http", "This is no HTTP/1.1 request.", fix="Send HTTP/1.1.")


class Door:
    """How many connections one process has, in all and by address. The addresses of trusted proxies mean many
    callers, and count only in all."""

    def __init__(self, most: int, most_of_one: int, trusted: str = "") -> None:
        """`trusted`: addresses and networks, comma separated. Raises `ValueError` for what is neither."""
        self._most, self._most_of_one = most, most_of_one
        self._trusted: Sequence[Network] = tuple(
            ip_network(each.strip(), strict=False) for each in trusted.split(",") if each.strip()
        )
        self.total = self.told = 0
        self.by_address: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether one more from this address is taken; if so it counts until it leaves."""
        if self.total >= self._most:
            return False
        if self.by_address[address] >= self._most_of_one and not self.trusts(address):
            return False
        self.total += 1
        self.by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        self.total -= 1
        self.by_address[address] -= 1
        if not self.by_address[address]:
            del self.by_address[address]

    def trusts(self, address: str) -> bool:
        """Whether this is the address of a trusted proxy."""
        if not self._trusted:
            return False
        try:
            known = ip_address(address)
        except ValueError:
            return False
        return any(known.version == each.version and known in each for each in self._trusted)


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with bounds before the request. A subclass gives it its `door` (`behind`)."""

    door: Door

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._address = ""
        self._entered = self._told = self._refused = self._in_head = False
        self._spent, self._listened = 0.0, 0
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # ── connections ───────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._entered = self.door.enter(self._address)
        if self._entered:
            self._begin_head()
        elif self.door.told >= MOST_TOLD:
            transport.abort()
        else:
            # Told when it asks: an answer before any question is lost on the way.
            self._told = True
            self.door.told += 1
            self._late = self.loop.call_later(SECONDS_TO_LISTEN, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._late)
        self._stop(self._unread)
        if self._entered:
            self._entered = False
            self.door.leave(self._address)
        if self._told:
            self._told = False
            self.door.told -= 1
        super().connection_lost(exc)

    # ── heads ─────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._listen(len(data))
            return
        if not self._entered:
            self._refuse(too_many_connections())
            return
        if not self._in_head and not self._answering():
            self._begin_head()
        for start in range(0, len(data), SLICE):
            piece = data[start : start + SLICE]
            self._spent += len(piece)
            super().data_received(piece)
            if self._refused or self.transport.is_closing() or self.parser is None:
                return
            if self._spent > MOST_BESIDE_BODY:
                self._refuse(self._too_much())
                return

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._begin_head()

    def _begin_head(self) -> None:
        self._in_head = True
        self._stop(self._late)
        self._late = self.loop.call_later(SECONDS_FOR_A_HEAD, self._head_late)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop(self._late)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._spent = max(self._spent - len(body) * (1 + EARNED), 0.0)
        super().on_body(body)

    def on_message_complete(self) -> None:
        # What follows in the same piece is the next one's; a piece is no larger than the budget.
        self._spent = 0.0
        super().on_message_complete()

    def _head_late(self) -> None:
        if self._in_head and not self.transport.is_closing():
            self._refuse(head_too_slow())

    def _too_much(self) -> Problem:
        in_address = self._in_head and not self.headers and len(self.url) > MOST_ADDRESS_BYTES
        return address_too_long() if in_address else headers_too_large()

    # ── readers ───────────────────────────────────────────────────────────────────────────────────────────

    def pause_writing(self) -> None:
        self._unread = self.loop.call_later(SECONDS_FOR_A_READER, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stop(self._unread)
        super().resume_writing()

    # ── refusals ──────────────────────────────────────────────────────────────────────────────────────────

    def send_400_response(self, msg: str) -> None:
        self._refuse(not_http())

    def _refuse(self, problem: Problem) -> None:
        """Tell why, once, and end the connection; what is still on its way is heard and dropped, or the caller would
        lose the answer with the connection."""
        self._refused = True
        self._stop(self._late)
        self._unset_keepalive_if_required()
        answering = self._answering()
        if answering:
            # Anyone who reads its body hears that the caller is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if answering and self.cycle.response_started:
            self.transport.abort()
            return
        body = problems.render(problem, new_trace_id())
        headers = {
            "content-type": problems.MEDIA_TYPE,
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "connection": "close",
            **problem.headers,
        }
        lines = (f"{name}: {value}\r\n".encode() for name, value in headers.items())
        self.transport.write(b"".join((STATUS_LINE[problem.status], *lines, b"\r\n", body)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._late = self.loop.call_later(SECONDS_TO_LISTEN, self.transport.close)

    def _answering(self) -> bool:
        # None before the first request, whatever uvicorn says of its type.
        cycle = cast("Any", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _listen(self, count: int) -> None:
        self._listened += count
        if self._listened > MOST_LISTENED:
            self.transport.abort()

    def eof_received(self) -> None:
        if self._refused:
            self.transport.close()
        return super().eof_received()

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


def door_of(settings: Settings) -> Door:
    """The door of one process, no wider than the files it may open."""
    most = min(settings.connections, max(_files() - FILES_BESIDE, 1))
    return Door(most, settings.connections_of_one, settings.trusted_proxies)


def _files() -> int:
    """How many files the process may open: as many as it may allow itself."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 20 if most == resource.RLIM_INFINITY else most
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class BoundedBySettings(BoundedHttp):
    """The protocol for a server that is not ours: `uvicorn --http loopkeeper.http.protocol:BoundedBySettings`."""

    def __init__(self, *args: Any, **named: Any) -> None:
        kind = type(self)
        if "door" not in vars(kind):
            kind.door = door_of(read(Settings))
        super().__init__(*args, **named)


def behind(door: Door) -> type[BoundedHttp]:
    """The protocol of one server, whose connections this door counts: `uvicorn.Config(http=behind(door))`."""
    return type("BoundedHttp", (BoundedHttp,), {"door": door})
