"""docs/guides/operations.md, typed from its first line to "one referral, told": what needs no cluster is done, the rest is taken
by a double that checks it, and what would be applied is judged by the schemas and against what the manifests name."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from demo.ports import free_port
from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from loopkeeper.security import organizations
from tests.chaos.lives import Lives
from tests.databases import Fresh
from tests.deploy import places
from tests.deploy.manifests import Overlay, name, pod, variables
from tests.deploy.places import ROOT, SERVICES
from tests.deploy.schemas import validate
from tests.deploy.sql import programs

MANUAL = (ROOT / "docs/guides/operations.md").read_text()
CHAPTER = "A cluster, from nothing to one referral told and seen"
DOUBLES = ("kubectl", "docker", "kafka-configs.sh", "kafka-acls.sh")
PLACE = "https://loopkeeper.example.org"
Typed = list[list[str]]


def steps(chapter: str = CHAPTER) -> dict[str, list[str]]:
    """The blocks of each step, in order."""
    text = MANUAL.partition(f"\n## {chapter}\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### (\d+)\. .*$", text, flags=re.M)[1:]
    return {
        number: re.findall(r"^```sh\n(.*?)^```", body, re.M | re.S)
        for number, body in zip(parts[::2], parts[1::2], strict=True)
    }


@dataclass
class Desk:
    """An operator's machine: a copy of the repository, an empty home, and what the manual's first row asks for."""

    folder: Path
    environment: dict[str, str]

    @property
    def record(self) -> Path:
        return self.folder / "record"

    @property
    def kept(self) -> Path:
        return self.folder / "home/loopkeeper-desk"

    def type(self, text: str) -> str:
        """What these lines print, typed in one shell that begins as the last one ended."""
        state = self.folder / "state"
        script = f"set -euo pipefail\nif [ -e {state} ]; then source {state}; fi\numask 077\n{text}\n"
        keep = f"{{ declare -fx; declare -f; export -p; }} > {state}\n"
        done = subprocess.run(
            ["bash", "-c", script + keep],
            cwd=self.folder / "repository",
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def typed(self, program: str) -> Typed:
        lines = (self.record / "typed.jsonl").read_text().splitlines()
        return [words[1:] for words in map(json.loads, lines) if words[0] == program]

    def applied(self) -> list[dict[str, Any]]:
        files = sorted(self.record.glob("applied-*.yaml"))
        return [each for file in files for each in yaml.safe_load_all(file.read_text()) if each]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("server")
    started = embedded.start(folder, (), settings={"fsync": "off"})
    yield started
    embedded.remove(folder)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, kubectl: Path, server: Server) -> Desk:
    """The desk, on which steps 2 to 10 and 12 were typed."""
    folder = tmp_path_factory.mktemp("desk")
    for each in ("repository", "home", "bin", "record"):
        (folder / each).mkdir()
    for each in ("deploy", "docs"):
        subprocess.run(["cp", "-r", ROOT / each, folder / "repository"], check=True)
    # `make setup` is what brought the program that runs this test.
    (folder / "repository/Makefile").write_text("setup:\n\t@true\n")
    (folder / "repository/.venv").symlink_to(Path(sys.executable).parents[1])
    for program in DOUBLES:
        double = folder / "bin" / program
        line = f'cd {ROOT} && exec {sys.executable} -m tests.deploy.cluster_double {program} "$@"'
        # Paths that are typed are those of the copy.
        double.write_text(
            f'#!/bin/bash\nexport HERE=$PWD\nset -- "${{@/#deploy\\//$HERE/deploy/}}"\n{line}\n'
        )
        double.chmod(0o755)
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("LOOPKEEPER_", "POSTGRES_"))
    }
    found = Desk(
        folder,
        kept
        | {
            "HOME": str(folder / "home"),
            "PATH": f"{folder / 'bin'}:{programs(server)}:{os.environ['PATH']}",
            "KUBECTL": str(kubectl),
            "MANUAL_RECORD": str(folder / "record"),
            "PSQLRC": "/dev/null",
        },
    )
    for number, blocks in steps().items():
        if number == "9":
            # Who signs the servers' certificates is given, not made.
            found.type("touch $LOOPKEEPER_HOME/secrets/{postgres,kafka}-ca.crt")
        if number not in ("1", "11", "13"):
            for block in blocks:
                found.type(
                    block.replace("postgresql://postgres@localhost:5432/postgres", f"'{server.admin()}'")
                )
    return found


def test_the_chapter_has_its_steps_in_order() -> None:
    assert list(steps()) == [str(number) for number in range(1, 14)]


def test_no_key_lands_in_a_file_that_others_can_read(desk: Desk) -> None:
    files = [each for each in desk.kept.rglob("*") if each.is_file()]
    assert len(files) > 20
    for each in files:
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0, each


def test_no_secret_is_an_argument_of_a_program_but_of_kafkas_own_tools(desk: Desk) -> None:
    """They are in every list of processes, and in a shell's history."""
    secrets = {each.read_text().strip() for each in (desk.kept / "secrets").iterdir()} - {""}
    secrets |= {(desk.kept / "master.key").read_text().strip()}
    secrets -= {each for each in secrets if each.startswith("loopkeeper-")}
    for program in ("kubectl", "docker"):
        for words in desk.typed(program):
            assert not [each for each in secrets if each in " ".join(words)], words[:3]


def test_everything_that_is_applied_is_valid_and_has_what_the_manifests_name(
    desk: Desk, production: Overlay
) -> None:
    objects = desk.applied()
    for each in objects:
        validate(each)
    made = {
        (each["kind"], name(each)): set(each.get("data", {}))
        for each in objects
        if each["kind"] in ("Secret", "ConfigMap")
    }
    for of, kind, named, key in demanded(production):
        assert (kind, named) in made, f"{of} needs the {kind} {named}, and no step makes it"
        assert key is None or key in made[kind, named], f"{of} needs {key} of {named}"


def test_how_files_are_written_reaches_the_folder_from_which_services_read_it(
    desk: Desk, production: Overlay
) -> None:
    """A config map has no folders: what is in `policy/files` comes in one of its own."""
    (profile,) = (ROOT / "tests/loop/files").glob("harbor*.yaml")
    (desk.kept / "policy/files/harbor.yaml").write_bytes(profile.read_bytes())
    desk.type("loopkeeper profile check")
    (line,) = re.findall(
        r"^apply configmap loopkeeper-profiles .*$", MANUAL.partition("\n## What changes later")[2], re.M
    )
    desk.type(line)
    *_, applied = (each for each in desk.applied() if name(each) == "loopkeeper-profiles")
    assert applied["data"] == {"harbor.yaml": profile.read_text()}
    for service in production.services():
        (container,) = pod(service)["spec"]["containers"]
        places = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        (volume,) = (each for each in pod(service)["spec"]["volumes"] if each["name"] == "profiles")
        assert volume["configMap"]["name"] == "loopkeeper-profiles"
        assert variables(production, container)["LOOPKEEPER_PROFILES"] == places["profiles"]


def demanded(production: Overlay) -> list[tuple[str, str, str, str | None]]:
    """By whom which key of which secret or config map is needed."""
    found: list[tuple[str, str, str, str | None]] = []
    for of, container in production.containers():
        for value in variables(production, container).values():
            if isinstance(value, dict) and "secretKeyRef" in value:
                found.append((of, "Secret", value["secretKeyRef"]["name"], value["secretKeyRef"]["key"]))
    for each in production.workloads():
        for volume in pod(each)["spec"].get("volumes", []):
            if "secret" in volume:
                for item in volume["secret"].get("items", [{"key": None}]):
                    found.append((name(each), "Secret", volume["secret"]["secretName"], item["key"]))
            if "configMap" in volume:
                found.append((name(each), "ConfigMap", volume["configMap"]["name"], None))
    for each in production.of("TriggerAuthentication"):
        for target in each["spec"]["secretTargetRef"]:
            found.append((name(each), "Secret", target["name"], target["key"]))
    assert len(found) > 60
    return found


def test_every_overlay_it_applies_is_production_and_nothing_of_it_is_left_out(
    desk: Desk, production: Overlay
) -> None:
    applied = {(each["kind"], name(each)) for each in desk.applied()}
    # A generated name ends in what it holds.
    assert {(each["kind"], name(each)) for each in production.objects} <= applied


def test_whoever_is_waited_for_or_asked_is_there(desk: Desk, production: Overlay) -> None:
    known = {f"{each['kind'].lower()}/{name(each)}" for each in production.objects}
    known |= {each.replace("deployment/", "deploy/") for each in known}
    for words in desk.typed("kubectl"):
        for word in words:
            if re.match(r"(statefulset|deploy|job|cronjob)/", word):
                assert word in known, word
    labels = {pod(each)["metadata"]["labels"]["app.kubernetes.io/name"] for each in production.workloads()}
    labels |= {"loopkeeper-settings"}
    for words in desk.typed("kubectl"):
        if "--selector" in words:
            (named,) = re.findall(r"in \(([^)]*)\)", words[words.index("--selector") + 1])
            assert set(re.split(r",\s*", named)) <= labels


def test_the_image_that_is_pushed_is_the_one_that_runs(desk: Desk, production: Overlay) -> None:
    build, push = desk.typed("docker")
    (image,) = {c["image"] for of, c in production.containers() if of != "loopkeeper-backup"}
    assert build[build.index("--tag") + 1] == push[1] == image
    file = build[build.index("--file") + 1]
    assert Path(file).name == "Dockerfile"


def test_the_broker_has_a_user_for_each_and_each_secret_holds_its_password(desk: Desk) -> None:
    made = {
        words[words.index("--entity-name") + 1]: words[words.index("--add-config") + 1]
        for words in desk.typed("kafka-configs.sh")
    }
    assert set(made) == {f"loopkeeper-{each}" for each in (*SERVICES, "topics")}
    for user, config in made.items():
        kept = (desk.kept / f"secrets/kafka-{user.removeprefix('loopkeeper-')}.plain").read_text()
        assert config == f"SCRAM-SHA-512=[password={kept}]"


def test_each_service_logs_in_to_its_own_database_and_knows_that_it_is_the_one(desk: Desk) -> None:
    for service in SERVICES:
        url = (desk.kept / f"secrets/{service}.url").read_text()
        assert re.fullmatch(
            rf"postgresql://{service}:[0-9a-f]{{48}}@[\w.]+:5432/{service}\?sslmode=verify-full"
            r"&sslrootcert=/etc/loopkeeper-postgres/ca\.crt",
            url,
        )


@pytest_asyncio.fixture
async def serving(desk: Desk, fresh_database: Fresh, tmp_path: Path) -> AsyncGenerator[str]:
    """The services with the keys, organizations and policy that the desk made, all in one process."""
    port = free_port()
    environment = {
        "PATH": "",
        "LOOPKEEPER_HOME": str(tmp_path / "home"),
        "LOOPKEEPER_CONFIG": str(desk.kept / "config"),
        "LOOPKEEPER_POLICY": str(desk.kept / "policy"),
        "LOOPKEEPER_MASTER_KEY": (desk.kept / "master.key").read_text().strip(),
        "LOOPKEEPER_SYNTHETIC_MEMBERS": "on",
        "LOOPKEEPER_BUS": await fresh_database("log"),
        "LOOPKEEPER_PORT": str(port),
        **{f"LOOPKEEPER_{each.upper()}_DATABASE": await fresh_database(each) for each in SERVICES},
    }
    async with Lives() as lives:
        life = await lives.begin(["up"], environment, tmp_path / "up.log")
        await life.serves(port)
        yield f"http://127.0.0.1:{port}"
        life.ask_to_stop()
        assert await life.ended() == 0


@pytest.mark.asyncio
async def test_one_referral_is_sent_and_its_referrer_is_told(desk: Desk, serving: str) -> None:
    (block,) = steps()["11"]
    told = desk.type(block.replace(PLACE, serving))
    mailbox = json.loads(told[told.rindex('{"items"') :])
    receipt = json.loads((desk.kept / "receipt.json").read_text())
    assert {each["referral"] for each in mailbox["items"]} == {receipt["id"]}


def test_a_secret_holds_as_many_organizations_as_the_manual_says(tmp_path: Path) -> None:
    def size(many: int) -> int:
        folder = tmp_path / str(many)
        entries: list[Mapping[str, Any]] = [
            {
                "id": f"community-clinic-{number:04}",
                "name": f"Community Clinic of District {number:04}",
                "kind": "referrer",
                "phone": "555-0100",
                "roles": ["referrer"],
            }
            for number in range(many)
        ]
        organizations.import_organizations(folder, entries)
        return (folder / "organizations.json").stat().st_size

    each = (size(210) - size(10)) / 200
    told = (ROOT / "docs/guides/sizing.md").read_text()
    ceiling, annotation = 1024 * 1024 / each, 256 * 1024 / (each * 4 / 3)
    (most, overflows) = re.search(r"about ([\d ]+) of them.*overflows near (\d+)", told).groups()  # type: ignore[union-attr]
    assert int(most.replace(" ", "")) == pytest.approx(ceiling, rel=0.05)
    assert int(overflows) == pytest.approx(annotation, rel=0.05)
    assert places.DEPLOY.exists()
