"""A service's own copy of the provider directory, which assignment owns: the newest version heard of each entry.

`provider.recorded` carries the whole entry with its version, and the higher version wins, so the order in which
entries arrive does not matter (loop.md 5.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.store.definition import Recorded, Reference

TABLE = "provider"


def on_provider_recorded(event: ProviderRecorded, message: Message) -> Reference:
    """Keep this entry unless a newer one is here already."""

    def change(row: Mapping[str, Any] | None, at: datetime) -> Recorded | None:
        if row is not None and row["version"] >= event.version:
            return None
        return Recorded({"version": event.version, "entry": event.model_dump(mode="json", by_alias=True)})

    return Reference(TABLE, event.provider, change)


def read_entry(entry: Mapping[str, Any]) -> ProviderRecorded:
    """The entry of a row of the copy."""
    return ProviderRecorded.model_validate(entry)


# As many as the largest plans contract; each takes some ten kilobytes.
@lru_cache(maxsize=512)
def read_text(entry: str) -> ProviderRecorded:
    """The same of a row as PostgreSQL writes it. Every batch that concerns a provider reads its entry, which changes a few times
    a year: it is parsed once."""
    return read_entry(orjson.loads(entry))
