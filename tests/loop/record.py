"""What a loop leaves behind in the four services, written down so that two runs can be compared: own events, facts noted,
rows, notices. Ids, seals and chains are drawn again in every run: of them only the kind is in a record.

`python -m tests.loop.record` plays the stories and writes their records; only a changed rule is a reason to.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from loopkeeper.contract.events import (
    AssignmentOverdue,
    AssignmentPlanAsked,
    AuthorizationDeemedAdverse,
    AuthorizationOverdue,
    NoticeOverdue,
)
from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from tests.databases import SERVICES, Databases
from tests.loop.house import House, house
from tests.loop.stories import STORIES

RECORDS = Path(__file__).parent / "recorded"
# What hangs on a loop, and which of its columns no two runs draw alike.
TABLES: Mapping[str, tuple[str, frozenset[str]]] = {
    "referral": ("", frozenset({"head", "id"})),
    "timer": ("", frozenset()),
    "assignment": ("", frozenset()),
    "support": ("", frozenset()),
    "identity": ("", frozenset()),
    "member": ("", frozenset({"id"})),
    "lookup": ("", frozenset({"member_index"})),
    # Who serves is the referral's to say; here it is repeated, for lists.
    "notice": ("", frozenset({"serving"})),
    "feed": ("subscription <> ''", frozenset()),
    "forward": ("", frozenset({"position"})),
    "parked_stream": ("", frozenset()),
}
# What a deadline brings: of two that come at one moment, either may be first.
LATE = {
    kind.wire_type()
    for kind in (
        NoticeOverdue, AuthorizationOverdue, AuthorizationDeemedAdverse, AssignmentOverdue, AssignmentPlanAsked,
    )
}  # fmt: skip
ID = re.compile(r"\b(ref|auth|asg|grant|mem|sup|evt|ntc|not|sub|dlv|ecm)_[0-9a-zA-Z_]{16,}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NUMBER = re.compile(r"ECM-[0-9A-Z]{10}")
HEX = re.compile(r"\b[0-9a-f]{32,}\b")
SEALED = re.compile(r"\bv\d\.\d+\.[A-Za-z0-9_=.-]{20,}")


def plain(value: Any, names: Mapping[str, str]) -> Any:
    """A value with every id that the story did not give replaced by its kind."""
    text = orjson.dumps(value, default=str).decode() if not isinstance(value, str) else value
    for found, name in names.items():
        text = text.replace(found, name)
    text = SEALED.sub("<sealed>", text)
    text = ID.sub(lambda match: f"<{match[1]}>", text)
    text = HEX.sub("<hex>", HEX.sub("<hex>", NUMBER.sub("<number>", UUID.sub("<id>", text))))
    if isinstance(value, str):
        try:
            return json.loads(text) if text[:1] in "{[" else text
        except ValueError:
            return text
    return json.loads(text)


async def recorded(opened: House, names: Mapping[str, str]) -> Mapping[str, Any]:
    """Service by service: the events it made, by referral and in order; how often it noted each fact; its rows."""
    found: dict[str, Any] = {}
    for name, context in opened.running.contexts.items():
        journal = await context.pool.fetch("SELECT * FROM journal ORDER BY stream, n")
        own: dict[str, list[Any]] = {}
        noted: dict[str, dict[str, int]] = {}
        for row in journal:
            stream = names.get(row["stream"], "<other>")
            if row["source"] == f"/{name}":
                event = [row["type"], row["at"].isoformat(), row["own"]]
                own.setdefault(stream, []).append([*event, plain(row["payload"].decode(), names)])
            else:
                counts = noted.setdefault(stream, {})
                counts[row["type"]] = counts.get(row["type"], 0) + 1
        rows: dict[str, Any] = {}
        for table, (where, left_out) in TABLES.items():
            if await context.pool.fetchval("SELECT to_regclass($1)", table) is None:
                continue
            every = await context.pool.fetch(
                f'SELECT to_jsonb(t) AS row FROM "{table}" t' + (f" WHERE {where}" if where else "")
            )
            told = [_row(orjson.loads(each["row"]), left_out, names) for each in every]
            rows[table] = sorted(told, key=lambda each: json.dumps(each, sort_keys=True))
        own = {stream: sorted(events, key=_in_order) for stream, events in own.items()}
        found[name] = {"own": own, "noted": noted, "rows": rows}
    return json.loads(json.dumps(found, sort_keys=True))


def _in_order(event: Sequence[Any]) -> tuple[bool, str]:
    """As they were made; what deadlines brought comes last, since those of one moment race."""
    late = event[0] in LATE
    return late, json.dumps(event, sort_keys=True) if late else ""


def _row(row: Mapping[str, Any], left_out: frozenset[str], names: Mapping[str, str]) -> Mapping[str, Any]:
    """A row's values, but for what is drawn and for places in an order that two services' facts race for."""
    racing = {"n", "sequence", "position", "traceparent", "body"} | left_out
    told = {name: plain(value, names) for name, value in row.items() if name not in racing}
    if "body" in row:
        # An entry of a feed says what an event or a notice says: which fields it has is what is its own.
        told["fields"] = sorted(plain(row["body"], names)["data"])
    return _filled(told)


def _filled(value: Any) -> Any:
    """Without what is empty: it says nothing, and there is much of it."""
    if isinstance(value, dict):
        found = {name: _filled(each) for name, each in value.items() if each not in (None, "", [], {})}
        if isinstance(late := found.get("overdue"), list):
            # Two services' deadlines of one moment are heard in any order.
            found["overdue"] = sorted(late, key=lambda each: json.dumps(each, sort_keys=True))
        return found
    return [_filled(each) for each in value] if isinstance(value, list) else value


async def play(databases: Databases, folder: Path, story: str) -> Mapping[str, Any]:
    """One story in a house of its own; its record."""
    async with house(databases, folder) as opened:
        names = await STORIES[story](opened)
        await opened.quiet()
        return await recorded(opened, names)


def read(story: str) -> Mapping[str, Any]:
    return json.loads((RECORDS / f"{story}.json").read_text())


def text(found: Mapping[str, Any]) -> str:
    """One line for each event and row, so that a difference is found by its line."""
    text = json.dumps(found, indent=1, sort_keys=True)
    return re.sub(r"\n {5,}", " ", text) + "\n"


async def _write(server: Server, folder: Path) -> None:
    for story in STORIES:
        databases = Databases(server)
        found = await play(databases, folder / story, story)
        await databases.drop()
        (RECORDS / f"{story}.json").write_text(text(found))


def _record() -> None:
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        server = embedded.start(
            folder / "postgres", SERVICES, settings={"fsync": "off", "max_connections": "200"}
        )
        try:
            asyncio.run(_write(server, folder))
        finally:
            embedded.remove(folder / "postgres")


if __name__ == "__main__":
    _record()
