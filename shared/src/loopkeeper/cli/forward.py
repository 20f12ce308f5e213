"""How does an organization behind a firewall get its webhooks? This program reads its feed and posts each event, signed
as a webhook is, to an address that only this machine reaches.

The subscription, its secret and the place in its feed are in one file, so that a program that was stopped goes on
where it was. An event counts as passed on with a 2xx; until then it is tried again, and the later ones wait behind it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from loopkeeper.cli.http_client import Answered, Client, Unreachable, post_to
from loopkeeper.cli.terminal import REFUSED, UNREACHABLE, err, say
from loopkeeper.kernel.clock import SystemClock
from loopkeeper.kernel.files import write_private
from loopkeeper.kernel.settings import Settings

WAIT = 30
# Waits between tries, in seconds; the last one again and again.
TRIES = (1, 2, 5, 10, 30)
NOT_FOUND, GONE, FAILED_FROM = 404, 410, 500


class FeedPosition:
    """Where we are in which feed, kept in a file that only its owner reads. One for each service and key."""

    def __init__(self, settings: Settings, key: str) -> None:
        address = f"{settings.base_url('notification')}|{key}"
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        self.file: Path = settings.home / "listen" / f"{name}.json"
        self.kept: dict[str, Any] = {}
        if self.file.exists():
            self.kept = json.loads(self.file.read_text())

    def keep(self, **changes: Any) -> None:
        self.kept |= changes
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_private(self.file, json.dumps(self.kept))


class Forwarder:
    """Reads on from its place and posts to `url`, until so many events were taken (None: no end)."""

    def __init__(
        self, client: Client, place: FeedPosition, url: str, *, count: int | None, as_json: bool
    ) -> None:
        self._client = client
        self._place = place
        self._url = url
        self._left = count
        self._as_json = as_json

    def run(self) -> None:
        self._subscribe()
        after = self._place.kept.get("cursor")
        where = f"after {after}" if after else "from the beginning"
        err.print(
            f"forwarding {self._place.kept['subscription']} to {self._url}, {where}; Ctrl-C stops",
            markup=False,
        )
        while self._left is None or self._left > 0:
            for entry in self._page()["items"]:
                self._pass_on(entry)
                if self._left is not None and self._left <= 0:
                    return

    def _subscribe(self) -> None:
        if self._known():
            return
        description = f"loopkeeper listen --forward {self._url}"[:200]
        made = self._client.post("/v1/subscriptions", {"description": description})
        self._place.keep(subscription=made["id"], secret=made["secret"], cursor=None)
        err.print(f"subscribed; the secret to verify with is in {self._place.file}", markup=False)

    def _known(self) -> bool:
        """Whether the subscription of our file is still there; one that was ended is replaced."""
        if "subscription" not in self._place.kept:
            return False
        try:
            self._client.get(f"/v1/subscriptions/{self._place.kept['subscription']}")
        except Answered as error:
            if error.status != NOT_FOUND:
                raise
            return False
        return True

    def _page(self) -> Mapping[str, Any]:
        """The next entries, waited for. A service that is unavailable is waited for too."""
        path = f"/v1/subscriptions/{self._place.kept['subscription']}/events"
        tries = 0
        while True:
            try:
                return self._client.get(path, after=self._place.kept.get("cursor"), wait=WAIT)
            except Answered as error:
                if error.status == GONE:
                    self._resume(error.problem["resume_after"])
                    continue
                if error.status < FAILED_FROM:
                    raise
                tries = _pause(tries, f"the service answered {error.status}")
            except Unreachable:
                tries = _pause(tries, "nothing answers at the service")

    def _resume(self, after: Mapping[str, Any]) -> None:
        err.print(
            f"the service was restored; the feed goes on after {after['event'] or 'its beginning'}, "
            "and what comes again has the id it had",
            markup=False,
        )
        self._place.keep(cursor=after["cursor"])

    def _pass_on(self, entry: Mapping[str, Any]) -> None:
        body = json.dumps({name: entry[name] for name in ("type", "timestamp", "data")}).encode()
        tries = 0
        while True:
            try:
                status = post_to(self._url, body, self._signed(entry["id"], body))
            except Unreachable:
                tries = _pause(tries, f"nothing answers at {self._url}")
                continue
            if 200 <= status < 300:
                break
            tries = _pause(tries, f"{self._url} answered {status}")
        self._place.keep(cursor=entry["cursor"])
        self._show(entry, status)
        if self._left is not None:
            self._left -= 1

    def _signed(self, webhook_id: str, body: bytes) -> Mapping[str, str]:
        # Receivers compare it with their own clocks: the wall's time, whatever a demo's clock says.
        at = SystemClock().wall()
        signature = Webhook(self._place.kept["secret"]).sign(webhook_id, at, body.decode())
        return {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }

    def _show(self, entry: Mapping[str, Any], status: int) -> None:
        referral = entry["data"].get("referral", "")
        if self._as_json:
            shown = {name: entry[name] for name in ("cursor", "id", "type", "timestamp")}
            say(json.dumps({**shown, "referral": referral, "status": status}))
        else:
            say(f"{entry['timestamp']}  {entry['type']}  {referral}  → {status}")


def forward_until_stopped(settings: Settings, key: str, *, url: str, count: int | None, as_json: bool) -> int:
    """Pass on until Ctrl-C; returns the exit code."""
    client = Client(settings, key)
    try:
        Forwarder(client, FeedPosition(settings, key), url, count=count, as_json=as_json).run()
    except KeyboardInterrupt:
        return 0
    except Unreachable as error:
        err.print(f"Nothing answers at {error}. Start it with `loopkeeper up`.", markup=False)
        return UNREACHABLE
    except Answered as error:
        err.print(f"{error} {error.problem.get('fix', '')}", markup=False)
        return REFUSED
    finally:
        client.close()
    return 0


def _pause(tries: int, why: str) -> int:
    """Wait a little longer each time; answers the number of the next try."""
    seconds = TRIES[min(tries, len(TRIES) - 1)]
    err.print(f"waiting: {why}; tried again in {seconds} s", markup=False)
    time.sleep(seconds)
    return tries + 1
