"""The data keys of the plans, each wrapped by the master key, in one file that is read again when it changes.

A *keyring* holds, per plan, versioned data keys and one key for blind indexes, each wrapped by the master key. It is
the file `keyring.json` next to the organizations, never in a log or database, so destroying a plan's keys erases
its identities everywhere at once.

While the master key is changed (`master_key_rotation`), the keyring also holds the *previous* one, wrapped by the new:
a process that has either opens all of it, and until the change is finished everybody wraps with the previous one.
"""

from __future__ import annotations

import errno
import json
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, stamp, write_private
from loopkeeper.kernel.logs import get

# What belongs to no plan: parked messages, the secrets of subscriptions.
SYSTEM = "system"


log = get("sealing")

NONCE_BYTES = 12


KEY_BYTES = 32


# Where the master key in use stands under the next one.
PREVIOUS = "previous"


# A key rotated by the command line is used by running services after at most this many seconds.
REREAD_AFTER = 2.0


class Unsealable(Exception):
    """A sealed text does not open here: key destroyed or unknown, or the text is not of this place."""


class Erased(Unsealable):
    """The plan's keys were destroyed: what identifies its members can never be read again, and nothing new is sealed."""


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
    """The keys of one installation. A plan met for the first time gets its keys; a destroyed one never again."""

    file: Path
    master: bytes = field(repr=False)
    _read_at: float = 0.0
    _stamp: tuple[int, int, int] | None = None
    _plans: dict[str, PlanKeys | None] = field(default_factory=dict[str, "PlanKeys | None"])

    @classmethod
    def open(cls, config_folder: Path, master_key: str | None = None) -> Keyring:
        """The keyring of this folder. Without a master key given, one is made at first start in `master.key`,
        readable by its owner only. Raises `StartError` where key and keyring do not belong together."""
        config_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ring = cls(config_folder / "keyring.json", master_of(config_folder, master_key))
        try:
            ring.keys(SYSTEM)
        except Unsealable as error:
            raise StartError(
                "The master key does not open this keyring.",
                f"Give the key {ring.file} was made with: LOOPKEEPER_MASTER_KEY, or the file master.key beside it.",
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
        _add_version(kept, plan, wrapping(self.master, kept))

    # ── the file ──────────────────────────────────────────────────────────────────────────────────────────

    def _reread(self) -> None:
        now = time.monotonic()
        if now - self._read_at < REREAD_AFTER and self._plans:
            return
        self._read_at = now
        if self.file.exists() and (found := stamp(self.file)) != self._stamp:
            self._take(json.loads(self.file.read_text()))
            self._stamp = found

    def _take(self, kept: Mapping[str, Any]) -> None:
        master = wrapping(self.master, kept)
        try:
            self._plans = {plan: _unwrapped(master, plan, entry) for plan, entry in kept.items()}
        except Unsealable:
            if not self._plans:
                raise
            # The master key was changed and we were begun with the old one. The data keys are the same, so whoever runs
            # goes on with those it has; what is destroyed is destroyed here too.
            log.error("the keyring needs another master key: restart with it")
            self._plans |= {plan: None for plan, entry in kept.items() if entry.get("destroyed")}

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Replace the file whole by what this makes of it; one at a time. Raises `Unsealable` where it cannot be written."""
        try:
            with locked(self.file):
                kept: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}
                # Otherwise what we wrap would open for nobody who has the right key.
                if kept and not opens(wrapping(self.master, kept), kept):
                    raise Unsealable("the master key does not open this keyring")
                change(kept)
                write_private(self.file, json.dumps(kept, indent=1, sort_keys=True))
                self._take(kept)
                self._stamp = stamp(self.file)
        except OSError as error:
            # A mounted secret is a read-only file system; only there, and where we may not, is waiting of no use.
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise KeyMissing("the keyring has no key for this plan and cannot be written here") from error


def wrapping(master: bytes, kept: Mapping[str, Any]) -> bytes:
    """The key that everything in this keyring is wrapped with: `master`, or the previous one where that is still in use and
    `master` is the next."""
    previous = kept.get(SYSTEM, {}).get(PREVIOUS)
    if previous is not None:
        try:
            return unwrap(master, SYSTEM, PREVIOUS, previous)
        except Unsealable:
            return master
    return master


def opens(master: bytes, kept: Mapping[str, Any]) -> bool:
    """Whether this keyring is wrapped with this key."""
    try:
        unwrap(master, SYSTEM, "index", kept[SYSTEM]["index"])
    except Unsealable:
        return False
    return True


def _add_version(kept: dict[str, Any], plan: str, master: bytes) -> None:
    entry = kept.setdefault(plan, {"versions": {}})
    if entry.get("destroyed"):
        raise Erased("this plan's keys were destroyed")
    version = max((int(v) for v in entry["versions"]), default=0) + 1
    entry["versions"][str(version)] = wrap(master, plan, str(version), secrets.token_bytes(KEY_BYTES))
    entry.setdefault("index", wrap(master, plan, "index", secrets.token_bytes(KEY_BYTES)))


def _unwrapped(master: bytes, plan: str, entry: Mapping[str, Any]) -> PlanKeys | None:
    if entry.get("destroyed"):
        return None
    versions = {int(v): AESGCM(unwrap(master, plan, v, text)) for v, text in entry["versions"].items()}
    return PlanKeys(max(versions), versions, unwrap(master, plan, "index", entry["index"]))


def wrap(master: bytes, plan: str, name: str, key: bytes) -> str:
    """A key as the keyring holds it: encrypted, and bound to its plan and name."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return b64encode(nonce + AESGCM(master).encrypt(nonce, key, f"{plan}|{name}".encode())).decode()


def unwrap(master: bytes, plan: str, name: str, text: str) -> bytes:
    """The key again. Raises `Unsealable` under another master key."""
    raw = b64decode(text)
    try:
        return AESGCM(master).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], f"{plan}|{name}".encode())
    except InvalidTag as error:
        raise Unsealable("the master key does not open this keyring") from error


def master_of(folder: Path, given: str | None) -> bytes:
    """The master key of this folder: the one given, or that of its file, which a first start makes. Raises `StartError`."""
    file = folder / "master.key"
    if given is None:
        with locked(file):
            if not file.exists() and (folder / "keyring.json").exists():
                raise StartError(
                    "The keyring's master key is not here.",
                    f"Put master.key back into {folder}, or set LOOPKEEPER_MASTER_KEY.",
                )
            if not file.exists():
                write_private(file, b64encode(secrets.token_bytes(KEY_BYTES)).decode())
        given = file.read_text()
    return as_key(given)


def as_key(text: str) -> bytes:
    """A master key as it is written down. Raises `StartError` for a text that is none."""
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise StartError("The master key is not 32 bytes in base64.", "Make one: `openssl rand -base64 32`.")
    return key
