"""Where do spans go without a collector? To one bounded file of JSON lines for each service and process.

`<service>-<pid>.jsonl` is being written, `<service>-<pid>.1.jsonl` is what it held before it last started over.
What ended processes left stays readable within the same bound, oldest away first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from loopkeeper.kernel.logs import get

log = get("spanfile")

FILE = re.compile(r"[a-z0-9.+-]+-(\d+)(?:\.1)?\.jsonl")
# Files of ended processes; a test or a crash loop that starts thousands must not fill a folder with small ones.
MOST_FILES = 64


class SpanFile(SpanExporter):
    """Appends spans, at most twice `largest` bytes in all. Never raises: a full disk costs spans, nothing else."""

    def __init__(self, folder: Path, name: str, largest: int) -> None:
        self._folder = folder
        self._path = folder / f"{name}-{os.getpid()}.jsonl"
        self._before = self._path.with_suffix(".1.jsonl")
        self._largest = largest
        self._failing = False
        try:
            prune(folder, largest)
        except OSError as error:
            log.warning("old spans not pruned", error=type(error).__name__)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        text = b"".join(line(span) for span in spans)
        try:
            self._append(text)
        except OSError as error:
            if not self._failing:
                log.warning("spans not written", error=type(error).__name__)
            self._failing = True
            return SpanExportResult.FAILURE
        self._failing = False
        return SpanExportResult.SUCCESS

    def _append(self, text: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Opened for each batch: nothing is held while the folder is removed or the file starts over.
        with self._path.open("ab") as file:
            full = file.tell() > 0 and file.tell() + len(text) > self._largest
            if not full:
                file.write(text)
                return
        self._path.replace(self._before)
        with self._path.open("ab") as file:
            file.write(text)


def line(span: ReadableSpan) -> bytes:
    """One span as JSON with a line feed. The trace id is first: readers find a trace without parsing."""
    context, parent, links = span.context, span.parent, span.links
    shown: dict[str, Any] = {
        "trace_id": f"{context.trace_id:032x}" if context else "",
        "span_id": f"{context.span_id:016x}" if context else "",
        "parent_id": f"{parent.span_id:016x}" if parent else None,
        "name": span.name,
        "service": span.resource.attributes.get("service.name", ""),
        "kind": span.kind.name.lower(),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "attributes": dict(span.attributes or {}),
        "links": [
            {"trace_id": f"{link.context.trace_id:032x}", "span_id": f"{link.context.span_id:016x}"}
            for link in links
        ],
        "status": span.status.status_code.name.lower(),
    }
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


def prune(folder: Path, largest: int) -> None:
    """Remove the oldest files of processes that no longer run, until the rest keeps within `largest` bytes."""
    kept, count = 0, 0
    ended = ((path, path.stat()) for path in _ended(folder))
    for path, found in sorted(ended, key=lambda item: item[1].st_mtime, reverse=True):
        kept, count = kept + found.st_size, count + 1
        if kept > largest or count > MOST_FILES:
            path.unlink(missing_ok=True)


def _ended(folder: Path) -> Iterator[Path]:
    for path in folder.glob("*.jsonl"):
        match = FILE.fullmatch(path.name)
        if match and not _runs(int(match.group(1))):
            yield path


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
