"""What does one request cost, in microseconds of the processor, without a database and without a socket?

    python -m tests.bench.requests

The whole app of four services answers four of its routes; what lies behind a route (the store, the readers' pool) is
replaced by what answers at once, so that the figures are those of HTTP: routing, reading, checking, answering.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson

from loopkeeper.contract import ids
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.settings import Settings
from loopkeeper.policy.reading import installed, load
from loopkeeper.security import organizations
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.batch import Outcome
from referral_intake.api import referrals
from referral_intake.domain.form.examples import example_adult
from referral_intake.domain.rules import DECIDER
from tests.bench.served import app_with
from tests.builders.organizations import CLINIC, HARBOR, ORGANIZATIONS
from tests.loop.house import POLICY

ROUNDS, REQUESTS = 40, 250
NOW = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
SUBSCRIPTION = "sub_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b"
FEED = {"type": "ecm.notice.closed.v1", "timestamp": "2026-03-02T17:00:00Z", "data": {"referral": "ref_1"}}


@dataclass
class Answers:
    """In place of a pool and a connection of it: every query is answered with the same rows."""

    rows: Sequence[Mapping[str, Any]] = ()
    row: Mapping[str, Any] | None = None

    @asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncGenerator[Answers]:
        yield self

    @asynccontextmanager
    async def transaction(self, **_: Any) -> AsyncGenerator[None]:
        yield

    async def execute(self, *_: Any) -> None:
        return None

    async def fetch(self, *_: Any) -> Sequence[Mapping[str, Any]]:
        return self.rows

    async def fetchrow(self, *_: Any) -> Mapping[str, Any] | None:
        return self.row

    async def fetchval(self, *_: Any) -> Any:
        return None


@dataclass
class Stored:
    """In place of the store: every command leaves this state."""

    state: Any

    async def submit(self, submission: Any) -> Outcome:
        return Outcome(submission.stream, self.state, 3)

    async def read_first(self) -> None:
        return None


@dataclass
class Place:
    """The app, and the keys of who asks."""

    app: Any
    keys: Mapping[str, str]
    referral: str = field(default_factory=lambda: ids.new("ref"))

    async def ask(
        self, organization: str, method: str, path: str, body: bytes = b"", query: bytes = b""
    ) -> int:
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "scheme": "http",
            "server": ("loop.test", 80),
            "client": ("127.0.0.1", 5000),
            "headers": [
                (b"host", b"loop.test"),
                (b"authorization", b"Bearer " + self.keys[organization].encode()),
                (b"user-agent", b"bench"),
                *(
                    [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
                    if body
                    else []
                ),
            ],
        }
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        await self.app(scope, receive, send)
        return status


def place(folder: Path) -> Place:
    settings = Settings(
        home=folder, policy=POLICY, synthetic_members="on", log_level="WARNING", rate=1_000_000
    )
    made = organizations.import_organizations(settings.config_folder, ORGANIZATIONS)
    sealer = Sealer(Keyring.open(settings.config_folder, None))
    rows = load(installed(), settings.policy_folder)
    directory = organizations.Directory(settings.config_folder)
    clock = ManualClock(NOW)
    referral = ids.new("ref")

    def context(name: str, **more: Any) -> Any:
        return SimpleNamespace(
            name=name, settings=settings, clock=clock, policy=rows, sealer=sealer, directory=directory, **more
        )

    form = referrals.ReferralBody.model_validate({**example_adult(), "plan": HARBOR})
    prepared = referrals.prepare(
        cast("Any", context("intake")), form, referrer=CLINIC, stream=referral, at=NOW
    )
    state = DECIDER.fold([prepared.received])
    row = {
        "id": referral,
        "state": cast("Any", state).model_dump_json(),
        "n": 3,
        "created_at": NOW,
        "at": NOW + timedelta(minutes=1),
    }
    # The rules' own work is not what is measured.
    referrals.prepare = lambda *_, **__: prepared  # pyright: ignore[reportAttributeAccessIssue]
    intake = context("intake", readers=Answers([row] * 51, row), store=Stored(state))
    entry = orjson.dumps(FEED).decode()
    feed = [{"sequence": n, "id": f"evt_{n}", "body": entry} for n in range(20)]
    subscription = {"id": SUBSCRIPTION, "epoch": "feedbeef", "sequence": 20, "kept": 0}
    notification = context("notification", readers=Answers(feed, subscription), store=Stored(None))
    contexts = {
        "intake": intake,
        "authorization": context("authorization"),
        "assignment": context("assignment"),
        "notification": notification,
    }
    app = app_with(contexts, directory, settings)
    return Place(app, {entry["id"]: entry["key"] for entry in made}, referral)  # pyright: ignore[reportArgumentType]


async def measure(bench: Place) -> dict[str, float]:
    create = orjson.dumps({**example_adult(), "plan": HARBOR})
    withdraw = orjson.dumps({"by": "referrer", "acted_by": {"person": "lin"}})
    asked: dict[str, tuple[int, tuple[Any, ...]]] = {
        "POST /v1/referrals": (201, (CLINIC, "POST", "/v1/referrals", create)),
        "GET /v1/referrals, 50 rows": (200, (CLINIC, "GET", "/v1/referrals", b"", b"limit=50")),
        "POST /v1/referrals/{id}:withdraw": (
            200,
            (CLINIC, "POST", f"/v1/referrals/{bench.referral}:withdraw", withdraw),
        ),
        "GET a feed page, 20 entries": (
            200,
            (CLINIC, "GET", f"/v1/subscriptions/{SUBSCRIPTION}/events", b"", b"limit=20"),
        ),
        "GET /health/live": (200, (CLINIC, "GET", "/health/live")),
    }
    found: dict[str, float] = {}
    for name, (expected, request) in asked.items():
        assert await bench.ask(*request) == expected, name
        best = float("inf")
        for _ in range(ROUNDS):
            gc.collect()
            began = time.process_time()
            for _ in range(REQUESTS):
                await bench.ask(*request)
            best = min(best, (time.process_time() - began) / REQUESTS)
        found[name] = best * 1e6
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        began = time.process_time()
        bench = place(Path(made))
        print(f"{'everything built':<36}{(time.process_time() - began) * 1000:>8.0f} ms")
        for name, each in asyncio.run(measure(bench)).items():
            print(f"{name:<36}{each:>8.0f} µs")


if __name__ == "__main__":
    main()
