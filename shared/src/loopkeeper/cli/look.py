"""What can be seen: status, stuck loops, why things happened, traces, parked facts."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from loopkeeper.cli.client import SERVICES, Client
from loopkeeper.cli.terminal import FAILED, Json, asking, each, fail, out, say, settings, show, table

Referral = Annotated[str, typer.Argument(help="A referral's id, ref_…", metavar="REF")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command()(status)
    app.command()(stuck)
    app.command()(explain)
    app.command()(trace)
    app.command()(verify)
    parked = typer.Typer(no_args_is_help=True, help="Facts that failed and wait, in order, to be replayed.")
    parked.command("list")(parked_list)
    parked.command("show")(parked_show)
    parked.command("replay")(parked_replay)
    app.add_typer(parked, name="parked")


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


def verify(as_json: Json = False) -> None:
    """Check that journals, rows and log prove each other: nothing changed, missing or cut off."""
    with asking() as client:
        proofs = {name: client.post(f"/v1/operations/{name}/journal:verify") for name in SERVICES}
    if as_json:
        show(proofs)
    else:
        for name, proof in proofs.items():
            say(f"{name}: {'sound' if proof['sound'] else 'NOT SOUND'}")
            for flaw in proof["flaws"]:
                say(f"  {flaw['stream']} row {flaw['n']}: {flaw['what']}")
    if not all(proof["sound"] for proof in proofs.values()):
        raise typer.Exit(FAILED)


def parked_list(as_json: Json = False) -> None:
    """Every parked referral, by service."""
    with asking() as client:
        found = {name: client.get(f"/v1/operations/{name}/parked")["items"] for name in SERVICES}
    if as_json:
        show(found)
        return
    rows = [{"service": name, **item} for name, items in found.items() for item in items]
    if not rows:
        say("Nothing is parked.")
        return
    columns = ("service", "stream", "facts", "since", "tries", "next_retry_at", "error")
    made = table(*columns)
    for row in rows:
        made.add_row(*(str(row[column] or "a person must") for column in columns))
    out.print(made)
    say("See one with `loopkeeper parked show REF`, try it with `loopkeeper parked replay REF`.")


def parked_show(referral: Referral, as_json: Json = False) -> None:
    """The parked facts of one referral, in order; never their content."""
    with asking() as client:
        found = _parked_at(client, referral)
    if as_json:
        show(found)
        return
    for name, detail in found.items():
        say(f"{name}: parked since {detail['stream']['since']}, tried {detail['stream']['tries']} times")
        for fact in detail["facts"]:
            say(f"  {fact['type']} at {fact['partition']}:{fact['offset']}: {fact['error']}")


def parked_replay(
    referral: Referral,
    earnest: Annotated[
        bool, typer.Option("--yes", help="Apply; without it, show what would happen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Replay a parked referral in order. Without --yes nothing is kept."""
    with asking() as client:
        results = {
            name: client.post(f"/v1/operations/{name}/parked/{referral}:replay", {"dry_run": not earnest})
            for name in _parked_at(client, referral)
        }
    if as_json:
        show(results)
    for name, result in results.items():
        would = "applied" if earnest else "would apply"
        if not as_json:
            say(f"{name}: {would} {result['applied']}, left {result['left']} {result['error']}".rstrip())
    if not as_json and not earnest:
        say("Nothing was kept. Replay in earnest with --yes.")
    if any(result["left"] for result in results.values()):
        raise typer.Exit(FAILED)


def _parked_at(client: Client, referral: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in SERVICES:
        items = client.get(f"/v1/operations/{name}/parked")["items"]
        if any(item["stream"] == referral for item in items):
            found[name] = client.get(f"/v1/operations/{name}/parked/{referral}")
    if not found:
        fail(f"{referral} is not parked anywhere.", "`loopkeeper parked list` shows what is.")
    return found
