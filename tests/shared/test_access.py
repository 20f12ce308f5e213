"""Organizations, keys, keyring, policy and the machine's health, as the command line keeps and checks them."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from pydantic import SecretStr
from typer.testing import CliRunner

from loopkeeper.cli import app as command_line
from loopkeeper.cli import checks
from loopkeeper.cli.client import operator_key
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.organizations import Directory, Role
from loopkeeper.security.sealing import Sealer

Run = Callable[..., Result]
HARBOR = ("org", "add", "harbor-health-plan", "--name", "Harbor Health Plan", "--kind", "plan")
STREET = ("org", "add", "harbor-street-medicine", "--name", "Harbor Street Medicine", "--kind", "provider")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home of its own, and a port nobody else uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("LOOPKEEPER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOOPKEEPER_PORT", str(port))
    return Settings()


@pytest.fixture
def run(settings: Settings) -> Run:
    def running(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(command_line, list(words))
        assert result.exit_code == code, result.output
        return result

    return running


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


# ── organizations and keys ────────────────────────────────────────────────────────────────────────────────


def test_an_added_organization_takes_part_under_its_slug(run: Run, settings: Settings) -> None:
    run(*STREET, "--phone", "555-0142")
    found = Directory(settings.config_folder).organization("harbor-street-medicine")
    assert found is not None
    assert (found.name, found.kind, found.phone) == ("Harbor Street Medicine", "provider", "555-0142")
    assert json.loads(run("org", "list", "--json").stdout)[0]["id"] == "harbor-street-medicine"


@pytest.mark.parametrize(
    "words",
    [
        ("org", "add", "Harbor Health", "--name", "Harbor", "--kind", "plan"),
        ("org", "add", "harbor", "--name", "Harbor", "--kind", "bank"),
        ("client", "add", "nobody", "--role", "plan"),
        ("client", "revoke", "cli_0"),
        ("keys", "rotate", "nobody"),
    ],
)
def test_what_cannot_be_is_refused_with_its_fix(run: Run, words: tuple[str, ...]) -> None:
    said = run(*words, code=2).stderr.strip().splitlines()
    assert len(said) >= 2


def test_a_provider_cannot_be_given_a_plans_key(run: Run) -> None:
    run(*STREET)
    refused = run("client", "add", "harbor-street-medicine", "--role", "plan", code=2)
    assert "cannot hold the role 'plan'" in refused.stderr


def test_a_key_is_printed_once_and_kept_only_as_its_hash(run: Run, settings: Settings) -> None:
    run(*HARBOR)
    key = run("client", "add", "harbor-health-plan", "--role", "plan", "--role", "referrer").stdout.strip()
    client = Directory(settings.config_folder).authenticate(key)
    assert client is not None
    assert client.roles == {Role.PLAN, Role.REFERRER}
    assert all(key not in each.read_text() for each in settings.config_folder.iterdir())
    assert key not in run("client", "list").output


def test_json_gives_the_key_with_its_id(run: Run, settings: Settings) -> None:
    run(*HARBOR)
    made = json.loads(run("client", "add", "harbor-health-plan", "--role", "plan", "--json").stdout)
    client = Directory(settings.config_folder).authenticate(made["key"])
    assert client is not None
    assert made["id"] == client.id
    listed = json.loads(run("client", "list", "--json").stdout)
    assert [each["id"] for each in listed] == [made["id"]]


def test_a_revoked_key_opens_nothing_and_stays_listed(run: Run, settings: Settings) -> None:
    run(*HARBOR)
    made = json.loads(run("client", "add", "harbor-health-plan", "--role", "plan", "--json").stdout)
    run("client", "revoke", made["id"])
    assert Directory(settings.config_folder).authenticate(made["key"]) is None
    assert json.loads(run("client", "list", "--json").stdout)[0]["revoked_at"]


def test_a_plan_that_is_added_has_its_data_key_before_its_first_referral(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    """A service must not need to write the keyring: in a cluster it only reads it."""
    run(*HARBOR)
    run(*STREET)
    many = tmp_path / "many.json"
    many.write_text(json.dumps([{"id": "valley-care-plan", "name": "Valley Care Plan", "kind": "plan"}]))
    run("org", "import", str(many))
    keyring = settings.config_folder / "keyring.json"
    kept = json.loads(keyring.read_text())
    assert set(kept) == {"system", "harbor-health-plan", "valley-care-plan"}
    run(*HARBOR, "--phone", "555-0100")
    assert json.loads(keyring.read_text()) == kept


def test_a_plan_is_not_added_where_no_key_can_be_made_for_it(run: Run, settings: Settings) -> None:
    run(*HARBOR)
    (settings.config_folder / "master.key").unlink()
    words = ("org", "add", "valley-care-plan", "--name", "Valley Care Plan", "--kind", "plan")
    assert "LOOPKEEPER_MASTER_KEY" in run(*words, code=5).stderr
    assert Directory(settings.config_folder).organization("valley-care-plan") is None


# ── the operations key ────────────────────────────────────────────────────────────────────────────────────


def test_the_first_start_makes_an_operations_key_that_only_its_owner_reads(settings: Settings) -> None:
    key = operator_key(settings)
    client = Directory(settings.config_folder).authenticate(key)
    assert client is not None
    assert (client.organization, client.roles) == ("operations", {Role.OPERATIONS})
    assert settings.key_file.read_text().strip() == key
    assert mode(settings.key_file) == 0o600
    assert mode(settings.config_folder) == 0o700


def test_later_starts_find_the_same_key(settings: Settings) -> None:
    assert operator_key(settings) == operator_key(settings)


def test_a_revoked_operations_key_is_replaced(run: Run, settings: Settings) -> None:
    old = operator_key(settings)
    run("client", "revoke", json.loads(run("client", "list", "--json").stdout)[0]["id"])
    new = operator_key(settings)
    assert new != old
    assert Directory(settings.config_folder).authenticate(new) is not None


def test_two_starts_at_once_make_one_key(run: Run, settings: Settings) -> None:
    with ThreadPoolExecutor(8) as starts:
        keys = set(starts.map(lambda _: operator_key(settings), range(8)))
    assert len(keys) == 1
    assert len(json.loads(run("client", "list", "--json").stdout)) == 1


# ── the keyring ───────────────────────────────────────────────────────────────────────────────────────────


def test_after_a_rotation_old_and_new_seals_both_open(run: Run, settings: Settings) -> None:
    run(*HARBOR)
    identity = {"first_name": "David", "usual_place": "tent behind the gas station"}

    def sealer() -> Sealer:
        return Sealer(Keyring.open(settings.config_folder, None))

    before = sealer().seal("harbor-health-plan", "ref_1", "identity", identity)
    assert json.loads(run("keys", "rotate", "harbor-health-plan", "--json").stdout)["rotated"] == [
        "harbor-health-plan"
    ]
    after = sealer().seal("harbor-health-plan", "ref_1", "identity", identity)
    assert before.split(".")[1] != after.split(".")[1]
    for sealed in (before, after):
        assert sealer().open("harbor-health-plan", "ref_1", "identity", sealed) == identity


def test_rotating_all_renews_every_plan_that_has_keys(run: Run, settings: Settings) -> None:
    run(*HARBOR)
    Keyring.open(settings.config_folder, None).keys("harbor-health-plan")
    rotated = json.loads(run("keys", "rotate", "--json").stdout)["rotated"]
    assert set(rotated) == {"harbor-health-plan", "system"}


def test_destroyed_keys_are_not_renewed(run: Run, settings: Settings) -> None:
    run(*HARBOR)
    ring = Keyring.open(settings.config_folder, None)
    ring.keys("harbor-health-plan")
    ring.destroy("harbor-health-plan")
    assert "destroyed" in run("keys", "rotate", "harbor-health-plan", code=1).stderr


# ── the policy ────────────────────────────────────────────────────────────────────────────────────────────


def written(settings: Settings, text: str) -> None:
    settings.policy_folder.mkdir(parents=True, exist_ok=True)
    (settings.policy_folder / "own.yaml").write_text(text)


def test_a_sound_policy_is_said_to_be_so(run: Run) -> None:
    assert "The policy is sound." in run("policy", "check").stdout
    assert json.loads(run("policy", "check", "--json").stdout) == []


def test_an_unsound_row_is_named_with_place_sentence_and_fix(run: Run, settings: Settings) -> None:
    written(
        settings,
        "table: populations\nrows:\n"
        "  - {id: own, plan: harbor-health-plan, population: homelessness, form: adult,\n"
        "     condition: {answer: in_shelter}, effective_from: 2026-01-01, source: us, confidence: ours}\n",
    )
    said = run("policy", "check", code=1).stdout
    assert "own.yaml, populations/own" in said
    assert "A plan may not change population homelessness." in said
    assert "Only avoidable_utilization may be broadened: remove the row." in said
    shown = json.loads(run("policy", "check", "--json", code=1).stdout)
    assert {"place", "sentence", "fix"} == set(shown[0])


# ── doctor ────────────────────────────────────────────────────────────────────────────────────────────────


def looked_at(settings: Settings) -> dict[str, checks.Check]:
    found = {each.name: each for each in checks.all_checks(settings)}
    assert all(each.fix for each in found.values() if not each.ok)
    return found


def test_a_fresh_home_is_well_and_looking_changes_nothing(settings: Settings) -> None:
    assert [each for each in looked_at(settings).values() if not each.ok] == []
    assert not settings.home.exists()


def test_a_home_that_cannot_be_written_to_is_named(settings: Settings) -> None:
    unwritable = settings.model_copy(update={"home": Path("/proc/loopkeeper")})
    assert not looked_at(unwritable)["home"].ok


def test_a_key_file_others_may_read_is_named(settings: Settings) -> None:
    operator_key(settings)
    Keyring.open(settings.config_folder, None)
    assert looked_at(settings)["keyring"].ok
    (settings.config_folder / "master.key").chmod(0o644)
    found = looked_at(settings)["keyring"]
    assert not found.ok
    assert found.fix == f"chmod 600 {settings.config_folder / 'master.key'}"


@pytest.mark.parametrize(("mounted", "well"), [(0o440, True), (0o400, True), (0o444, False), (0o460, False)])
def test_a_file_handed_to_us_as_a_cluster_mounts_a_secret_may_be_read_by_its_group_and_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, mounted: int, well: bool
) -> None:
    """It is root's, and its group is how we read it; of a file of our own the group has no need."""
    operator_key(settings)
    Keyring.open(settings.config_folder, None)
    files = [settings.config_folder / f"{each}.json" for each in ("organizations", "keyring")]
    owner = files[0].stat().st_uid
    for file in files:
        file.chmod(mounted)
    own = looked_at(settings)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    # The master key is another secret, given as a variable.
    given = settings.model_copy(
        update={"master_key": SecretStr((settings.config_folder / "master.key").read_text())}
    )
    handed = looked_at(given)
    for file in files:
        assert own[file.stem].ok is (mounted == 0o400)
        assert handed[file.stem].ok is well
        if not well:
            assert "defaultMode: 0440" in handed[file.stem].fix


def test_a_keyring_without_its_master_key_is_named_and_no_new_one_made(settings: Settings) -> None:
    Keyring.open(settings.config_folder, None)
    (settings.config_folder / "master.key").unlink()
    assert not looked_at(settings)["keyring"].ok
    assert not (settings.config_folder / "master.key").exists()


def test_a_damaged_file_is_named_and_the_other_checks_go_on(settings: Settings) -> None:
    operator_key(settings)
    (settings.config_folder / "organizations.json").write_text("{")
    found = looked_at(settings)
    assert not found["organizations"].ok
    assert found["clock"].ok


class _Answers(BaseHTTPRequestHandler):
    body: bytes = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""


@pytest.fixture
def listening(settings: Settings) -> Iterator[Callable[[bytes], None]]:
    """Something that listens on the port and answers this to whatever it is asked."""
    servers: list[HTTPServer] = []

    def listen(body: bytes) -> None:
        handler = type("Answers", (_Answers,), {"body": body})
        servers.append(HTTPServer((settings.host, settings.port), handler))
        threading.Thread(target=servers[0].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    yield listen
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_port_on_which_loopkeeper_answers_is_well(
    settings: Settings, listening: Callable[[bytes], None]
) -> None:
    listening(b'{"live":true}')
    assert looked_at(settings)["port"].ok


def test_a_port_taken_by_another_program_is_named(
    settings: Settings, listening: Callable[[bytes], None]
) -> None:
    listening(b"<html>welcome</html>")
    found = looked_at(settings)["port"]
    assert not found.ok
    assert f"--port {settings.port + 1}" in found.fix


def test_missing_postgresql_programs_are_named_unless_the_settings_name_a_server(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPKEEPER_POSTGRES_BINARIES", str(tmp_path))
    assert not looked_at(Settings())["postgresql"].ok
    monkeypatch.setenv("LOOPKEEPER_BUS", "postgresql://log@db.example/log")
    assert looked_at(Settings())["postgresql"].ok


def test_a_moved_clock_says_how_far(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPKEEPER_CLOCK", "movable")
    settings.home.mkdir()
    (settings.home / "clock.json").write_text('{"offset_seconds": 432000}')
    assert "5 days" in looked_at(Settings())["clock"].found
