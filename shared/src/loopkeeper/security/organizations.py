"""Who calls: organizations and their keys, in one file that only the command line writes.

Services read `organizations.json` again when it changed, at most every two seconds, so a revoked key ends within
that time. A key is 256 random bits; the file keeps only its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
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

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
LONGEST_SLUG = 60
PREFIX = "lk_"
REREAD_AFTER = 2.0


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
class Organization:
    """Who takes part; `id` is its slug everywhere, `phone` the number notices tell people to call."""

    id: str
    name: str
    kind: OrganizationKind
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """One key of one organization, and the roles it holds."""

    id: str
    organization: str
    kind: str
    roles: frozenset[Role]
    name: str = ""


class Directory:
    """The organizations and keys as the file says now."""

    def __init__(self, config_folder: Path) -> None:
        self._file = config_folder / "organizations.json"
        self._read_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._organizations: dict[str, Organization] = {}
        self._by_hash: dict[str, Client] = {}

    def authenticate(self, key: str) -> Client | None:
        """The client of this key; None for an unknown or revoked one."""
        self._reread()
        return self._by_hash.get(_hash(key))

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
            if not entry.get("revoked_at")
        }
        self._stamp = found


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
    kept["organizations"][slug] = {"name": name.strip(), "kind": kind, "phone": phone.strip()}


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


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _organizations(kept: Mapping[str, Any]) -> dict[str, Organization]:
    return {
        slug: Organization(slug, entry["name"], OrganizationKind(entry["kind"]), entry.get("phone", ""))
        for slug, entry in kept["organizations"].items()
    }


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


def _change(folder: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / "organizations.json"
    with locked(file):
        kept = _read(file)
        change(kept)
        write_private(file, json.dumps(kept, indent=1, sort_keys=True))
    return kept
