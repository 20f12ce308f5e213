"""Where the console is on the network: its origin, its host name, and what its cookies are called."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from loopkeeper.kernel.errors import StartError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Site:
    """The one address of the console. Nothing is ever built from a request's `Host`."""

    origin: str

    @property
    def host(self) -> str:
        """Host name and port, as a browser sends them."""
        return urlsplit(self.origin).netloc

    @property
    def relying_party(self) -> str:
        """The host name that passkeys are bound to."""
        return urlsplit(self.origin).hostname or ""

    @property
    def secure(self) -> bool:
        return self.origin.startswith("https://")

    @property
    def loopback(self) -> bool:
        return self.relying_party in LOOPBACK

    @property
    def hosts(self) -> frozenset[str]:
        """What a request may name as its host: the console's address, and on a laptop the machine's other names."""
        port = urlsplit(self.origin).port
        names = LOOPBACK if self.loopback else frozenset[str]()
        return frozenset({self.host, *(f"{name}:{port}" if port else name for name in names)})

    def cookie(self, name: str) -> str:
        """A cookie's name; with TLS one that a browser takes from this very host only."""
        return f"__Host-{name}" if self.secure else name


def site_at(url: str) -> Site:
    """The console at this address. Raises `StartError` for one that people cannot safely use."""
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.query or not parts.hostname:
        raise StartError(
            "The console's address has more than a host name and a port.",
            "Give LOOPKEEPER_CONSOLE_URL as https://loops.example.org.",
        )
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise StartError(
            "The console's address is without TLS, and is not this machine's own.",
            "Give LOOPKEEPER_CONSOLE_URL as https://…; an ingress may end TLS.",
        )
    return Site(url.rstrip("/"))
