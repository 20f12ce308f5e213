"""The master key is changed while services run: what was sealed opens throughout, and who is killed midway goes on."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from loopkeeper.cli import app
from loopkeeper.cli.checks import all_checks
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings
from loopkeeper.security import keyring
from loopkeeper.security.keyring import Keyring, Unsealable
from loopkeeper.security.master_key_rotation import NEXT
from loopkeeper.security.sealing import Sealer

PLAN, OTHER, ERASED = "harbor-health-plan", "valley-care-plan", "gone-health-plan"
DAVID = {"first_name": "David", "cin": "90000001S"}
Run = Callable[..., Result]
FINISH = ("--finish",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config folder of a home with two plans, and one whose keys were destroyed. Services notice a change at once."""
    monkeypatch.setenv("LOOPKEEPER_HOME", str(tmp_path))
    monkeypatch.setattr(keyring, "REREAD_AFTER", 0.0)
    found = tmp_path / "config"
    ring = Keyring.open(found)
    for plan in (PLAN, OTHER, ERASED):
        ring.keys(plan)
    ring.rotate(PLAN)
    ring.destroy(ERASED)
    return found


@pytest.fixture
def run(folder: Path) -> Run:
    def running(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["keys", "rotate-master", *words])
        assert result.exit_code == code, result.output
        return result

    return running


def text(folder: Path, name: str = "keyring.json") -> str:
    return (folder / name).read_text()


def replica(folder: Path, master: str | None = None) -> Sealer:
    """A service that starts now."""
    return Sealer(Keyring.open(folder, master))


def sealed_by(sealer: Sealer) -> str:
    return sealer.seal(PLAN, "ref_1", "identity", DAVID)


def checked(folder: Path) -> str:
    """What `loopkeeper doctor` finds of the keyring."""
    (found,) = [each for each in all_checks(Settings(home=folder.parent)) if each.name == "keyring"]
    assert found.ok
    return found.found


def check_all_open(sealers: list[Sealer], sealed: list[str]) -> None:
    for sealer in sealers:
        for each in sealed:
            assert sealer.open(PLAN, "ref_1", "identity", each) == DAVID


def test_what_was_sealed_before_opens_after_and_two_replicas_work_all_the_time(
    folder: Path, run: Run
) -> None:
    old, old_key = replica(folder), text(folder, "master.key")
    sealed, index, chain = [sealed_by(old)], old.blind_index(PLAN, "90000001S"), old.chain_key()

    said = run().stdout
    assert "--finish` is still to do" in checked(folder)
    assert "The old and the new master key both open the 7 keys of 2 plans." in said
    assert "Restart every service." in said
    assert text(folder, "master.key") != old_key
    # One replica is restarted and the other is not yet; each opens what the other seals, keys made meanwhile included.
    new = replica(folder)
    sealed += [sealed_by(old), sealed_by(new)]
    new.keyring.rotate(PLAN)
    sealed += [sealed_by(old), sealed_by(new)]
    old.keyring.rotate(PLAN)
    sealed += [sealed_by(old), sealed_by(new)]
    assert {each.split(".")[1] for each in sealed} == {"2", "3", "4"}
    check_all_open([old, new], sealed)

    assert "One master key opens the 9 keys of 2 plans." in run(*FINISH).stdout
    assert checked(folder).endswith("opens")
    later = replica(folder)
    check_all_open([new, later], [*sealed, sealed_by(later)])
    assert later.blind_index(PLAN, "90000001S") == index
    assert later.chain_key() == chain
    with pytest.raises(Unsealable):
        later.seal(ERASED, "ref_1", "identity", DAVID)
    with pytest.raises(StartError):
        replica(folder, old_key)


def test_a_replica_that_was_forgotten_goes_on_with_the_keys_it_has_and_makes_none(
    folder: Path, run: Run
) -> None:
    """Nothing it would wrap could be opened by anybody else. What is destroyed is destroyed for it too."""
    forgotten = replica(folder)
    before = sealed_by(forgotten)
    run()
    run(*FINISH)
    check_all_open([forgotten, replica(folder)], [before, sealed_by(forgotten)])
    kept = text(folder)
    with pytest.raises(Unsealable):
        forgotten.seal("new-health-plan", "ref_1", "identity", DAVID)
    with pytest.raises(Unsealable):
        forgotten.keyring.rotate(PLAN)
    assert text(folder) == kept
    Keyring.open(folder).destroy(PLAN)
    with pytest.raises(Unsealable):
        forgotten.open(PLAN, "ref_1", "identity", before)


class Killed(BaseException):
    """The process is gone before this file was replaced."""


def test_killed_at_any_moment_and_begun_again_it_ends_the_same(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = [sealed_by(replica(folder))]
    replace = Path.replace

    def killed_before(name: str, *words: str) -> None:
        before = text(folder), text(folder, "master.key")

        def dies(self: Path, target: Path) -> Path:
            if target.name == name:
                raise Killed
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", dies)
            with pytest.raises(Killed):
                CliRunner().invoke(app, ["keys", "rotate-master", *words], catch_exceptions=False)
        changed = before[0] != text(folder), before[1] != text(folder, "master.key")
        assert changed == (name == "master.key", False)
        sealed.append(sealed_by(replica(folder)))
        check_all_open([replica(folder)], sealed)

    killed_before(NEXT)
    killed_before("keyring.json")
    killed_before("master.key")
    run()
    assert not (folder / NEXT).exists()
    kept = text(folder)
    assert "both open" in run().stdout
    killed_before("keyring.json", *FINISH)
    assert text(folder) == kept
    run(*FINISH)
    kept = text(folder)
    assert "One master key opens" in run(*FINISH).stdout
    assert text(folder) == kept
    check_all_open([replica(folder)], sealed)


def test_where_the_key_is_a_variable_its_file_is_named_and_the_services_get_it_from_there(
    folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, file = text(folder, "master.key"), tmp_path / "new.key"
    (folder / "master.key").unlink()
    monkeypatch.setenv("LOOPKEEPER_MASTER_KEY", old)
    sealed = sealed_by(replica(folder, old))
    assert "--new FILE" in run(code=2).stderr
    begun = run("--new", str(file))
    new = file.read_text()
    assert f"the new key (in {file}) as LOOPKEEPER_MASTER_KEY" in begun.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert "This is still the old master key." in run(*FINISH, code=5).stderr
    check_all_open([replica(folder, old), replica(folder, new)], [sealed])

    lost = run("--new", str(tmp_path / "another.key"), code=5)
    assert "to another new key is under way" in lost.stderr
    run("--new", str(tmp_path / "another.key"), "--restart")
    with pytest.raises(StartError):
        replica(folder, new)
    run("--new", str(file), "--restart")

    monkeypatch.setenv("LOOPKEEPER_MASTER_KEY", new)
    done = run(*FINISH, "--json")
    assert json.loads(done.stdout) | {"next": []} == {
        "stage": "settled", "changed": True, "keys": 7, "plans": 2, "next": [],
    }  # fmt: skip
    check_all_open([replica(folder, new)], [sealed])
    assert not any(key.strip() in each.output for each in (begun, lost, done) for key in (old, new))


@pytest.mark.parametrize("words", [(), FINISH, ("--dry-run",)])
def test_a_wrong_or_missing_old_key_is_refused_in_a_sentence_and_nothing_changes(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    before = text(folder)
    monkeypatch.setenv("LOOPKEEPER_MASTER_KEY", b64encode(os.urandom(32)).decode())
    wrong = run(*words, code=5).stderr.splitlines()
    assert wrong[0] == "The master key does not open this keyring."
    assert "LOOPKEEPER_MASTER_KEY" in wrong[1]
    monkeypatch.delenv("LOOPKEEPER_MASTER_KEY")
    (folder / "master.key").unlink()
    assert run(*words, code=5).stderr.splitlines()[0] == "The keyring's master key is not here."
    assert text(folder) == before
    assert not (folder / NEXT).exists()


def test_a_dry_run_says_what_would_be_done_and_does_nothing(folder: Path, run: Run) -> None:
    before = sorted(os.listdir(folder)), text(folder), text(folder, "master.key")
    assert "would let a new master key open the 7 keys of 2 plans too" in run("--dry-run").stdout
    assert "There is nothing to do." in run(*FINISH, "--dry-run").stdout
    assert (sorted(os.listdir(folder)), text(folder), text(folder, "master.key")) == before
    run()
    begun = text(folder)
    assert "would wrap the 7 keys of 2 plans again" in run(*FINISH, "--dry-run").stdout
    assert text(folder) == begun
