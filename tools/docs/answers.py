"""The list of answer codes in the guide for who refers: every code, what it takes, on which form criteria use it."""

from __future__ import annotations

from pathlib import Path

from loopkeeper.policy import Policy
from loopkeeper.policy.conditions import leaves
from referral_intake.domain.form.criteria_fields import ANSWERS

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "refer.md"
BEGIN, END = "<!-- answers: written by `make docs` -->", "<!-- answers end -->"
FORMS = ("adult", "child_youth")
TAKES = {"yes_no": "true or false", "count": "a number, 0 to 200", "words": "words, or false"}


def guide(policy: Policy) -> str:
    """The guide as it is, with the list as the program has it."""
    before, _, rest = GUIDE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(policy)}\n{END}{after}"


def table(policy: Policy) -> str:
    """One line a code."""
    used = {form: _used(policy, form) for form in FORMS}
    lines = ["| code | takes | adult | child_youth | asks |", "|---|---|---|---|---|"]
    for code, answer in ANSWERS.items():
        marks = " | ".join("yes" if code in used[form] else "–" for form in FORMS)
        lines.append(f"| `{code}` | {TAKES[answer.type]} | {marks} | {answer.asks} |")
    return "\n".join(lines)


def _used(policy: Policy, form: str) -> frozenset[str]:
    """The codes that a row of this form reads, of the rows that hold without an end."""
    rows = (row for row in policy.all_rows if row.table == "populations" and row["form"] == form)
    conditions = (
        row[column]
        for row in rows
        if row.effective_to is None
        for column in ("condition", "doubt", "raised_by")
        if row[column] is not None
    )
    return frozenset(leaf.key for condition in conditions for leaf in leaves(condition))
