"""The commands `loopkeeper keys …`: the keys under which identity is sealed, and the one that signs people's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loopkeeper.cli.terminal import USAGE, Json, counted, fail, say, settings, show, starting
from loopkeeper.contract.calendar import written
from loopkeeper.kernel.clock import SystemClock
from loopkeeper.security import keyring, organizations
from loopkeeper.security.key_wrapper import plugged_in
from loopkeeper.security.keyring import Keyring, Unsealable


def open_keyring() -> Keyring:
    """The keyring of this home. Raises `StartError` where key and keyring do not belong together."""
    return keyring.open_keyring(settings())


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
    restart: Annotated[
        bool,
        typer.Option(
            "--restart",
            help="Forget the change that was started with a new key that is lost, and start another.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")
    ] = False,
    wrapper: Annotated[
        str,
        typer.Option(help="Key service that comes after the master key, as LOOPKEEPER_KEY_WRAPPER has it."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Change the master key in two steps while services run: begin, give every service the new key, then --finish. Says
    what to do next; the same command again goes on where it was."""
    from loopkeeper.security import master_key_rotation

    current = settings()
    given = current.master_key is not None
    with starting():
        ring = open_keyring()
        found = master_key_rotation.rotation_status(ring)
    if wrapper and new is not None:
        fail("A key service has no file.", "Omit --new.", USAGE)
    if not given and new is not None:
        fail("The master key is a file here: the new one is made in the same folder.", "Omit --new.", USAGE)
    ready = found.stage is master_key_rotation.Stage.READY
    if given and new is None and not (wrapper or ready or finish):
        fail("The new master key has no place.", "Name a file for it: --new FILE.", USAGE)
    with starting():
        if finish:
            done = master_key_rotation.finish(ring, dry_run=dry_run)
        elif wrapper:
            service = plugged_in(wrapper)
            done = master_key_rotation.begin_with_service(ring, service, restart=restart, dry_run=dry_run)
        else:
            done = master_key_rotation.begin_with_file(ring, new, restart=restart, dry_run=dry_run)
        after = master_key_rotation.rotation_status(ring)
    steps = master_key_rotation.next_steps(after.stage, new, given=given, service=wrapper)
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
        would = f"would wrap {size} again" if finish else f"would let a new master key open {size} too"
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


def keys_rotate_issuer(
    finish: Annotated[
        bool, typer.Option("--finish", help="The console signs with the new key: withdraw the old one.")
    ] = False,
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="Drop every key at once, and with it all it signed; makes the first one too."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Change the key that signs people's tokens, in two steps while services run: publish a new one, then --finish. Says
    what to do next; the same command again goes on where it was."""
    from loopkeeper.security import issuer

    if finish and now:
        fail("--finish ends a change in two steps, --now needs none.", "Give one of them.", USAGE)
    current, at = settings(), SystemClock().wall()
    folders = current.config_folder, current.issuer_folder
    with starting():
        if now:
            done = issuer.replace_now(*folders, at, current.issuer_url)
        elif finish:
            done = issuer.finish(*folders, at)
        else:
            done = issuer.begin(*folders, at)
    steps = issuer.next_steps(done)
    if as_json:
        show(
            {
                "issuer": done.issuer,
                "keys": done.keys,
                "signs_at": done.signs_at,
                "finish_at": done.finish_at,
                "next": steps,
            }
        )
        return
    if done.signs_at is None:
        say(f"{done.keys[0]} is the only key of {done.issuer}.")
    else:
        say(
            f"{done.keys[-1]} is published with {done.keys[0]}; the console signs with it from {written(done.signs_at)}."
        )
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")
