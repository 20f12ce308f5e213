"""The commands `loopkeeper org …`: which organizations take part."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from loopkeeper.cli.keys import open_keyring
from loopkeeper.cli.terminal import USAGE, Json, each, fail, say, settings, show, starting, whose
from loopkeeper.security import organizations
from loopkeeper.security.keyring import Unsealable
from loopkeeper.security.organizations import ClientsError, OrganizationKind

KINDS = ", ".join(OrganizationKind)


@contextmanager
def keeping() -> Generator[None]:
    """What the organizations file refuses is the caller's to fix."""
    try:
        yield
    except ClientsError as error:
        fail(error.sentence, error.fix, USAGE)


@contextmanager
def _keys_for(plans: Sequence[str]) -> Generator[None]:
    """These plans are added, and each has a data key then: a service seals what comes in and must not need to write the
    keyring for it, which in a cluster it cannot. Without the master key nothing is added."""
    if not plans:
        yield
        return
    with starting():
        ring = open_keyring()
    yield
    for plan in plans:
        try:
            ring.keys(plan)
        except Unsealable as error:
            fail(f"{plan} takes part, and has no data key: {error}.", "Nothing can be sealed for it here.")


def org_add(
    id: Annotated[str, typer.Argument(help="Its id everywhere: small letters, digits, dashes.")],
    name: Annotated[str, typer.Option(help="Its name for people.")],
    kind: Annotated[str, typer.Option(help=f"One of {KINDS}.")],
    phone: Annotated[str, typer.Option(help="The number notices tell people to call.")] = "",
    as_json: Json = False,
) -> None:
    """Add an organization, or restate the name and phone of one. A plan gets its data key with it."""
    current = settings()
    with keeping(), _keys_for([id] if kind == OrganizationKind.PLAN else []):
        added = organizations.add_organization(current.config_folder, id, name, kind, phone)
    if as_json:
        show({"id": added.id, "name": added.name, "kind": added.kind, "phone": added.phone})
        return
    say(f"{added.id} ({added.kind}) takes part.")
    if added.kind is OrganizationKind.PLAN:
        say(
            f"Its own choices belong in {current.policy_folder}; `loopkeeper policy check` names those it must make."
        )


def org_import(
    file: Annotated[Path, typer.Argument(help="JSON list of {id, name, kind, phone?, roles?}.", exists=True)],
    as_json: Json = False,
) -> None:
    """Add many organizations at once, all or none, with one key for each that names roles; prints the keys once."""
    try:
        entries: object = json.loads(file.read_text("utf-8"))
    except ValueError:
        fail(f"{file} is not JSON.", "Give a JSON list of organizations.", USAGE)
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) for entry in cast("list[object]", entries)
    ):
        fail(f"{file} is not a list of organizations.", "Give a JSON list of objects.", USAGE)
    known = cast("list[dict[str, Any]]", entries)
    plans = [str(entry.get("id")) for entry in known if entry.get("kind") == OrganizationKind.PLAN]
    with keeping(), _keys_for(plans):
        made = organizations.import_organizations(settings().config_folder, known)
    if as_json:
        show(made)
        return
    for entry in made:
        say(f"{entry['id']}  {entry['key']}")
    typer.echo(f"{len(made)} keys made: keep them now, they are not shown again.", err=True)


def org_list(as_json: Json = False) -> None:
    """Show the organizations."""
    rows = [
        {
            "id": known.id,
            "name": known.name,
            "kind": str(known.kind),
            "phone": known.phone,
            "revoked": known.revoked,
        }
        for known in organizations.list_organizations(settings().config_folder)
    ]
    if as_json:
        show(rows)
    elif rows:
        columns: dict[str, Callable[[Mapping[str, Any]], str]] = {
            name: lambda row, name=name: row[name] for name in ("id", "kind", "name", "phone")
        }
        columns["revoked"] = lambda row: "revoked" if row["revoked"] else ""
        each(rows, columns)
    else:
        say(f"There is no organization yet. Add one with `loopkeeper org add`. {whose(settings())}")


Id = Annotated[str, typer.Argument(help="The organization's id, from `loopkeeper org list`.")]


def org_revoke(id: Id, as_json: Json = False) -> None:
    """Let no key and no person of this organization in any more. Its referrals and its name stay."""
    with keeping():
        organizations.revoke_organization(settings().config_folder, id)
    show({"id": id, "revoked": True}) if as_json else say(
        f"{id} is revoked: running services refuse its keys and people within two seconds."
    )


def org_readmit(id: Id, as_json: Json = False) -> None:
    """Take back `org revoke`. Keys that were revoked themselves stay revoked."""
    with keeping():
        organizations.readmit_organization(settings().config_folder, id)
    show({"id": id, "revoked": False}) if as_json else say(f"{id} takes part again.")


def org_sign_in(
    id: Id,
    issuer: Annotated[
        str, typer.Option(help="Address of its OpenID provider; empty ends its own sign-in.")
    ] = "",
    client_id: Annotated[str, typer.Option(help="Our client there.")] = "",
    group: Annotated[
        list[str] | None,
        typer.Option(help="What a group of its may do, once or more: GROUP=role,role, or GROUP=role,admin."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let people of this organization sign in by its own OpenID provider. The client's secret, if it has one, belongs in
    the issuer's folder as sign-in-ID.secret; the redirect is the console's address and /signin/ID/callback."""
    groups: dict[str, tuple[str, ...]] = {}
    for said in group or []:
        name, _, words = said.partition("=")
        if not name or not words:
            fail(f"{said!r} says nothing of a group.", "Give GROUP=role, such as um-nurses=plan.", USAGE)
        groups[name] = tuple(word.strip() for word in words.split(","))
    if issuer and not (client_id and groups):
        fail("The client or the groups are missing.", "Give --client-id and one --group or more.", USAGE)
    sign_in = organizations.SignIn(issuer, client_id, groups) if issuer else None
    with keeping():
        organizations.set_sign_in(settings().config_folder, id, sign_in)
    shown = {"id": id, "issuer": issuer, "client_id": client_id, "groups": groups}
    show(shown) if as_json else say(
        f"People of {id} sign in by {issuer}." if issuer else f"{id} signs nobody in itself any more."
    )
