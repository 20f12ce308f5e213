"""Who calls: organizations and their keys, in one file that only the command line writes.

Services read `organizations.json` again when it changed, at most every two seconds, so a revoked key ends within
that time. A key is 256 random bits; the file keeps only its SHA-256. A person comes with a token of the console
(`tokens`): the organization it names is looked up here at every call, as a key is.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from loopkeeper.contract import ids
from loopkeeper.contract.calendar import written
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, stamp, write_private
from loopkeeper.security import tokens
from loopkeeper.security.issuer import PublicKeys
from loopkeeper.security.tokens import NotProved, ProvedPerson, Statement

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
LONGEST_SLUG = 60
PREFIX = "lk_"
REREAD_AFTER = 2.0
# Verified tokens that are remembered: a page asks several times with one, and verifying costs thirty times a look-up.
MOST_TOKENS = 4096


class Role(StrEnum):
    REFERRER = "referrer"
    PROVIDER = "provider"
    PLAN = "plan"
    PARTNER = "partner"
    OPERATIONS = "operations"


class OrganizationKind(StrEnum):
    PLAN = "plan"
    PROVIDER = "provider"
    REFERRER = "referrer"
    COUNTY = "county"
    HUB = "hub"
    PARTNER = "partner"
    OPERATIONS = "operations"


# Which roles a key of an organization of this kind may hold (loop.md 1.1): only a plan decides, only the
# installation's own people operate.
ROLES: Mapping[OrganizationKind, frozenset[Role]] = {
    OrganizationKind.PLAN: frozenset({Role.PLAN, Role.REFERRER}),
    OrganizationKind.PROVIDER: frozenset({Role.PROVIDER, Role.REFERRER}),
    OrganizationKind.REFERRER: frozenset({Role.REFERRER}),
    OrganizationKind.COUNTY: frozenset({Role.REFERRER, Role.PROVIDER, Role.PARTNER}),
    OrganizationKind.HUB: frozenset({Role.PROVIDER, Role.REFERRER}),
    OrganizationKind.PARTNER: frozenset({Role.PARTNER}),
    OrganizationKind.OPERATIONS: frozenset({Role.OPERATIONS}),
}


class ClientsError(StartError):
    """What was asked of the organizations file cannot be."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """An organization's own OpenID provider: its issuer, our client there, and what each of its groups may do (roles, and
    `admin` for people who invite and end people)."""

    issuer: str
    client_id: str
    groups: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Organization:
    """Who takes part; `id` is its slug everywhere, `phone` the number notices tell people to call. One that was revoked
    keeps its name, and none of its keys and people is let in."""

    id: str
    name: str
    kind: OrganizationKind
    phone: str = ""
    revoked: bool = False
    sign_in: SignIn | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """One key of one organization, and the roles it holds; or, with `person`, a signed-in person of it, whose roles these
    are. `id` is then the console's."""

    id: str
    organization: str
    kind: str
    roles: frozenset[Role]
    name: str = ""
    person: ProvedPerson | None = None

    @property
    def counted_as(self) -> str:
        """By what rates and pools tell callers apart: a key, or a person behind the console."""
        return f"{self.id} {self.person.id}" if self.person is not None else self.id


class Directory:
    """The organizations and keys as the file says now, and whose tokens count."""

    def __init__(self, config_folder: Path, *, time_now: Callable[[], float] = time.time) -> None:
        """`time_now`: what the outside world's clocks show, by which a token ends; a demo's clock does not move it."""
        self._file = config_folder / "organizations.json"
        self._tokens = _Tokens(PublicKeys(config_folder), time_now)
        self._read_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._organizations: dict[str, Organization] = {}
        self._by_hash: dict[str, Client] = {}
        self._time_now = time_now
        self._used: dict[str, float] = {}

    def authenticate(self, credential: str) -> Client | None:
        """The client of this key, or the person of this token; None where it is unknown, over or revoked."""
        self._reread()
        if tokens.looks_like_one(credential):
            said = self._tokens.statement(credential)
            return self._person(said) if said is not None else None
        client = self._by_hash.get(_hash(credential))
        if client is not None:
            self._used[client.id] = self._time_now()
        return client

    def known_keys(self) -> list[dict[str, Any]]:
        """Every key as `list_clients` has it, and when this process last let it in; never the key."""
        return [
            {**each, "last_used_at": datetime.fromtimestamp(at, UTC) if at is not None else None}
            for each in list_clients(self._file.parent)
            for at in (self._used.get(each["id"]),)
        ]

    def _person(self, said: Statement) -> Client | None:
        """Whom the token names, with the roles that it and the organization's kind have in common."""
        of = self._organizations.get(said.organization)
        if of is None or of.revoked:
            return None
        roles = frozenset(role for role in ROLES[of.kind] if role in said.roles)
        return Client(said.client, of.id, of.kind, roles, of.name, said.person)

    def organization(self, slug: str) -> Organization | None:
        self._reread()
        return self._organizations.get(slug)

    def organizations(self) -> Mapping[str, Organization]:
        self._reread()
        return self._organizations

    def _reread(self) -> None:
        now = time.monotonic()
        if now - self._read_at < REREAD_AFTER:
            return
        self._read_at = now
        try:
            found = stamp(self._file)
        except FileNotFoundError:
            return
        if found == self._stamp:
            return
        kept = _read(self._file)
        self._organizations = _organizations(kept)
        self._by_hash = {
            entry["sha256"]: _client(client_id, entry, self._organizations[entry["organization"]])
            for client_id, entry in kept["clients"].items()
            if not entry.get("revoked_at") and not self._organizations[entry["organization"]].revoked
        }
        self._stamp = found


class _Tokens:
    """What verified tokens say, remembered by their hash until they are over, and no longer than their key counts."""

    def __init__(self, keys: PublicKeys, time_now: Callable[[], float]) -> None:
        self._keys = keys
        self._time_now = time_now
        self._of_keys = keys.changed
        self._known: OrderedDict[bytes, Statement] = OrderedDict()

    def statement(self, token: str) -> Statement | None:
        keys, now = self._keys.keys(), self._time_now()
        if self._of_keys != self._keys.changed:
            self._known.clear()
            self._of_keys = self._keys.changed
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(name)
        if known is not None and now < known.expires_at:
            return known
        try:
            said = tokens.verify(token, keys, now=now)
        except NotProved:
            self._known.pop(name, None)
            return None
        self._known[name] = said
        if len(self._known) > MOST_TOKENS:
            self._known.popitem(last=False)
        return said


def add_organization(folder: Path, slug: str, name: str, kind: str, phone: str = "") -> Organization:
    """Add an organization, or restate one of the same kind. Raises `ClientsError` for a bad slug or kind."""
    kept = _change(folder, lambda kept: _put_organization(kept, slug, name, kind, phone))
    return _organizations(kept)[slug]


def add_client(folder: Path, organization: str, roles: Collection[str]) -> tuple[Client, str]:
    """A new key of this organization, shown once: (client, key). Raises `ClientsError` for an unknown
    organization, and for a role its kind may not hold."""
    client_id, key = ids.new("cli"), PREFIX + secrets.token_urlsafe(32)
    kept = _change(folder, lambda kept: _put_client(kept, client_id, key, organization, roles))
    return _client(client_id, kept["clients"][client_id], _organizations(kept)[organization]), key


def import_organizations(folder: Path, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Add many organizations at once, each with one key if it names roles; all or none. Each entry has `id`,
    `name`, `kind`, and may have `phone` and `roles`. Returns id, client and key of each key made."""
    made: list[dict[str, str]] = []

    def change(kept: dict[str, Any]) -> None:
        for entry in entries:
            unknown = set(entry) - {"id", "name", "kind", "phone", "roles"}
            texts = all(isinstance(entry.get(field, ""), str) for field in ("id", "name", "kind", "phone"))
            if unknown or not texts or not {"id", "name", "kind"} <= set(entry):
                raise ClientsError(
                    "An entry is not an organization.",
                    "Give id, name and kind, and phone and roles if known.",
                )
            slug: str = entry["id"]
            _put_organization(kept, slug, entry["name"], entry["kind"], entry.get("phone", ""))
            if entry.get("roles"):
                client_id, key = ids.new("cli"), PREFIX + secrets.token_urlsafe(32)
                _put_client(kept, client_id, key, slug, entry["roles"])
                made.append({"id": slug, "client": client_id, "key": key})

    _change(folder, change)
    return made


def _put_organization(kept: dict[str, Any], slug: str, name: str, kind: str, phone: str) -> None:
    if not SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG or slug == "system":
        raise ClientsError(
            f"{slug!r} cannot be an organization's id.",
            "Use small letters, digits and dashes, e.g. harbor-health.",
        )
    if not name.strip() or not name.strip().isprintable():
        raise ClientsError(
            f"{slug} has no name.", "Give the name people know it by: --name, or `name` in the file."
        )
    if kind not in list(OrganizationKind):
        raise ClientsError(f"There is no kind {kind!r}.", f"Use one of {', '.join(OrganizationKind)}.")
    before = kept["organizations"].get(slug)
    if before is not None and before["kind"] != kind:
        raise ClientsError(f"{slug} is already a {before['kind']}.", "Choose another id.")
    stated = {"name": name.strip(), "kind": kind, "phone": phone.strip()}
    kept["organizations"][slug] = {**(before or {}), **stated}


def _put_client(
    kept: dict[str, Any], client_id: str, key: str, organization: str, roles: Collection[str]
) -> None:
    found = kept["organizations"].get(organization)
    if found is None:
        raise ClientsError(f"There is no organization {organization!r}.", "Add it with `loopkeeper org add`.")
    may = ROLES[OrganizationKind(found["kind"])]
    for role in roles:
        if role not in may:
            raise ClientsError(
                f"A {found['kind']} cannot hold the role {role!r}.", f"It may hold {', '.join(sorted(may))}."
            )
    if not roles:
        raise ClientsError("A key without a role can do nothing.", f"Give --role {' or '.join(sorted(may))}.")
    kept["clients"][client_id] = {
        "organization": organization,
        "roles": sorted(set(roles)),
        "sha256": _hash(key),
        "created_at": written(datetime.now(UTC).replace(microsecond=0)),
    }


def list_clients(folder: Path) -> list[dict[str, Any]]:
    """Every key's id, organization, roles, creation and revocation, oldest first; never the key."""
    kept = _read(folder / "organizations.json")
    shown = [
        {"id": client_id, **{name: value for name, value in entry.items() if name != "sha256"}}
        for client_id, entry in kept["clients"].items()
    ]
    return sorted(shown, key=lambda entry: (entry["created_at"], entry["id"]))


def list_organizations(folder: Path) -> list[Organization]:
    """Every organization, by id."""
    return sorted(_organizations(_read(folder / "organizations.json")).values(), key=lambda each: each.id)


def revoke_client(folder: Path, client_id: str) -> None:
    """End a key; services follow within two seconds. Raises `ClientsError` for an unknown one."""

    def change(kept: dict[str, Any]) -> None:
        entry = kept["clients"].get(client_id)
        if entry is None:
            raise ClientsError(f"There is no client {client_id!r}.", "`loopkeeper client list` shows them.")
        entry.setdefault("revoked_at", written(datetime.now(UTC).replace(microsecond=0)))

    _change(folder, change)


def revoke_organization(folder: Path, slug: str) -> None:
    """Let none of its keys and people in any more; services follow within two seconds. Its name stays known. Raises
    `ClientsError` for an unknown one."""
    at = written(datetime.now(UTC).replace(microsecond=0))
    _change(folder, lambda kept: _organization(kept, slug).setdefault("revoked_at", at))


def readmit_organization(folder: Path, slug: str) -> None:
    """Take back what `revoke_organization` did; keys that were revoked themselves stay so. Raises `ClientsError`."""
    _change(folder, lambda kept: _organization(kept, slug).pop("revoked_at", None))


def set_sign_in(folder: Path, slug: str, sign_in: SignIn | None) -> None:
    """From now on people of this organization sign in by its own provider; None ends that. Raises `ClientsError` for an
    unknown organization, and for a group that may do what its kind may not."""

    def change(kept: dict[str, Any]) -> None:
        entry = _organization(kept, slug)
        if sign_in is None:
            entry.pop("sign_in", None)
            return
        may = {*ROLES[OrganizationKind(entry["kind"])], "admin"}
        for group, words in sign_in.groups.items():
            if not words or not set(words) <= may:
                raise ClientsError(
                    f"The group {group!r} cannot do that at a {entry['kind']}.",
                    f"Give one or more of {', '.join(sorted(may))}.",
                )
        entry["sign_in"] = {
            "issuer": sign_in.issuer,
            "client_id": sign_in.client_id,
            "groups": {group: sorted(words) for group, words in sign_in.groups.items()},
        }

    _change(folder, change)


def _organization(kept: Mapping[str, Any], slug: str) -> dict[str, Any]:
    found = kept["organizations"].get(slug)
    if found is None:
        raise ClientsError(f"There is no organization {slug!r}.", "`loopkeeper org list` shows them.")
    return found


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _organizations(kept: Mapping[str, Any]) -> dict[str, Organization]:
    return {
        slug: Organization(
            slug,
            entry["name"],
            OrganizationKind(entry["kind"]),
            entry.get("phone", ""),
            revoked="revoked_at" in entry,
            sign_in=_sign_in(entry.get("sign_in")),
        )
        for slug, entry in kept["organizations"].items()
    }


def _sign_in(entry: Mapping[str, Any] | None) -> SignIn | None:
    if entry is None:
        return None
    groups = {str(group): tuple(str(word) for word in words) for group, words in entry["groups"].items()}
    return SignIn(entry["issuer"], entry["client_id"], groups)


def _client(client_id: str, entry: Mapping[str, Any], of: Organization) -> Client:
    return Client(client_id, of.id, of.kind, frozenset(Role(role) for role in entry["roles"]), of.name)


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {"organizations": {}, "clients": {}}
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise ClientsError(
            f"{file} is damaged.", "Restore it from a backup; only the command line writes it."
        ) from error


def _change(folder: Path, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / "organizations.json"
    with locked(file):
        kept = _read(file)
        change(kept)
        write_private(file, json.dumps(kept, indent=1, sort_keys=True))
    return kept
