"""What an event is, and how one gets a new version: the newest shape is what everybody works with, and every shape it
had before is still read, because the log keeps it.

A `Superseded` shape is brought up to the next one as it is read (`upcast`), before any rule, `evolve` or reader
sees it. So rules know one shape of each event, whatever lies in logs and journals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

K = TypeVar("K", bound="_Shape")


class EventPart(BaseModel):
    """A value inside an event."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ActedBy(EventPart):
    """Who decided: the organization, and that organization's own id of the person. `proved`: the person signed in, and
    `person` is the id under which the console knows them; without it the organization's program states the person."""

    organization: str
    person: str = ""
    # Left out where it is not so: what was published before knows no such field.
    proved: Literal[True] | None = None


class _Shape(BaseModel):
    """The part every event has, in every version. `policy` names the policy rows a decision used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    wire: ClassVar[str] = ""
    wire_version: ClassVar[int] = 1

    occurred_at: datetime
    acted_by: ActedBy | None = None
    policy: tuple[str, ...] = ()

    @classmethod
    def wire_type(cls) -> str:
        return f"ecm.{cls.wire}.v{cls.wire_version}"

    def payload(self) -> bytes:
        """The bytes that are journaled and published: fields without a value are left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class Event(_Shape):
    """An event in its newest version: the only one that is decided, folded and published."""

    # Kept in the publisher's own journal only, where nobody else may act on it.
    published: ClassVar[bool] = True
    # What it says takes the place of what an earlier fact of the stream said under the same names.
    corrects: ClassVar[bool] = False


class Superseded(_Shape):
    """A version that an event once had. It is read for as long as the log is kept, and never published again."""

    def upcast(self) -> Event | Superseded:
        """The same fact in the next version; what that asks and this one does not say, by the rule of its day."""
        raise NotImplementedError


class Catalog:
    """Every event there is, in every version it had. Raises `ValueError` for one that is there twice, or whose older
    versions have a gap."""

    def __init__(self, kinds: Iterable[type[Event]], superseded: Iterable[type[Superseded]] = ()) -> None:
        self.by_type: Mapping[str, type[Event]] = _unique(kinds)
        self.superseded: Mapping[str, type[Superseded]] = _unique(superseded)
        self._newest = {kind.wire: kind for kind in self.by_type.values()}
        for kind in self.by_type.values():
            had = sorted(old.wire_version for old in self.superseded.values() if old.wire == kind.wire)
            if had != list(range(1, kind.wire_version)):
                raise ValueError(f"{kind.wire} is in version {kind.wire_version}, and before it in {had}")
        if unknown := sorted(old.wire for old in self.superseded.values() if old.wire not in self._newest):
            raise ValueError(f"nothing supersedes {', '.join(unknown)}")

    def wire_types(self, kind: type[Event]) -> tuple[str, ...]:
        """Under which wire types this event lies in logs and journals, its newest first."""
        older = [name for name, old in self.superseded.items() if old.wire == kind.wire]
        return (kind.wire_type(), *sorted(older, reverse=True))

    def read(self, wire_type: str, data: bytes) -> Event | None:
        """The event in these bytes in its newest version; None where the type is unknown here (a newer publisher).
        Raises `pydantic.ValidationError` where the bytes are not that event."""
        kind = self.by_type.get(wire_type) or self.superseded.get(wire_type)
        if kind is None:
            return None
        found: Event | Superseded = kind.model_validate_json(data)
        while isinstance(found, Superseded):
            found = found.upcast()
        return found

    def newer(self, wire_type: str) -> type[Event] | None:
        """The event of which this is a version that is not known here yet; None for any other wire type."""
        prefix, _, version = wire_type.rpartition(".v")
        kind = self._newest.get(prefix.removeprefix("ecm."))
        return kind if kind is not None and version.isdecimal() and int(version) > kind.wire_version else None


def _unique(kinds: Iterable[type[K]]) -> Mapping[str, type[K]]:
    found: dict[str, type[K]] = {}
    for kind in kinds:
        if found.setdefault(kind.wire_type(), kind) is not kind:
            raise ValueError(f"there are two of {kind.wire_type()}")
    return found
