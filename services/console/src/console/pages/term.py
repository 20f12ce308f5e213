"""A term as a line: from its first day to its last, and where today is."""

from __future__ import annotations

from datetime import datetime

import htpy as h

from console.api.models.authorization import ShownTerm
from console.parts.basics import blocks, times
from console.words import Words
from loopkeeper.contract.calendar import la_date


def term(found: ShownTerm, now: datetime, words: Words) -> h.Element:
    """The card of a term."""
    _, from_, through = words, found.from_, found.through
    whole = max((through - from_).days, 1)
    spent = max(0.0, min(1.0, (la_date(now) - from_).days / whole))
    return blocks.card(
        _("Authorization"),
        h.p(".num")[found.number],
        h.svg(".term", viewBox="0 0 100 6", preserveAspectRatio="none", aria_hidden="true")[
            h.rect(".bg", y="2", width="100", height="2"),
            h.rect(".fill", y="2", width=f"{spent * 100:.1f}", height="2"),
            h.rect(".tick", x=f"{max(0.0, spent * 100 - 0.6):.1f}", width="0.6", height="6"),
        ],
        h.p(".termends")[
            h.span[times.day(from_, _, year=True, weekday=False)],
            h.span[times.day(through, _, year=True, weekday=False)],
        ],
        h.p(".sub")[_("Ends {day}: {why}.", day=times.day(found.ends_on, _, year=True), why=_(found.why))]
        if found.ends_on
        else None,
    )
