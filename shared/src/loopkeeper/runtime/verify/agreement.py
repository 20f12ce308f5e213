"""Do the services agree on each loop: that it exists, how it ended, who serves it? Four rows in memory at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.verify.finding import Finding
from loopkeeper.store.definition import Domain
from loopkeeper.store.must_hold import KnownLoop

STATES = """SELECT id, state FROM "{table}" ORDER BY id COLLATE "C" """
STATE = 'SELECT id, state FROM "{table}" WHERE id = $1'


@dataclass(frozen=True, slots=True)
class Knower:
    """One service that knows of loops. The first of all is the one that receives them."""

    domain: Domain[Any, Any]
    known: Callable[[Any], KnownLoop]
    connection: Connection

    async def all(self) -> AsyncIterator[tuple[str, KnownLoop]]:
        """What it knows, by referral in order."""
        async for row in self.connection.cursor(STATES.format(table=self.domain.table), prefetch=500):
            yield row["id"], self._read(row)

    async def one(self, referral: str) -> KnownLoop | None:
        """What it knows of this one; None where it has never heard of it."""
        row: Any = await self.connection.fetchrow(STATE.format(table=self.domain.table), referral)
        return self._read(row) if row is not None else None

    def _read(self, row: Mapping[str, Any]) -> KnownLoop:
        return self.known(self.domain.decider.state.model_validate_json(row["state"]))


async def agreement(knowers: list[Knower]) -> AsyncIterator[Finding]:
    """Where they differ."""
    parts = [knower.all() for knower in knowers]
    heads = [await anext(part, None) for part in parts]
    while any(head is not None for head in heads):
        referral = min(head[0] for head in heads if head is not None)
        here = [head[1] if head is not None and head[0] == referral else None for head in heads]
        for finding in differences(
            referral, {k.domain.service: each for k, each in zip(knowers, here, strict=True)}
        ):
            yield finding
        for index, each in enumerate(here):
            if each is not None:
                heads[index] = await anext(parts[index], None)


async def differ_still(knowers: list[Knower], referral: str) -> list[Finding]:
    """The same for one referral, now."""
    return differences(referral, {each.domain.service: await each.one(referral) for each in knowers})


def differences(referral: str, known: Mapping[str, KnownLoop | None]) -> list[Finding]:
    """What differs between the services of one referral."""
    missing = [name for name, each in known.items() if each is None]
    if missing:
        return [Finding("I14", name, referral, "is not known here") for name in missing]
    heard = {name: each for name, each in known.items() if each is not None}
    found: list[Finding] = []
    first, ours = next(iter(heard.items()))
    for name, each in heard.items():
        if each.outcome != ours.outcome:
            told = f"ended as {each.outcome or 'open'} here, as {ours.outcome or 'open'} in {first}"
            found.append(Finding("I14", name, referral, told))
    serving = {name: each.serving for name, each in heard.items() if each.serving is not None}
    if len(set(serving.values())) > 1:
        names = ", ".join(serving)
        found.append(Finding("I14", names, referral, "is not served by the same assignment everywhere"))
    if any(each.stalled for each in heard.values()):
        found.append(Finding("I6", first, referral, "is open, and nobody but Loopkeeper must act"))
    return found
