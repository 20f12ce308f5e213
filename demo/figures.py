"""What came of it, counted from outside: what the lists say, what the endpoint heard, how fast, and who is readable."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.crowd import Town
from demo.partner import Delivery
from demo.providers import OPERATIONS
from demo.stage import Stage


@dataclass(frozen=True)
class Figures:
    """closed + open = referrals. `shares`: what happened on the way, in percent of the referrals, and how many
    populations, forms and languages they had. `lost`: a referral that is missing or stalled. `doubled`: two referrals from one key,
    two closings of one, or two different webhook ids for one notice. `readable`: identities found outside the seal."""

    referrals: int
    closed: int
    told: int
    open: int
    merged: int
    denied: int
    lost: int
    doubled: int
    readable: int
    seconds: float
    p50_ms: float
    p99_ms: float
    shares: Mapping[str, float]

    def document(self) -> Mapping[str, Any]:
        return self.__dict__


async def counted(stage: Stage, town: Town, seconds: float, readable: int) -> Figures:
    """The figures of the town's referrals, once everything is quiet."""
    found = {item["id"]: item async for item in stage.caller.every(OPERATIONS, "/v1/referrals")}
    mine = {referral: found.get(referral) for referral in town.posted_at}
    there = [item for item in mine.values() if item is not None]
    closed = [item for item in there if item["status"] == "closed"]
    open_ = [item for item in there if item["status"] != "closed"]
    # Everything is quiet: what should still be done by the services themselves is not being done.
    stalled = [item for item in open_ if item["next_step"]["actor"] in ("", "loopkeeper")]
    waits = sorted(_waits(stage.partner.received, town.posted_at).values())
    return Figures(
        referrals=len(mine),
        closed=len(closed),
        told=sum(item["closing"]["told_at"] is not None for item in closed),
        open=len(open_),
        merged=sum(item["closing"]["outcome"] == "merged" for item in closed),
        denied=sum(item["closing"]["outcome"] == "not_authorized" for item in closed),
        lost=len(mine) - len(there) + len(stalled) + sum(r not in _first_heard(stage) for r in mine),
        doubled=_doubled(stage.partner.received, town),
        readable=readable,
        seconds=round(seconds, 2),
        p50_ms=round(_share(waits, 0.5) * 1000, 1),
        p99_ms=round(_share(waits, 0.99) * 1000, 1),
        shares=_shares(stage, town, closed),
    )


def _shares(stage: Stage, town: Town, closed: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
    """As the endpoints heard it and the lists say it, not as the story meant it."""
    people, heard = list(town.people.values()), stage.partner.received
    outcomes = Counter(item["closing"]["outcome"] for item in closed)
    happened = {
        "without address or phone": sum(
            "address" not in p.member and "phone" not in p.member for p in people
        ),
        "declined once": len(_heard_of("assignment.declined", heard, town)),
        "pended": len(_heard_of("authorization.pended", heard, town)),
        "denied": len(_heard_of("authorization.denied", heard, town)),
        # Of a member whose loop is open, or who is served already by then.
        "duplicates": outcomes["merged"] + outcomes["already_in_ecm"],
        "unreachable": outcomes["unable_to_reach"],
    }
    return {
        **{name: round(100 * count / max(len(people), 1), 1) for name, count in happened.items()},
        "populations": len({person.need.population for person in people}),
        "forms": len({person.child for person in people}),
        "languages": len({person.member["language_spoken"] for person in people}),
    }


def _heard_of(kind: str, received: Iterable[Delivery], town: Town) -> set[str]:
    return {each.referral for each in received if each.type == kind and each.referral in town.posted_at}


async def outcomes(stage: Stage, town: Town) -> Counter[str]:
    """The town's loops: by outcome where closed, else by the next actor."""
    counts: Counter[str] = Counter()
    async for item in stage.caller.every(OPERATIONS, "/v1/referrals"):
        if item["id"] in town.posted_at:
            closing = item["closing"]
            counts[closing["outcome"] if closing else f"open: {item['next_step']['actor']} must act"] += 1
    return counts


def readable(stage: Stage, members: Iterable[Mapping[str, Any]]) -> int:
    """How many members can be read where nobody should: in what partners were sent, and in what is in the home
    (logs, spans, keys, and, where they are there, the database's own files)."""
    said = b"".join(str(delivery.data).encode() for delivery in stage.partner.received)
    kept = [file for file in stage.house.home.rglob("*") if file.is_file() and "for-you" not in file.parts]
    text = said + b"".join(_bytes(file) for file in kept)
    return sum(member["cin"].encode() in text for member in members)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        # A socket, or a file the database just took away.
        return b""


def _first_heard(stage: Stage) -> set[str]:
    return {delivery.referral for delivery in stage.partner.received}


def _waits(received: list[Delivery], posted_at: Mapping[str, float]) -> Mapping[str, float]:
    """Seconds from sending each referral to the first webhook about it."""
    first: dict[str, float] = {}
    for delivery in received:
        if delivery.referral in posted_at:
            waited = delivery.at - posted_at[delivery.referral]
            first[delivery.referral] = min(waited, first.get(delivery.referral, waited))
    return first


def _share(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def _doubled(received: list[Delivery], town: Town) -> int:
    closings: dict[tuple[str, str], set[str]] = defaultdict(set)
    notices: dict[tuple[str, str], set[str]] = defaultdict(set)
    for delivery in received:
        if delivery.type == "referral.closed":
            closings[(delivery.to, delivery.referral)].add(delivery.webhook_id)
        if "notice" in delivery.data and "text" in delivery.data:
            notices[(delivery.to, delivery.data["notice"])].add(delivery.webhook_id)
    twice = [ids for ids in (*closings.values(), *notices.values()) if len(ids) > 1]
    return len(town.doubled_keys) + len(twice)
