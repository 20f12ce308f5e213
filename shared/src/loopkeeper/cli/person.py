"""The commands `loopkeeper person …`: who of an organization may enrol in the console."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from loopkeeper.cli.terminal import USAGE, Json, fail, say, settings, show, starting

if TYPE_CHECKING:
    from loopkeeper.runtime.console import Newcomer

FIELDS = frozenset(("organization", "name", "email", "roles", "title", "licence", "admin"))


def person_invite(
    organization: Annotated[str, typer.Argument(help="Whose person it is.")],
    name: Annotated[str, typer.Option(help="Name, as colleagues say it.")],
    email: Annotated[str, typer.Option(help="Work e-mail.")],
    role: Annotated[list[str], typer.Option(help="What they may do, once or more.")],
    title: Annotated[str, typer.Option(help="Title, which is shown with their decisions.")] = "",
    licence: Annotated[str, typer.Option(help="Licence; needed to deny by criteria.")] = "",
    admin: Annotated[
        bool, typer.Option("--admin", help="They invite the others and set their roles.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Invite somebody into the console: prints the link to hand on, this once. It is good for 72 hours, and needs no
    second person's word: the first admin of an organization begins like this."""
    from loopkeeper.runtime.console import Newcomer

    newcomer = Newcomer(organization, name, email, tuple(role), title, licence, admin)
    (link,) = _invited([newcomer])
    if as_json:
        show({"organization": organization, "name": name, "link": link})
        return
    say(link)
    typer.echo("Hand this link on now, it is not shown again. It works once, within 72 hours.", err=True)


def person_import(
    file: Annotated[
        Path, typer.Argument(help="JSON list of {organization, name, email, roles, …}.", exists=True)
    ],
    invented: Annotated[
        bool,
        typer.Option("--invented", help="People of a rehearsal, whom anybody there may be without proof."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Invite many at once, and print the link of each, this once. Invented people have none: they are chosen from a list,
    in a rehearsal only."""
    from loopkeeper.runtime.console import Newcomer

    try:
        entries: object = json.loads(file.read_text("utf-8"))
    except ValueError:
        fail(f"{file} is not JSON.", "Give a JSON list of people.", USAGE)
    found = cast("list[dict[str, Any]]", entries) if isinstance(entries, list) else []
    if not found or not all(set(entry) <= FIELDS for entry in found):
        fail(f"{file} is not a list of people.", f"Each has some of {', '.join(sorted(FIELDS))}.", USAGE)
    newcomers = [
        Newcomer(
            organization=str(entry.get("organization", "")),
            name=str(entry.get("name", "")),
            email=str(entry.get("email", "")),
            roles=tuple(str(role) for role in entry.get("roles", ())),
            title=str(entry.get("title", "")),
            licence=str(entry.get("licence", "")),
            admin=entry.get("admin") is True,
            invented=invented,
        )
        for entry in found
    ]
    links = _invited(newcomers)
    made = [
        {"organization": one.organization, "name": one.name, "link": link}
        for one, link in zip(newcomers, links, strict=True)
    ]
    if as_json:
        show(made)
        return
    for entry in made:
        say(f"{entry['organization']}  {entry['name']}  {entry['link']}")


def _invited(newcomers: Sequence[Newcomer]) -> Sequence[str]:
    from loopkeeper.kernel.supervisor import Supervisor
    from loopkeeper.runtime import console

    async def work() -> Sequence[str]:
        found, _ = console.chosen([console.NAME])
        if found is None:
            return []
        async with console.resources_of(found, settings(), Supervisor()) as resources:
            return await found.invite(resources, newcomers)

    with starting():
        return asyncio.run(work())
