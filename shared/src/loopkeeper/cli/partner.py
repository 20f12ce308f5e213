"""A partner on this machine: an endpoint that answers the challenge, verifies signatures and prints deliveries."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from typing import Any

import uvicorn
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from loopkeeper.cli.http_client import Answered, Client, Unreachable
from loopkeeper.cli.terminal import REFUSED, UNREACHABLE, err, say
from loopkeeper.kernel.server import Server
from loopkeeper.kernel.settings import Settings


class Partner:
    """Counts and prints what arrives; a delivery whose signature is wrong is refused with 401."""

    def __init__(self, *, count: int | None, as_json: bool) -> None:
        self.secret = ""
        self.done = asyncio.Event()
        self._left = count
        self._as_json = as_json
        self.app = Starlette(routes=[Route("/", self.receive, methods=["POST"])])

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):
            err.print("refused: a delivery with a wrong signature")
            return JSONResponse({"error": "signature"}, status_code=401)
        event: dict[str, Any] = json.loads(body)
        if event["type"] == "ecm.endpoint.challenge.v1":
            return JSONResponse({"challenge": event["data"]["challenge"]})
        self._print(request.headers["webhook-id"], event)
        return Response(status_code=204)

    def _print(self, webhook_id: str, event: dict[str, Any]) -> None:
        if self._as_json:
            say(json.dumps({"id": webhook_id, **event}))
        else:
            data = event["data"]
            say(f"{event['timestamp']}  {event['type']}  {data.get('referral', '')}")
            if "text" in data:
                say(f"    {data['text']}")
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.done.set()


def listen_until_stopped(settings: Settings, key: str, *, port: int, count: int | None, as_json: bool) -> int:
    """Subscribe, print, and take the subscription back at the end; returns the exit code."""
    try:
        return asyncio.run(_listen(settings, key, port=port, count=count, as_json=as_json))
    except KeyboardInterrupt:
        return 0
    except Unreachable as error:
        err.print(f"Nothing answers at {error}. Start it with `loopkeeper up`.", markup=False)
        return UNREACHABLE
    except Answered as error:
        err.print(f"{error} {error.problem.get('fix', '')}", markup=False)
        return REFUSED


async def _listen(settings: Settings, key: str, *, port: int, count: int | None, as_json: bool) -> int:
    partner = Partner(count=count, as_json=as_json)
    listener = socket.create_server(("127.0.0.1", port))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    # Who is asked to leave leaves, whatever a sender keeps open.
    server = Server(
        uvicorn.Config(
            partner.app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    client = Client(settings, key)
    made = await asyncio.to_thread(client.post, "/v1/subscriptions", {"url": url})
    partner.secret = made["secret"]
    try:
        await asyncio.to_thread(client.post, f"/v1/subscriptions/{made['id']}:verify")
        # Asked for, not inherited: what a shell starts in the background is born deaf to Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, partner.done.set)
        err.print(f"listening on {url} as {made['id']}; Ctrl-C stops", markup=False)
        await partner.done.wait()
    finally:
        await asyncio.to_thread(client.delete, f"/v1/subscriptions/{made['id']}", {"If-Match": "*"})
        server.leave()
        await serving
    return 0
