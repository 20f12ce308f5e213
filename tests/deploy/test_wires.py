"""What members' data travels on is encrypted, and both ends are known: the databases as the manual's URLs ask for it, and the
services themselves where the component `encrypted` is chosen."""

from __future__ import annotations

import asyncio
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from demo.ports import free_port
from loopkeeper.postgres.connections import reading_pool, unreachable, writing_pool
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.migrations import tables, upgrade
from loopkeeper.postgres.revisions import newest
from tests.certificates import Authority
from tests.chaos.lives import Lives, until
from tests.databases import Fresh
from tests.deploy.places import SERVICES

SOON = 90.0
# What a client of PostgreSQL sends first where it wants TLS: a length, and a number that is no version.
SSL_REQUEST = struct.pack("!II", 8, 80877103)


@dataclass
class Encrypted:
    """A PostgreSQL behind TLS. The embedded one is built without it, so what is before it answers the client's request
    for TLS as a server does, and hands on what comes through."""

    server: Server
    authority: Authority
    ports: dict[str, int] = field(default_factory=dict[str, int])
    sessions: int = 0
    speaks_tls: bool = True

    def url(self, host: str = "localhost", ca: Path | None = None) -> str:
        """As docs/guides/operations.md writes it."""
        secret = self.server.passwords["intake"]
        how = f"sslmode=verify-full&sslrootcert={ca or self.authority.file}"
        return f"postgresql://intake:{secret}@{host}:{self.ports[host]}/intake?{how}"

    async def serve(self, pair: Path, socket: Path) -> AsyncGenerator[None]:
        known = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        known.load_cert_chain(pair)

        async def take(reader: StreamReader, writer: StreamWriter) -> None:
            asked = await reader.read(8)
            if asked != SSL_REQUEST:
                writer.close()
                return
            writer.write(b"S" if self.speaks_tls else b"N")
            with suppress(ssl.SSLError, ConnectionError):
                await writer.start_tls(known)
                self.sessions += 1
                inner = await asyncio.open_unix_connection(socket)
                await asyncio.gather(hand_on(reader, inner[1]), hand_on(inner[0], writer))

        async with await asyncio.start_server(take, "localhost", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            self.ports = {"localhost": port, "127.0.0.1": port}
            yield


async def hand_on(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@pytest_asyncio.fixture
async def encrypted(postgres: Server, tmp_path: Path) -> AsyncGenerator[Encrypted]:
    authority = Authority(tmp_path / "ca.crt")
    found = Encrypted(postgres, authority)
    pair = authority.certificate(tmp_path / "server.pem", "localhost")
    async for _ in found.serve(pair, Path(postgres.sockets) / ".s.PGSQL.5432"):
        yield found


async def test_a_service_reaches_its_database_by_tls_and_knows_that_it_is_the_one(
    encrypted: Encrypted,
) -> None:
    """The URL of the manual, in everything that takes a URL: sessions, both pools, migrations."""
    url = encrypted.url()
    await upgrade(url, "referral_intake")
    assert (await tables("intake", url, "referral_intake")).found == newest("referral_intake")
    for pool in (
        await writing_pool(url, name="loopkeeper-intake"),
        await reading_pool(url, role="intake_reader", size=1, name="loopkeeper-intake-reader"),
    ):
        assert await pool.fetchval("SELECT 1") == 1
        await pool.close()
    assert encrypted.sessions >= 4


async def test_a_server_that_another_authority_vouches_for_is_refused(
    encrypted: Encrypted, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "ca.crt")
    assert await unreachable(encrypted.url(ca=stranger.file)) == "SSLCertVerificationError"


async def test_a_server_under_another_name_than_its_certificates_is_refused(encrypted: Encrypted) -> None:
    assert await unreachable(encrypted.url(host="127.0.0.1")) == "SSLCertVerificationError"


async def test_a_server_that_speaks_no_tls_is_refused(encrypted: Encrypted) -> None:
    """A program in between could say so too."""
    encrypted.speaks_tls = False
    assert await unreachable(encrypted.url()) == "ConnectionError"


async def test_a_service_with_a_certificate_serves_by_tls_alone_and_the_desk_follows(
    fresh_database: Fresh, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca.crt")
    pair = authority.certificate(tmp_path / "tls.pem", "localhost")
    port = free_port()
    base = f"https://localhost:{port}"
    environment = {
        "PATH": "",
        "LOOPKEEPER_HOME": str(tmp_path / "home"),
        **{f"LOOPKEEPER_{each.upper()}_DATABASE": await fresh_database(each) for each in SERVICES},
        "LOOPKEEPER_BUS": await fresh_database("log"),
        "LOOPKEEPER_PORT": str(port),
        "LOOPKEEPER_CERTIFICATE": str(pair),
        "LOOPKEEPER_CERTIFICATE_KEY": str(pair),
    }
    desk = {**environment, "LOOPKEEPER_URL": base, "SSL_CERT_FILE": str(authority.file)}
    async with Lives() as lives:
        life = await lives.begin(["up"], environment, tmp_path / "up.log")
        await life.serves(port)
        known = ssl.create_default_context(cafile=authority.file)
        async with httpx.AsyncClient(base_url=base, verify=known) as anybody:

            async def ready() -> bool:
                try:
                    return (await anybody.get("/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, SOON)
        async with httpx.AsyncClient() as careless:
            with pytest.raises(httpx.TransportError):
                await careless.get(f"http://localhost:{port}/health/live")
        verify = await lives.begin(["verify"], desk, tmp_path / "verify.log")
        assert await verify.ended() == 0, verify.said()
        life.ask_to_stop()
        assert await life.ended() == 0
