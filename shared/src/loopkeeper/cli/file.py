"""The commands `loopkeeper file …`: send a spreadsheet, see how far it is, fetch it back with the answers in it, take it
back, write and fetch a member file, watch a folder."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from loopkeeper.cli.file_folder import MEMBER_FILES, Folder, Round
from loopkeeper.cli.http_client import Answered, Unreachable
from loopkeeper.cli.terminal import FAILED, USAGE, Json, asking, each, fail, say, show

Key = Annotated[
    str | None,
    typer.Option("--key", help="The sender's key; default: LOOPKEEPER_KEY.", show_default=False),
]
KINDS = ("rtf", "otf", "referrals", "decisions")
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
        query: dict[str, Any] = {
            "plan": plan or None,
            "name": file.name,
            "dry_run": "true" if dry_run else None,
        }
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


def file_take_back(
    kind: Kind,
    id: FileId,
    person: Annotated[
        str, typer.Option("--person", help="Who wants it taken back, by their staff id.", show_default=False)
    ],
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            help="wrong_file, wrong_period, wrong_members or sent_by_mistake.",
            show_default=False,
        ),
    ],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Take a whole file back: two persons say so, one after the other."""
    known(kind)
    with asking(key) as client:
        body = {"acted_by": {"person": person}, "reason": reason}
        tell(client.post(f"/v1/files/{kind}/{id}:take-back", body), as_json)


def file_release(
    kind: Kind,
    id: FileId,
    person: Annotated[
        str,
        typer.Option("--person", help="Who of the plan lets it act, by their staff id.", show_default=False),
    ],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Let a held file act, as a person of its plan."""
    known(kind)
    with asking(key) as client:
        tell(client.post(f"/v1/files/{kind}/{id}:release", {"acted_by": {"person": person}}), as_json)


def file_months(
    kind: Kind,
    month: Annotated[str, typer.Argument(help="Such as 2026-10.", metavar="MONTH", show_default=False)],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Who sent the plan which files for a month: who is late, who sent it again, and how many rows count."""
    known(kind)
    with asking(key) as client:
        found = client.get(f"/v1/files/{kind}/months/{month}")
    if as_json:
        show(found)
        return
    say(
        f"{kind} of {month}, due {found['due_on']}: {found['rows_that_count']} of {found['rows_sent']} rows count"
    )
    columns = (
        "organization",
        "status",
        "days_late",
        "files",
        "sent_again",
        "rows_sent",
        "rows_that_count",
        "rows_refused",
    )
    each(found["senders"], {name.replace("_", " "): _cell(name) for name in columns})


def _cell(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: str(row[name])


def file_members(
    plan: Annotated[str, typer.Option("--plan", help="The plan that tells.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Where to write it.", show_default=False)],
    key: Key = None,
    provider: Annotated[str, typer.Option("--provider", help="The provider that is told.")] = "",
) -> None:
    """Write a plan's member file now, and fetch it. A download that broke off goes on where it was."""
    part = out.with_name(f".{out.name}.part")
    with asking(key) as client:
        query = f"?plan={plan}" + (f"&provider={provider}" if provider else "")
        found = client.post(f"/v1/files/{MEMBER_FILES}:write{query}")
        try:
            part.write_bytes(client.download(f"/v1/files/{MEMBER_FILES}/{found['id']}/content"))
            part.replace(out)
        except OSError:
            fail("The file cannot be written.", "Name another place with --out.", USAGE)
    say(f"{out}: {found['rows']} members ({found['id']})")


def file_watch(
    folder: Annotated[
        Path,
        typer.Argument(help="The organization's folder.", metavar="FOLDER", show_default=False),
    ],
    key: Key = None,
    plan: Annotated[str, typer.Option("--plan", help="The plan of files that are in no plan's folder.")] = "",
    scan: Annotated[
        str, typer.Option("--scan", help="A command that ends with 0 for a clean file, such as `clamdscan`.")
    ] = "",
    members: Annotated[bool, typer.Option("--members", help="Fetch the plans' member files, too.")] = False,
    every: Annotated[float, typer.Option("--every", help="Seconds between two looks.", min=0.1)] = 5.0,
    rounds: Annotated[int, typer.Option("--rounds", help="Looks before it ends; 0 for no end.", min=0)] = 0,
) -> None:
    """Send what is put into FOLDER/in/KIND, and put the answers into FOLDER/out."""
    watched = Folder(folder, KINDS, plan, tuple(shlex.split(scan)))
    try:
        watched.prepare()
    except OSError:
        fail("The folder cannot be made.", "Name one that you may write to.", USAGE)
    say(f"{folder}: watched")
    looks = 0
    while not rounds or looks < rounds:
        looks += 1
        with asking(key) as client:
            try:
                done = watched.round(client, Answered)
                if members:
                    watched.fetch(client, done)
            except Unreachable:
                # It is looked again; nothing of the folder is lost meanwhile.
                say("nothing answers: waiting")
                done = Round()
            client.close()
        if done != Round():
            say(f"sent {done.sent}, answered {done.answered}, refused {done.refused}, fetched {done.fetched}")
        time.sleep(every)


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
