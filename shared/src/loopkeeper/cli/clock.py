"""The command `loopkeeper clock advance`: moves the clock of a demo or a test from deadline to deadline."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Annotated

import typer

from loopkeeper.cli.http_client import SERVICES, Client
from loopkeeper.cli.terminal import USAGE, Json, asking, fail, say, show
from loopkeeper.contract.calendar import written

# A moved clock must find every service quiet within this, or something is stuck.
QUIET_WITHIN = 60.0


def clock_advance(
    by: Annotated[str, typer.Argument(help="How far, such as 5d, 36h, 90m.")], as_json: Json = False
) -> None:
    """Move the clock from due deadline to due deadline, letting everything settle at each."""
    span = _span(by)
    with asking() as client:
        target = _settled(client) + span
        steps = 0
        while True:
            now, next_at = _quiet(client)
            if now >= target:
                break
            goal = min(target, next_at) if next_at is not None and next_at > now else target
            client.post(
                f"/v1/operations/{SERVICES[0]}/clock:advance",
                {"seconds": max((goal - now).total_seconds(), 0.001)},
            )
            steps += 1
        now, _ = _quiet(client)
    show({"now": written(now), "steps": steps}) if as_json else say(f"It is now {now:%Y-%m-%d %H:%M} UTC.")


def _span(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([dhms])", text)
    if match is None:
        fail(f"{text!r} is no span of time.", "Say 5d, 36h, 90m or 30s.", USAGE)
    return timedelta(seconds=float(match[1]) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[match[2]])


def _settled(client: Client) -> datetime:
    return _quiet(client)[0]


def _quiet(client: Client) -> tuple[datetime, datetime | None]:
    """Wait until outboxes are empty, nothing is unread or due; the time then, and the next deadline."""
    deadline = time.monotonic() + QUIET_WITHIN
    calm = 0
    while time.monotonic() < deadline:
        statuses = [client.get(f"/v1/operations/{name}/status") for name in SERVICES]
        busy = any(s["outbox"] or s["lag"] or s["timers_due"] or s["working"] for s in statuses)
        # Between two looks an event may be between two services; twice calm in a row it is not.
        calm = 0 if busy else calm + 1
        if calm == 2:
            due = [datetime.fromisoformat(s["next_timer_at"]) for s in statuses if s["next_timer_at"]]
            return datetime.fromisoformat(statuses[0]["now"]), min(due, default=None)
        time.sleep(0.02)
    fail("The services did not become idle.", "`loopkeeper status` shows where something waits.")
