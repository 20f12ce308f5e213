"""What the product's figures are compared with, on the same machine in the same run: PostgreSQL alone, aiohttp alone, and the loop
as most would write it first.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import process_time

import aiohttp
import uvloop
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.embedded import place as places
from tests.bench import naive
from tests.bench.counting import Processor

CLIENTS, ROUNDS = 16, 3
# Of W2, the least a referral with an outbox costs PostgreSQL.
TABLES = """
CREATE TABLE referral (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, plan text, state jsonb);
CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea);
"""
SCRIPT = """
BEGIN;
INSERT INTO referral (plan, state) VALUES ('harbor', jsonb_build_object('status', 'received', 'text', repeat('x', 900)));
INSERT INTO outbox (body) VALUES (decode(repeat('ab', 1024), 'hex'));
COMMIT;
"""
# As long as most of the product's webhooks.
WEBHOOK = json.dumps({"type": "ecm.notice.offer.v1", "data": {"text": "x" * 1200}}).encode()


@dataclass(frozen=True)
class W2:
    """Transactions a second, and the processor of one, client and PostgreSQL together."""

    rate: float
    milliseconds: float


def w2(server: Server, seconds: int) -> W2:
    """pgbench's two inserts, the median of three rounds."""
    program = places.programs(places.server_folders(server.folder), None) / "pgbench"
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(SCRIPT)
        script.flush()
        rates, costs = list[float](), list[float]()
        processor = Processor(server)
        for _ in range(ROUNDS):
            begun, client = processor.spent()[1], os.times()
            # The words of a client of this very server, which is given its password by the environment.
            words = [
                program,
                "-n",
                "-M",
                "prepared",
                "-c",
                str(CLIENTS),
                "-T",
                str(seconds),
                "-f",
                script.name,
            ]
            done = subprocess.run(
                [*words, "-h", server.sockets, "-p", "5432", "-U", "w2", "w2"],
                check=True,
                capture_output=True,
                text=True,
                env={"PGPASSWORD": server.passwords["w2"], "PATH": "/usr/bin:/bin"},
            )
            after = os.times()
            spent = processor.spent()[1] - begun
            spent += (
                after.children_user + after.children_system - client.children_user - client.children_system
            )
            found = re.search(r"tps = ([\d.]+)", done.stdout)
            assert found is not None, done.stdout
            rates.append(float(found[1]))
            costs.append(spent / (float(found[1]) * seconds) * 1000)
    return W2(median(rates), median(costs))


async def prepare(server: Server) -> str:
    """W2's tables; PostgreSQL's version."""
    inside = await connect(server.url("w2"))
    try:
        await inside.execute(TABLES)
        return (await inside.fetchval("SHOW server_version")).split()[0]
    finally:
        await inside.close()


def plain_aiohttp(count: int) -> float:
    """Processor of one signed POST through aiohttp to an aiohttp server in the same process, CLIENTS under way at a time:
    milliseconds, the median of ROUNDS."""

    async def taken(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    async def measure() -> float:
        application = web.Application()
        application.router.add_post("/webhooks", taken)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url, signer = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks", Webhook(naive.SECRET)
        costs = list[float]()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENTS)) as session:

            async def some() -> None:
                for number in range(count // CLIENTS):
                    now = datetime.now(UTC)
                    headers = {
                        "webhook-id": f"msg_{number}",
                        "webhook-timestamp": str(int(now.timestamp())),
                        "webhook-signature": signer.sign(f"msg_{number}", now, WEBHOOK.decode()),
                        "content-type": "application/json",
                    }
                    async with session.post(url, data=WEBHOOK, headers=headers) as answer:
                        await answer.read()

            for _ in range(ROUNDS):
                before = process_time()
                await asyncio.gather(*(some() for _ in range(CLIENTS)))
                costs.append((process_time() - before) / (count // CLIENTS * CLIENTS) * 1000)
        await runner.cleanup()
        return median(costs)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        return loop.run(measure())


@dataclass(frozen=True)
class Yardsticks:
    """`naive`: what `tests.bench.naive` says of itself; `webhook`: milliseconds of a plain one."""

    w2: W2
    naive: Mapping[str, float]
    webhook: float
    version: str


def measured(folder: Path, *, quick: bool) -> Yardsticks:
    """All of them, in this process and on servers of their own."""
    server = embedded.start(folder / "postgres", ["w2"])
    try:
        version = asyncio.run(prepare(server))
        found = w2(server, 2 if quick else 4)
    finally:
        embedded.remove(folder / "postgres")
    first = naive.run(folder / "naive", 40 if quick else 100)
    return Yardsticks(found, first, plain_aiohttp(800 if quick else 3000), version)
