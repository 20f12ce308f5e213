"""How is the master key changed while services run? In two steps, between which every service is given the new key.

*Begin* writes the old key into the keyring, wrapped by the new one. From then on either key opens
everything, and everybody still wraps with the old, so old and new replicas work side by side. *Finish*, when all have
the new key, wraps every key again and forgets the old one. Each step is one replacement of one file: killed at any
moment, the keyring is as before or as after, and the same command goes on from there.

What comes after a master key may be another one, or a key service: its wrapper is meant wherever "the new key" is
said. A key service gives no key away, so a change from one to something else is the service's own.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, write_private
from loopkeeper.security.key_wrapper import (
    KEY_BYTES,
    KeyServiceAway,
    KeyWrapper,
    MasterKey,
    Unsealable,
    as_master_key,
)
from loopkeeper.security.keyring import INDEX, PREVIOUS, SYSTEM, KeyMissing, Keyring, label, opens, wrapping

# Where the new key is until it takes its place, on a machine whose master key is a file.
NEXT = "master.next"


class Stage(StrEnum):
    SETTLED = "settled"
    # Two keys open the keyring; ours is the old one, or the new one.
    BEGUN = "begun"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class RotationStatus:
    """How far a change is, for the holder of this ring's key; how many keys of how many plans are concerned."""

    stage: Stage
    keys: int
    plans: int


def rotation_status(ring: Keyring) -> RotationStatus:
    """As the file says now. Raises `StartError` where it does not open any more."""
    kept = json.loads(ring.file.read_text())
    try:
        if not opens(wrapping(ring.wrapper, kept), kept):
            raise StartError(
                "The master key does not open this keyring.", "Give the key it is wrapped with now."
            )
        return _rotation_status(ring.wrapper, kept)
    except KeyServiceAway as error:
        raise StartError(
            "The key service cannot be reached.", "The same command again, when it is back."
        ) from error


def begin(ring: Keyring, new: KeyWrapper, *, restart: bool = False) -> bool:
    """From now on `new` opens this keyring too; False if it did already. Raises `StartError` where that is no other
    key, or where another new one is expected; `restart` forgets that one."""
    begun: list[bool] = []
    old = ring.wrapper
    if not isinstance(old, MasterKey):
        raise StartError(
            "A key service wraps this keyring.", "Its key is changed there; the keyring stays as it is."
        )

    def change(kept: dict[str, Any]) -> None:
        system = kept[SYSTEM]
        if new == old:
            raise StartError("The new master key is the old one.", "Give --new a file that is not there yet.")
        expected = PREVIOUS in system
        if expected and _previous(new, kept) == old:
            return
        if expected and not restart:
            raise StartError(
                "A change of the master key to another new key is under way.",
                "Give that key's file with --new. If it is lost: stop what was started with it, then --restart.",
            )
        system[PREVIOUS] = new.wrap(old.key, label(SYSTEM, PREVIOUS))
        begun.append(True)

    _change(ring, change)
    return bool(begun)


def begin_with_file(ring: Keyring, new: Path | None, *, restart: bool = False, dry_run: bool = False) -> bool:
    """`begin` with the key of this file; without one, where the master key is a file, with one that then takes its
    place. A step that was made is not made again, so after a kill between them the same command goes on."""
    if (done := _nothing_to_begin(ring, dry_run=dry_run)) is not None:
        return done
    folder = ring.file.parent
    begun = begin(ring, new_key(new or folder / NEXT), restart=restart)
    if new is None:
        _take_place(folder)
    return begun


def begin_with_service(
    ring: Keyring, service: KeyWrapper, *, restart: bool = False, dry_run: bool = False
) -> bool:
    """`begin` with a key service instead of a new master key."""
    done = _nothing_to_begin(ring, dry_run=dry_run)
    return begin(ring, service, restart=restart) if done is None else done


def _nothing_to_begin(ring: Keyring, *, dry_run: bool) -> bool | None:
    """What `begin` would say, where it is not to be called; None where it is."""
    stage = rotation_status(ring).stage
    return stage is Stage.SETTLED if dry_run or stage is Stage.READY else None


def finish(ring: Keyring, *, dry_run: bool = False) -> bool:
    """Wrap every key with this ring's and forget the old one; False where that was done before. Raises `StartError`
    where this ring still has the old one."""
    stage = rotation_status(ring).stage
    if stage is Stage.BEGUN:
        raise StartError(
            "This is still the old master key.",
            "Give the new one: LOOPKEEPER_MASTER_KEY, or master.key in the keyring's folder.",
        )
    if stage is Stage.READY and not dry_run:
        _change(ring, lambda kept: _rewrap(kept, ring.wrapper))
    return stage is Stage.READY


def _change(ring: Keyring, change: Callable[[dict[str, Any]], None]) -> None:
    try:
        ring.change(change)
    except KeyMissing as error:
        raise StartError(
            f"The keyring is not changed: {error}.", "The same command again, when it can be changed here."
        ) from error


def _rewrap(kept: dict[str, Any], new: KeyWrapper) -> None:
    old = _previous(new, kept)
    if old is None:
        # Another one has finished meanwhile.
        return
    del kept[SYSTEM][PREVIOUS]
    for plan, entry in _living(kept).items():
        for name, text in entry["versions"].items():
            entry["versions"][name] = _again(old, new, text, label(plan, name))
        entry[INDEX] = _again(old, new, entry[INDEX], label(plan, INDEX))


def _again(old: KeyWrapper, new: KeyWrapper, wrapped: str, bound_to: str) -> str:
    return new.wrap(old.unwrap(wrapped, bound_to), bound_to)


def next_steps(stage: Stage, new: Path | None, *, given: bool, service: str = "") -> list[str]:
    """What to do next, in order. `given`: the master key is a variable, and the keyring perhaps a copy that is
    handed on."""
    finish = "loopkeeper keys rotate-master --finish"
    if stage is Stage.SETTLED:
        return ["Hand the keyring on to every service."] * given + ["Back both up, apart from each other."]
    if service:
        return [
            # A service that starts with the service's key needs the keyring that knows it.
            "Hand the keyring on to every service.",
            f"Give every service LOOPKEEPER_KEY_WRAPPER={service} instead of the master key, and restart it.",
            f"Then, with LOOPKEEPER_KEY_WRAPPER set: {finish}",
        ]
    if not given:
        return ["Restart every service.", f"Then: {finish}"]
    where = f" (in {new})" if new else ""
    return [
        # A service that starts with the new key needs the keyring that knows it.
        "Hand the keyring on to every service.",
        f"Give every service the new key{where} as LOOPKEEPER_MASTER_KEY, and restart it.",
        f"Then, with the new key: {finish}",
    ]


def new_key(file: Path) -> MasterKey:
    """The new master key of this file, made there, readable by its owner only, if there is none. Raises
    `StartError`."""
    with locked(file):
        if not file.exists():
            write_private(file, b64encode(secrets.token_bytes(KEY_BYTES)).decode())
    return as_master_key(file.read_text())


def _take_place(folder: Path) -> None:
    """The new key's file becomes the master key's; what starts from now on starts with it."""
    file = folder / "master.key"
    with locked(file):
        if (folder / NEXT).exists():
            (folder / NEXT).replace(file)


def _rotation_status(wrapper: KeyWrapper, kept: Mapping[str, Any]) -> RotationStatus:
    living = _living(kept)
    keys = sum(len(entry["versions"]) + 1 for entry in living.values())
    stage = Stage.SETTLED
    if PREVIOUS in kept[SYSTEM]:
        stage = Stage.BEGUN if opens(wrapper, kept) else Stage.READY
    return RotationStatus(stage, keys, len(living) - 1)


def _previous(new: KeyWrapper, kept: Mapping[str, Any]) -> MasterKey | None:
    """The old key, if `new` is the one that is expected."""
    try:
        return MasterKey(new.unwrap(kept[SYSTEM][PREVIOUS], label(SYSTEM, PREVIOUS)))
    except (KeyError, Unsealable):
        return None


def _living(kept: Mapping[str, Any]) -> Mapping[str, dict[str, Any]]:
    return {plan: entry for plan, entry in kept.items() if not entry.get("destroyed")}
