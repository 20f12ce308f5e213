"""The data keys of the plans, each wrapped, in one file that is read again when it changes.

A *keyring* holds, per plan, versioned data keys and one key for blind indexes, each wrapped by a `KeyWrapper`: the
master key, or a key service. It is the file `keyring.json` next to the organizations, never in a log or database, so
destroying a plan's keys erases its identities everywhere at once.

While the master key is changed (`master_key_rotation`), the keyring also holds the *previous* one, wrapped by what
comes after it: a process that has either opens all of it, and until the change is finished everybody wraps with the
previous one.
"""

from __future__ import annotations

import errno
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, stamp, write_private
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.key_wrapper import (
    KEY_BYTES,
    KeyServiceAway,
    KeyWrapper,
    MasterKey,
    master_key_of,
    plugged_in,
)
from loopkeeper.security.key_wrapper import NONCE_BYTES as NONCE_BYTES
from loopkeeper.security.key_wrapper import Unsealable as Unsealable

# What belongs to no plan: parked messages, the secrets of subscriptions.
SYSTEM = "system"


log = get("sealing")

# Name of the master key in use, wrapped by the next one.
PREVIOUS = "previous"
# The name of a plan's key of blind indexes next to its versions.
INDEX = "index"


# A key rotated by the command line is used by running services after at most this many seconds.
REREAD_AFTER = 2.0


class Erased(Unsealable):
    """The plan's keys were destroyed: what identifies its members can never be read again, and nothing new is
    sealed."""


class KeyMissing(Unsealable):
    """The plan has no key here, and none can be made where the keyring cannot be written."""


@dataclass(slots=True)
class PlanKeys:
    """A plan's keys, unwrapped: data keys by version, and the one of its blind indexes, which never changes."""

    current: int
    versions: dict[int, AESGCM]
    index: bytes = field(repr=False)


@dataclass
class Keyring:
    """The keys of one installation, in one file.

    Each plan has its own *data keys*, which seal the identities of its members, and an *index key*, which makes the blind
    indexes by which they are found. The file has them wrapped by the *master key*, which is not in it; a key service may
    take the master key's place. Databases and the log have sealed text only, so a plan's identities are erased everywhere
    at once by destroying its keys. A plan met for the first time gets its keys; a destroyed one never again.
    """

    file: Path
    wrapper: KeyWrapper
    _read_at: float = 0.0
    _stamp: tuple[int, int, int] | None = None
    _plans: dict[str, PlanKeys | None] = field(default_factory=dict[str, "PlanKeys | None"])
    # Keys by label and wrapped text: what is unchanged is not unwrapped again when the file changes.
    _unwrapped: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes], repr=False)

    @classmethod
    def open(
        cls, config_folder: Path, master_key: str | None = None, *, wrapper: KeyWrapper | None = None
    ) -> Keyring:
        """The keyring of this folder, under this wrapper or master key. Without either, a master key is made at first
        start in `master.key`, readable by its owner only. Raises `StartError` where key and keyring do not belong
        together."""
        config_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ring = cls(config_folder / "keyring.json", wrapper or master_key_of(config_folder, master_key))
        try:
            ring.keys(SYSTEM)
        except KeyServiceAway as error:
            raise StartError("The key service cannot be reached.", "Start again when it is back.") from error
        except Unsealable as error:
            if wrapper is not None:
                raise StartError(
                    "The key service does not open this keyring.",
                    "Name the key it is wrapped with in LOOPKEEPER_KEY_WRAPPER; a change to it starts with "
                    "`loopkeeper keys rotate-master --wrapper`.",
                ) from error
            raise StartError(
                "The master key does not open this keyring.",
                f"Give the key with which {ring.file} was made: LOOPKEEPER_MASTER_KEY, or the file master.key in its folder.",
            ) from error
        return ring

    def keys(self, plan: str) -> PlanKeys:
        """This plan's keys. Raises `Unsealable` where they were destroyed or cannot be made."""
        self._reread()
        if plan not in self._plans:
            self.change(lambda kept: self._add_version(kept, plan) if plan not in kept else None)
        found = self._plans.get(plan)
        if found is None:
            raise Erased("this plan's keys were destroyed")
        return found

    def rotate(self, plan: str | None = None) -> list[str]:
        """Give this plan, or every one, a new data key; what was sealed before still opens. Returns who got one."""
        given: list[str] = []

        def change(kept: dict[str, Any]) -> None:
            living = sorted(name for name, entry in kept.items() if not entry.get("destroyed"))
            for name in [plan] if plan else living:
                self._add_version(kept, name)
                given.append(name)

        self.change(change)
        return given

    def destroy(self, plan: str) -> None:
        """Forget this plan's keys for good: nothing sealed under them can ever be read again."""
        self.change(lambda kept: kept.__setitem__(plan, {"destroyed": True}))

    def _add_version(self, kept: dict[str, Any], plan: str) -> None:
        _add_version(kept, plan, wrapping(self.wrapper, kept))

    # ── the file ──────────────────────────────────────────────────────────────────────────────────────────

    def _reread(self) -> None:
        now = time.monotonic()
        if now - self._read_at < REREAD_AFTER and self._plans:
            return
        self._read_at = now
        if self.file.exists() and (found := stamp(self.file)) != self._stamp:
            known = bool(self._plans)
            try:
                self._take(json.loads(self.file.read_text()))
            except KeyServiceAway:
                if not known:
                    raise
                # The keys we have are still right; the file is looked at again. What is destroyed is destroyed at once.
                log.warning("the key service cannot be reached: new keys wait")
                return
            self._stamp = found

    def _take(self, kept: Mapping[str, Any]) -> None:
        try:
            wrapper = wrapping(self.wrapper, kept)
            self._plans = {plan: self._opened(wrapper, plan, entry) for plan, entry in kept.items()}
        except Unsealable:
            if not self._plans:
                raise
            # The master key was changed and this process started with the old one. The data keys are the same, so a service that runs
            # goes on with those it has; what is destroyed is destroyed here too.
            log.error("the keyring needs another master key: restart with it")
        finally:
            self._forget_destroyed(kept)

    def _forget_destroyed(self, kept: Mapping[str, Any]) -> None:
        self._plans |= {plan: None for plan, entry in kept.items() if entry.get("destroyed")}
        living = {
            (label(plan, name), wrapped)
            for plan, entry in kept.items()
            for name, wrapped in ({**entry.get("versions", {}), INDEX: entry.get(INDEX)}).items()
        }
        self._unwrapped = {bound: key for bound, key in self._unwrapped.items() if bound in living}

    def _opened(self, wrapper: KeyWrapper, plan: str, entry: Mapping[str, Any]) -> PlanKeys | None:
        if entry.get("destroyed"):
            return None
        versions = {int(v): AESGCM(self._unwrap(wrapper, plan, v, t)) for v, t in entry["versions"].items()}
        return PlanKeys(max(versions), versions, self._unwrap(wrapper, plan, INDEX, entry[INDEX]))

    def _unwrap(self, wrapper: KeyWrapper, plan: str, name: str, wrapped: str) -> bytes:
        bound = (label(plan, name), wrapped)
        if bound not in self._unwrapped:
            self._unwrapped[bound] = wrapper.unwrap(wrapped, bound[0])
        return self._unwrapped[bound]

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Replace the file whole by what this makes of it; one at a time. Raises `Unsealable` where it cannot be
        written."""
        try:
            with locked(self.file):
                kept: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}
                # Otherwise what we wrap would open for nobody who has the right key.
                if kept and not opens(wrapping(self.wrapper, kept), kept):
                    raise Unsealable("the master key does not open this keyring")
                change(kept)
                write_private(self.file, json.dumps(kept, indent=1, sort_keys=True))
                self._take(kept)
                self._stamp = stamp(self.file)
        except KeyServiceAway as error:
            raise KeyMissing("the key service cannot be reached, so no key can be wrapped") from error
        except OSError as error:
            # A mounted secret is a read-only file system; only there, and where we may not, is waiting of no use.
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise KeyMissing("the keyring has no key for this plan and cannot be written here") from error


def open_keyring(settings: Settings) -> Keyring:
    """The keyring of this installation, by what its settings say of keys. Raises `StartError`."""
    given = settings.master_key.get_secret_value() if settings.master_key else None
    wrapper = plugged_in(settings.key_wrapper) if settings.key_wrapper else None
    return Keyring.open(settings.config_folder, given, wrapper=wrapper)


def label(plan: str, name: str) -> str:
    """What a key is bound to as it is wrapped."""
    return f"{plan}|{name}"


def wrapping(wrapper: KeyWrapper, kept: Mapping[str, Any]) -> KeyWrapper:
    """What everything in this keyring is wrapped with: `wrapper`, or the previous master key where that is still in
    use and `wrapper` is what comes next."""
    previous = kept.get(SYSTEM, {}).get(PREVIOUS)
    if previous is not None:
        try:
            return MasterKey(wrapper.unwrap(previous, label(SYSTEM, PREVIOUS)))
        except Unsealable:
            return wrapper
    return wrapper


def opens(wrapper: KeyWrapper, kept: Mapping[str, Any]) -> bool:
    """Whether this keyring is wrapped with this."""
    try:
        wrapper.unwrap(kept[SYSTEM][INDEX], label(SYSTEM, INDEX))
    except Unsealable:
        return False
    return True


def _add_version(kept: dict[str, Any], plan: str, wrapper: KeyWrapper) -> None:
    entry = kept.setdefault(plan, {"versions": {}})
    if entry.get("destroyed"):
        raise Erased("this plan's keys were destroyed")
    version = max((int(v) for v in entry["versions"]), default=0) + 1
    fresh = wrapper.wrap(secrets.token_bytes(KEY_BYTES), label(plan, str(version)))
    entry["versions"][str(version)] = fresh
    if INDEX not in entry:
        entry[INDEX] = wrapper.wrap(secrets.token_bytes(KEY_BYTES), label(plan, INDEX))
