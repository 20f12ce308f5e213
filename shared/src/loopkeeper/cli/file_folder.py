"""A folder of an organization in which files are exchanged: what is put into `in/` is sent, answers come into `out/`.

    in/KIND/PLAN/name    sent once it is whole: renamed in, or unchanged for as long as a look takes
    done/, refused/      where it goes then; next to a refused one `name.why.txt` says why
    out/                 the answered file, `name` with `_returned`, and the plans' member files

Every file that is written here appears whole, by a rename. What was sent and is not answered yet is in `.pending.json`;
a crash sends the same file under the same key, which makes no second one.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from loopkeeper.kernel.files import write_private
from loopkeeper.kernel.logs import get

log = get("folder")

IN, OUT, DONE, REFUSED = "in", "out", "done", "refused"
PENDING = ".pending.json"
# Programs that transfer files write under such names first.
UNFINISHED = (".part", ".partial", ".tmp", ".filepart", ".crdownload", ".swp", "~")
# Kinds of file that one sheet may hold for several plans.
NO_PLAN = frozenset({"referrals"})
ENDED = frozenset({"done", "refused", "taken_back"})
KEYS = UUID("0f3f1f5e-8f0c-5f7e-9d6e-6d2c5b8f3a11")
MEMBER_FILES = "mif"


class Asks(Protocol):
    """What a folder needs of the services."""

    def get(self, path: str, **query: Any) -> Any: ...

    def upload(self, path: str, content: bytes, *, key: str = "", **query: Any) -> Any: ...

    def download(self, path: str, start: int = 0) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Look:
    """A file as it was when it was looked at."""

    size: int
    changed: int


@dataclass(slots=True)
class Round:
    """What one look at the folder did."""

    sent: int = 0
    answered: int = 0
    refused: int = 0
    fetched: int = 0


@dataclass(slots=True)
class Folder:
    """The folder of one organization. `scan` is a command that is given a file's path and ends with 0 where it is clean;
    `plan` the plan of files that are in no plan's folder."""

    root: Path
    kinds: tuple[str, ...]
    plan: str = ""
    scan: tuple[str, ...] = ()
    seen: dict[Path, Look] = field(default_factory=dict[Path, Look])

    def prepare(self) -> None:
        """Make the folders that are missing."""
        for name in (OUT, DONE, REFUSED, *(f"{IN}/{kind}" for kind in self.kinds)):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def round(self, services: Asks, refused_by: type[Exception]) -> Round:
        """Send what is whole, and take what was answered. `refused_by` is what the services raise for a file that they
        do not take; its words go next to the file."""
        done = Round()
        for path, kind, plan in self._whole():
            self._send(path, kind, plan, services, refused_by, done)
        for id, about in list(self._pending().items()):
            self._answered(id, about, services, done)
        return done

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────────

    def _whole(self) -> Iterator[tuple[Path, str, str]]:
        """The files that were put here whole: they are as they were at the last look."""
        found: dict[Path, Look] = {}
        for path in sorted((self.root / IN).rglob("*")):
            inside = path.relative_to(self.root / IN).parts
            if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in inside):
                continue
            if path.name.lower().endswith(UNFINISHED) or len(inside) not in (2, 3):
                continue
            stat = path.stat()
            found[path] = Look(stat.st_size, stat.st_mtime_ns)
            if self.seen.get(path) == found[path] and inside[0] in self.kinds:
                yield path, inside[0], inside[1] if len(inside) == 3 else self._plan_of(inside[0])
        self.seen = found

    def _plan_of(self, kind: str) -> str:
        return "" if kind in NO_PLAN else self.plan

    def _send(
        self, path: Path, kind: str, plan: str, services: Asks, refused_by: type[Exception], done: Round
    ) -> None:
        content = path.read_bytes()
        if self.scan and subprocess.run([*self.scan, str(path)], check=False, capture_output=True).returncode:  # noqa: S603 the operator's own command
            self._refuse(path, "The file did not pass the scan of this folder.", "Send a clean copy.")
            done.refused += 1
            return
        key = hashlib.sha256(f"{kind} {plan} {path.stat().st_mtime_ns} ".encode() + content).hexdigest()
        try:
            found = services.upload(f"/v1/files/{kind}", content, key=key, plan=plan or None, name=path.name)
        except refused_by as error:
            problem: Mapping[str, Any] = getattr(error, "problem", {})
            self._refuse(path, str(error), str(problem.get("fix") or ""))
            done.refused += 1
            return
        pending = self._pending()
        pending[found["id"]] = {"kind": kind, "name": path.name}
        self._keep(pending)
        target = _free(self.root / DONE / path.name)
        path.replace(target)
        pending[found["id"]]["at"] = target.name
        self._keep(pending)
        done.sent += 1
        log.info("file sent", file=found["id"], kind=kind)

    def _refuse(self, path: Path, sentence: str, fix: str) -> None:
        target = _free(self.root / REFUSED / path.name)
        _write(target.with_name(f"{target.name}.why.txt"), f"{sentence}\n{fix}\n".encode())
        path.replace(target)

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────

    def _answered(self, id: str, about: Mapping[str, str], services: Asks, done: Round) -> None:
        found = services.get(f"/v1/files/{about['kind']}/{id}")
        if found["state"] not in ENDED:
            return
        name = Path(about["name"])
        if found["state"] == "refused":
            sent = self.root / DONE / about.get("at", about["name"])
            if sent.exists():
                self._refuse(sent, found["sentence"], found["fix"])
            done.refused += 1
        else:
            content = services.download(f"/v1/files/{about['kind']}/{id}/returned")
            ending = name.suffix if not content.startswith(b"PK\x03\x04") else ".xlsx"
            _write(_free(self.root / OUT / f"{name.stem}_returned{ending}"), content)
            done.answered += 1
        pending = self._pending()
        pending.pop(id, None)
        self._keep(pending)
        log.info("file answered", file=id, status=found["state"])

    def fetch(self, services: Asks, done: Round) -> None:
        """The member files that wait for this organization, each whole; one that broke off goes on where it was."""
        page = services.get(f"/v1/files/{MEMBER_FILES}", fetched="false", limit=200)
        for found in page["items"]:
            target = self.root / OUT / f"{found['plan']}_{found['id']}{'.part'}"
            held = target.read_bytes() if target.exists() else b""
            if len(held) < found["bytes"]:
                held += services.download(f"/v1/files/{MEMBER_FILES}/{found['id']}/content", start=len(held))
                _write(target, held)
            if hashlib.sha256(held).hexdigest() != found["digest"]:
                # What was kept of it is another file's, or half a one: it is fetched again.
                target.unlink(missing_ok=True)
                continue
            ending = ".xlsx" if held.startswith(b"PK\x03\x04") else ".csv"
            target.replace(target.with_suffix(ending))
            done.fetched += 1

    # ── what was sent and is not answered ─────────────────────────────────────────────────────────────────

    def _pending(self) -> dict[str, dict[str, str]]:
        try:
            return json.loads((self.root / PENDING).read_text("utf-8"))
        except FileNotFoundError:
            return {}

    def _keep(self, pending: Mapping[str, Mapping[str, str]]) -> None:
        write_private(self.root / PENDING, json.dumps(pending))


def _write(target: Path, content: bytes) -> None:
    """The file appears whole: other programs look into this folder, too."""
    fresh = target.with_name(f".{target.name}.writing")
    fresh.write_bytes(content)
    fresh.replace(target)


def _free(target: Path) -> Path:
    """A name that is not taken: with a number, where it is."""
    found, number = target, 1
    while found.exists():
        number += 1
        found = target.with_name(f"{target.stem}_{number}{target.suffix}")
    return found
