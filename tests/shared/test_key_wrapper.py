"""What is asked of every wrapper of data keys, of the master key and of a key service alike; and how a service is
plugged in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loopkeeper.cli import app
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings
from loopkeeper.security import keyring
from loopkeeper.security.key_wrapper import KEY_BYTES, KeyWrapper, MasterKey, Unsealable, plugged_in
from loopkeeper.security.keyring import Erased, KeyMissing, Keyring, open_keyring
from loopkeeper.security.sealing import Sealer
from tests.shared.key_service import KeyService

PLAN, OTHER = "harbor-health-plan", "valley-care-plan"
DAVID = {"first_name": "David", "cin": "90000001S"}
DATA_KEY = bytes(range(KEY_BYTES))
# Makes the wrapper of another key each time.
Make = Callable[[], KeyWrapper]


@pytest.fixture(params=["master key", "key service"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "master key":
        return lambda: MasterKey(os.urandom(KEY_BYTES))
    return lambda: KeyService(tmp_path / f"{os.urandom(4).hex()}.key")


@pytest.fixture(autouse=True)
def changes_are_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "REREAD_AFTER", 0.0)


# ── the contract ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_wrapped_is_unwrapped_under_the_same_label(make: Make) -> None:
    wrapper = make()
    assert wrapper.unwrap(wrapper.wrap(DATA_KEY, f"{PLAN}|1"), f"{PLAN}|1") == DATA_KEY


def test_a_key_that_is_moved_to_another_plan_does_not_open(make: Make) -> None:
    wrapper = make()
    with pytest.raises(Unsealable):
        wrapper.unwrap(wrapper.wrap(DATA_KEY, f"{PLAN}|1"), f"{OTHER}|1")


def test_what_another_key_wrapped_does_not_open(make: Make) -> None:
    with pytest.raises(Unsealable):
        make().unwrap(make().wrap(DATA_KEY, "x"), "x")


@pytest.mark.parametrize("text", ["", "not wrapped by anybody", "AAAA"])
def test_a_text_that_nobody_wrapped_does_not_open(make: Make, text: str) -> None:
    with pytest.raises(Unsealable):
        make().unwrap(text, "x")


def test_the_same_key_is_wrapped_otherwise_each_time_and_tells_nothing_of_itself(make: Make) -> None:
    wrapper = make()
    first, second = wrapper.wrap(DATA_KEY, "x"), wrapper.wrap(DATA_KEY, "x")
    assert first != second
    assert DATA_KEY.hex() not in first
    # The keyring is a JSON file.
    assert json.loads(json.dumps(first)) == first


def test_a_keyring_seals_rotates_and_erases_over_it(make: Make, tmp_path: Path) -> None:
    wrapper, folder = make(), tmp_path / "config"
    sealer = Sealer(Keyring.open(folder, wrapper=wrapper))
    sealed = sealer.seal(PLAN, "ref_1", "identity", DAVID)
    Keyring.open(folder, wrapper=wrapper).rotate(PLAN)
    for each in (sealer, Sealer(Keyring.open(folder, wrapper=wrapper))):
        assert each.open(PLAN, "ref_1", "identity", sealed) == DAVID
    with pytest.raises(StartError):
        Keyring.open(folder, wrapper=make())
    Keyring.open(folder, wrapper=wrapper).destroy(PLAN)
    with pytest.raises(Erased):
        sealer.open(PLAN, "ref_1", "identity", sealed)


# ── a service that is away ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def service(tmp_path: Path) -> KeyService:
    return KeyService(tmp_path / "service.key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "config"


def test_while_the_service_is_away_known_keys_open_new_ones_wait_and_erasure_holds(
    service: KeyService, folder: Path
) -> None:
    running = Sealer(Keyring.open(folder, wrapper=service))
    sealed = {plan: running.seal(plan, "ref_1", "identity", DAVID) for plan in (PLAN, OTHER)}
    desk = Keyring.open(folder, wrapper=KeyService(service.file))
    service.away = True
    desk.rotate(PLAN)
    desk.destroy(OTHER)
    assert running.open(PLAN, "ref_1", "identity", sealed[PLAN]) == DAVID
    with pytest.raises(Erased):
        running.open(OTHER, "ref_1", "identity", sealed[OTHER])
    with pytest.raises(KeyMissing):
        running.seal("a-new-plan", "ref_1", "identity", DAVID)
    with pytest.raises(StartError, match="cannot be reached"):
        Keyring.open(folder, wrapper=service)
    service.away = False
    assert running.seal(PLAN, "ref_1", "identity", DAVID).split(".")[1] == "2"
    assert running.seal("a-new-plan", "ref_1", "identity", DAVID)


def test_a_service_is_asked_only_for_keys_that_are_new(service: KeyService, folder: Path) -> None:
    ring = Keyring.open(folder, wrapper=service)
    for plan in (PLAN, OTHER):
        ring.keys(plan)
    Keyring.open(folder, wrapper=KeyService(service.file)).rotate(PLAN)
    service.calls.clear()
    assert ring.keys(PLAN).current == 2
    assert service.calls == [f"unwrap {PLAN}|2"]


# ── plugged in ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package whose entry point is the service; the name under which it is plugged in."""
    package = tmp_path / "site"
    about = package / "acme_keys-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-keys\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[loopkeeper.key_wrappers]\nacme = tests.shared.key_service:connect\n"
    )
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("LOOPKEEPER_HOME", str(tmp_path))
    return f"acme:{tmp_path / 'service.key'}"


def rotate_master(*words: str) -> str:
    result = CliRunner().invoke(app, ["keys", "rotate-master", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_setting_names_the_service_that_wraps_and_no_master_key_is_made(
    installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPKEEPER_KEY_WRAPPER", installed)
    settings = Settings()
    sealed = Sealer(open_keyring(settings)).seal(PLAN, "ref_1", "identity", DAVID)
    assert Sealer(open_keyring(settings)).open(PLAN, "ref_1", "identity", sealed) == DAVID
    assert not (settings.config_folder / "master.key").exists()


def test_a_service_that_nobody_installed_stops_the_start_and_says_what_there_is(installed: str) -> None:
    with pytest.raises(StartError, match="no key wrapper 'vault'") as refused:
        plugged_in("vault:https://vault.example/transit/loopkeeper")
    assert "acme" in refused.value.fix


def test_an_installation_moves_from_its_master_key_to_a_service_while_it_runs(
    installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Sealer(open_keyring(Settings()))
    sealed = before.seal(PLAN, "ref_1", "identity", DAVID)
    said = rotate_master("--wrapper", installed)
    assert f"LOOPKEEPER_KEY_WRAPPER={installed}" in said
    monkeypatch.setenv("LOOPKEEPER_KEY_WRAPPER", installed)
    after = Sealer(open_keyring(Settings()))
    # Between the steps both work, side by side.
    meanwhile = before.seal(OTHER, "ref_2", "identity", DAVID)
    assert after.open(OTHER, "ref_2", "identity", meanwhile) == DAVID
    rotate_master("--finish")
    for each in (before, after, Sealer(open_keyring(Settings()))):
        assert each.open(PLAN, "ref_1", "identity", sealed) == DAVID
    kept = json.loads((Settings().config_folder / "keyring.json").read_text())
    assert "previous" not in kept["system"]
    assert all(entry["index"].startswith("service:") for entry in kept.values())
    monkeypatch.delenv("LOOPKEEPER_KEY_WRAPPER")
    with pytest.raises(StartError, match="does not open this keyring"):
        open_keyring(Settings())


def test_a_key_service_gives_no_key_away_so_it_is_left_only_by_its_own_means(
    installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPKEEPER_KEY_WRAPPER", installed)
    open_keyring(Settings())
    result = CliRunner().invoke(app, ["keys", "rotate-master"])
    assert result.exit_code == 5
    assert "A key service wraps this keyring." in result.output
