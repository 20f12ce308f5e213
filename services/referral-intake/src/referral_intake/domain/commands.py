"""What can be asked of a referral, by people at the edge, by other services' facts, and by time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy, Eligibility, Question, ReferralReceived


class Given(BaseModel):
    """Something a command is given that is no event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Keys(Given):
    """Blind indexes of who the form says the member is; empty where it does not say. `member` is of plan, CIN and
    birth date, `named` of these and the first name; `others` holds the roster keys under the other plans served here,
    `moved` the member's two under each of them where the form says that the member changed plans."""

    member: str = ""
    named: str = ""
    cin: str = ""
    person: str = ""
    roster: str = ""
    birth: str = ""
    others: Mapping[str, str] = {}
    moved: tuple[tuple[str, str], ...] = ()


class Reopening(Given):
    """A new referral that carries an old one over, and why."""

    why: Literal["contested", "split", "redirected"]
    old: str
    acted_by: ActedBy | None = None


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────


class ReceiveReferral(Command):
    """A referral as screened and sealed at the edge: who the member is, and what the roster says, is found here."""

    received: ReferralReceived
    questions: tuple[Question, ...] = ()
    keys: Keys = Keys()
    reopening: Reopening | None = None


class AnswerQuestions(Command):
    """The form as it reads with the answers in it. `based_on` is the sealed form they were put into: if another is there
    there by now, somebody else answered. `keys` are given only where identity changed."""

    based_on: str
    cause: Literal["answered", "corrected"]
    answered: tuple[str, ...]
    revised: ReferralReceived
    questions: tuple[Question, ...]
    keys: Keys = Keys()
    acted_by: ActedBy | None = None


class ChooseProvider(Command):
    """The answer to the question whether a member already served wishes to change to the provider that referred."""

    wishes: bool
    provider: str = ""
    acted_by: ActedBy | None = None


class WithdrawReferral(Command):
    """Taken back by the referrer before authorization, by the member at any time (loop.md 2.13)."""

    by: Literal["referrer", "member"]
    acted_by: ActedBy


class CloseReferral(Command):
    """Closed by a named person of the plan."""

    outcome: str
    text: str = ""
    on: date | None = None
    how: str = ""
    acted_by: ActedBy


class MergeReferral(Command):
    """A named person of the plan finds this referral to be the same member's as another open one."""

    into: str
    acted_by: ActedBy


class RecordReleaseDate(Command):
    release_on: date
    acted_by: ActedBy


class RecordCustody(Command):
    """The member is in custody again since that day."""

    on: date
    acted_by: ActedBy


class TellDeath(Command):
    """Somebody concerned tells that the member has died."""

    by: Literal["referrer", "provider", "plan"]
    on: date | None = None
    acted_by: ActedBy | None = None


class ConfirmDeath(Command):
    """A named person of the plan confirms it."""

    on: date | None = None
    acted_by: ActedBy


class TakeBackDeath(Command):
    """A named person of the plan finds that it is not so."""

    acted_by: ActedBy


class LearnCoverage(Command):
    """What the plan's roster says of the member since its newest import; `elsewhere`: the other plan whose roster alone
    has the member now."""

    eligibility: Eligibility
    elsewhere: str = ""


class MeetDeadline(Command):
    """A deadline of this referral has come: a reminder, or the end of the time for answers."""

    kind: str
    due_at: datetime


class EndOfTerm(Command):
    """The last day of the authorization is over, and the loop is open."""

    due_at: datetime


class ReadAgain(Command):
    """An own event that a restored database had lost, with its member's keys. It is written as it was, never decided."""

    keys: Keys = Keys()


class NoteFact(Command):
    """Another service's event about this referral."""


# From where a support may move.
Move = Literal["accepted", "declined", "done"]


class AskSupport(Command):
    """A service of the list, perhaps of a named Community Supports provider. `tracked`: whether it has a loop."""

    code: str
    provider: str = ""
    tracked: bool = True
    acted_by: ActedBy


class MoveSupport(Command):
    support: str
    to: Move
    acted_by: ActedBy
