"""The commands `loopkeeper parked …`: facts that failed, and their replay."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from loopkeeper.cli.http_client import SERVICES, Client
from loopkeeper.cli.terminal import FAILED, Json, Referral, asking, fail, out, say, show, table


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
        made.add_row(*(_cell(column, row[column]) for column in columns))
    out.print(made)
    say("See one with `loopkeeper parked show REF`, try it with `loopkeeper parked replay REF`.")


def _cell(column: str, value: object) -> str:
    """A fact that is not tried again by itself waits for a person."""
    return "a person must" if column == "next_retry_at" and value is None else str(value)


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
            if fact["field"]:
                say(f"    A correction that names {fact['field']} lets the referral go on.")


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
        say("Nothing was kept. Replay with --yes to keep it.")
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
