"""Which IPs a webhook's name has: looked up once for a connection, judged, and pinned to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from notification.delivery.ssrf_guard import LOCALHOST, Allow, check_address

# Takes a host name, returns its IPs as text; raises OSError where there is none.
Resolve = Callable[[str], Awaitable[Sequence[str]]]

LOOKUP_THREADS = 32


class SystemNames:
    """The machine's own look-up, in threads apart from the loop's few: one may hang for half a minute."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="webhook-names")

    async def __call__(self, host: str) -> Sequence[str]:
        """Raises OSError where the name has no address."""
        # Bytes: the name is IDNA already, and the standard library's older IDNA must not read it again.
        name = host.encode("ascii")
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        )
        return [str(place[0]) for *_, place in found]

    def close(self) -> None:
        """Waits for no look-up that hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class CheckedResolver(AbstractResolver):
    """Answers only with IPs that were judged; one forbidden IP among them refuses the whole name."""

    def __init__(self, resolve: Resolve, allow: Allow, patience: timedelta) -> None:
        self._resolve = resolve
        self._allow = allow
        self._patience = patience

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises UrlForbidden, or OSError where the name has no answer in time."""
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                answers = [ip_address(text) for text in await self._resolve(host)]
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "the name server did not answer") from None
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        if host == LOCALHOST:
            # It has an address of each family; the one the operator allowed is called.
            answers = [each for each in answers if self._allow.permits(host, each, port)] or answers
        for address in answers:
            check_address(host, address, port, self._allow)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in answers
        ]

    async def close(self) -> None:
        """Nothing of its own to close: the giver of `resolve` owns it."""
