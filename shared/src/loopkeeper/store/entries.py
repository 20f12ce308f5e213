"""The journal rows of one command: its events numbered, chained to the row before, in envelopes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from loopkeeper.contract import ids
from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event, publisher
from loopkeeper.kernel.errors import Problem
from loopkeeper.store import journal
from loopkeeper.store.definition import Row, Submission
from loopkeeper.store.journal import Entry

# Half of Kafka's default message limit (1 MiB): envelope and record overhead never push an event over it.
LARGEST_EVENT = 512 * 1024


def entries_of(
    service: str,
    chain_key: bytes,
    row: Row[Any],
    submission: Submission,
    events: Sequence[tuple[Event, bool]],
    at: datetime,
) -> list[tuple[Entry, Event]]:
    """These events as rows behind what the stream's row has, which moves on; each with whether it is our own."""
    written: list[tuple[Entry, Event]] = []
    n, sequence, head = row.n, row.sequence, row.head
    for event, own in events:
        n += 1
        if own and event.published:
            sequence += 1
        if own:
            entry = _own(service, submission, row.id, event, n, sequence, at)
        else:
            entry = journal.noted(_fact(submission), n, sequence)
        head = journal.chained(chain_key, head, entry).chain
        written.append((entry, event))
    row.n, row.sequence, row.head = n, sequence, head
    return written


def _own(
    service: str, submission: Submission, stream: str, event: Event, n: int, sequence: int, at: datetime
) -> Entry:
    if publisher(type(event)) != service:
        raise InvariantBroken(f"{service} does not own {event.wire}")
    payload = event.payload()
    if len(payload) > LARGEST_EVENT:
        raise Problem(413, "body-too-large", "The event of this request would be too large.")
    return Entry(
        stream,
        n,
        ids.uuid(),
        event.published,
        sequence,
        event.wire_type(),
        f"/{service}",
        at,
        submission.causation or str(submission.id),
        submission.traceparent,
        "",
        payload,
        "",
    )


def _fact(submission: Submission) -> Message:
    received = submission.received
    if received is None or received.message is None:
        raise InvariantBroken("only a fact that could be read is noted")
    return received.message


def check_together(events: Sequence[Event]) -> None:
    """A command's events are one append. Raises `Problem` where they would not fit into one."""
    if len(events) > 1 and sum(len(event.payload()) for event in events) > LARGEST_EVENT:
        raise Problem(413, "body-too-large", "The events of this request would be too large.")
