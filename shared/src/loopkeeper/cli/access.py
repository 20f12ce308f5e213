"""Who may call, and under which rules: organizations, their keys, the keyring and the policy, kept in files."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from loopkeeper.cli.terminal import FAILED, USAGE, Json, counted, each, fail, say, settings, show, starting
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, write_private
from loopkeeper.kernel.settings import Settings
from loopkeeper.security import organizations
from loopkeeper.security.organizations import ClientsError, OrganizationKind, Role
from loopkeeper.security.sealing import Keyring, Unsealable

if TYPE_CHECKING:
    from loopkeeper.policy import Finding

OPERATIONS = "operations"
KINDS = ", ".join(OrganizationKind)
ROLES = ", ".join(Role)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    org = typer.Typer(no_args_is_help=True, help="The organizations that take part.")
    org.command("add")(org_add)
    org.command("import")(org_import)
    org.command("list")(org_list)
    client = typer.Typer(no_args_is_help=True, help="The API keys of organizations.")
    client.command("add")(client_add)
    client.command("list")(client_list)
    client.command("revoke")(client_revoke)
    keys = typer.Typer(no_args_is_help=True, help="The keys under which identity is sealed.")
    keys.command("rotate")(keys_rotate)
    keys.command("rotate-master")(keys_rotate_master)
    rules = typer.Typer(no_args_is_help=True, help="The dated rows that decisions follow.")
    rules.command("check")(policy_check)
    for name, group in (("org", org), ("client", client), ("keys", keys), ("policy", rules)):
        app.add_typer(group, name=name)


@contextmanager
def _keeping() -> Generator[None]:
    """What the organizations file refuses is the caller's to mend."""
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


def open_keyring() -> Keyring:
    """The keyring of this home. Raises `StartError` where key and keyring do not belong together."""
    current = settings()
    return Keyring.open(current.config_folder, master_key(current))


# ── organizations and keys ────────────────────────────────────────────────────────────────────────────────


def org_add(
    id: Annotated[str, typer.Argument(help="Its id everywhere: small letters, digits, dashes.")],
    name: Annotated[str, typer.Option(help="Its name for people.")],
    kind: Annotated[str, typer.Option(help=f"One of {KINDS}.")],
    phone: Annotated[str, typer.Option(help="The number notices tell people to call.")] = "",
    as_json: Json = False,
) -> None:
    """Add an organization, or restate the name and phone of one. A plan gets its data key with it."""
    current = settings()
    with _keeping(), _keys_for([id] if kind == OrganizationKind.PLAN else []):
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
    with _keeping(), _keys_for(plans):
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
        {"id": known.id, "name": known.name, "kind": str(known.kind), "phone": known.phone}
        for known in organizations.list_organizations(settings().config_folder)
    ]
    if as_json:
        show(rows)
    elif rows:
        each(rows, {name: lambda row, name=name: row[name] for name in ("id", "kind", "name", "phone")})
    else:
        say("There are none yet. Add one with `loopkeeper org add`.")


def client_add(
    organization: Annotated[str, typer.Argument(help="Whose key it is.")],
    role: Annotated[list[str], typer.Option(help=f"What it may do, once or more: {ROLES}.")],
    as_json: Json = False,
) -> None:
    """Make a key for an organization and print it, this once: only its hash is kept."""
    with _keeping():
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
        say("There are none yet. Make one with `loopkeeper client add`.")


def client_revoke(
    id: Annotated[str, typer.Argument(help="The key's id, from `loopkeeper client list`.")],
    as_json: Json = False,
) -> None:
    """End a key. Running services refuse it within two seconds."""
    with _keeping():
        organizations.revoke_client(settings().config_folder, id)
    show({"id": id, "revoked": True}) if as_json else say(f"{id} is revoked.")


def operator_key(settings: Settings) -> str:
    """The operations key of this home, made with its organization when there is none or it is no longer good.

    It stands in `settings.key_file`, readable by its owner only; two starts at once make one key. Raises
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


# ── keyring ───────────────────────────────────────────────────────────────────────────────────────────────


def keys_rotate(
    plan: Annotated[str | None, typer.Argument(help="The plan whose key to renew; none: all.")] = None,
    as_json: Json = False,
) -> None:
    """Seal from now on under new data keys; what was sealed before still opens."""
    current = settings()
    known = {organization.id for organization in organizations.list_organizations(current.config_folder)}
    if plan is not None and plan not in known:
        fail(f"There is no organization {plan!r}.", "`loopkeeper org list` shows them.", USAGE)
    with starting():
        ring = open_keyring()
    try:
        rotated = ring.rotate(plan)
    except Unsealable:
        fail(
            f"The keys of {plan} were destroyed.",
            "What they sealed is erased for good; nothing can be renewed.",
        )
    show({"rotated": rotated}) if as_json else say(f"New data keys for {', '.join(rotated)}.")


def keys_rotate_master(
    new: Annotated[
        Path | None,
        typer.Option(
            help="File of the new key, made if it is not there. Only where LOOPKEEPER_MASTER_KEY is set."
        ),
    ] = None,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish", help="Every service has the new key: the old one opens nothing from now on."
        ),
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Forget a change that was begun with a new key that is lost.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Change the master key in two steps while services run: begin, give every service the new key, then --finish. Says
    what to do next; the same command again goes on where it was."""
    from loopkeeper.security import master_key_rotation

    current = settings()
    given = current.master_key is not None
    with starting():
        ring = open_keyring()
        found = master_key_rotation.standing(ring)
    if not given and new is not None:
        fail("The master key is a file here: the new one is made beside it.", "Leave --new out.", USAGE)
    if given and new is None and found.stage is not master_key_rotation.Stage.READY and not finish:
        fail("The new master key has no place.", "Name a file for it: --new FILE.", USAGE)
    with starting():
        if finish:
            done = master_key_rotation.finish(ring, dry_run=dry_run)
        else:
            done = master_key_rotation.begin_with_file(ring, new, anew=anew, dry_run=dry_run)
        after = master_key_rotation.standing(ring)
    steps = master_key_rotation.next_steps(after.stage, new, given=given)
    if as_json:
        shown = {
            "stage": after.stage,
            "changed": done and not dry_run,
            "keys": after.keys,
            "plans": after.plans,
        }
        show({**shown, "next": steps})
        return
    size = f"the {counted(after.keys, 'key')} of {counted(after.plans, 'plan')}"
    if dry_run:
        would = f"would wrap {size} anew" if finish else f"would let a new master key open {size} too"
        say(f"This {would}; nothing is changed." if done else "There is nothing to do.")
        return
    opened = (
        "One master key opens"
        if after.stage is master_key_rotation.Stage.SETTLED
        else "The old and the new master key both open"
    )
    say(f"{opened} {size}.")
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")


# ── policy ────────────────────────────────────────────────────────────────────────────────────────────────


def master_key(settings: Settings) -> str | None:
    """The master key the settings give, None where the file beside the keyring is to be used."""
    return settings.master_key.get_secret_value() if settings.master_key else None


def policy_findings(settings: Settings) -> list[Finding]:
    """All that is wrong with the policy of the installed services, the operator's folder and the known plans."""
    from loopkeeper import policy
    from loopkeeper.policy.reading import installed, load

    known = organizations.list_organizations(settings.config_folder)
    plans = [organization.id for organization in known if organization.kind is OrganizationKind.PLAN]
    return policy.check(load(installed(), settings.policy_folder), plans)


def policy_check(as_json: Json = False) -> None:
    """Check every policy row, packaged and the operator's own, and say what to mend."""
    findings = policy_findings(settings())
    if as_json:
        show([{"place": found.place, "sentence": found.sentence, "fix": found.fix} for found in findings])
    else:
        for found in findings:
            say(f"{found.place}\n  {found.sentence}\n  {found.fix}")
        say(f"{len(findings)} to mend." if findings else "The policy is sound.")
    if findings:
        raise typer.Exit(FAILED)
