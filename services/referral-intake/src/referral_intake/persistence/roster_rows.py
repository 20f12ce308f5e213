"""What one line of a roster must say, and what to do about one that does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.events import Eligibility
from loopkeeper.contract.field_types import AnyCounty, BirthDay, TermDay, TermEnd
from loopkeeper.contract.vocabulary.identifiers import cin_valid
from loopkeeper.contract.vocabulary.programs import Program, enrolled_in
from loopkeeper.spreadsheets.cells import ROW_FIXES
from loopkeeper.spreadsheets.headings import Heading
from loopkeeper.spreadsheets.upload import Line

# Past this many the errors say nothing new; the counts still tell the whole.
ERRORS_SHOWN = 1000
NEEDED = ("cin", "birth_date", "county", "covered_from")
COLUMNS = (
    *(Heading(name, needed=True) for name in NEEDED),
    *map(Heading, ("covered_through", "pcp", "programs")),
)
FIXES: Mapping[str, str] = {
    "cin": "A CIN is 9, seven digits and a letter.",
    "birth_date": "Write the date as 1964-05-17.",
    "county": "Name a county of California, in small letters with dashes, such as contra-costa.",
    "covered_from": "Write the date as 2025-01-01.",
    "covered_through": "Write the date as 2025-12-31, or leave it out.",
    "pcp": "Give the provider's id, or leave it out.",
    "programs": "List at most 20 programs by code or name, such as pace or alw; in CSV put a semicolon between them. "
    "Write alw: wait-listed for who waits for a place, or leave it out.",
}
NO_ROW = "Send one JSON object a line; in CSV as many cells as the header has."


def _enrolled(value: object) -> object:
    """Each program by code or name; a value that names none is left, and refused."""
    if not isinstance(value, list | tuple):
        return value
    found: list[object] = []
    for said in cast("Sequence[object]", value):
        named = enrolled_in(said)
        found += [said] if named is None else named
    return tuple(dict.fromkeys(found)) if all(isinstance(each, str) for each in found) else tuple(found)


class RosterRow(BlankIsMissing):
    """One member's coverage. Programs are those the plan knows the member to be in, of the state's figure of programs
    next to ECM; who waits for a place in one is not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=200)

    cin: str
    birth_date: BirthDay
    county: AnyCounty
    covered_from: TermDay
    covered_through: TermEnd = None
    pcp: str = ""
    programs: Annotated[tuple[Program, ...], BeforeValidator(_enrolled)] = Field((), max_length=20)


@dataclass(slots=True)
class Loaded:
    """What came of an upload. `errors` name the line and field, never the value. `removed` are members who were on the
    roster and are not in the file: they have left."""

    accepted: int = 0
    refused: int = 0
    removed: int = 0
    lines: int = 0
    state: str = "running"
    dry_run: bool = False
    errors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def refuse(self, line: int, pointer: str, rule: str, fix: str) -> None:
        self.refused += 1
        if len(self.errors) < ERRORS_SHOWN:
            self.errors.append({"line": line, "pointer": pointer, "rule": rule, "fix": fix})


def checked(line: Line, loaded: Loaded, *, synthetic: bool) -> RosterRow | None:
    """The coverage a line tells of; None where it is refused, which `loaded` then says."""
    number = line.number
    if line.fault:
        loaded.refuse(number, _pointer(line.column), line.fault, ROW_FIXES.get(line.fault, NO_ROW))
        return None
    try:
        row = RosterRow.model_validate(_listed(line.values) if line.cells else line.values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        # What is sent as a field's name may be a member's number or name.
        named = all(part in RosterRow.model_fields or isinstance(part, int) for part in first["loc"])
        pointer = "/" + "/".join(str(part) for part in first["loc"]) if named else ""
        name = str(first["loc"][0]) if first["loc"] else ""
        loaded.refuse(
            number, pointer, first["type"].replace("_", "-"), FIXES.get(name, "Leave this column out.")
        )
        return None
    if not cin_valid(row.cin, synthetic=synthetic):
        loaded.refuse(number, "/cin", "cin", FIXES["cin"])
        return None
    if row.covered_through is not None and row.covered_through < row.covered_from:
        loaded.refuse(number, "/covered_through", "ends-before", "Let the coverage end after it begins.")
        return None
    return row


def answered(row: Mapping[str, Any] | None, birth_key: str, on: date) -> Eligibility:
    """What a roster's row says of a member on this day (loop.md 2.5); `birth_key` is empty where no birth date is known.
    Whom a later whole roster does not name has left: whether the coverage ended is not known."""
    if row is None:
        return Eligibility(state="not_found")
    if birth_key and row["birth_key"] != birth_key:
        return Eligibility(state="other_birth_date")
    said = {
        "programs": tuple(row["programs"]),
        "from": row["covered_from"],
        "through": row["covered_through"],
    }
    known = Eligibility.model_validate({"state": "confirmed", **said})
    state = "left" if row["left_on"] is not None else known.on(on)
    return Eligibility.model_validate({"state": state, **said})


def _pointer(column: str) -> str:
    return f"/{column}" if column in RosterRow.model_fields else ""


def _listed(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if "programs" not in values:
        return values
    programs = str(values["programs"]).split(";")
    return {**values, "programs": tuple(part.strip() for part in programs if part.strip())}
