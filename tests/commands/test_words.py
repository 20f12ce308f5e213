"""What a command says where a setting, a key, an id or a name is off: one sentence that names it, before anything is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loopkeeper.cli import app, parked
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings, read
from loopkeeper.runtime.service import installed

DONE, USAGE, UNREACHABLE, CANNOT_START = 0, 2, 3, 5
REFERRAL = f"ref_{'0' * 32}"
# A port at which nothing listens: the first one is the superuser's.
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "KEY", "PORT", "HOST"):
        monkeypatch.delenv(f"LOOPKEEPER_{name}", raising=False)
    monkeypatch.setenv("LOOPKEEPER_HOME", str(tmp_path / "home"))


def typed(*words: str, **environment: str) -> Any:
    given: Mapping[str, str] = {f"LOOPKEEPER_{name.upper()}": value for name, value in environment.items()}
    return CliRunner().invoke(app, list(words), env=dict(given))


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("port", "eighty"), ("port", "70000"), ("port", ""), ("clock", "sundial"), ("urls", "{intake"), ("urls", "[]"),
        ("kafka_plan_users", "ana"), ("queue", "0"), ("pool", "-1"), ("max_body", "much"), ("home", ""), ("home", "  "),
        ("policy", ""), ("url", "ftp://loop.example"), ("url", "http://"), ("url", "local host:8600"),
        ("log_level", "LOUD"), ("synthetic_members", "yes"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_read_is_one_sentence_that_names_it(variable: str, value: str) -> None:
    left = typed("org", "list", **{variable: value})
    first, *_ = left.stderr.splitlines()
    assert left.exit_code == CANNOT_START
    assert first.startswith(f"LOOPKEEPER_{variable.upper()} cannot be read: ")
    assert first.endswith(".")
    assert "Traceback" not in left.output


def test_every_command_reads_its_settings_that_way() -> None:
    commands = [
        ("status",), ("stuck",), ("doctor",), ("up",), ("migrate",), ("reset",), ("verify",), ("org", "list"),
        ("client", "list"), ("keys", "rotate"), ("policy", "check"), ("parked", "list"), ("explain", REFERRAL),
        ("trace", REFERRAL), ("clock", "advance", "1d"), ("topics", "check"), ("listen", "--key", "lk_x"),
    ]  # fmt: skip
    for words in commands:
        left = typed(*words, port="eighty")
        assert (left.exit_code, left.stderr.count("LOOPKEEPER_PORT")) == (CANNOT_START, 1), words


def test_what_a_secret_setting_holds_is_never_shown() -> None:
    left = typed("org", "list", event_log="kafka://ana:s3cret@broker", port="s3cret")
    assert "s3cret" not in left.output + left.stderr


def test_a_services_own_setting_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, service in installed().items():
        prefix = str(service.settings.model_config.get("env_prefix"))
        assert prefix == f"LOOPKEEPER_{name.upper()}_"
        monkeypatch.setenv(f"{prefix}DATABASE", "postgresql://db")
        assert read(service.settings).database_url() == "postgresql://db"
    monkeypatch.setenv("LOOPKEEPER_QUEUE", "none")
    with pytest.raises(StartError, match="LOOPKEEPER_QUEUE"):
        read(Settings)


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://localhost:8600", "http://localhost:8600"),
        ("http://localhost:8600/", "http://localhost:8600"),
        ("localhost:8600", "http://localhost:8600"),
        ("localhost:8600/", "http://localhost:8600"),
        (" https://loop.example/care/ ", "https://loop.example/care"),
        ("HTTPS://loop.example", "https://loop.example"),
        ("", "http://127.0.0.1:8600"),
    ],
)
def test_an_address_is_taken_with_or_without_scheme_and_slash(
    given: str, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPKEEPER_URL", given)
    assert read(Settings).base_url("intake") == base
    monkeypatch.setenv("LOOPKEEPER_URLS", json.dumps({"intake": given}))
    assert read(Settings).base_url("intake") == base


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "is empty"), ("   ", "is empty"), ("lk_one two", "has a space in it"), ("lk_one\nlk_two", "has a line break"),
        ("lk_one\r\n", "has a line break"), ("lk_cäsar", "has characters in it that no key has"),
    ],
)  # fmt: skip
def test_a_key_that_can_be_none_is_told_as_such_and_never_as_nothing_answers(key: str, why: str) -> None:
    for words, code, named in (
        (("status",), CANNOT_START, "LOOPKEEPER_KEY"),
        (("listen",), USAGE, "--key"),
        (("listen", "--forward", "http://localhost:9/"), USAGE, "--key"),
    ):
        left = (
            typed(*words, key=key, url=NOWHERE)
            if words == ("status",)
            else typed(*words, "--key", key, url=NOWHERE)
        )
        assert (left.exit_code, why in left.stderr, named in left.stderr) == (code, True, True), (
            words,
            left.stderr,
        )
        assert "Nothing answers" not in left.stderr
        assert "lk_one" not in left.stderr


def test_a_command_against_an_empty_home_says_whose_home_it_looked_in(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    for words in (("status",), ("stuck",), ("parked", "list")):
        left = typed(*words, url=NOWHERE)
        assert left.exit_code == UNREACHABLE
        assert f"The home is {home}, where nothing was ever kept" in left.stderr
    for words in (("org", "list"), ("client", "list")):
        left = typed(*words)
        assert left.exit_code == DONE
        assert home in left.output


# ── ids and names ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "id",
    [
        "../../v1/roster",
        "ref_1",
        "ref_" + "G" * 32,
        "ref_" + "0" * 33,
        "",
        f"{REFERRAL}/timeline",
        f"{REFERRAL}\n",
    ],
)
@pytest.mark.parametrize("words", [("explain",), ("trace",), ("parked", "show"), ("parked", "replay")])
def test_an_id_that_is_none_is_refused_before_it_becomes_a_path(words: tuple[str, ...], id: str) -> None:
    left = typed(*words, "--", id, url=NOWHERE)
    assert left.exit_code == USAGE
    assert "ref_ and 32 digits" in " ".join(left.stderr.replace("│", " ").split())


def test_parked_facts_that_were_never_tried_show_no_tries() -> None:
    assert parked._cell("tries", 0) == "0"
    assert parked._cell("next_retry_at", None) == "a person must"
    assert parked._cell("next_retry_at", "2026-03-02T17:00:00Z") == "2026-03-02T17:00:00Z"


@pytest.mark.parametrize("name", ["", "   ", "\t", "Two\nlines"])
def test_an_organization_has_a_name(name: str, tmp_path: Path) -> None:
    left = typed("org", "add", "harbor-health-plan", "--name", name, "--kind", "plan")
    assert left.exit_code == USAGE
    assert "has no name" in left.stderr
    assert typed("org", "list", "--json").output.strip() == "[]"
    file = tmp_path / "organizations.json"
    for broken in (name, None, 7):
        file.write_text(json.dumps([{"id": "eastside-clinic", "name": broken, "kind": "provider"}]))
        assert typed("org", "import", str(file)).exit_code == USAGE
    assert typed("org", "list", "--json").output.strip() == "[]"


def test_times_are_written_with_a_z() -> None:
    typed("org", "add", "eastside-clinic", "--name", "Eastside Clinic", "--kind", "provider")
    typed("client", "add", "eastside-clinic", "--role", "provider")
    (row,) = json.loads(typed("client", "list", "--json").output)
    assert row["created_at"].endswith("Z")
