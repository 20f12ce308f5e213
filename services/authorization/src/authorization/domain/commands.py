"""What may be asked of a request for authorization, by a fact, a deadline or a named person, and what policy says to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy, ProviderRecorded, Rights

NEVER = datetime.min.replace(tzinfo=UTC)


class Given(BaseModel):
    """What policy says, looked up at the edge. `refs` name the rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rules(Given):
    """What policy says for one command, by the date of the fact."""

    clock: str = "routine"
    due_at: datetime = NEVER
    cap_at: datetime = NEVER
    at_risk_at: datetime | None = None
    review_refs: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    grant_days: int = 30
    again_days: int = 0
    # By when the plan urges the formal referral, and the days of the reminders, for a grant from the claimed day on.
    referral_by: date | None = None
    remind_on: tuple[date, ...] = ()
    grant_refs: tuple[str, ...] = ()
    # Populations a rule may approve for this plan, and their sample.
    automatic: Mapping[str, float] = {}
    exclusive: tuple[str, ...] = ()
    approve_refs: tuple[str, ...] = ()
    # What the state says must be authorized, by its trigger, with the row that says so.
    must: Mapping[str, str] = {}
    term_months: int = 12
    # Days before the end of a term on which reauthorization is prompted, and on which the notice of the end must go.
    prompt_days: tuple[int, ...] = ()
    notice_days: int = 0
    # None: the plan has not chosen, and there is no default.
    term_from: Literal["first_service", "decision"] | None = None
    term_refs: tuple[str, ...] = ()


class Denial(Given):
    """What stands on the notice of an adverse decision, as policy has it: dates, rights, citation."""

    needs_license: bool = False
    citation: str = ""
    notice_due_at: datetime = NEVER
    rights: Rights = Rights(appeal_by=date.min, hearing_days=0, unanswered_days=0)
    refs: tuple[str, ...] = ()
    # Programs nobody may be in besides ECM, and those among which and ECM the member chooses.
    exclusive: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()


# ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────


class Judged(Command):
    """A command that may open a review, make a grant or approve: with what the rule must know for it.

    `draw` in [0, 1) decides the sample: made from the event's id, so a redelivery draws alike.
    """

    rules: Rules = Rules()
    draw: float = 0.0
    provider: ProviderRecorded | None = None
    # The entries of the hubs it acts through, by id.
    hubs: Mapping[str, ProviderRecorded] = {}
    open_with: str | None = None
    member_grant_live: bool = False
    last_grant_through: date | None = None


class OpenReview(Judged):
    """`referral.received`."""


class Amend(Judged):
    """`referral.amended`: the form of a start arrived, answers came, a release date moved, a referral joined."""


class LookAgain(Judged):
    """The directory now knows whom a claim waits for: its provider, or the hub that one acts through."""

    waits_for: str


class NoteFact(Command):
    """An event of another service about this referral."""


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────


class ExpireGrant(Command):
    """The last day of a grant is over."""


class PassDeadline(Command):
    """Another deadline has come; `kind` as in `clocks.timers`. What the rule then needs of policy is filled in."""

    kind: str
    rules: Rules = Rules()
    denial: Denial = Denial()


# ── people ────────────────────────────────────────────────────────────────────────────────────────────────


class Approve(Command):
    """A named person of the plan approves, here or in the plan's own system (`external_number`): the request, or the
    reauthorization that waits. `enrolled_on` says from when the member is the plan's, after a release."""

    acted_by: ActedBy
    populations: tuple[str, ...] = ()
    external_number: str = ""
    enrolled_on: date | None = None
    rules: Rules = Rules()


class Modify(Approve):
    """A named person approves some populations of the referral and denies the others (adverse in part)."""

    reason: str
    licensed: bool
    citation: str = ""
    denial: Denial = Denial()


class Deny(Command):
    """A named person of the plan denies."""

    acted_by: ActedBy
    reason: str
    licensed: bool
    needs_license: bool = False
    citation: str = ""
    appeal_by: date | None = None
    notice_due_at: datetime | None = None
    external_number: str = ""
    # Whether the plan has told the grant's provider by its own means.
    provider_told: bool = False
    rights: Rights | None = None
    refs: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()


class Pend(Command):
    """A named person asks for data elements of the standard; `known` are those, `by` says until when."""

    acted_by: ActedBy
    asks: tuple[str, ...]
    known: frozenset[str] = frozenset()
    by: datetime = NEVER
    refs: tuple[str, ...] = ()


class Resume(Command):
    """A named person lets the clock run on."""

    acted_by: ActedBy
    rules: Rules = Rules()


class RevokeGrant(Command):
    """A named person ends a grant."""

    acted_by: ActedBy


class Overturn(Command):
    """An appeal or a hearing overturned the denial; a named person records it."""

    acted_by: ActedBy
    on: date
    due_at: datetime = NEVER
    refs: tuple[str, ...] = ()


class End(Command):
    """A named person of the plan ends the term, by a discontinuation code, after a notice of so many days."""

    acted_by: ActedBy
    code: int
    on: date | None = None
    external_number: str = ""
    notice_days: int = 0
    denial: Denial = Denial()


class Continue(Command):
    """A named person judges that the term goes on."""

    acted_by: ActedBy


class RequestReauthorization(Command):
    """The provider that serves asks for another term before this one ends."""

    acted_by: ActedBy
    provider: str
    rules: Rules = Rules()
