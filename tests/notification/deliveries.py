"""A partner, a subscription, and one round of sending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from loopkeeper.testing.partner import Partner, Taken
from notification.delivery.ssrf_guard import Allow
from notification.delivery.webhook import Sender
from notification.workers import Deliverer
from tests.notification.house import House

# The schedule itself, without the spread of ±20 %.
MIDDLE = 0.5


@asynccontextmanager
async def partner(opened: House) -> AsyncGenerator[Partner]:
    async with Partner(clock=opened.clock) as found:
        yield found


async def subscribe(opened: House, organization: str, endpoint: Partner, path: str = "") -> str:
    """A verified subscription of this organization at this endpoint."""
    async with opened.caller(organization) as caller:
        made = (await caller.post("/v1/subscriptions", json={"url": endpoint.url + path})).json()
        endpoint.secrets.append(made["secret"])
        verified = await caller.post(f"/v1/subscriptions/{made['id']}:verify")
        assert verified.status_code == 200, verified.text
    return made["id"]


@asynccontextmanager
async def sender(opened: House, total: timedelta = timedelta(seconds=10)) -> AsyncGenerator[Deliverer]:
    async with Sender(Allow.parse("127.0.0.1"), opened.clock, total=total) as found:
        yield Deliverer(opened.context, found, jitter=lambda: MIDDLE)


async def sweep(deliverer: Deliverer, rounds: int = 1) -> int:
    """Send what is due and wait until it was answered and recorded; how many were sent."""
    sent = 0
    for _ in range(rounds):
        async with asyncio.TaskGroup() as tasks:
            sent += await deliverer.sweep(tasks)
        await deliverer.record()
    return sent


def heard(endpoint: Partner) -> list[Taken]:
    return [taken for taken in endpoint.requests if "challenge" not in taken.json()["type"]]


async def attempts(opened: House, organization: str, subscription: str) -> list[Any]:
    async with opened.caller(organization) as caller:
        answer = await caller.get(f"/v1/subscriptions/{subscription}/attempts")
    return answer.json()["items"] if answer.status_code == 200 else [answer.status_code]
