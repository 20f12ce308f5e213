"""How are a command's events kept together on their way? No append ends between two of them.

A command that published several events says so in each: its id, and which of how many this is. A log that lost the rest of a
command would let a restored service forget half of what it decided: the offer after the declining, the second referral.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from uuid import UUID

import orjson

from loopkeeper.contract.envelope import BadEnvelope, Message, parse

# Where the first event of a command carries the others, since they go to other partitions.
REST = "ce_rest"


def cut(messages: Sequence[Message], start: int, most: int) -> int:
    """Where an append that begins at `start` ends: after at most so many messages, or after as many as the first command
    needs; never between two events of one command that both are among the messages."""
    last = {m.part.command: index for index, m in enumerate(messages) if m.part is not None}
    best, reach = start, start
    for index in range(start, len(messages)):
        part = messages[index].part
        reach = max(reach, last[part.command] if part is not None else index)
        if reach == index:
            best = index + 1
        if index + 1 - start >= most and best > start:
            return best
    return len(messages) if best == start else best


def unfinished(messages: Sequence[Message]) -> set[UUID]:
    """The commands whose last event is not among these."""
    seen = {m.part.command for m in messages if m.part is not None}
    return seen - {m.part.command for m in messages if m.part is not None and m.part.number == m.part.of}


def segments(messages: Sequence[Message], partition_of: Callable[[str], int]) -> Iterator[list[Message]]:
    """These in order, cut behind the first event of each command whose events go to several partitions: it carries the
    others, so that anyone who finds it finds the whole."""
    spread = _spread(messages, partition_of)
    segment: list[Message] = []
    for message in messages:
        rest = spread.pop(message.part.command, None) if message.part is not None else None
        if rest is None:
            segment.append(message)
            continue
        segment.append(replace(message, rest=tuple(each for each in rest if each.id != message.id)))
        yield segment
        segment = []
    if segment:
        yield segment


def _spread(messages: Sequence[Message], partition_of: Callable[[str], int]) -> dict[UUID, list[Message]]:
    commands: dict[UUID, list[Message]] = {}
    for message in messages:
        if message.part is not None:
            commands.setdefault(message.part.command, []).append(message)
    return {
        command: events
        for command, events in commands.items()
        if len({partition_of(event.subject) for event in events}) > 1
    }


def carried(rest: Sequence[Message]) -> str:
    """The other events of a command as one header."""
    return orjson.dumps([{"headers": m.headers(), "data": b64encode(m.data).decode()} for m in rest]).decode()


def unpacked(header: str) -> tuple[Message, ...]:
    """The events a header carries. Raises `BadEnvelope`."""
    try:
        return tuple(parse(each["headers"], b64decode(each["data"])) for each in orjson.loads(header))
    except (ValueError, KeyError, TypeError) as error:
        raise BadEnvelope(f"malformed {REST}") from error
