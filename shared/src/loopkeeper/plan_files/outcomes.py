"""What becomes of a row: facts, nothing new, or a refusal that names its column and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from datetime import date
from typing import Any, Literal
from uuid import UUID

Result = Literal["accepted", "unchanged", "refused"]
# Facts of files are told apart under this name; it never changes.
FACTS = UUID("6f0cf1c2-8a6e-5d0d-9b1e-6b1f7c1d2a50")

# What to do about each code, in words that repeat no value of the file.
FIXES: Mapping[str, str] = {
    "cin-missing": "Write the member's CIN.",
    "cin-invalid": "Correct the CIN: 9, seven digits and a letter.",
    "not-found": "Check the CIN: no member of yours with this plan has it.",
    "member-differs": "Check the CIN: the name or the birth date on record is another one.",
    "name-missing": "Write the member's first or last name.",
    "wrong-plan": "Send this row to the plan it is for.",
    "wrong-provider": "Send only your own members' rows: the NPI is another provider's.",
    "npi-invalid": "Correct the NPI: ten digits, the last of which checks the others.",
    "provider-unknown": "Check the NPI: no provider here has it.",
    "status-required": "Write a status of the plan's list.",
    "status-unknown": "Write a status of the plan's list.",
    "date-required": "Write the day.",
    "date-unreadable": "Write the day as the plan's layout does.",
    "date-out-of-range": "Correct the day: it lies before or after any such day.",
    "in-the-future": "Correct the day: it has not come yet.",
    "dates-contradict": "Correct one of the days: they contradict each other.",
    "reason-required": "Write why the loop closed, in a word of the plan's list.",
    "reason-unknown": "Write why the loop closed, in a word of the plan's list.",
    "text-required": "Say in words why the loop closed.",
    "lead-required": "Name the lead care manager.",
    "not-offered": "You accepted this member: end services, or ask the plan to close.",
    "not-started": "Services that never began cannot end: correct the status or take the end away.",
    "already-closed": "The loop is closed: send a new referral.",
    "attempts-missing": "The plan was asked: record the attempts that are missing.",
    "code-required": "Write the discontinuation code.",
    "code-unknown": "Write a discontinuation code from 1 to 15.",
    "contradiction": "Keep the row that is true: two rows say different things of one day.",
    "method-unknown": "Write a method of the plan's list.",
    "not-an-attempt": "Take the row out: a mass mailing is no attempt.",
    "success-required": "Write yes or no.",
    "word-unknown": "Write a word of the plan's list.",
    "population-missing": "Mark at least one Population of Focus.",
    "cell-error": "Correct the cell: it shows an error.",
    "cell-contradicts": "Keep one value: two columns of this name say different things.",
    "cell-damaged": "Write the number again as text: the spreadsheet has shortened it.",
    "not-identifiable": "Send a CIN; or name and birth date; or name, age and place.",
    "unknown-plan": "Write the plan's name as the sheet's list has it.",
    "repeated-row": "Nothing: the row is there twice and counts once.",
    "known": "Nothing: this is on record already.",
    "steps-back": "Nothing: a later step is on record. Tell the plan if that is wrong.",
    "older-than-known": "Nothing: something later is on record.",
    "phone-unreadable": "Write the phone number in digits.",
    "count-unreadable": "Write a whole number.",
    "minutes-unreadable": "Write the minutes as a number.",
    "contact-designated": "Nothing: the member chose where to be reached, and a file does not change that.",
    "decision-required": "Write the decision.",
    "decider-required": "Name who decided, and their license where care is denied.",
    "several-open": "Write our number of the referral: the member has several requests that wait.",
    "already-decided": "Nothing: the request was decided otherwise. A denial is overturned by an appeal.",
    "not-in-encoding": "Save the file as UTF-8: this line has bytes that are no letters in it.",
    "nul-character": "Remove the NUL character from this line.",
    "quote-not-closed": 'Close the quotation mark (").',
    "quote-misplaced": 'After a closing quotation mark (") begin the next cell.',
    "cell-too-long": "Shorten the longest cell of this row.",
    "line-too-long": "Shorten this line.",
}


@dataclass(frozen=True, slots=True)
class Warned:
    """A cell that was left out of a row that is kept."""

    code: str
    field: str


@dataclass(slots=True)
class Outcome:
    """What becomes of one row. `field` is the field that is wrong."""

    row: int
    result: Result
    cin: str = ""
    code: str = ""
    field: str = ""
    facts: list[dict[str, Any]] = made(default_factory=list[dict[str, Any]])
    warnings: list[Warned] = made(default_factory=list[Warned])
    # What to do, where a rule of a route refused the row and said so itself.
    said: str = ""
    # The day the row bears, and where it comes among the rows of its member.
    on: date | None = None
    turn: int = 0

    @property
    def fix(self) -> str:
        """What to do about it, in words for the row's last column."""
        if self.said:
            return self.said
        codes = [self.code, *(warned.code for warned in self.warnings)]
        return " ".join(dict.fromkeys(filter(None, (FIXES.get(code, "") for code in codes))))


class RowRefused(Exception):
    """A row of which nothing is recorded."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(code)
        self.code = code
        self.field = field


@dataclass(slots=True)
class Judged:
    """What becomes of a file: of each row in the order of the file, or of the whole where it is refused."""

    outcomes: Sequence[Outcome]
    file_refused: str = ""
    file_refused_field: str = ""

    def counts(self) -> Mapping[str, int]:
        found = Counter(outcome.result for outcome in self.outcomes)
        return {name: found[name] for name in ("accepted", "unchanged", "refused")}


# A file of which every row is for somebody else is somebody else's file.
WHOLLY = ("wrong-plan", "wrong-provider")


def whole(outcomes: Iterable[Outcome]) -> Judged:
    """The outcomes of a file, refused whole where all its rows are for another plan or provider."""
    rows = sorted(outcomes, key=lambda outcome: outcome.row)
    for code in WHOLLY:
        if rows and all(outcome.code == code for outcome in rows):
            return Judged(rows, code, rows[0].field)
    return Judged(rows)


def fact(name: str, **more: Any) -> dict[str, Any]:
    """A fact by its name; what is not said is left out."""
    return {"fact": name} | {key: value for key, value in more.items() if value is not None}
