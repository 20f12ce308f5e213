"""Which commands of a batch must be decided once more because another batch made a row first that was new here?

A command may write to several streams, and what was decided of one stream builds on what was decided before. So a lost row
takes with it every command that touched its stream, every other stream of those commands, and so on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from loopkeeper.store.definition import Change


def entangled(changes: Sequence[Change[Any]], lost: Collection[str]) -> tuple[set[str], set[UUID]]:
    """The streams of which nothing may be written, and the commands that changed them. Pure."""
    streams, commands = set(lost), set[UUID]()
    while True:
        found = {each.submission.id for each in changes if each.stream in streams} - commands
        if not found:
            return streams, commands
        commands |= found
        streams |= {each.stream for each in changes if each.submission.id in found}
