"""A broken promise, as a person reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`invariant` is its number in docs/explanation/protocols.md §15; `where` names ids only; `show` is the command that shows it."""

    invariant: str
    service: str
    where: str
    what: str

    @property
    def show(self) -> str:
        if self.where.startswith("ref_"):
            return f"loopkeeper explain {self.where}"
        if self.invariant == "I10":
            return "loopkeeper parked list"
        return "loopkeeper status"

    def document(self) -> dict[str, str]:
        """For programs."""
        return {
            "invariant": self.invariant,
            "service": self.service,
            "where": self.where,
            "what": self.what,
            "show": self.show,
        }
