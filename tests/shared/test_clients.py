"""Who calls: organizations and keys in one file that only the command line writes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from loopkeeper.security import organizations
from loopkeeper.security.organizations import ClientsError, Directory, Role


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    organizations.add_organization(
        tmp_path, "harbor-street-medicine", "Harbor Street Medicine", "provider", "555-0120"
    )
    return tmp_path


# loop.md 1.1
def test_a_key_names_its_organization_and_roles(folder: Path) -> None:
    client, key = organizations.add_client(folder, "harbor-street-medicine", ["referrer", "provider"])
    found = Directory(folder).authenticate(key)
    assert found == client
    assert client.roles == {Role.REFERRER, Role.PROVIDER}
    assert Directory(folder).authenticate(key + "x") is None


def test_the_file_keeps_no_key_and_is_readable_by_its_owner_only(folder: Path) -> None:
    _, key = organizations.add_client(folder, "harbor-street-medicine", ["referrer"])
    file = folder / "organizations.json"
    assert key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all("sha256" not in entry for entry in organizations.list_clients(folder))


# loop.md 1.2
def test_a_running_service_follows_new_and_revoked_keys(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organizations, "REREAD_AFTER", 0.0)
    running = Directory(folder)
    client, key = organizations.add_client(folder, "harbor-street-medicine", ["referrer"])
    assert running.authenticate(key) == client
    organizations.revoke_client(folder, client.id)
    assert running.authenticate(key) is None
    assert "revoked_at" in organizations.list_clients(folder)[0]


def test_a_directory_without_a_file_knows_nobody(tmp_path: Path) -> None:
    assert Directory(tmp_path).authenticate("lk_any") is None
    assert Directory(tmp_path).organization("harbor-street-medicine") is None


@pytest.mark.parametrize(
    ("kind", "role"),
    [("provider", "plan"), ("referrer", "provider"), ("plan", "operations"), ("plan", "king")],
)
def test_only_a_plan_decides_and_only_operations_operate(tmp_path: Path, kind: str, role: str) -> None:
    organizations.add_organization(tmp_path, "someone", "Someone", kind)
    with pytest.raises(ClientsError):
        organizations.add_client(tmp_path, "someone", [role])


@pytest.mark.parametrize("slug", ["", "Harbor", "a--b", "-a", "a_b", "system", "x" * 61, "a/b"])
def test_an_id_is_a_plain_slug(tmp_path: Path, slug: str) -> None:
    with pytest.raises(ClientsError):
        organizations.add_organization(tmp_path, slug, "Somebody", "provider")


def test_a_kind_is_never_changed_behind_its_keys(folder: Path) -> None:
    with pytest.raises(ClientsError):
        organizations.add_organization(folder, "harbor-street-medicine", "Harbor Street Medicine", "plan")


def test_many_organizations_come_in_at_once_or_not_at_all(tmp_path: Path) -> None:
    made = organizations.import_organizations(
        tmp_path,
        [
            {"id": "harbor-health-plan", "name": "Harbor Health Plan", "kind": "plan", "roles": ["plan"]},
            {"id": "bayview-hospital", "name": "Bayview Hospital", "kind": "referrer"},
        ],
    )
    assert [entry["id"] for entry in made] == ["harbor-health-plan"]
    bad = [{"id": "fine", "name": "Fine", "kind": "plan"}, {"id": "Not Fine", "name": "", "kind": "plan"}]
    with pytest.raises(ClientsError):
        organizations.import_organizations(tmp_path, bad)
    assert {each.id for each in organizations.list_organizations(tmp_path)} == {
        "harbor-health-plan",
        "bayview-hospital",
    }
