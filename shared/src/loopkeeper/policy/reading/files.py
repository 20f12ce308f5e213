"""Where do policy rows come from? YAML files in each package's `policy/` and in the operator's folder.

A file holds one or more documents; one document holds rows of one table. Nothing wrong in a file raises: it becomes
a finding, and what cannot be read is left out, so that one run names all that must be fixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from loopkeeper.contract.vocabulary import NAMED
from loopkeeper.policy.rows import Policy, Row
from loopkeeper.policy.tables import COMMON, CONFIDENCES, Finding, Table, read_date

CHASSIS = "loopkeeper"
SERVICES = "loopkeeper.services"
DECLARATION = frozenset({"about", "key", "columns", "plans"})


class UniqueKeys(yaml.CSafeLoader):
    """YAML in which writing a key twice is an error, not a silent change of mind."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = cast("dict[Any, Any]", super().construct_mapping(node, deep=deep))  # pyright: ignore[reportUnknownMemberType]
        if len(mapping) != len(node.value):
            raise yaml.MarkedYAMLError(problem="a key is written twice", problem_mark=node.start_mark)
        return mapping


@dataclass(slots=True)
class _Document:
    """One document as read: where it is, whose it is, and what it says."""

    place: str
    operators: bool
    content: dict[str, Any]


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    tables: dict[str, Table] = field(default_factory=dict[str, Table])
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    findings: list[Finding] = field(default_factory=list[Finding])
    # The packaged rows that the operator's folder has not restated yet.
    restatable: set[str] = field(default_factory=set[str])

    def find(self, place: str, sentence: str, fix: str) -> None:
        self.findings.append(Finding(place, sentence, fix))


def installed() -> list[str]:
    """The packages of all installed services, by their entry points; none of them is loaded."""
    return sorted({point.module.partition(".")[0] for point in entry_points(group=SERVICES)})


def load(packages: Iterable[str | Path], policy_folder: Path | None = None) -> Policy:
    """The policy of the chassis, these packages (or, for a path, that folder) and the operator's folder.

    In the operator's folder a row with a packaged row's id and date, and no plan, restates that row. Never raises for
    what the files say: see `check`.
    """
    reading = _Reading()
    folders = [_folder(package) for package in (CHASSIS, *packages)]
    documents = [each for folder in dict.fromkeys(folders) for each in _documents(folder, False, reading)]
    if policy_folder is not None:
        documents += _documents(policy_folder, True, reading)
    for document in documents:
        _declare(document, reading)
    for document in documents:
        _read_rows(document, reading)
    return Policy(reading.tables, reading.rows.values(), reading.findings)


def _folder(package: str | Path) -> Path:
    return package if isinstance(package, Path) else Path(str(files(package))) / "policy"


def _documents(folder: Path, operators: bool, reading: _Reading) -> list[_Document]:
    found: list[_Document] = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        place = path.name if operators else f"{folder.parent.name}/{path.name}"
        try:
            contents = list(yaml.load_all(path.read_text("utf-8"), UniqueKeys))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
            reading.find(place, f"The file cannot be read: {_one_line(error)}.", "Fix the YAML.")
            continue
        for content in contents:
            if isinstance(content, dict) and isinstance(cast("dict[str, Any]", content).get("table"), str):
                found.append(_Document(place, operators, cast("dict[str, Any]", content)))
            elif content is not None:
                reading.find(
                    place, "A document names no table.", "Begin it with `table:` and list its `rows:`."
                )
    return found


def _declare(document: _Document, reading: _Reading) -> None:
    content, place = document.content, document.place
    for name in sorted(set(content) - DECLARATION - {"table", "rows"}, key=str):
        reading.find(place, f"`{name}` means nothing here.", "Remove it, or correct its name.")
    declaration = {name: value for name, value in content.items() if name in DECLARATION}
    if not declaration:
        return
    table = content["table"]
    if document.operators or table in reading.tables:
        reading.find(place, f"The table {table} is declared elsewhere.", "Keep only `table:` and `rows:`.")
        return
    try:
        declared = Table(table=table, **declaration)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        reading.find(
            place,
            f"The table {table} is not well declared: {where}: {fault['msg']}.",
            "Fix the declaration.",
        )
        return
    _check_declared(declared, place, reading)
    reading.tables[table] = declared


def _check_declared(table: Table, place: str, reading: _Reading) -> None:
    for name in sorted({*table.key, *table.plans.only} - set(table.columns)):
        reading.find(place, f"The table {table.table} has no column {name}.", "Name one of its columns.")
    for name in sorted(set(table.columns) & COMMON):
        reading.find(place, f"Every table has {name} already.", "Choose another name for the column.")
    for name, column in table.columns.items():
        if column.vocabulary and column.vocabulary not in NAMED:
            reading.find(
                place, f"{name}: there is no vocabulary {column.vocabulary}.", f"One of {', '.join(NAMED)}."
            )


def _read_rows(document: _Document, reading: _Reading) -> None:
    name, place = cast("str", document.content["table"]), document.place
    table = reading.tables.get(name)
    if table is None:
        reading.find(
            place, f"There is no table {name}.", f"The tables are {', '.join(sorted(reading.tables))}."
        )
        return
    rows: object = document.content.get("rows") or []
    if not isinstance(rows, list):
        reading.find(place, f"The rows of {name} are not a list.", "Begin each row with a dash.")
        return
    for raw in cast("list[object]", rows):
        row = _read_row(table, raw, document, reading)
        if row is not None:
            _keep(row, document, reading)


def _keep(row: Row, document: _Document, reading: _Reading) -> None:
    """A row restates another only from the operator's folder, over a packaged one, once."""
    restates = document.operators and row.ref in reading.restatable
    if row.ref in reading.rows and not restates:
        reading.find(row.place, f"There are two rows {row.ref}.", "Give one another id or another date.")
        return
    reading.rows[row.ref] = row
    if document.operators:
        reading.restatable.discard(row.ref)
    else:
        reading.restatable.add(row.ref)


def _read_row(table: Table, raw: object, document: _Document, reading: _Reading) -> Row | None:
    if not isinstance(raw, dict):
        reading.find(
            document.place, f"A row of {table.table} is not a mapping.", "Write its columns as `name: value`."
        )
        return None
    fields = cast("dict[str, Any]", raw)
    place = f"{document.place}, {table.table}/{fields.get('id', '?')}"
    before = len(reading.findings)
    dates = _dates(fields, place, reading)
    _check_row_columns(fields, document, place, reading)
    values = _values(table, fields, place, reading)
    if len(reading.findings) > before or dates is None:
        return None
    return Row(
        table=table.table,
        id=fields["id"],
        plan=fields.get("plan"),
        effective_from=dates[0],
        effective_to=dates[1],
        source=fields["source"],
        confidence=fields["confidence"],
        values=values,
        note=str(fields.get("note", "")),
        place=place,
    )


def _dates(fields: Mapping[str, Any], place: str, reading: _Reading) -> tuple[date, date | None] | None:
    try:
        start = read_date(fields.get("effective_from"))
        end = read_date(fields["effective_to"]) if fields.get("effective_to") is not None else None
    except ValueError as error:
        reading.find(
            place, f"The row's dates are wrong: {error}.", "Give effective_from, and effective_to if it ends."
        )
        return None
    if end is not None and end < start:
        reading.find(place, "The row ends before it begins.", "Put effective_to on or after effective_from.")
        return None
    return start, end


def _check_row_columns(fields: Mapping[str, Any], document: _Document, place: str, reading: _Reading) -> None:
    for name in ("id", "source"):
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            reading.find(place, f"The row has no {name}.", f"Give its {name} as a text.")
    if fields.get("confidence") not in CONFIDENCES:
        reading.find(
            place,
            "The row does not say how sure it is.",
            f"Give confidence: one of {', '.join(CONFIDENCES)}.",
        )
    plan: object = fields.get("plan")
    if plan is not None and (not isinstance(plan, str) or not plan.strip()):
        reading.find(place, "The row's plan is not a name.", "Give the plan's organization id.")
    if plan is not None and not document.operators:
        reading.find(
            place, "A packaged row names a plan.", "Plans' rows belong in the operator's policy folder."
        )


def _values(table: Table, fields: Mapping[str, Any], place: str, reading: _Reading) -> dict[str, Any]:
    for name in sorted(set(fields) - COMMON - set(table.columns), key=str):
        reading.find(
            place, f"{table.table} has no column {name}.", f"Its columns: {', '.join(table.columns)}."
        )
    values: dict[str, Any] = {}
    for name, column in table.columns.items():
        raw = fields.get(name)
        if raw is None:
            if not column.optional:
                choices = f": one of {', '.join(sorted(column.allowed))}" if column.allowed else ""
                reading.find(place, f"The row has no {name}.", f"Give {name}{choices}.")
            continue
        try:
            values[name] = column.read(raw)
        except ValueError as error:
            reading.find(place, f"{name} is wrong: {error}.", f"Correct {name}.")
    return values


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
