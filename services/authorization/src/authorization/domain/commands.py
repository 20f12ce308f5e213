"""What may be asked of a request for authorization: by a fact, a deadline or a named person."""

from __future__ import annotations

from datetime import date
from typing import Literal

from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy, Unmet

# ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────


class OpenReview(Command):
    """`referral.received`."""


class Amend(Command):
    """`referral.amended`: the form of a start arrived, answers came, a release date moved, a referral joined."""


class LookAgain(Command):
    """The directory now knows whom a claim waits for: its provider, or the hub that one acts through."""

    waits_for: str


class NoteFact(Command):
    """An event of another service about this referral."""


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────


class ExpireGrant(Command):
    """The last day of a grant is over."""


class PassDeadline(Command):
    """Another deadline has come; `kind` as in `deadlines.timers`."""

    kind: str


# ── people ────────────────────────────────────────────────────────────────────────────────────────────────


class Approval(Command):
    """What a yes says. `external_number`: in the plan's own system; `enrolled_on`: from when the member is the plan's,
    after a release."""

    acted_by: ActedBy
    populations: tuple[str, ...] = ()
    external_number: str = ""
    enrolled_on: date | None = None


class Approve(Approval):
    """A named person of the plan approves, here or in the plan's own system: the request, or the reauthorization that
    waits."""


class Modify(Approval):
    """A named person approves some populations of the referral and denies the others (adverse in part). `unmet`: of
    criteria_not_met, what of each is not met, and why."""

    reason: str
    licensed: bool
    citation: str = ""
    unmet: tuple[Unmet, ...] = ()


class Deny(Command):
    """A named person of the plan denies. `provider_told`: the plan has told the grant's provider by its own means.
    `unmet`: of criteria_not_met, what of each population is not met, and why."""

    acted_by: ActedBy
    reason: str
    licensed: bool
    citation: str = ""
    unmet: tuple[Unmet, ...] = ()
    external_number: str = ""
    provider_told: bool = False


class Pend(Command):
    """A named person asks for data elements of the standard."""

    acted_by: ActedBy
    asks: tuple[str, ...]


class Resume(Command):
    """A named person lets the clock run on."""

    acted_by: ActedBy


class RevokeGrant(Command):
    """A named person ends a grant."""

    acted_by: ActedBy


class Overturn(Command):
    """An appeal or a hearing overturned the denial; a named person records it."""

    acted_by: ActedBy
    on: date


class End(Command):
    """A named person of the plan ends the term, by a discontinuation code, after a notice of so many days."""

    acted_by: ActedBy
    code: int
    on: date | None = None
    external_number: str = ""
    # Why the member's notice need not be old: death_confirmed, signed_wish, institution, mail_returned.
    without_notice: str = ""


class Appeal(Command):
    """The member appealed on that day against the ending of the term; a named person of the plan records it."""

    acted_by: ActedBy
    on: date


class Continue(Command):
    """A named person judges that the term goes on."""

    acted_by: ActedBy


class RequestReauthorization(Command):
    """The provider that serves asks for another term before this one ends, or says that what it asked for is urgent."""

    acted_by: ActedBy
    provider: str
    urgency: Literal["routine", "expedited"] = "routine"
