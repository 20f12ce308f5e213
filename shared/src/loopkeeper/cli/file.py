"""The commands `loopkeeper file …`: send a spreadsheet, see how far it is, fetch it back with the answers in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from loopkeeper.cli.terminal import FAILED, USAGE, Json, asking, fail, say, show

Key = Annotated[
    str | None,
    typer.Option("--key", help="The sender's key; default: LOOPKEEPER_KEY.", show_default=False),
]
KINDS = ("rtf", "otf", "referrals")
Kind = Annotated[
    str, typer.Argument(help=f"What the file is: {', '.join(KINDS)}.", metavar="KIND", show_default=False)
]
FileId = Annotated[
    str, typer.Argument(help="The file's id, as `send` printed it.", metavar="ID", show_default=False)
]
# How often `--wait` looks, in seconds.
EVERY = 0.5
OPEN = frozenset({"receiving", "received", "acting"})


def file_send(
    kind: Kind,
    file: Annotated[Path, typer.Argument(help="The spreadsheet.", metavar="FILE", show_default=False)],
    key: Key = None,
    plan: Annotated[str, typer.Option("--plan", help="The plan whose file it is.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge every row, and let none act.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is done.")] = False,
    as_json: Json = False,
) -> None:
    """Send a spreadsheet: good rows act, each refused row says what to do. The same file twice is one file."""
    known(kind)
    try:
        content = file.read_bytes()
    except OSError:
        fail("The file cannot be read.", "Check its path and that you may read it.", USAGE)
    with asking(key) as client:
        query = {"plan": plan or None, "name": file.name, "dry_run": "true" if dry_run else None}
        found = client.upload(f"/v1/files/{kind}", content, **query)
        while wait and found["state"] in OPEN:
            time.sleep(EVERY)
            found = client.get(f"/v1/files/{kind}/{found['id']}")
    tell(found, as_json)


def file_status(kind: Kind, id: FileId, key: Key = None, as_json: Json = False) -> None:
    """How far a file is, and what became of its rows."""
    known(kind)
    with asking(key) as client:
        tell(client.get(f"/v1/files/{kind}/{id}"), as_json)


def file_fetch(
    kind: Kind,
    id: FileId,
    out: Annotated[Path, typer.Option("--out", help="Where to write it.", show_default=False)],
    key: Key = None,
) -> None:
    """Fetch the file with its answers: result, code and what to do in each row."""
    known(kind)
    with asking(key) as client:
        content = client.download(f"/v1/files/{kind}/{id}/returned")
    try:
        out.write_bytes(content)
    except OSError:
        fail("The file cannot be written.", "Name another place with --out.", USAGE)
    say(f"{out}: written")


def known(kind: str) -> None:
    if kind not in KINDS:
        fail(f"There is no kind of file {kind}.", f"One of {', '.join(KINDS)}.", USAGE)


def tell(found: Mapping[str, Any], as_json: bool) -> None:
    """The file in words. Ends with 1 where it was refused whole."""
    if as_json:
        show(found)
    else:
        say(f"{found['id']}  {found['kind']}  {found['state']}")
        say("  " + ", ".join(f"{name} {number}" for name, number in sorted(found["counts"].items())))
        if found["sentence"]:
            say(f"  {found['sentence']}\n  {found['fix']}")
    if found["state"] == "refused":
        raise typer.Exit(FAILED)
