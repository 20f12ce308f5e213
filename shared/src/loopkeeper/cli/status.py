"""The commands `loopkeeper status` and `stuck`: where each service stands, and which loops nobody moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from loopkeeper.cli.http_client import SERVICES
from loopkeeper.cli.terminal import FAILED, Json, asking, each, say, settings, show


def status(
    as_json: Json = False,
    env: Annotated[bool, typer.Option("--env", help="Print shell variables for this installation.")] = False,
) -> None:
    """Where each service stands: lag, outbox, parked, deadlines, tasks."""
    current = settings()
    if env:
        for name, value in {
            "LOOPKEEPER_HOME": current.home,
            "LOOPKEEPER_URL": current.base_url("intake"),
        }.items():
            say(f"export {name}={value}")
        return
    with asking() as client:
        standing = [client.get(f"/v1/operations/{name}/status") for name in SERVICES]
    if as_json:
        show(standing)
    else:
        each(
            standing,
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
    if any(s["parked"] for s in standing):
        raise typer.Exit(FAILED)


def _tasks(standing: Mapping[str, Any]) -> str:
    unwell = [f"{name}: {detail}" for name, detail in standing["tasks"].items() if detail != "running"]
    return "; ".join(unwell) or "all running"


def stuck(as_json: Json = False) -> None:
    """Open loops by who must act, longest waiting first."""
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
            "who must act": lambda loop: loop["next_step"]["actor"],
            "what": lambda loop: loop["next_step"]["step"],
            "since": lambda loop: loop["updated_at"],
            "due": lambda loop: loop["next_step"]["due_at"] or "",
        },
    )
    counted = Counter(loop["next_step"]["actor"] for loop in loops)
    say(f"{len(loops)} open: " + ", ".join(f"{actor} {n}" for actor, n in counted.most_common()))
