"""What becomes of the rows of a provider's file that two persons take back: what a rule can undo is undone by a further fact
(loop.md 8.7), and of the rest each row says what stays, and why.

What the file caused is in the journal under the file's id. A fact that is not the last word any more is left: another file or
call said the same since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid5

import orjson

from loopkeeper.contract.decider import Refused
from loopkeeper.kernel.errors import Problem
from loopkeeper.kernel.logs import get
from loopkeeper.plan_files.outcomes import FACTS
from loopkeeper.runtime.files.kinds import STAYS, BackBy, Sent
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.definition import Submission
from notification.domain.outreach.commands import Because, Fact, TakeBack
from notification.domain.outreach.state import Outreach

log = get("files")

# The facts that a rule takes back, by the end of their wire type.
UNDONE_BY_RULE: Mapping[str, Fact] = {
    "services_started": "services_started",
    "member_declined": "member_declined",
    "unable_to_reach": "unable_to_reach",
    "service_ended": "service_ended",
    "initiated": "initiated",
}
ATTEMPTED, TAKEN_BACK = "attempted", "taken_back"
# What no rule takes back, and what is done about it instead.
KEPT: Mapping[str, str] = {
    "answered": "The answer to the offer stays: end services, or ask the plan.",
    "closing_reported": "The question to the plan stays: the plan answers it.",
    "month_counted": "The month's count stays until a further file counts it.",
    "contact_changed": "The contact stays: correct it by a further row.",
}
FORMER = "What is of a former provider's days stays: ask the plan."
SAID_SINCE = "What was said again since stays: correct it where it was said."
CLOSED = "The loop stays closed: contest the closing."
FAILED = "Something could not be taken back: ask who operates this."
UNDONE = ("undone", "Nothing: what this row recorded was taken back.")
IN_PART = "undone-in-part"
TYPES = tuple(f"ecm.outreach.{name}.v1" for name in (ATTEMPTED, TAKEN_BACK, *UNDONE_BY_RULE, *KEPT))
# Why a fact is wrong, by why the file is.
BECAUSE: Mapping[str, Because] = {
    "wrong_members": "another_member",
    "wrong_period": "another_day",
    "wrong_file": "did_not_happen",
    "sent_by_mistake": "did_not_happen",
}


@dataclass(slots=True)
class Caused:
    """What a file did to one referral and is still the last word: attempts by their number, with the assignment of each;
    other facts; and what stays."""

    attempts: dict[int, str] = field(default_factory=dict[int, str])
    facts: set[Fact] = field(default_factory=set[Fact])
    stays: dict[str, None] = field(default_factory=dict[str, None])

    def heard(self, kind: str, said: Mapping[str, Any], *, mine: bool) -> None:
        """One more fact of the referral, in order."""
        if kind == TAKEN_BACK:
            # This file's own taking back is said again after a crash, and does nothing twice.
            if not mine:
                self._gone(said)
        elif kind == ATTEMPTED and mine:
            self.attempts[said["number"]] = said["assignment"]
        elif kind in UNDONE_BY_RULE:
            fact = UNDONE_BY_RULE[kind]
            if mine:
                self.facts.add(fact)
            elif fact in self.facts:
                self.facts.discard(fact)
                self.stays[SAID_SINCE] = None
        elif kind in KEPT and mine:
            self.stays[KEPT[kind]] = None

    def _gone(self, said: Mapping[str, Any]) -> None:
        if said["what"] != ATTEMPTED:
            self.facts.discard(said["what"])
        elif self.attempts.get(said.get("number", 0)) == said["assignment"]:
            del self.attempts[said["number"]]


async def take_back(
    context: RunningService, sent: Sent, rows: Mapping[int, str], by: BackBy
) -> Mapping[int, tuple[str, str]]:
    """Take back what these rows did to their referrals; of each row a code, and what stays or is to be done. The rows of
    one member share what becomes of it. Repeating it after a crash takes nothing back twice."""
    streams = sorted(set(rows.values()))
    caused, states = await _caused(context, sent.id, streams), await _states(context, streams)
    commands: dict[str, list[Submission]] = {}
    for stream in streams:
        found, now = caused.get(stream, Caused()), states.get(stream, Outreach())
        commands[stream] = [
            Submission(
                uuid5(FACTS, f"{sent.id} {stream} back {what} {number}"), stream, command, causation=sent.id
            )
            for what, number, command in _commands(found, now, by)
        ]
        if found.facts and now.closing is not None:
            found.stays[CLOSED] = None
    submissions = [each for stream in streams for each in commands[stream]]
    outcomes = await context.store.execute(submissions) if submissions else {}
    said: dict[str, tuple[str, str]] = {}
    for stream in streams:
        stays = caused.get(stream, Caused()).stays
        undone = 0
        for each in commands[stream]:
            undone += _undone(outcomes[each.id], stays)
        said[stream] = _said(undone, list(stays))
    return {row: said[stream] for row, stream in rows.items()}


def _commands(found: Caused, now: Outreach, by: BackBy) -> list[tuple[str, int, TakeBack]]:
    """What is to be taken back, the last first. Rules know the facts of the present assignment only."""
    because = BECAUSE[by.reason]
    held = now.assignment.assignment if now.assignment is not None else ""
    commands = [
        (
            fact,
            0,
            TakeBack(
                provider=by.organization, person=by.person, proved=by.proved, what=fact, because=because
            ),
        )
        for fact in sorted(found.facts, reverse=True)
    ]
    for number, assignment in sorted(found.attempts.items(), reverse=True):
        if assignment != held:
            found.stays[FORMER] = None
            continue
        command = TakeBack(
            provider=by.organization, person=by.person, proved=by.proved, what="attempted", number=number,
            because=because,
        )  # fmt: skip
        commands.append((ATTEMPTED, number, command))
    return commands


def _undone(outcome: object, stays: dict[str, None]) -> int:
    if not isinstance(outcome, Exception):
        return 1
    if isinstance(outcome, Refused | Problem):
        stays[outcome.fix or str(outcome)] = None
    else:
        log.error("fact not taken back", error=type(outcome).__name__)
        stays[FAILED] = None
    return 0


def _said(undone: int, stays: Sequence[str]) -> tuple[str, str]:
    if undone and not stays:
        return UNDONE
    code = IN_PART if undone else STAYS[0]
    return code, " ".join(stays) or STAYS[1]


async def _caused(context: RunningService, file: str, streams: Sequence[str]) -> Mapping[str, Caused]:
    rows = await context.pool.fetch(
        """SELECT stream, type, causation, payload FROM journal
           WHERE stream = ANY($1::text[]) AND own AND type = ANY($2::text[]) ORDER BY stream, n""",
        streams,
        TYPES,
    )
    found: dict[str, Caused] = {}
    for row in rows:
        kind = row["type"].removeprefix("ecm.outreach.").removesuffix(".v1")
        one = found.setdefault(row["stream"], Caused())
        one.heard(kind, orjson.loads(row["payload"]), mine=row["causation"] == file)
    return found


async def _states(context: RunningService, streams: Sequence[str]) -> Mapping[str, Outreach]:
    rows = await context.pool.fetch("SELECT id, state FROM referral WHERE id = ANY($1::text[])", streams)
    return {row["id"]: Outreach.model_validate(orjson.loads(row["state"])) for row in rows}
