"""What do the rules of the day say? Policy is data: dated rows, each with its source, chosen by the date of the fact.

A **table** is declared once, in one YAML document (`table`, `about`, `key`, `columns`, `plans`); any package may
add **rows** to it. A row holds from `effective_from` through `effective_to`; rows of one key follow each other
and never overlap. A plan's own row, from the operator's folder, replaces the packaged one of the same key,
where the table allows it. Every row has a stable reference (`clocks/decision-cap@2026-01-01`) that decisions
keep, so that each can be explained later. `policy.reading` loads rows from disk; the rest is pure.
"""

from loopkeeper.policy.checking import check
from loopkeeper.policy.rows import Due, Policy, Row
from loopkeeper.policy.tables import Finding, Table

__all__ = ["Due", "Finding", "Policy", "Row", "Table", "check"]
