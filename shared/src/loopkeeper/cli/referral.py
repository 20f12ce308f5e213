"""The commands `loopkeeper explain` and `trace`: what happened to one referral, and why."""

from __future__ import annotations

import shutil
from typing import Any

from loopkeeper.cli.http_client import Client
from loopkeeper.cli.terminal import Json, Referral, asking, fail, say, settings, show


def explain(referral: Referral, as_json: Json = False) -> None:
    """Why each thing happened to a referral, in sentences, with the policy rows each decision used."""
    with asking() as client:
        found = client.get(f"/v1/referrals/{referral}")
        events = client.get(f"/v1/referrals/{referral}/timeline")["items"]
        reasons = _explanations(client, events)
    if as_json:
        show({"referral": found, "timeline": events, "explanations": reasons})
        return
    say(f"{referral} · {found['status']} · {found['plan']}")
    for event in events:
        say(f"  {event['at'][:16].replace('T', ' ')}  {event['sentence']}")
        for line in reasons.get(event["event_id"], []):
            say(f"      {line}")
        if event["policy"]:
            say(f"      by policy: {', '.join(event['policy'])}")
    step = found["next_step"]
    if step["actor"]:
        say(
            f"Next: {step['actor']} must {step['step']}"
            + (f", due {step['due_at']}" if step["due_at"] else "")
        )


def _explanations(client: Client, events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The lines each service adds to its own events, by event id."""
    lines: dict[str, list[str]] = {}
    for event in events:
        for noun in ("authorization", "assignment"):
            subject = event.get(noun)
            if subject and event["type"] in ("authorization.review_opened", "assignment.made"):
                told = client.get(f"/v1/{noun}s/{subject}/explanation")
                lines.setdefault(event["event_id"], []).extend(told["lines"])
    return lines


def trace(referral: Referral, as_json: Json = False) -> None:
    """Draw the waterfall of a referral's traces, from the POST to the webhook."""
    from loopkeeper.observability import trace_view

    folder = settings().home / "spans"
    spans = trace_view.read_spans(folder, referral)
    if not spans:
        fail(
            f"No span names {referral} in {folder}.",
            "Is it the right home? With LOOPKEEPER_OTLP set, traces are in that backend.",
        )
    if as_json:
        show(trace_view.to_json(spans))
        return
    for line in trace_view.draw(spans, width=shutil.get_terminal_size((110, 24)).columns):
        say(line)
