"""The endpoint of everybody in the story: verifies each delivery's signature, and lets people wait for one."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

# Nothing in the story takes longer than this once its cause is there.
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified delivery, and when it came (monotonic seconds)."""

    to: str
    webhook_id: str
    type: str
    referral: str
    data: Mapping[str, Any]
    at: float


class NotHeard(Exception):
    """Something the story waits for did not come."""


@dataclass
class Partner:
    """Receives for every organization under `/<organization>`. A wrong signature is refused with 401."""

    secrets: dict[str, str] = field(default_factory=dict[str, str])
    received: list[Delivery] = field(default_factory=list[Delivery])
    listeners: dict[str, list[Callable[[Delivery], None]]] = field(
        default_factory=lambda: defaultdict[str, list[Callable[[Delivery], None]]](list)
    )
    refused: int = 0
    # Whose endpoint fails for now: it answers 503, and what it was sent comes again.
    failing: set[str] = field(default_factory=set[str])
    failed: int = 0
    url: str = ""
    _seen: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{organization}", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        to, body = request.match_info["organization"], await request.read()
        secret = self.secrets.get(to)
        event: dict[str, Any] = json.loads(body)
        if event["type"] == "ecm.endpoint.challenge.v1":
            return web.json_response({"challenge": event["data"]["challenge"]})
        try:
            Webhook(secret or "").verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):
            self.refused += 1
            return web.Response(status=401)
        if to in self.failing:
            self.failed += 1
            return web.Response(status=503)
        await self._take(to, request.headers["webhook-id"], event)
        return web.Response(status=204)

    async def _take(self, to: str, webhook_id: str, event: Mapping[str, Any]) -> None:
        data: Mapping[str, Any] = event["data"]
        kind = event["type"].removeprefix("ecm.").removesuffix(".v1")
        delivery = Delivery(to, webhook_id, kind, data.get("referral", ""), data, time.monotonic())
        again = (to, webhook_id) in self._seen
        self._seen.add((to, webhook_id))
        async with self._news:
            self.received.append(delivery)
            self._news.notify_all()
        # The same delivery may come twice; a receiver acts on it once, by its id.
        if not again:
            for listener in self.listeners[to]:
                listener(delivery)

    async def hears(self, to: str, referral: str, kind: str, patience: float = PATIENCE) -> Delivery:
        """The first delivery of this kind about this referral to this organization, come or still to come."""

        def find() -> Delivery | None:
            return next(
                (d for d in self.received if (d.to, d.referral, d.type) == (to, referral, kind)), None
            )

        async with self._news:
            try:
                async with asyncio.timeout(patience):
                    while (found := find()) is None:
                        await self._news.wait()
            except TimeoutError:
                raise NotHeard(f"{to} did not hear {kind} of {referral} in {patience:.0f} s") from None
            return found
