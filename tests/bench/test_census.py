"""Does anything cost more as the tables grow? Every statement that the services send in a whole story, and every list by every
key and filter, over a thousand referrals and over several thousand."""

from __future__ import annotations

from pathlib import Path

from tests.bench.census.census import Compared, census
from tests.builders.organizations import HARBOR, HOSPITAL, STREET
from tests.databases import Databases

FEW, MANY = 60, 360
# What may grow, and why: each counts what is there, now and then, or writes as much as it was handed.
GROWS = {
    "AS actor, count(*) AS open": "counts open loops every quarter of a minute, by an index of what is open",
    "FROM roster WHERE plan = $1": "a whole roster tells who has left: as often as a plan sends one",
    "UPDATE roster SET left_on": "the same",
    "JOIN identity i ON i.id = r.id WHERE r.plan_id = $1": "a new roster is compared with each loop of its plan",
}


# Lists that look through the caller's own rows, and why no index has their order.
OWN = {
    (
        HOSPITAL,
        "/v1/referrals?population=",
    ): "by key, population and time: each change of a referral would write it",
    (STREET, "/v1/referrals?population="): "the same",
}
# Lists that PostgreSQL reads in one of two ways: everything that has the population, or the order of an index, whichever it
# takes for cheaper. It turns to the second at some 6 000 rows (4 300 referrals here), so that no list looks at more.
TURNS = {(HARBOR, "/v1/referrals?population="): 8_000}


def excused(each: Compared) -> bool:
    caller, _, asked = each.example.route.partition(" ")
    own = any(caller == key and asked.startswith(path) for key, path in OWN)
    turns = any(
        caller == key and asked.startswith(path) and each.large.rows < most
        for (key, path), most in TURNS.items()
    )
    return own or turns or any(words in each.statement.short for words in GROWS)


async def test_no_statement_and_no_list_looks_at_more_as_the_tables_grow(
    databases: Databases, tmp_path: Path
) -> None:
    async with census(databases, tmp_path) as counted:
        found, few, many = await counted.compare(FEW, MANY)
    await databases.drop()
    assert many > 5 * few
    assert len(found) > 400
    grown = [
        f"{each.statement.service}: {each.example.route or each.statement.short[:160]}: rows {each.small.rows} → "
        f"{each.large.rows}, pages {each.small.pages} → {each.large.pages} {each.scans}"
        for each in found
        if each.grows and not excused(each)
    ]
    assert not grown, "\n".join(grown)
