"""One service's streams: does each journal prove its row, and each row follow from its journal? One stream in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from loopkeeper.contract import events
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.verify.finding import Finding
from loopkeeper.store import journal
from loopkeeper.store.definition import Domain
from loopkeeper.store.journal import VOUCHER, Entry

CLOSED = events.ReferralClosed.wire_type()
RECEIVED = events.ReferralReceived.wire_type()
# Rows whose columns are compared by one statement.
AT_ONCE = 500
TIMERS = "SELECT stream, kind, due_at FROM timer WHERE stream = ANY($1::text[])"
# Filling a row with what its journal gives must leave it as it is.
UNLIKE = """
SELECT r.id FROM jsonb_array_elements($1::jsonb) AS x (document) JOIN "{table}" r ON r.id = document ->> 'id'
WHERE to_jsonb(r) <> to_jsonb(jsonb_populate_record(r, document))
"""
# Both in one order, so that they are read side by side.
JOURNAL = 'SELECT * FROM journal ORDER BY stream COLLATE "C", n'
ROWS = """SELECT id, n, head, sequence, {state} AS state FROM "{table}" ORDER BY id COLLATE "C" """


@dataclass(slots=True)
class Streams:
    """The look at one service, inside one snapshot."""

    domain: Domain[Any, Any]
    key: bytes
    connection: Connection

    async def findings(self) -> AsyncIterator[Finding]:
        """Every stream of the service's referrals, then those of its reference rows."""
        documents: list[dict[str, Any]] = []
        deadlines: dict[str, set[tuple[str, Any]]] = {}
        async for row, entries in self._side_by_side():
            stream = row["id"] if row is not None else entries[0].stream
            for finding in self._chain(stream, entries, row):
                yield finding
            if row is None or row["state"] is None:
                continue
            for finding in self._folded(row, entries, documents, deadlines):
                yield finding
            if len(deadlines) >= AT_ONCE:
                for finding in await self._columns(documents, deadlines):
                    yield finding
                documents, deadlines = [], {}
        for finding in await self._columns(documents, deadlines):
            yield finding

    async def _side_by_side(self) -> AsyncIterator[tuple[Mapping[str, Any] | None, list[Entry]]]:
        """Each stream's row and journal, whichever of the two there is."""
        rows = merged(
            [self._rows(table) for table in (self.domain.table, *sorted(self.domain.reference_streams))]
        )
        journals = self._journals()
        row, entries = await anext(rows, None), await anext(journals, None)
        while row is not None or entries is not None:
            if entries is None or (row is not None and row["id"] < entries[0].stream):
                assert row is not None  # noqa: S101 one of the two is there
                yield row, []
                row = await anext(rows, None)
            elif row is None or entries[0].stream < row["id"]:
                yield None, entries
                entries = await anext(journals, None)
            else:
                yield row, entries
                row, entries = await anext(rows, None), await anext(journals, None)

    async def _rows(self, table: str) -> AsyncIterator[Mapping[str, Any]]:
        state = "state" if table == self.domain.table else "NULL::jsonb"
        async for row in self.connection.cursor(ROWS.format(table=table, state=state), prefetch=AT_ONCE):
            yield row

    async def _journals(self) -> AsyncIterator[list[Entry]]:
        entries: list[Entry] = []
        async for row in self.connection.cursor(JOURNAL, prefetch=1000):
            entry = journal.read_entry(row)
            if entries and entries[0].stream != entry.stream:
                yield entries
                entries = []
            entries.append(entry)
        if entries:
            yield entries

    def _chain(self, stream: str, entries: Sequence[Entry], row: Mapping[str, Any] | None) -> list[Finding]:
        if not entries:
            assert row is not None  # noqa: S101 one of the two is there
            return [self._found("I5", stream, "has no journal")] if row["n"] else []
        end = (row["n"], row["head"]) if row is not None else None
        return [
            self._found("I5", flaw.stream, f"{flaw.what} (row {flaw.n})")
            for flaw in journal.chain_flaws(self.key, entries, end)
        ]

    def _folded(
        self,
        row: Mapping[str, Any],
        entries: Sequence[Entry],
        documents: list[dict[str, Any]],
        deadlines: dict[str, set[tuple[str, Any]]],
    ) -> list[Finding]:
        stream, domain, found = row["id"], self.domain, list[Finding]()
        own = [entry for entry in entries if entry.own]
        if [entry.sequence for entry in own] != list(range(1, len(own) + 1)) or row["sequence"] != len(own):
            found.append(
                self._found("I8", stream, "has own events that are not numbered from 1 without a gap")
            )
        types = Counter(entry.type for entry in entries)
        if types[CLOSED] > 1:
            found.append(self._found("I4", stream, f"was closed {types[CLOSED]} times"))
        if any(entry.type == VOUCHER for entry in entries):
            # What only a lost database knew is vouched for, not told: there is nothing to fold.
            return found
        facts = [events.read(entry.type, entry.payload) for entry in entries]
        folded = domain.decider.fold(fact for fact in facts if fact is not None)
        if folded != domain.decider.state.model_validate_json(row["state"]):
            return [*found, self._found("I5", stream, "has another state than its journal gives")]
        deadlines[stream] = set(domain.timers(folded).items())
        documents.append({"id": stream, **domain.columns(folded), "n": len(entries)})
        return found

    async def _columns(
        self, documents: Sequence[Mapping[str, Any]], deadlines: Mapping[str, set[tuple[str, Any]]]
    ) -> list[Finding]:
        if not deadlines:
            return []
        unlike = await self.connection.fetch(
            UNLIKE.format(table=self.domain.table), orjson.dumps(documents).decode()
        )
        kept: dict[str, set[tuple[str, Any]]] = {stream: set() for stream in deadlines}
        for row in await self.connection.fetch(TIMERS, list(deadlines)):
            # Other deadlines than the rules' own are their tables' matter.
            if " " not in row["kind"]:
                kept[row["stream"]].add((row["kind"], row["due_at"]))
        found = [self._found("I5", row["id"], "has other columns than its state") for row in unlike]
        for stream, due in deadlines.items():
            missing, extra = due - kept[stream], kept[stream] - due
            found += [self._found("I6", stream, f"has no deadline {kind}") for kind, _ in sorted(missing)]
            found += [
                self._found("I6", stream, f"has a deadline {kind} too many") for kind, _ in sorted(extra)
            ]
        return found

    def _found(self, invariant: str, stream: str, what: str) -> Finding:
        return Finding(invariant, self.domain.service, stream, what)


async def merged(parts: Sequence[AsyncIterator[Mapping[str, Any]]]) -> AsyncIterator[Mapping[str, Any]]:
    """Rows of several tables in one order of their ids."""
    heads = [await anext(part, None) for part in parts]
    while any(head is not None for head in heads):
        index = min((h["id"], i) for i, h in enumerate(heads) if h is not None)[1]
        head = heads[index]
        assert head is not None  # noqa: S101 chosen among those that are there
        yield head
        heads[index] = await anext(parts[index], None)
