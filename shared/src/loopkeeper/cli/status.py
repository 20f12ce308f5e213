"""The commands `loopkeeper status` and `stuck`: the state of each service, and which loops nobody moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from loopkeeper.cli.http_client import SERVICES, Answered, Client, Unreachable
from loopkeeper.cli.terminal import FAILED, Json, asking, each, say, settings, show
from loopkeeper.kernel.settings import Settings

# The public half of the issuer's keys: there is a console where there is one.
PUBLIC = "issuers.json"


def status(
    as_json: Json = False,
    env: Annotated[bool, typer.Option("--env", help="Print shell variables for this installation.")] = False,
) -> None:
    """State of each service: lag, outbox, parked, deadlines, tasks; and whether the console answers."""
    current = settings()
    if env:
        for name, value in {
            "LOOPKEEPER_HOME": current.home,
            "LOOPKEEPER_URL": current.base_url("intake"),
        }.items():
            say(f"export {name}={value}")
        return
    with asking() as client:
        statuses = [_status_of(client, name) for name in SERVICES]
        pages = _console_of(client, current)
    there = [each for each in statuses if "away" not in each]
    if as_json:
        show([*statuses, *pages])
    else:
        each(
            there,
            {
                "service": lambda s: s["service"],
                "unread": lambda s: "unknown" if s["lag"] is None else str(s["lag"]),
                "unsent": lambda s: str(s["outbox"]),
                "parked": lambda s: str(s["parked"]),
                "deadlines due": lambda s: str(s["timers_due"]),
                "next deadline": lambda s: s["next_timer_at"] or "none",
                "tasks": _tasks,
            },
        )
        for one in statuses:
            if "away" in one:
                say(f"{one['service']} cannot say how it is: {one['away']}")
        for one in pages:
            say(f"{one['service']}  {one.get('away') or 'pages at ' + one['url']}")
    away = len(there) < len(statuses) or any("away" in one for one in pages)
    if away or any(s["parked"] for s in there):
        raise typer.Exit(FAILED)


def _console_of(client: Client, current: Settings) -> Sequence[Mapping[str, str]]:
    """How the console is, where one signs people's tokens for this installation."""
    if not (current.config_folder / PUBLIC).exists():
        return ()
    found = {"service": "console", "url": current.issuer_url}
    return (found if client.pages_answer() else found | {"away": f"nothing answers at {current.issuer_url}"},)


def _status_of(client: Client, service: str) -> Mapping[str, Any]:
    """How this service is, or under `away` why it cannot say: its siblings are asked all the same. Raises where all of
    them would answer the same, as for a key that is not known."""
    try:
        return client.get(f"/v1/operations/{service}/status")
    except Unreachable:
        if client.alone(service):
            raise
        return {"service": service, "away": "nothing answers"}
    except Answered as error:
        if error.status < 500:
            raise
        return {"service": service, "away": _why(client.readiness(service)) or str(error)}


def _why(found: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(f"{name}: {health['detail']}" for name, health in found.items() if not health["ok"])


def _tasks(status: Mapping[str, Any]) -> str:
    unwell = [f"{name}: {detail}" for name, detail in status["tasks"].items() if detail != "running"]
    return "; ".join(unwell) or "all running"


def stuck(as_json: Json = False) -> None:
    """Open loops by their next actor, longest waiting first."""
    with asking() as client:
        loops = [loop for loop in client.all("/v1/referrals") if loop["status"] != "closed"]
    loops.sort(key=lambda loop: loop["updated_at"])
    if as_json:
        show(
            {"open": len(loops), "by": Counter(loop["next_step"]["actor"] for loop in loops), "items": loops}
        )
        return
    if not loops:
        say("No loop is open.")
        return
    each(
        loops,
        {
            "referral": lambda loop: loop["id"],
            "next actor": lambda loop: loop["next_step"]["actor"],
            "what": lambda loop: loop["next_step"]["step"],
            "since": lambda loop: loop["updated_at"],
            "due": lambda loop: loop["next_step"]["due_at"] or "",
        },
    )
    counted = Counter(loop["next_step"]["actor"] for loop in loops)
    say(f"{len(loops)} open: " + ", ".join(f"{actor} {n}" for actor, n in counted.most_common()))
