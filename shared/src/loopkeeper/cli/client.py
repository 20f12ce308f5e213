"""The commands `loopkeeper client …`: the API keys of organizations, and the operator's own."""

from __future__ import annotations

from typing import Annotated

import typer

from loopkeeper.cli.org import keeping
from loopkeeper.cli.terminal import Json, each, say, settings, show, whose
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, write_private
from loopkeeper.kernel.settings import Settings
from loopkeeper.security import organizations
from loopkeeper.security.organizations import OrganizationKind, Role

OPERATIONS = "operations"


ROLES = ", ".join(Role)


def client_add(
    organization: Annotated[str, typer.Argument(help="Whose key it is.")],
    role: Annotated[list[str], typer.Option(help=f"What it may do, once or more: {ROLES}.")],
    as_json: Json = False,
) -> None:
    """Make a key for an organization and print it, this once: only its hash is kept."""
    with keeping():
        client, key = organizations.add_client(settings().config_folder, organization, role)
    if as_json:
        show(
            {"id": client.id, "organization": client.organization, "roles": sorted(client.roles), "key": key}
        )
        return
    say(key)
    typer.echo(f"{client.id}: keep the key now, it is not shown again.", err=True)


def client_list(as_json: Json = False) -> None:
    """Show every key's id, organization, roles and dates; never the key."""
    rows = organizations.list_clients(settings().config_folder)
    if as_json:
        show(rows)
    elif rows:
        each(
            rows,
            {
                "id": lambda row: row["id"],
                "organization": lambda row: row["organization"],
                "roles": lambda row: ", ".join(row["roles"]),
                "created": lambda row: row["created_at"],
                "revoked": lambda row: row.get("revoked_at", ""),
            },
        )
    else:
        say(f"There is no key yet. Make one with `loopkeeper client add`. {whose(settings())}")


def client_revoke(
    id: Annotated[str, typer.Argument(help="The key's id, from `loopkeeper client list`.")],
    as_json: Json = False,
) -> None:
    """End a key. Running services refuse it within two seconds."""
    with keeping():
        organizations.revoke_client(settings().config_folder, id)
    show({"id": id, "revoked": True}) if as_json else say(f"{id} is revoked.")


def operator_key(settings: Settings) -> str:
    """The operations key of this home, made with its organization when there is none or it is no longer good.

    It is in `settings.key_file`, readable by its owner only; two starts at once make one key. Raises
    `StartError` where none is there and none can be written.
    """
    kept = _good_key(settings)
    if kept is not None:
        return kept
    folder = settings.config_folder
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(settings.key_file):
            return _good_key(settings) or _new_key(settings)
    except OSError as error:
        raise StartError(
            f"There is no operations key, and none can be written to {folder}.",
            "Make the folder writable, or run `loopkeeper up` once where it is.",
        ) from error


def _good_key(settings: Settings) -> str | None:
    if not settings.key_file.exists():
        return None
    key = settings.key_file.read_text().strip()
    client = organizations.Directory(settings.config_folder).authenticate(key)
    return key if client is not None and Role.OPERATIONS in client.roles else None


def _new_key(settings: Settings) -> str:
    organizations.add_organization(
        settings.config_folder, OPERATIONS, "Operations", OrganizationKind.OPERATIONS
    )
    _, key = organizations.add_client(settings.config_folder, OPERATIONS, [Role.OPERATIONS])
    write_private(settings.key_file, key + "\n")
    return key
