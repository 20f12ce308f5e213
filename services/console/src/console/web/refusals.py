"""What the console refuses by itself: in words, with what to do. A page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from console.words import Words


@dataclass
class Refusal(Exception):
    """A request that cannot be done. `title` and `fix` are for the person; neither holds what was sent.
    `values`: what is put in at their `{names}`."""

    status: int
    title: str
    fix: str = ""
    values: Mapping[str, str] = field(default_factory=dict[str, str])

    def in_words(self, words: Words) -> tuple[str, str]:
        """Title and fix in the person's language, with the values in them."""
        return words(self.title, **self.values), words(self.fix, **self.values)


class NotHere(Refusal):
    """There is nothing at this address, or nothing that this person may see: both look the same."""

    def __init__(self) -> None:
        super().__init__(
            404, "There is nothing here", "The address may be wrong, or what it names is not yours to see."
        )


@dataclass
class GoTo(Exception):
    """Go to another page of ours instead. `path` is one of our own addresses."""

    path: str
