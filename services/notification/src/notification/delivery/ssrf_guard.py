"""Which addresses a webhook may call: judged from the URL's text, then from every IP its name resolves to.

A partner gives us a URL and we call it from inside our own network, so the URL is an attack surface (SSRF).
Two rules guard it. `check_url` judges the text, without any look-up. `check_address` judges one resolved IP;
the sender asks it about every answer of a look-up and connects only to the IPs that were judged, so a name
that answers differently the next moment gains nothing. `ipaddress.is_global` is not used: on Python before
3.11.10 it calls translated and relayed private addresses global (CVE-2024-4032).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from yarl import URL

from loopkeeper.kernel.errors import StartError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Longer ones are no address a person registers, and every attempt records it.
LONGEST_URL = 2048

# Never callable, whatever the operator allows: the cloud's own control addresses hand out credentials,
# and the others name no single machine.
NEVER: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # "this host": connects to loopback on Linux
        "169.254.0.0/16",  # link-local, with 169.254.169.254 and 169.254.170.2 (cloud metadata)
        "100.100.100.200/32",  # Alibaba metadata
        "168.63.129.16/32",  # Azure's host agent, on a public address
        "192.0.0.192/32",  # Oracle metadata
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with the broadcast address
        "::/128",  # unspecified: connects to loopback on Linux
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
        "fd00:ec2::/32",  # Amazon metadata and name server
        "fd20:ce::254/128",  # Google metadata
    )
)

# Callable only where the operator's allow list says so.
INTERNAL: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, also used inside clouds
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "2001::/23",  # IETF assignments, with Teredo 2001::/32, which wraps an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which wraps an IPv4 address; out of use since RFC 7526
        "3ffe::/16",  # returned 6bone
        "3fff::/20",  # documentation
    )
)

# All public IPv6 is here; what lies outside (::1, fc00::/7, fec0::/10, 64:ff9b:1::/48, ::a.b.c.d …) is not.
PUBLIC_IPV6 = IPv6Network("2000::/3")

# These two only wrap an IPv4 address, which is judged in their place: a mapped one, and NAT64's well-known one.
WRAPPERS = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))

# Ports from 1024 up that belong to stores, brokers, consoles and remote control: a webhook never lives there.
DANGEROUS_PORTS = frozenset(
    (
        *(1433, 1521, 1719, 1720, 1723, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3306, 3389, 4045),
        *(4190, 4369, 5060, 5061, 5432, 5433, 5601, 5671, 5672, 5900, 5984, 5985, 5986, 6000, 6066, 6379),
        *(6432, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 7000, 7001, 7199, 7474, 7687, 8086, 8123),
        *(8300, 8500, 8529, 9042, 9092, 9093, 9094, 9160, 9200, 9300, 9418, 10050, 10051, 10080),
        *(10250, 10255, 10256, 11211, 15672, 16379, 26257, 26379, 27017, 27018, 27019, 28015),
    )
)

# Names that mean "inside": refused by their text already, so that their owner reads why.
INSIDE_NAMES = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "lan",
    "corp",
    "home",
    "home.arpa",
)

# This name means the machine itself and nothing else (RFC 6761): a setting that allows a loopback address allows it there.
LOCALHOST = "localhost"
LOOPBACK: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


class UrlForbidden(Exception):
    """A webhook must not call this. `sentence` says why, from what its owner wrote and nothing we looked up."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class AllowedPlace:
    """One entry of the operator's list: a name or a network; without a port, every ordinary port."""

    place: str | Network
    port: int | None

    def covers(self, host: str, address: Address | None) -> bool:
        if isinstance(self.place, str):
            return self.place == host
        return address is not None and address in self.place


@dataclass(frozen=True, slots=True)
class Allow:
    """The operator's exceptions (`LOOPKEEPER_WEBHOOK_ALLOW`): places that may be http, private, or on any port.

    Entries are parted by commas: `127.0.0.1`, `10.20.0.0/16`, `inbox.harbor.internal`, `10.0.0.5:5432`,
    `[::1]:8080`. A port below 1024 or a dangerous one is open only to an entry that names it.
    """

    places: tuple[AllowedPlace, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Allow:
        """Raises StartError for an entry that is neither a name, an IP nor a network."""
        return cls(tuple(_allowed_place(entry.strip()) for entry in text.split(",") if entry.strip()))

    def permits(self, host: str, address: Address | None, port: int) -> bool:
        """Whether this place may be called although it is http or private."""
        asked = _meant(host, address)
        return any(
            entry.port in (None, port) and entry.covers(host, each) for entry in self.places for each in asked
        )

    def permits_port(self, host: str, address: Address | None, port: int) -> bool:
        """Whether an entry names exactly this port for this place."""
        asked = _meant(host, address)
        return any(entry.port == port and entry.covers(host, each) for entry in self.places for each in asked)


def _meant(host: str, address: Address | None) -> tuple[Address | None, ...]:
    """The addresses to look for in the list: of `localhost`, before it is looked up, those it can only mean."""
    return LOOPBACK if address is None and host == LOCALHOST else (address,)


# Each attempt asks, and an answer depends on nothing but what was asked; a refusal is computed each time.
@lru_cache(maxsize=1024)
def check_url(url: str, allow: Allow) -> str:
    """The URL as it will be called (IDNA, no trailing dot), or raises UrlForbidden. Looks no name up."""
    parsed = _parse(url)
    host, port = (parsed.raw_host or "").removesuffix("."), parsed.port or 0
    address = _literal(host)
    if address is None:
        _check_name(host)
    else:
        check_address(host, address, port, allow)
    real = None if address is None else _unwrapped(address)
    permitted = allow.permits(host, real, port)
    if parsed.scheme != "https" and not permitted:
        raise UrlForbidden("A webhook address must start with https://.")
    if address is None and _is_inside(host) and not permitted:
        raise UrlForbidden("A webhook address must have a public host name.")
    if not _is_ordinary(parsed.scheme, port) and not allow.permits_port(host, real, port):
        raise UrlForbidden(f"A webhook must not be sent to port {port}; use 443 or 8443.")
    return str(parsed if parsed.raw_host == host else parsed.with_host(host))


def check_address(host: str, address: Address, port: int, allow: Allow) -> None:
    """Raises UrlForbidden where `address`, written literally or answered for `host`, must not be called."""
    real = _unwrapped(address)
    if _within(real, NEVER):
        raise UrlForbidden("A webhook must not be sent to this address.")
    internal = _within(real, INTERNAL) or (real.version == 6 and real not in PUBLIC_IPV6)
    if internal and not allow.permits(host, real, port):
        raise UrlForbidden("A webhook must not be sent to a private or reserved address.")


def _parse(url: str) -> URL:
    if len(url) > LONGEST_URL:
        raise UrlForbidden(f"A webhook address must not be longer than {LONGEST_URL} characters.")
    if not url.isprintable() or any(letter in url for letter in " \\"):
        raise UrlForbidden("A webhook address must not contain spaces, control characters or backslashes.")
    if "#" in url:
        raise UrlForbidden(
            "A webhook address must not have a fragment (#…): it would never reach the endpoint."
        )
    # Judged on the text: a parser may drop an empty user name without a trace.
    if "@" in re.split(r"[/?]", url.partition("://")[2], maxsplit=1)[0]:
        raise UrlForbidden("A webhook address must not contain a user name or password.")
    try:
        # The client's own parser: what is judged here is what is called.
        parsed = URL(url)
    except ValueError:
        raise UrlForbidden("This is not a complete web address.") from None
    if parsed.scheme not in ("https", "http") or not parsed.raw_host:
        raise UrlForbidden("A webhook address must start with https:// and a host name.")
    return parsed


def _literal(host: str) -> Address | None:
    """The IP that `host` is, None for a name. No top-level domain starts with a digit: what does is a number,
    and numbers in any form but four plain decimals (017.1, 0x7f000001, 2130706433) mean something else elsewhere.
    """
    try:
        if ":" in host and "%" not in host:
            return IPv6Address(host)
        if not host.rpartition(".")[2][:1].isdigit():
            return None
        return IPv4Address(host)
    except ValueError:
        raise UrlForbidden("An IP address must be written in full: four decimal numbers, or IPv6.") from None


def _check_name(host: str) -> None:
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise UrlForbidden("This is not a valid host name.")


def _is_inside(host: str) -> bool:
    return "." not in host or any(host == name or host.endswith(f".{name}") for name in INSIDE_NAMES)


def _is_ordinary(scheme: str, port: int) -> bool:
    if port < 1024:
        return port == 443 or (port == 80 and scheme == "http")
    return port not in DANGEROUS_PORTS


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address) and any(address in wrapper for wrapper in WRAPPERS):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _allowed_place(entry: str) -> AllowedPlace:
    host, _, port = entry.rpartition(":") if re.search(r"(^[^:]+|\]):\d{1,5}$", entry) else (entry, "", "")
    host = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    try:
        return AllowedPlace(ip_network(host), int(port) if port else None)
    except ValueError:
        pass
    labels = host.split(".")
    if labels[-1][:1].isdigit() or not all(_LABEL.fullmatch(label) for label in labels):
        raise StartError(
            f"LOOPKEEPER_WEBHOOK_ALLOW holds {entry!r}, which is no name, IP or network.",
            "Write entries as 127.0.0.1, 10.20.0.0/16, inbox.example or host:port, parted by commas.",
        )
    return AllowedPlace(host, int(port) if port else None)
