"""An entry of the directory as pages show it: what operations and plans wrote of a provider, and how many places it has."""

from __future__ import annotations

import htpy as h

from console.api.client import unless
from console.api.models.assignment import ShownEntry, ShownPlaces
from console.pages.visit import Visit
from console.parts.basics import blocks, labels, times
from loopkeeper.contract.vocabulary.providers import ProviderType


async def entry_of(id: str, visit: Visit) -> tuple[ShownEntry, str] | None:
    """The entry and the version that a change of it names; None where the directory says nothing of this provider."""
    return await unless(visit.api.versioned("assignment", f"/v1/providers/{id}", ShownEntry), 404)


async def places_of(id: str, visit: Visit) -> ShownPlaces:
    return await visit.api.get("assignment", f"/v1/providers/{id}/places", ShownPlaces)


def taken_of(places: ShownPlaces, visit: Visit) -> h.Element:
    """How many places are taken, in words and as a bar."""
    _ = visit.words
    free = max(places.capacity - places.taken, 0)
    share = places.taken / places.capacity if places.capacity else 1.0
    return h.div(".placesbar")[
        blocks.bar(share),
        h.p(".sub")[
            _.many(
                "{count} place is free. Offers that wait for an answer take one.",
                "{count} places are free. Offers that wait for an answer take one.",
                free,
            )
        ],
    ]


def of_others(entry: ShownEntry, visit: Visit) -> h.Element:
    """What the provider itself does not write: its types, whom it serves and where, and with whom it has a contract."""
    _ = visit.words
    return blocks.card(
        _("What operations and plans wrote"),
        blocks.facts(
            (
                (_("Name"), entry.name),
                (_("Types"), ", ".join(_type(each, visit) for each in entry.types)),
                (_("Populations"), ", ".join(labels.population(each, _) for each in entry.populations)),
                (_("Ages"), ", ".join(labels.of(labels.AGE_BAND, each, _) for each in entry.age_bands)),
                (_("Counties"), ", ".join(labels.county(each) for each in entry.counties)),
                (_("Contracts"), ", ".join(dict.fromkeys(visit.name(each.plan) for each in entry.contracts))),
                (
                    _("Looked at"),
                    times.moment(entry.verified_at, _, year=True) if entry.verified_at else None,
                ),
            )
        ),
        h.p(".sub")[_("If it is wrong, tell operations, or the plan whose contract it is.")],
    )


def _type(code: str, visit: Visit) -> str:
    return visit.words(ProviderType.label_of(code)) if code in ProviderType.codes() else labels.plain(code)
