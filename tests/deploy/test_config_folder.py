"""Organizations, keys and keyring, made at a desk as docs/guides/operations.md says, are only read by the services."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loopkeeper.cli import app
from loopkeeper.cli.client import operator_key
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.organizations import Directory
from loopkeeper.security.sealing import Sealer

PLAN = "harbor-health-plan"


def made(home: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["--home", str(home), *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_complete_folder_is_never_written_by_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPKEEPER_MASTER_KEY", base64.b64encode(b"m" * 32).decode())
    monkeypatch.setenv("LOOPKEEPER_HOME", str(tmp_path))
    made(
        tmp_path, "org", "add", PLAN, "--name", "Harbor Health Plan", "--kind", "plan", "--phone", "555-0100"
    )
    made(tmp_path, "org", "add", "operations", "--name", "Operations", "--kind", "operations")
    key = made(tmp_path, "client", "add", "operations", "--role", "operations")
    folder = tmp_path / "config"
    (folder / "operations.key").write_text(key)
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    for name in ("organizations.json", "keyring.json", "operations.key"):
        (mounted / name).write_bytes((folder / name).read_bytes())

    monkeypatch.setenv("LOOPKEEPER_CONFIG", str(mounted))
    settings = Settings()
    assert settings.master_key is not None
    assert operator_key(settings) == key.strip()
    sealer = Sealer(Keyring.open(mounted, settings.master_key.get_secret_value()))
    sealed = sealer.seal(PLAN, "ref_1", "identity", {"name": "an invented person"})
    assert sealer.open(PLAN, "ref_1", "identity", sealed)
    assert sealer.chain_key()
    assert Directory(mounted).authenticate(key.strip()) is not None
    assert sorted(os.listdir(mounted)) == ["keyring.json", "operations.key", "organizations.json"]
    for name in os.listdir(mounted):
        assert (mounted / name).read_bytes() == (folder / name).read_bytes(), name
