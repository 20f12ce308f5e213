"""Lists and counts of referrals: which rows, in which order, and how many open loops there are of each kind.

Everything about open loops is answered from the indexes `referral_open_due…` alone, which hold what is filtered and counted
by; only the rows of the page shown are read. So neither gets slower with the referrals that are closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from loopkeeper.http.paging import Cursor
from loopkeeper.postgres.connections import Pool
from loopkeeper.security.organizations import Client
from loopkeeper.store.pages import Selection, literal, plain, visible_page
from loopkeeper.store.row_access import OWN, visible_rows
from referral_intake.persistence.columns import DUE_KEY, IS_OPEN, MAY_BE_TWICE, READ_COLUMNS

DueIn = Literal["late", "soon", "on_time", "none"]
# Working days are the reader's to see in the date; for the board soon is two days.
SOON = timedelta(days=2)
# The state of a loop's deadline, at $1 and two days later ($2).
CLOCK_STATE = (
    "CASE WHEN next_due_at IS NULL THEN 'none' WHEN next_due_at <= $1::timestamptz THEN 'late' "
    "WHEN next_due_at <= $2::timestamptz THEN 'soon' ELSE 'on_time' END"
)
# The same, counted: to group by it would cost as much again for every open loop.
CLOCKS: Mapping[str, str] = {
    "none": "next_due_at IS NULL",
    "late": "next_due_at <= $1::timestamptz",
    "soon": "next_due_at > $1::timestamptz AND next_due_at <= $2::timestamptz",
    "on_time": "next_due_at > $2::timestamptz",
}
BY_CLOCK = ", ".join(
    (
        "count(*) AS loops",
        *(f"count(*) FILTER (WHERE {clause}) AS {state}" for state, clause in CLOCKS.items()),
    )
)
# The facts after which somebody else must act, or the same somebody again.
MOVES = tuple(
    f"ecm.{kind}.v1"
    for kind in (
        "referral.received", "referral.questions_asked", "referral.amended", "authorization.review_opened",
        "authorization.presumptive_granted", "authorization.pended", "authorization.resumed", "authorization.approved",
        "assignment.made", "assignment.accepted", "assignment.declined", "assignment.withdrawn", "assignment.ended",
        "assignment.plan_asked", "outreach.attempted",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which referrals are asked for; empty fields do not narrow. `county`, `actor`, `step`, `due`, `possible_duplicate` and
    `open` mean open loops."""

    status: str | None = None
    plan: str | None = None
    population: str | None = None
    county: str | None = None
    actor: str | None = None
    step: str | None = None
    due: DueIn | None = None
    possible_duplicate: bool | None = None
    open: bool | None = None

    @property
    def of_open(self) -> bool:
        return bool(
            self.county
            or self.actor
            or self.step
            or self.due
            or self.possible_duplicate is not None
            or self.open
        )


async def by_change(
    readers: Pool, client: Client, wanted: Wanted, start: Cursor, fetch: int
) -> Sequence[Mapping[str, Any]]:
    """Referrals, least recently changed first."""
    selection = Selection(READ_COLUMNS, "referral", start, fetch)
    selection.where("status <> ''")
    if wanted.status is not None:
        # What is open is found by an index of what is open; closed is nearly everything.
        selection.where(f"status = {literal(wanted.status)}")
    if wanted.open is False:
        selection.where("status = 'closed'")
    if wanted.plan is not None:
        selection.where("plan_id = ?", wanted.plan)
    if wanted.population is not None:
        if not plain(wanted.population):
            return ()
        population = literal(wanted.population)
        selection.where(f"id IN (SELECT p.id FROM referral_population p WHERE p.population = {population})")  # noqa: S608
        selection.ordered = False
    return await visible_page(readers, client, selection)


async def by_due(
    readers: Pool, client: Client, wanted: Wanted, start: Cursor, fetch: int, now: datetime
) -> Sequence[Mapping[str, Any]]:
    """Open loops, earliest due first and those without a deadline last; `due_key` is what they are sorted by."""
    where, values = _narrowed(wanted, 6)
    return await visible_rows(
        readers,
        client,
        f"""SELECT {READ_COLUMNS}, {DUE_KEY} AS due_key FROM referral WHERE id IN (
              SELECT id FROM referral
              WHERE {IS_OPEN} AND ({DUE_KEY}, id) > ($3::timestamptz, $4::text) {where} AND {OWN}
              ORDER BY {DUE_KEY}, id LIMIT $5)
            ORDER BY due_key, id""",  # noqa: S608 own fragments
        now,
        now + SOON,
        start.at,
        start.id,
        fetch,
        *values,
    )


async def counts(
    readers: Pool, client: Client, wanted: Wanted, now: datetime, by: Sequence[Literal["county", "plan_id"]]
) -> Mapping[str, Mapping[str, int]]:
    """How many open loops there are: by status, actor, step and deadline, and by these too."""
    where, values = _narrowed(wanted, 3)
    kinds = ("status", "next_actor", "next_step", *by)
    rows = await visible_rows(
        readers,
        client,
        f"""SELECT {", ".join(kinds)}, {BY_CLOCK} FROM referral
            WHERE {IS_OPEN} {where} AND {OWN} GROUP BY {", ".join(kinds)}""",  # noqa: S608 own fragments
        now,
        now + SOON,
        *values,
    )
    found: dict[str, Counter[str]] = {kind: Counter() for kind in (*kinds, "due")}
    for row in rows:
        found["due"].update({state: row[state] for state in CLOCKS if row[state]})
        for kind in kinds:
            found[kind][row[kind]] += row["loops"]
    return found


def _narrowed(wanted: Wanted, first: int) -> tuple[str, tuple[str, ...]]:
    """The clauses of an open loop's filters and their values, numbered from `$first`. $1 and $2 are used by each."""
    given = {
        "status": wanted.status,
        "plan_id": wanted.plan,
        "county": wanted.county,
        "next_actor": wanted.actor,
        "next_step": wanted.step,
        CLOCK_STATE: wanted.due,
    }
    clauses, values = ["$1::timestamptz < $2::timestamptz"], list[str]()
    for column, value in given.items():
        if value is not None:
            values.append(value)
            clauses.append(f"{column} = ${first + len(values) - 1}")
    if wanted.population is not None:
        values.append(wanted.population)
        clauses.append(f"populations @> ARRAY[${first + len(values) - 1}::text]")
    if wanted.possible_duplicate is not None:
        clauses.append(MAY_BE_TWICE if wanted.possible_duplicate else f"({MAY_BE_TWICE}) IS NOT TRUE")
    return "AND " + " AND ".join(clauses), tuple(values)


async def since(pool: Pool, streams: Sequence[str]) -> Mapping[str, datetime]:
    """When the newest fact came that moved each of these loops. The caller may see them all."""
    if not streams:
        return {}
    rows = await pool.fetch(
        """SELECT s.stream, m.at FROM unnest($1::text[]) AS s (stream) CROSS JOIN LATERAL (
             SELECT at FROM journal j WHERE j.stream = s.stream AND j.type = ANY($2::text[]) ORDER BY n DESC LIMIT 1) m""",
        list(streams),
        list(MOVES),
    )
    return {row["stream"]: row["at"] for row in rows}
