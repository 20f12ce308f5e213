"""What every row about a member must pass: its plan, its provider, its CIN, and that the name fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from loopkeeper.contract.vocabulary.identifiers import cin as plain_cin
from loopkeeper.contract.vocabulary.identifiers import cin_valid, npi_valid
from loopkeeper.plan_files.members import Member, Reach, name_fits, name_words
from loopkeeper.plan_files.outcomes import Outcome, RowRefused, Warned
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.table import Record
from loopkeeper.spreadsheets.headings import folded


@dataclass(frozen=True, slots=True)
class FileContext:
    """Whose file it is, and when it is judged. `today` is a Californian day."""

    plan: str
    plan_name: str
    plan_number: str
    today: date
    sender: str = ""
    npi: str = ""
    # Invented members are there in demo and tests only.
    synthetic: bool = False
    # What must have been tried, by the plan's policy of a day.
    reach: Reach = field(default_factory=Reach)
    # The month a row without a period of its own is about.
    period: tuple[date, date] | None = None


def refuse_faults(record: Record, fields: Iterable[str]) -> None:
    """Refuse the row where one of these fields cannot be read."""
    if record.fault:
        raise RowRefused(record.fault, "")
    for name in fields:
        if name in record.faults:
            raise RowRefused(record.faults[name], name)


def warnings(record: Record, fields: Iterable[str]) -> list[Warned]:
    """What of these fields cannot be read, and is left out."""
    return [Warned(record.faults[name], name) for name in fields if name in record.faults]


def check_plan(record: Record, context: FileContext) -> None:
    """The row is for this plan, as far as it says."""
    refuse_faults(record, ("plan.name", "plan.number"))
    name, number = record["plan.name"], record["plan.number"]
    if name and folded(name) not in (folded(context.plan_name), folded(context.plan)):
        raise RowRefused("wrong-plan", "plan.name")
    if number and context.plan_number and number.lstrip("0") != context.plan_number.lstrip("0"):
        raise RowRefused("wrong-plan", "plan.number")


def check_cin(record: Record, context: FileContext) -> str:
    """The CIN of the row."""
    refuse_faults(record, ("member.cin",))
    given = record["member.cin"]
    if not given:
        raise RowRefused("cin-missing", "member.cin")
    if not cin_valid(given, synthetic=context.synthetic):
        raise RowRefused("cin-invalid", "member.cin")
    return plain_cin(given)


def check_provider(record: Record, context: FileContext) -> None:
    """The row is the sender's own, as far as it says."""
    refuse_faults(record, ("provider.npi",))
    npi = record["provider.npi"]
    if not npi or npi == context.npi or (not context.npi and npi_valid(npi)):
        return
    raise RowRefused("wrong-provider" if npi_valid(npi) else "npi-invalid", "provider.npi")


def check_member(
    record: Record, cin: str, members: Mapping[str, Member], layout: Layout, *, hidden: frozenset[str]
) -> Member:
    """The member of the row. Who is unknown, undecided or another's is not found, in the same words."""
    member = members.get(cin)
    if member is None or member.state in hidden:
        raise RowRefused("not-found", "member.cin")
    refuse_faults(record, ("member.last_name", "member.first_name", "member.name", "member.birth_date"))
    given = name_words(*(record[f"member.{part}"] or "" for part in ("name", "first_name", "last_name")))
    if not name_fits(given, member):
        raise RowRefused("member-differs", "member.name" if layout.has("member.name") else "member.last_name")
    born = record["member.birth_date"]
    if born is not None and member.birth_date is not None and born != member.birth_date:
        raise RowRefused("member-differs", "member.birth_date")
    return member


def judged_once(records: Iterable[Record], judge: Callable[[Record], Outcome]) -> list[Outcome]:
    """What becomes of each row, in order. A row that is there twice counts once; one that was refused is refused again."""
    outcomes: list[Outcome] = []
    firsts: dict[bytes, Outcome] = {}
    for record in records:
        first = firsts.get(record.digest)
        if first is None:
            try:
                outcome = judge(record)
            except RowRefused as error:
                outcome = refused(record, error)
            firsts[record.digest] = outcome
        elif first.result == "refused":
            outcome = replace(first, row=record.row)
        else:
            outcome = Outcome(record.row, "unchanged", cin=first.cin, code="repeated-row")
        outcomes.append(outcome)
    return outcomes


def refused(record: Record, error: RowRefused) -> Outcome:
    return Outcome(record.row, "refused", code=error.code, field=error.field)
