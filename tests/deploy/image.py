"""What do the steps of deploy/Dockerfile make? They are carried out, one by one, in a clean folder, without an engine.

Docker's own parser reads the file. A stage's root is a folder in which a fresh Python is where the base image has
its own (/usr/local); every absolute path of a step is led into that folder, and a step that names a path outside the
few known ones is refused, so nothing touches this machine. What this cannot show: the base image's own files, owners
of files (`--chown`, `USER`), and cache mounts; hadolint and the tests next to it look at the text for those.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dockerfile

from tests.deploy.places import DEPLOY, ROOT

# The folders a step may name; each is under the stage's root.
KNOWN = ("/opt/", "/build", "/usr/local/", "/var/lib/loopkeeper", "/etc/loopkeeper")
SYSTEM = ("/usr/bin", "/bin", "/dev/null")
ABSOLUTE = re.compile(r"(?<![\w.*/-])/[\w][\w./-]*")


class Stage:
    """One stage: its root folder, and what later steps inherit."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment: dict[str, str] = {}
        self.workdir = "/"
        self.user = self.entrypoint = self.command = None
        python = root / "usr/local"
        uv = ROOT / ".tools/bin/uv"
        subprocess.run(
            [uv, "venv", "--quiet", "--seed", "--python", sys.executable, python], check=True, timeout=60
        )

    def inside(self, text: str) -> str:
        """The same text with every absolute path led into the root."""

        def led(match: re.Match[str]) -> str:
            path = match[0]
            if path.startswith(SYSTEM):
                return path
            assert path.startswith(KNOWN), f"a step names {path}, which is not known here"
            return f"{self.root}{path}"

        return ABSOLUTE.sub(led, text)

    def path(self, inside: str) -> Path:
        absolute = inside if inside.startswith("/") else f"{self.workdir.rstrip('/')}/{inside}"
        return Path(f"{self.root}{absolute}")


def build(folder: Path, file: Path = DEPLOY / "Dockerfile") -> Stage:
    """Carry out every step; the last stage is the image."""
    stages: dict[str, Stage] = {}
    stage = None
    for number, step in enumerate(dockerfile.parse_file(str(file))):
        values = list(step.value)
        match step.cmd.upper():
            case "FROM":
                stage = Stage(folder / f"stage-{number}")
                stages[values[-1]] = stage
            case "ENV":
                assert stage is not None
                for name, value in zip(values[0::2], values[1::2], strict=True):
                    stage.environment[name] = value
            case "WORKDIR":
                assert stage is not None
                stage.workdir = values[0]
                stage.path("").mkdir(parents=True, exist_ok=True)
            case "COPY":
                assert stage is not None
                _copy(stage, stages, step.flags, values)
            case "RUN":
                assert stage is not None
                _run(stage, values[0])
            case "USER" | "ENTRYPOINT" | "CMD":
                assert stage is not None
                name = {"USER": "user", "ENTRYPOINT": "entrypoint", "CMD": "command"}[step.cmd.upper()]
                setattr(stage, name, values)
            case _:
                pass  # labels and ports change no file
    assert stage is not None
    return stage


def environment(stage: Stage) -> dict[str, str]:
    """The environment of a process in this stage, of this machine only where its network is."""
    network = {k: v for k, v in os.environ.items() if k.endswith(("_PROXY", "_proxy", "_URL", "_CERT_FILE"))}
    base = {
        "PATH": f"{stage.root}/usr/local/bin:/usr/bin:/bin",
        "HOME": os.environ.get("HOME", str(stage.root)),
        **network,
    }
    return base | {name: stage.inside(value) for name, value in stage.environment.items()}


def _run(stage: Stage, command: str) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", stage.inside(command)],
        cwd=stage.path(""),
        env=environment(stage),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"RUN {command}\n{done.stdout}{done.stderr}"


def _copy(stage: Stage, stages: dict[str, Stage], flags: Any, values: list[str]) -> None:
    *sources, target = values
    origin = next((flag.partition("=")[2] for flag in flags if flag.startswith("--from=")), None)
    into = stage.path(target)
    for source in sources:
        found = stages[origin].path(source) if origin else ROOT / source
        if origin is None:
            assert _sent(source), f"{source} is copied, but .dockerignore keeps it out"
        if found.is_dir():
            # From stage to stage nothing changes a file any more: a link is a copy that costs nothing.
            copy = os.link if origin else shutil.copy2
            shutil.copytree(
                found, into, symlinks=True, dirs_exist_ok=True, ignore=_unsent(origin), copy_function=copy
            )
        else:
            into.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, into)


def _ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _sent(path: str) -> bool:
    """Whether the build is handed this file: the last line that matches decides."""
    sent = True
    for line in _ignored():
        if fnmatch.fnmatch(path.partition("/")[0], line.removeprefix("!")):
            sent = line.startswith("!")
    return sent


def _unsent(origin: str | None) -> Any:
    anywhere = [line.removeprefix("**/") for line in _ignored() if line.startswith("**/")]
    return None if origin else shutil.ignore_patterns(*anywhere)
