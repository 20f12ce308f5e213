"""What each rule of intake may know beyond the referral: which member this is, who else was referred, what roster and
policy say. `Asked` is the closed union that `rules.decide` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from loopkeeper.contract.decider import Context, Plain
from loopkeeper.contract.events import Eligibility, Linked, Question, ReferralReceived, ScreenedPopulation
from referral_intake.domain.commands import (
    AnswerQuestions,
    AskSupport,
    ChooseProvider,
    CloseReferral,
    ConfirmDeath,
    EndOfTerm,
    LearnCoverage,
    MeetDeadline,
    MergeReferral,
    MoveSupport,
    NoteFact,
    ReceiveReferral,
    RecordCustody,
    RecordReleaseDate,
    TakeBackDeath,
    TellDeath,
    WithdrawReferral,
)
from referral_intake.domain.duplicates import Match
from referral_intake.domain.state import Referral


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTimes:
    """By when a blocking question is to be answered, and when it is asked again."""

    due_at: datetime
    remind_at: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The referral that a new one carries over, as found under its lock; None where there is none. `into` is the loop it
    was merged into, `until` when the time to contest its closing is over."""

    state: Referral | None
    into: str
    until: datetime | None


# ── contexts ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveContext(Context):
    """`own` is the referral's id. `moved_from`: the loop that served the member under another plan, `authorized_there` the
    populations of its authorization, as far as they may be passed on (loop.md 4.9). `redirect`: the
    question whether another plan is the right one. `resealed`: this form's parts, sealed for the loop it joins, where
    that one had none of its own. `choices`: between which programs of the roster and ECM the member chooses. `before`: what it carries over, if anything."""

    own: str
    member: str
    eligibility: Eligibility
    moved_from: Linked | None
    authorized_there: tuple[ScreenedPopulation, ...]
    match: Match
    resealed: Mapping[str, str]
    redirect: tuple[Question, ...]
    choices: tuple[Question, ...]
    asking: AnswerTimes
    before: Before | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerContext(Context):
    """Which member this is and what the roster says, asked again where the answer says who it is (loop.md 2.5, 2.7).
    `possible` is the loop that this one is linked with, `authorized_there` as of `ReceiveContext`."""

    member: str
    eligibility: Eligibility
    possible: Linked | None
    authorized_there: tuple[ScreenedPopulation, ...]
    redirect: tuple[Question, ...]
    choices: tuple[Question, ...]
    asking: AnswerTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeContext(Context):
    """The other referral, None where there is none; `own` is this one's id."""

    own: str
    survivor: Referral | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseContext(Context):
    """What the plan's policy wants before unable_to_reach."""

    least_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseContext(Context):
    """`serving`: the loop that this referral joined, through which the member is served; None where it is this one."""

    serving: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedContext(Context):
    """By when a named person of the plan judges what somebody told: a death, or that the member is in custody again."""

    due_at: datetime
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageContext(Context):
    """The times of a question that the new coverage asks. `choices`: between which programs of the roster and ECM the
    member chooses."""

    asking: AnswerTimes
    choices: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PendedContext(Context):
    """The plan asks: when that is asked again."""

    asking: AnswerTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class OverturnedContext(Context):
    """The referral that an overturned denial opens, with its id; None where nothing is known to carry over."""

    opens: tuple[str, ReferralReceived] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingContext(Context):
    """How an open loop goes on once what the member was served under has ended: closed as this, or, where that is None,
    asked of the plan by `due_at`."""

    closes_as: str | None
    due_at: datetime
    refs: tuple[str, ...]


Noted = PendedContext | OverturnedContext | EndingContext | Plain
Asked = (
    tuple[ReceiveReferral, ReceiveContext]
    | tuple[AnswerQuestions, AnswerContext]
    | tuple[MergeReferral, MergeContext]
    | tuple[CloseReferral, CloseContext]
    | tuple[ChooseProvider, ChooseContext]
    | tuple[TellDeath | ConfirmDeath | RecordCustody, JudgedContext]
    | tuple[LearnCoverage, CoverageContext]
    | tuple[NoteFact, Noted]
    | tuple[EndOfTerm, EndingContext]
    | tuple[
        MeetDeadline | WithdrawReferral | RecordReleaseDate | AskSupport | MoveSupport | TakeBackDeath,
        Plain,
    ]
)
