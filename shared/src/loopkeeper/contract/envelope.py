"""How an event travels: a CloudEvents 1.0 envelope in binary mode, attributes in headers, data as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from loopkeeper.contract.calendar import written

CONTENT_TYPE = "application/json"
REQUIRED = ("ce_id", "ce_type", "ce_source", "ce_subject", "ce_time")


class BadEnvelope(ValueError):
    """A record on the log that is no Loopkeeper event; `reason` names the header, never its value."""


@dataclass(frozen=True, slots=True)
class CommandPart:
    """Which of a command's published events this is, over all its streams, in the order written."""

    command: UUID
    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.command} {self.number} {self.of}"

    @classmethod
    def read(cls, text: str) -> CommandPart | None:
        """From a header; None for an event that is all its command published. Raises `ValueError`."""
        if not text:
            return None
        command, number, of = text.split()
        return cls(UUID(command), int(number), int(of))


@dataclass(frozen=True, slots=True)
class Message:
    """One published event. `subject` is the stream and the key; `data` the exact bytes the journal keeps.

    `sequence` counts its stream's own published events of this source from 1 without gaps; `chain` is the
    chain value of its journal row; `causation` the id of the command or event that caused it.
    """

    id: UUID
    type: str
    source: str
    subject: str
    time: datetime
    data: bytes
    sequence: int = 0
    chain: str = ""
    causation: str = ""
    traceparent: str = ""
    # How it travels, not what it says: under which generation of its publisher's database, 0 where that is not known.
    generation: int = field(default=0, compare=False)
    # Where its command published several events; and, where it carries them, the others.
    part: CommandPart | None = field(default=None, compare=False)
    rest: tuple[Message, ...] = field(default=(), compare=False)

    def headers(self) -> dict[str, str]:
        """The envelope's attributes, all strings, in a fixed order."""
        travels = {"ce_generation": str(self.generation)} if self.generation else {}
        if self.part is not None:
            travels["ce_command"] = str(self.part)
        return {
            "ce_specversion": "1.0",
            "ce_id": str(self.id),
            "ce_type": self.type,
            "ce_source": self.source,
            "ce_subject": self.subject,
            "ce_time": written(self.time),
            "ce_partitionkey": self.subject,
            "ce_sequence": str(self.sequence),
            "ce_chain": self.chain,
            "ce_causationid": self.causation,
            "ce_traceparent": self.traceparent,
            "content-type": CONTENT_TYPE,
            **travels,
        }


def parse(headers: Mapping[str, str], data: bytes) -> Message:
    """Read an envelope back. Raises `BadEnvelope` where a required attribute is missing or malformed."""
    missing = [name for name in REQUIRED if not headers.get(name)]
    if missing:
        raise BadEnvelope(f"missing {missing[0]}")
    try:
        return Message(
            id=UUID(headers["ce_id"]),
            type=headers["ce_type"],
            source=headers["ce_source"],
            subject=headers["ce_subject"],
            time=datetime.fromisoformat(headers["ce_time"]),
            data=data,
            sequence=int(headers.get("ce_sequence") or 0),
            chain=headers.get("ce_chain", ""),
            causation=headers.get("ce_causationid", ""),
            traceparent=headers.get("ce_traceparent", ""),
            generation=int(headers.get("ce_generation") or 0),
            part=CommandPart.read(headers.get("ce_command", "")),
        )
    except ValueError as error:
        raise BadEnvelope("malformed ce_id, ce_time or ce_sequence") from error
