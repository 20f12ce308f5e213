"""What happened to one referral, from the request to the webhook, and how long did each step take?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import orjson

REFERRAL = "loopkeeper.referral"
# Every line of a span file begins with this and the trace's 32 digits.
START = b'{"trace_id":"'
NARROWEST_BAR = 10
FULL, EMPTY = "█", " "


@dataclass(frozen=True, slots=True)
class SpanLine:
    """One span as a process wrote it. Times are nanoseconds since 1970, UTC; `status` is `unset` or `error`."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    service: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    status: str

    @property
    def milliseconds(self) -> float:
        return max(0, self.end_ns - self.start_ns) / 1e6


def read_spans(folder: Path, referral: str) -> list[SpanLine]:
    """Every span of every trace that touches this referral, from the files of all processes, in time order.

    A line that is half written is left out; a folder that does not exist has no spans.
    """
    wanted = referral.encode()
    touching = (_parsed(line) for line in _lines(folder) if wanted in line)
    traces = {
        span.trace_id.encode() for span in touching if span and span.attributes.get(REFERRAL) == referral
    }
    if not traces:
        return []
    # A file that starts over between two reads may be seen under both its names.
    found: dict[tuple[str, str], SpanLine] = {}
    for line in _lines(folder):
        if line[len(START) : len(START) + 32] in traces and (span := _parsed(line)):
            found[span.trace_id, span.span_id] = span
    return sorted(found.values(), key=attrgetter("start_ns", "end_ns", "span_id"))


def draw(spans: Sequence[SpanLine], width: int = 110) -> list[str]:
    """A waterfall as lines of text: each trace under its heading, in time order, consequences below their cause."""
    lines: list[str] = []
    for trace in _traces(spans):
        lines += [*([""] if lines else []), _heading(trace), *_bars(trace, width)]
    return lines


def to_json(spans: Sequence[SpanLine]) -> dict[str, Any]:
    """The same for programs: traces in time order, their spans with depth and milliseconds since the trace began."""
    return {"traces": [_trace_json(trace) for trace in _traces(spans)]}


def _lines(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*.jsonl")):
        try:
            with path.open("rb") as file:
                yield from file
        except FileNotFoundError:
            continue  # started over or pruned meanwhile


def _parsed(line: bytes) -> SpanLine | None:
    try:
        raw = orjson.loads(line)
        names = SpanLine.__dataclass_fields__
        span = SpanLine(**{name: cast("dict[str, Any]", raw)[name] for name in names})
    except (ValueError, KeyError, TypeError):
        return None
    return span


def _traces(spans: Sequence[SpanLine]) -> list[list[SpanLine]]:
    by_id: dict[str, list[SpanLine]] = {}
    for span in sorted(spans, key=attrgetter("start_ns", "end_ns", "span_id")):
        by_id.setdefault(span.trace_id, []).append(span)
    return list(by_id.values())


def _tree(trace: Sequence[SpanLine]) -> list[tuple[int, SpanLine]]:
    """Depth and span, each below its parent. A span whose parent is not here (the caller's own) is at the top."""
    known = {span.span_id for span in trace}
    below: dict[str | None, list[SpanLine]] = {}
    for span in trace:
        below.setdefault(span.parent_id if span.parent_id in known else None, []).append(span)
    ordered: list[tuple[int, SpanLine]] = []
    waiting = [(0, span) for span in reversed(below.get(None, []))]
    while waiting:
        depth, span = waiting.pop()
        ordered.append((depth, span))
        waiting += [(depth + 1, child) for child in reversed(below.get(span.span_id, []))]
    return ordered


def _heading(trace: Sequence[SpanLine]) -> str:
    began, ended = _bounds(trace)
    at = datetime.fromtimestamp(began / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"trace {trace[0].trace_id}  {at} UTC  {len(trace)} spans  {(ended - began) / 1e6:.1f} ms"


def _bars(trace: Sequence[SpanLine], width: int) -> Iterator[str]:
    began, ended = _bounds(trace)
    tree = _tree(trace)
    names = [f"{'  ' * depth}{span.name}{_detail(span)}" for depth, span in tree]
    service = max(len(span.service) for span in trace)
    # The longest name, unless that would leave no room for the bars.
    room = width - service - 2 - NARROWEST_BAR - 14
    label = max(12, min(max(map(len, names)), room))
    bar = max(NARROWEST_BAR, width - service - 2 - label - 14)
    for name, (_, span) in zip(names, tree, strict=True):
        shown = name if len(name) <= label else name[: label - 1] + "…"
        mark = " ✗" if span.status == "error" else ""
        drawn = _bar(span, began, ended, bar)
        yield f"{span.service:<{service}}  {shown:<{label}} {drawn} {span.milliseconds:8.1f} ms{mark}".rstrip()


def _bar(span: SpanLine, began: int, ended: int, width: int) -> str:
    whole = max(1, ended - began)
    start = min(width - 1, (span.start_ns - began) * width // whole)
    length = max(1, min(width - start, round((span.end_ns - span.start_ns) * width / whole)))
    return EMPTY * start + FULL * length + EMPTY * (width - start - length)


def _detail(span: SpanLine) -> str:
    """What tells this step from others of its name."""
    for key in (
        "loopkeeper.event.type",
        "loopkeeper.timer",
        "loopkeeper.command",
        "http.response.status_code",
    ):
        if span.attributes.get(key):
            return f" · {span.attributes[key]}"
    return ""


def _bounds(trace: Sequence[SpanLine]) -> tuple[int, int]:
    return min(span.start_ns for span in trace), max(span.end_ns for span in trace)


def _trace_json(trace: Sequence[SpanLine]) -> dict[str, Any]:
    began, ended = _bounds(trace)
    return {
        "trace_id": trace[0].trace_id,
        "began_at": datetime.fromtimestamp(began / 1e9, UTC).isoformat().replace("+00:00", "Z"),
        "milliseconds": (ended - began) / 1e6,
        "spans": [
            {
                "span_id": span.span_id,
                "parent_id": span.parent_id,
                "depth": depth,
                "service": span.service,
                "name": span.name,
                "kind": span.kind,
                "after_ms": (span.start_ns - began) / 1e6,
                "milliseconds": span.milliseconds,
                "status": span.status,
                "attributes": dict(span.attributes),
            }
            for depth, span in _tree(trace)
        ],
    }
