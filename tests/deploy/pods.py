"""What a cluster would run, run here: the processes of the manifests with their arguments, their environment, their files
and their memory.

Nothing isolates them but the bound on their memory, which is a control group's where this machine lets us make one
(version 1 or 2); where it does not, `Cell` is None and only what a process held at its most is known.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import dockerfile

from tests.deploy.manifests import Object, Overlay, name, pod, variables
from tests.deploy.places import DEPLOY

PROGRAMS = Path(sys.executable).parent
UNITS = {"Mi": 1024**2, "Gi": 1024**3}


def size(text: str) -> int:
    """A quantity of memory in bytes."""
    number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


@dataclass(frozen=True)
class Cell:
    """A control group with a bound on memory."""

    folder: Path
    bound: str
    peak_in: str
    kills_in: str

    @classmethod
    def make(cls, label: str, limit: int) -> Self | None:
        """None where this machine does not let us."""
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        groups = {controllers: place for _, controllers, place in (line.split(":", 2) for line in lines)}
        one = Path(f"/sys/fs/cgroup/memory{groups.get('memory', '')}")
        two = Path(f"/sys/fs/cgroup{groups.get('', '')}")
        for parent, words in (
            (one, ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control")),
            (two, ("memory.max", "memory.peak", "memory.events")),
        ):
            if not (parent / words[0]).exists() and not (parent / "cgroup.controllers").exists():
                continue
            folder = parent / f"loopkeeper-{os.getpid()}-{label}"
            with suppress(OSError):
                folder.mkdir()
                cell = cls(folder, *words)
                try:
                    (folder / words[0]).write_text(str(limit))
                    return cell
                except OSError:
                    folder.rmdir()
        return None

    def peak(self) -> int:
        return int((self.folder / self.peak_in).read_text())

    def kills(self) -> int:
        """How often the kernel killed something in it for its memory."""
        (found,) = re.findall(r"^oom_kill (\d+)$", (self.folder / self.kills_in).read_text(), re.M)
        return int(found)

    def remove(self) -> None:
        self.folder.rmdir()


@dataclass
class Machine:
    """Runs pods. `secrets`: the content of each secret's keys, as docs/guides/operations.md makes them. `instead`: values of
    variables that name something outside, of which this machine has its own."""

    overlay: Overlay
    folder: Path
    secrets: Mapping[str, Mapping[str, str]]
    instead: Mapping[str, str]
    # The folder that each config map was made from.
    config_maps: Mapping[str, Path]
    running: list[Pod] = field(default_factory=list["Pod"])

    def start(self, workload: Object, *, replica: int = 0, **own: str) -> Pod:
        """One pod of this workload. `own`: variables that differ because all pods share this machine's ports."""
        (container,) = pod(workload)["spec"]["containers"]
        label = f"{name(workload)}-{replica}"
        folder = self.folder / label
        mounts = self._mounted(workload, container, folder)
        written = _image() | self._written(container)
        environment = {key: _led(value, mounts) for key, value in written.items()}
        environment |= self._taken(container) | dict(self.instead) | own
        environment["PATH"] = f"{PROGRAMS}:{os.defpath}"
        limit = size(container["resources"]["limits"]["memory"])
        cell = Cell.make(label, limit)
        enter = f"echo $$ > {cell.folder}/cgroup.procs; " if cell else ""
        log = (folder / "log").open("wb")
        process = subprocess.Popen(
            ["sh", "-c", f'{enter}exec loopkeeper "$@"', "sh", *container["args"]],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        log.close()
        started = Pod(label, process, folder, environment, limit, cell)
        self.running.append(started)
        return started

    def close(self) -> None:
        for each in self.running:
            each.end()

    def _written(self, container: Object) -> dict[str, str]:
        """The variables whose values are in the manifests; their paths are those of the pod."""
        given = variables(self.overlay, container).items()
        return {key: value for key, value in given if isinstance(value, str)}

    def _taken(self, container: Object) -> dict[str, str]:
        """The variables that come from secrets."""
        found: dict[str, str] = {}
        for key, source in variables(self.overlay, container).items():
            match source:
                case {"secretKeyRef": {"name": secret, "key": item}}:
                    found[key] = self.secrets[secret][item]
                case _:
                    assert isinstance(source, str), source
        return found

    def _mounted(self, workload: Object, container: Object, folder: Path) -> dict[str, Path]:
        """The folder that represents each mount, with what the volume puts there."""
        volumes = {each["name"]: each for each in pod(workload)["spec"].get("volumes", [])}
        found: dict[str, Path] = {}
        for mount in container.get("volumeMounts", []):
            volume, place = volumes[mount["name"]], folder / mount["mountPath"].strip("/")
            place.mkdir(parents=True)
            found[mount["mountPath"]] = place
            if "secret" in volume:
                content = self.secrets[volume["secret"]["secretName"]]
                wanted = volume["secret"].get("items") or [{"key": key, "path": key} for key in content]
                for item in wanted:
                    (place / item["path"]).write_text(content[item["key"]])
            elif "configMap" in volume:
                # Its keys are names of files, never of folders.
                kept = self.config_maps.get(volume["configMap"]["name"])
                for file in filter(Path.is_file, kept.iterdir() if kept else ()):
                    (place / file.name).write_bytes(file.read_bytes())
        return found


@dataclass
class Pod:
    """One running pod, with its memory's bound."""

    label: str
    process: subprocess.Popen[bytes]
    folder: Path
    environment: Mapping[str, str]
    limit: int
    cell: Cell | None

    def peak(self) -> int:
        """What it held at its most, in bytes: resident memory, as the kernel counted it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (found,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.M)
        return int(found) * 1024

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def run(self, *words: str) -> str:
        """What `kubectl exec … -- loopkeeper …` prints in it."""
        done = subprocess.run(
            ["loopkeeper", *words],
            env=dict(self.environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def end(self) -> int:
        """Its exit code, after it was asked to stop as a pod is."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(40)
        if self.cell is not None:
            with suppress(FileNotFoundError):
                self.cell.remove()
        return code


def _image() -> dict[str, str]:
    """What the image itself sets."""
    steps = dockerfile.parse_file(str(DEPLOY / "Dockerfile"))
    given = [step.value for step in steps if step.cmd.upper() == "ENV"]
    found = {k: v for value in given for k, v in zip(value[0::2], value[1::2], strict=True)}
    return {key: value for key, value in found.items() if key.startswith("LOOPKEEPER_")}


def _led(value: str, mounts: Mapping[str, Path]) -> str:
    """A path inside the pod, led to where it is here."""
    inside = "|".join(re.escape(each) for each in sorted(mounts, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({inside})(?=/|$|&)", lambda found: str(mounts[found[1]]), value)
