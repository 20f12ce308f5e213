"""What a service must know to take a kind of file: what is known of the sender's members, and how a row acts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.outcomes import Judged
from loopkeeper.plan_files.profile import Layout, Profile
from loopkeeper.plan_files.table import Table
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.organizations import Client, Role


@dataclass(frozen=True, slots=True)
class Sent:
    """One file on its way: who sent it, for which plan, and when."""

    id: str
    client: Client
    plan: str
    kind: Kind
    dry_run: bool
    received_at: datetime
    # Under whose key its bytes, its name and its facts are sealed.
    sealed_with: str
    state: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """By what a file is read."""

    profile: Profile
    layout: Layout
    today: date


@dataclass(frozen=True, slots=True)
class Act:
    """What a row has to do, and on which stream. `facts` are sealed until it has acted."""

    stream: str
    facts: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Planned:
    """What becomes of each row by the rules, what the accepted ones have to do, and in which order."""

    judged: Judged
    acts: Mapping[int, Act] = field(default_factory=dict[int, Act])
    order: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """A row that has not acted to its end: `done` of its facts have."""

    row: int
    stream: str
    facts: Sequence[Mapping[str, Any]]
    done: int
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Acted:
    """How far a row came. `waiting`: another service has not answered yet. `code`, `fix`: the refusal of the rule, if
    any; `receipt` is what the sender gets back of an accepted row."""

    done: int
    state: Literal["open", "waiting", "done"]
    refused: bool = False
    code: str = ""
    fix: str = ""
    receipt: Mapping[str, Any] = field(default_factory=dict[str, Any])
    # It was known already: the row changed nothing.
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class BackBy:
    """The second of the two persons who take a file back, and why they do."""

    organization: str
    person: str
    proved: Literal[True] | None
    reason: Literal["wrong_file", "wrong_period", "wrong_members", "sent_by_mistake"]


# A row of a file that was taken back, whose fact stays.
STAYS = ("recorded", "This row had acted: correct it by a further row, or ask the plan.")
WITHDRAWN = ("withdrawn", "Nothing: what this row began was withdrawn.")


class FileKind(ABC):
    """One kind of file that a service takes."""

    kind: Kind
    # Who sends it, by which key column the sender sees it again, and the first words of its reference.
    roles: tuple[Role, ...]
    about: str
    # Whether the file is for one plan, which then sees it as well.
    for_a_plan: bool = True
    # What its answer has for each row next to result, code and fix.
    receipt_columns: Sequence[str] = ()
    # What becomes of rows that had acted, for the reference.
    taking_back: str = "What a row that had acted recorded stays, marked so: a further row or the plan corrects it (loop.md 7.1, 8.7)."

    @abstractmethod
    async def known(self, context: RunningService, sent: Sent, reading: Reading) -> Any:
        """What judging must know: of the sender's own members, opened with an audit row each."""

    @abstractmethod
    def judge(self, table: Table, known: Any, sent: Sent, reading: Reading) -> Planned:
        """What becomes of each row. Pure, and called in a thread of its own."""

    @abstractmethod
    async def act(self, context: RunningService, sent: Sent, rows: Sequence[Open]) -> Mapping[int, Acted]:
        """Let these rows act as far as they can, in this order, in batches. Repeating it after a crash does nothing
        twice."""

    async def expected(self, context: RunningService, plan: str, through: date) -> Sequence[str]:
        """Who is to have sent the plan a file of this kind for the month that ends on that day; nobody, by itself."""
        return ()

    async def take_back(
        self, context: RunningService, sent: Sent, rows: Mapping[int, str], by: BackBy
    ) -> Mapping[int, tuple[str, str]]:
        """Take back what these rows, each with its stream, did; of each row a code and what to do. By itself a fact that
        was recorded stays, and is corrected by a further one (loop.md 7.1, 8.7)."""
        return dict.fromkeys(rows, STAYS)
