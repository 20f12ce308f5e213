"""Which counts may be published? None of 1 to 10, and none from which such a one could be worked out.

A whole and its parts are an equation: where one count of it is hidden, the others give it away. So a second one is hidden
with it, and where what is hidden adds up to less than the limit, a third.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def hidden(counts: Mapping[K, int], equations: Iterable[tuple[K, Sequence[K]]], below: int) -> frozenset[K]:
    """The counts that are not published. `equations`: a whole, and the parts that make it up; a part that is not in
    `counts` is none."""
    gone = {key for key, count in counts.items() if 0 < count < below}
    lines = [
        (whole, [part for part in parts if counts.get(part, 0) > 0])
        for whole, parts in equations
        if whole in counts
    ]
    changed = True
    while changed:
        changed = False
        for whole, parts in lines:
            if (more := _more(counts, gone, whole, parts, below)) is not None:
                gone.add(more)
                changed = True
    return frozenset(gone)


def _more(counts: Mapping[K, int], gone: set[K], whole: K, parts: Sequence[K], below: int) -> K | None:
    """One more that must be hidden in this equation; None where it gives nothing away."""
    covered = [part for part in parts if part in gone]
    shown = [part for part in parts if part not in gone]
    if whole in gone:
        # All parts shown add up to it.
        return min(shown, key=lambda part: (counts[part], str(part))) if not covered and shown else None
    if not covered:
        return None
    if len(covered) > 1 and sum(counts[part] for part in covered) >= below:
        return None
    return min(shown, key=lambda part: (counts[part], str(part))) if shown else whole
