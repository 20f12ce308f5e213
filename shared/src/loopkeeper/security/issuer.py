"""The keys of the issuer of people's tokens: the private halves in `signing.json`, the public ones in `issuers.json`.

`signing.json` lies in a folder of its own that only the console has; `issuers.json` lies with the organizations, where
every service reads it again when it changed. Nobody asks for keys over HTTP.

A key is changed in two steps, between which both are good. *Begin* publishes the new key and says from when the
console signs with it, ten minutes later, so that every service knows it by then. *Finish*, once every token of the old
key is over, withdraws the old one. Each step replaces one file after the other: killed between them, the same command
goes on. `now` makes a new key the only one at once, and ends everything the others signed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, cast

from joserfc.errors import JoseError

from loopkeeper.contract.calendar import written
from loopkeeper.kernel.clock import SystemClock
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, stamp, write_private
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.tokens import ALGORITHM, LEEWAY, LONGEST_LIFE, SigningKey, VerifyingKey

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

log = get("tokens")

PUBLIC, PRIVATE = "issuers.json", "signing.json"
# Longer than a service needs to know a new key: two seconds on one machine, a minute or two for a cluster's secret.
SIGNS_AFTER = timedelta(minutes=10)
# Until the last token of the old key is over.
OUTLIVED_AFTER = timedelta(seconds=LONGEST_LIFE + LEEWAY)
REREAD_AFTER = 2.0


class PublicKeys:
    """The issuer's public keys as the file says now, by their id. `changed` counts how often they were read."""

    def __init__(self, config_folder: Path) -> None:
        self._file = config_folder / PUBLIC
        self._read_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._keys: Mapping[str, VerifyingKey] = {}
        self.changed = 0

    def keys(self) -> Mapping[str, VerifyingKey]:
        """The keys that count. A file that is gone or damaged takes its keys with it."""
        now = time.monotonic()
        if now - self._read_at >= REREAD_AFTER:
            self._read_at = now
            self._reread()
        return self._keys

    def _reread(self) -> None:
        try:
            found = stamp(self._file)
        except FileNotFoundError:
            found = None
        if found == self._stamp:
            return
        try:
            self._keys = _public_keys(self._file) if found is not None else {}
        except StartError:
            # Better nobody than whom the file no longer names.
            log.error("the file of the issuer's public keys is damaged: no token is accepted")
            self._keys = {}
        self._stamp = found
        self.changed += 1


class Signer:
    """The key that signs now, as `signing.json` says; read again when it changed."""

    def __init__(self, issuer_folder: Path) -> None:
        self._file = issuer_folder / PRIVATE
        self._read_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._kept: list[tuple[datetime, SigningKey]] = []

    def key(self, now: datetime) -> SigningKey:
        """The newest key whose time to sign has come. Raises `StartError` where there is none or the file is damaged."""
        clock = time.monotonic()
        if clock - self._read_at >= REREAD_AFTER:
            self._read_at = clock
            found = stamp(self._file) if self._file.exists() else None
            if found != self._stamp or found is None:
                kept = _read(self._file)
                self._kept = [(_from(each), _signing(kept, each)) for each in kept["keys"]]
                self._stamp = found
        begun = [each for each in self._kept if each[0] <= now] or self._kept[:1]
        if not begun:
            raise StartError(
                "There is no key to sign tokens with.", "Make it: loopkeeper keys rotate-issuer."
            )
        return max(begun, key=lambda each: each[0])[1]


@dataclass(frozen=True, slots=True)
class Rotation:
    """How far a change of the issuer's key is. `signs_at`: from when the new key signs. `finish_at`: from when the old
    one may be withdrawn; both are None where no change is under way."""

    issuer: str
    keys: tuple[str, ...]
    signs_at: datetime | None = None
    finish_at: datetime | None = None


def first_key(config_folder: Path, issuer_folder: Path, issuer: str) -> Rotation:
    """The issuer's key, made where there is none, as a master key is at first start; what is missing of the public
    half is published again. Raises `StartError` where the public half is there and the private one is not."""
    with _changing(config_folder, issuer_folder):
        if not (issuer_folder / PRIVATE).exists():
            if (config_folder / PUBLIC).exists():
                raise StartError(
                    f"{issuer_folder / PRIVATE} is missing, and {PUBLIC} says that there is one.",
                    "Bring it back, or end everything it signed: loopkeeper keys rotate-issuer --now.",
                )
            fresh = {"issuer": issuer, "keys": [_fresh(SystemClock().wall())]}
            _write(config_folder, issuer_folder, fresh)
        kept = _read(issuer_folder / PRIVATE)
        if not _published(config_folder, kept):
            _publish(config_folder, kept)
    return _rotation(kept)


def made_at_first_start(settings: Settings) -> None:
    """Make the issuer's key on a machine where nobody ever did, as a master key is made; where that cannot be, services
    run without people's tokens."""
    if (settings.config_folder / PUBLIC).exists():
        return
    try:
        first_key(settings.config_folder, settings.issuer_folder, settings.issuer_url)
    except OSError:
        log.warning("no key for people's tokens can be made here")


def rotation(issuer_folder: Path) -> Rotation:
    """How far a change is. Raises `StartError` where there is no key."""
    return _rotation(_read(issuer_folder / PRIVATE))


def begin(config_folder: Path, issuer_folder: Path, now: datetime) -> Rotation:
    """Publish a new key that signs from ten minutes after `now`; where a change is under way, publish what it has."""
    with _changing(config_folder, issuer_folder):
        kept = _read(issuer_folder / PRIVATE)
        if len(kept["keys"]) == 1:
            kept["keys"].append(_fresh(now + SIGNS_AFTER))
        _write(config_folder, issuer_folder, kept)
    return _rotation(kept)


def finish(config_folder: Path, issuer_folder: Path, now: datetime) -> Rotation:
    """Withdraw all keys but the newest. Raises `StartError` while a token of an older one may still be good."""
    with _changing(config_folder, issuer_folder):
        kept = _read(issuer_folder / PRIVATE)
        under_way = _rotation(kept)
        if under_way.finish_at is not None and now < under_way.finish_at:
            raise StartError(
                f"The new key signs from {written(under_way.signs_at or now)}, and what the old one signed is good "
                "for some minutes more.",
                f"The same command at {written(under_way.finish_at)} or later. If the old key was stolen, use --now.",
            )
        kept["keys"] = kept["keys"][-1:]
        write_private(issuer_folder / PRIVATE, _text(kept))
        _publish(config_folder, kept)
    return _rotation(kept)


def replace_now(config_folder: Path, issuer_folder: Path, now: datetime, issuer: str) -> Rotation:
    """Make a new key the only one: whatever others signed is refused from when a service reads the file again."""
    with _changing(config_folder, issuer_folder):
        fresh = {"issuer": issuer, "keys": [_fresh(now)]}
        _write(config_folder, issuer_folder, fresh)
    return _rotation(fresh)


def next_steps(found: Rotation) -> list[str]:
    """What to do next, in order, where the files are mounted and not shared. Services first: they know a key then
    before anything is signed with it, and forget one that signs no more."""
    steps = [
        f"Where files are mounted: hand {PUBLIC} on to every service, then {PRIVATE} to the console.",
    ]
    if found.finish_at is not None:
        steps.append(f"From {written(found.finish_at)} on: loopkeeper keys rotate-issuer --finish")
    return steps


# ── the files ─────────────────────────────────────────────────────────────────────────────────────────────


def _changing(config_folder: Path, issuer_folder: Path) -> Any:
    for folder in (config_folder, issuer_folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return locked(issuer_folder / PRIVATE)


def _write(config_folder: Path, issuer_folder: Path, kept: Mapping[str, Any]) -> None:
    """Publish before anything is signed."""
    _publish(config_folder, kept)
    write_private(issuer_folder / PRIVATE, _text(kept))


def _publish(config_folder: Path, kept: Mapping[str, Any]) -> None:
    public = [_key(each).as_dict(private=False) for each in kept["keys"]]
    write_private(config_folder / PUBLIC, _text({kept["issuer"]: {"keys": public}}))


def _published(config_folder: Path, kept: Mapping[str, Any]) -> bool:
    if not (config_folder / PUBLIC).exists():
        return False
    return {each["kid"] for each in kept["keys"]} <= set(_public_keys(config_folder / PUBLIC))


def _fresh(signs_from: datetime) -> dict[str, Any]:
    from joserfc.jwk import ECKey

    made = ECKey.generate_key("P-256", {"kid": token_hex(8), "alg": ALGORITHM, "use": "sig"})
    return {**made.as_dict(private=True), "from": written(signs_from.replace(microsecond=0))}


def _text(kept: Mapping[str, Any]) -> str:
    return json.dumps(kept, indent=1, sort_keys=True)


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise StartError(f"There is no {file}.", "`loopkeeper up` makes it, or `keys rotate-issuer --now`.")
    try:
        kept = json.loads(file.read_text())
        if not all(_signing(kept, each).key.is_private and _from(each) for each in kept["keys"]):
            raise ValueError("a key has no private half")
        return kept
    except (ValueError, KeyError, TypeError, JoseError) as error:
        raise StartError(
            f"{file} is damaged.", "Restore it from a backup, or make a new key: keys rotate-issuer --now."
        ) from error


def _public_keys(file: Path) -> dict[str, VerifyingKey]:
    try:
        kept: dict[str, Any] = json.loads(file.read_text())
        return {
            cast("str", each["kid"]): VerifyingKey(issuer, _key(each))
            for issuer, entry in kept.items()
            for each in cast("Sequence[dict[str, Any]]", entry["keys"])
        }
    except (ValueError, KeyError, TypeError, AttributeError, JoseError) as error:
        raise StartError(
            f"{file} is damaged.", "Restore it from a backup; only the command line writes it."
        ) from error


def _key(entry: Mapping[str, Any]) -> ECKey:
    from joserfc.jwk import ECKey

    return ECKey.import_key({name: value for name, value in entry.items() if name != "from"})


def _signing(kept: Mapping[str, Any], entry: Mapping[str, Any]) -> SigningKey:
    return SigningKey(cast("str", kept["issuer"]), _key(entry))


def _from(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(cast("str", entry["from"]))


def _rotation(kept: Mapping[str, Any]) -> Rotation:
    keys = tuple(cast("str", each["kid"]) for each in kept["keys"])
    if len(keys) == 1:
        return Rotation(kept["issuer"], keys)
    signs_at = _from(kept["keys"][-1])
    return Rotation(kept["issuer"], keys, signs_at, signs_at + OUTLIVED_AFTER)
