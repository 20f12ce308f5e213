"""Is the policy sound? What `loopkeeper policy check` says, and what a start refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from loopkeeper.policy.conditions import All, Answer, Any, Count, Unless, Words, no_narrower
from loopkeeper.policy.rows import Key, Policy, Row
from loopkeeper.policy.tables import Finding, Table

CONDITIONS = (Answer, Unless, Words, Count, All, Any)


def check(policy: Policy, plans: Iterable[str] = ()) -> list[Finding]:
    """All that is wrong, none for a sound policy. `plans` are those served here, in addition to those with rows."""
    everyone = sorted(policy.plans() | set(plans))
    return [*policy.findings, *_overlaps(policy), *_plan_rows(policy), *_unchosen(policy, everyone)]


def _overlaps(policy: Policy) -> Iterator[Finding]:
    for rows in _grouped(policy).values():
        for earlier, later in combinations(sorted(rows, key=lambda row: row.effective_from), 2):
            if earlier.overlaps(later):
                yield Finding(
                    later.place,
                    f"Its dates overlap those of {earlier.ref}.",
                    f"End {earlier.id} with effective_to before {later.effective_from}.",
                )


def _grouped(policy: Policy) -> dict[tuple[str, str | None, Key], list[Row]]:
    groups: dict[tuple[str, str | None, Key], list[Row]] = {}
    for row in policy.all_rows:
        groups.setdefault((row.table, row.plan, policy.key_of(row)), []).append(row)
    return groups


def _plan_rows(policy: Policy) -> Iterator[Finding]:
    packaged: dict[tuple[str, Key], list[Row]] = {}
    for row in policy.all_rows:
        if row.plan is None:
            packaged.setdefault((row.table, policy.key_of(row)), []).append(row)
    for row in policy.all_rows:
        table = policy.tables[row.table]
        if row.plan is not None:
            same_key = packaged.get((row.table, policy.key_of(row)), [])
            yield from _own_row(table, row, [other for other in same_key if other.overlaps(row)])
        elif table.plans.may == "required":
            yield Finding(row.place, f"{row.table} has no default.", "Name the plan whose choice this is.")


def _own_row(table: Table, row: Row, packaged: list[Row]) -> Iterator[Finding]:
    """What a plan's own row does that its table does not let it do; `packaged` are those of its key and time."""
    match table.plans.may:
        case "none":
            yield Finding(row.place, f"A plan has no say in {row.table}.", "Remove the row.")
        case "add" if packaged:
            yield Finding(
                row.place,
                f"It would replace {packaged[0].ref}; {row.table} is a floor.",
                "A plan may only add what is not there: remove the row.",
            )
        case "broaden":
            yield from _broadens(table, row, packaged)
        case _:
            return


def _broadens(table: Table, row: Row, packaged: list[Row]) -> Iterator[Finding]:
    for column, allowed in table.plans.only.items():
        if row[column] not in allowed:
            yield Finding(
                row.place,
                f"A plan may not change {column} {row[column]}.",
                f"Only {', '.join(allowed)} may be broadened: remove the row.",
            )
            return
    if not packaged:
        yield Finding(
            row.place, "There is nothing here that it broadens.", "Restate the key of a packaged row."
        )
    for other in packaged:
        if not all(_as_wide(row[column], other[column]) for column in table.columns):
            yield Finding(
                row.place,
                f"It is narrower than, or other than, {other.ref}.",
                "Keep the packaged row as it is but for lower thresholds.",
            )


def _as_wide(own: object, packaged: object) -> bool:
    if isinstance(own, CONDITIONS) and isinstance(packaged, CONDITIONS):
        return no_narrower(own, packaged)
    return own == packaged


def _unchosen(policy: Policy, plans: list[str]) -> Iterator[Finding]:
    for table in policy.tables.values():
        if table.plans.may != "required":
            continue
        # A choice that ends and is not made again is none.
        chose = {row.plan for row in policy.all_rows if row.table == table.table and row.effective_to is None}
        columns = ", ".join(f"{name} ({' or '.join(sorted(c.allowed))})" for name, c in table.columns.items())
        for plan in plans:
            if plan not in chose:
                yield Finding(
                    f"plan {plan}",
                    f"The plan has made no lasting choice in {table.table}, and there is no default.",
                    f"Add its row to {table.table}: {columns}.",
                )
