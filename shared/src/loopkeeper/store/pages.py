"""How does a client read one page of a list, in the same time however much the table has?

A page is the first rows behind a cursor, in the order of an index that begins with the caller's own key. So a key of two
roles is two such reads, put together, and a filter that was not asked for is in no statement: PostgreSQL would plan one
statement for all callers, and read every row for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.postgres.connections import Connection, Pool
from loopkeeper.security.organizations import Client, Role
from loopkeeper.store.row_access import KEYS, ROLE_OF_KEY, reading

WORD = re.compile(r"[a-z][a-z0-9_.-]{0,59}")


@dataclass
class Selection:
    """What is asked of one table: its columns, the order, where the page begins, and the filters that were asked for."""

    columns: str
    table: str
    start: tuple[datetime, str]
    limit: int
    at: str = '"at"'
    id: str = "id"
    # False where a filter has an index of its own, without an order: what it finds is few, or the order finds it soon.
    ordered: bool = True
    clauses: list[str] = field(default_factory=list[str])
    values: list[object] = field(default_factory=list[object])

    def where(self, clause: str, *values: object) -> None:
        """Only rows for which this holds; each `?` in it is one of the values."""
        self.clauses.append(clause)
        for value in values:
            self.values.append(value)
            self.clauses[-1] = self.clauses[-1].replace("?", f"${len(self.values)}", 1)

    def statement(self, own: Sequence[Sequence[str]]) -> tuple[str, list[object]]:
        """The statement for rows of which one of these groups of clauses holds; a group's clauses begin an index."""
        values = [*self.values, *self.start, self.limit]
        n = len(self.values)
        behind = f"({self.at}, {self.id}) > (${n + 1}, ${n + 2})"
        end = f"ORDER BY {self.at}, {self.id} LIMIT ${n + 3}"
        parts = [
            f"SELECT {self.columns} FROM {self.table} WHERE {' AND '.join([*group, behind, *self.clauses])} {end}"  # noqa: S608 own fragments
            for group in own
        ]
        if len(parts) == 1:
            return parts[0], values
        both = " UNION ALL ".join(f"({part})" for part in parts)
        shown = self.at.rpartition(".")[2]
        return f"SELECT * FROM ({both}) AS page ORDER BY {shown}, id LIMIT ${n + 3}", values  # noqa: S608 own fragments


def literal(word: str) -> str:
    """A word of a closed list as it is written in a statement, so that PostgreSQL knows which index has it."""
    if not WORD.fullmatch(word):
        raise InvariantBroken("only a plain word may be in a statement")
    return f"'{word}'"


def plain(word: str) -> bool:
    """Whether this could be a word of any list."""
    return WORD.fullmatch(word) is not None


async def visible_page(
    readers: Pool,
    client: Client,
    selection: Selection,
    keys: Sequence[str] = KEYS,
    either: Sequence[str] = (),
) -> Sequence[Mapping[str, Any]]:
    """The page of rows that the client may see, in one snapshot; `keys`: the columns by which a row is someone's; `either`:
    clauses of which exactly one holds. Raises `Busy` where no connection comes free."""
    own = own_groups(client, selection, keys)
    if not own:
        return ()
    if either:
        own = [[*group, one] for group in own for one in either]
    statement, values = selection.statement(own)
    async with reading(readers, client, ordered=selection.ordered) as connection:
        return await connection.fetch(statement, *values)


async def page(
    connection: Connection, selection: Selection, own: Sequence[Sequence[str]] = ((),)
) -> Sequence[Mapping[str, Any]]:
    """The same over a connection that is open, for groups of clauses of the caller's own."""
    statement, values = selection.statement(own)
    return await connection.fetch(statement, *values)


def own_groups(client: Client, selection: Selection, keys: Sequence[str]) -> Sequence[Sequence[str]]:
    """One group for each key by which a row may be the client's, each without the rows of those before; for operations one
    that names none; none at all for a client whose roles see nothing here."""
    if Role.OPERATIONS in client.roles:
        return ((),)
    mine = [key for key in keys if ROLE_OF_KEY[key] in client.roles]
    if not mine:
        return ()
    selection.values.append(client.organization)
    named = f"${len(selection.values)}"
    return [
        [f"{key} = {named}", f"{key} <> ''", *(f"{before} <> {named}" for before in mine[:place])]
        for place, key in enumerate(mine)
    ]
