"""How soon does the first webhook come, at a steady rate; and what does a referral cost up to its offer, many under way?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from statistics import quantiles
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tests.bench.counting import Processor
from tests.bench.ends import ANY

if TYPE_CHECKING:
    from tests.bench.alone import Desk

# Longer than any webhook takes that comes at all.
COMES_WITHIN = timedelta(seconds=60)
OFFER = "ecm.notice.offer.v1"


async def paced(desk: Desk, rate: int, seconds: float) -> dict[str, float]:
    """So many referrals a second, whatever became of those before: milliseconds from POST to the first webhook."""
    waits, count = list[float](), round(rate * seconds)

    async def refer(at: float) -> None:
        await asyncio.sleep(at - perf_counter())
        begun = perf_counter()
        referral = await desk.refer()
        await desk.endpoint.until_told(ANY, referral)
        waits.append((desk.endpoint.first[referral] - begun) * 1000)

    start = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(refer(start + number / rate))
    cuts = quantiles(sorted(waits), n=100, method="inclusive")
    return {"p50, ms": cuts[49], "p99, ms": cuts[98]}


async def to_offers(
    desk: Desk, processor: Processor, referrals: int, webhooks: int, desks: int
) -> dict[str, float]:
    """The processor's time from POST to the offer told with all its webhooks, so many under way at a time."""
    numbers, heard = iter(range(referrals)), len(desk.opened.partner.requests)

    async def one() -> None:
        for _ in numbers:
            await desk.endpoint.until_told(OFFER, await desk.refer())

    before, began = processor.spent(), perf_counter()
    await asyncio.gather(*(one() for _ in range(desks)))
    await desk.opened.partner.came(heard + webhooks * referrals, COMES_WITHIN)
    seconds, after = perf_counter() - began, processor.spent()
    return {
        "process, ms": (after[0] - before[0]) / referrals * 1000,
        "PostgreSQL, ms": (after[1] - before[1]) / referrals * 1000,
        "a second": referrals / seconds,
    }


def said(found: dict[str, Any]) -> str:
    return "; ".join(f"{name} {value:.1f}" for name, value in found.items())
