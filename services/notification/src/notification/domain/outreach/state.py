"""What is known of one referral that decides who may reach out, and who is told? Pure: a fold of its events.

Any order of facts is bearable, and an unknown referral becomes a bare row: a terminal fact that comes first leaves a
tombstone. Amendments replace what they name; contact corrections replace the contact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.decider import State
from loopkeeper.contract.events import Consent, Lead

SERVICES_RECEIVED = "services_received"
# A referral flagged so asks nobody to appear in person at the member's place.
DO_NOT_CONTACT, SAFE_CONTACT = "do_not_contact", "safe_contact"
UNSAFE = frozenset({DO_NOT_CONTACT, SAFE_CONTACT})
SELF_REFERRAL = "self_referral"
# Authorized for it, a member is visited in person each week (ECMG26 p18).
TRANSITIONAL_RENT, IN_PERSON, WEEKLY_VISIT = "transitional_rent", "in_person", "weekly_visit"
# The discontinuation that says that the member has died (domain.md 3).
DECEASED_CODE = 14


class Part(BaseModel):
    """A group of fields that came with one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answered(Part):
    """What a provider's file said of its offer, until assignment has decided. `refused` is the slug, if it could not be."""

    answer: Literal["accepted", "declined", "lead_changed"]
    on: date
    refused: str = ""


class Assignment(Part):
    """The newest offer or assignment. `accepted_at` opens outreach; `ended` takes it away again."""

    assignment: str
    provider: str
    answer_due_at: datetime | None = None
    # From when on a planned one is live (loop.md 3.7).
    starts_on: date | None = None
    # The member is in custody again: outreach waits for a new day of release.
    inside: bool = False
    accepted_at: datetime | None = None
    lead: Lead | None = None
    # Since when outreach goes on, as the provider's file says, with or without an attempt.
    initiated_on: date | None = None
    # What its file said of the offer last, and why that could not be.
    answered: Answered | None = None
    declined_on: date | None = None
    ended: bool = False
    # The last day on which it was this provider's.
    ended_on: date | None = None

    @property
    def held(self) -> bool:
        return self.accepted_at is not None and not self.ended


class Grant(Part):
    grant: str
    provider: str


class Term(Part):
    """What was authorized: since when it is known, under which number, and from and through which day it runs."""

    at: datetime
    through: date
    from_: date | None = None
    number: str = ""


class Joined(Part):
    """A second referral that was merged into this one: its own id, and who sent it."""

    referral: str
    referrer: str


class Attempt(Part):
    assignment: str
    number: int
    at: datetime
    actor_kind: str
    modality: str
    outcome: str
    reached: bool
    minutes: int | None = None
    # Made before the provider accepted: it counts toward no unable_to_reach.
    before_acceptance: bool = False
    # Recorded in error.
    taken_back: bool = False


class ReportedClosing(Part):
    """Why a provider's file would close the loop: a named person of the plan decides."""

    assignment: str
    reason: str
    on: date


class Month(Part):
    """The encounters of a month, as a provider's file counts them."""

    assignment: str
    month: str
    in_person: int | None = None
    remote: int | None = None


class Ending(Part):
    """How outreach itself ended, before or after the loop closed."""

    how: Literal["services_started", "member_declined", "unable_to_reach"]
    on: date


class Closing(Part):
    """How the loop closed. `detail` and `right_plan` as in the event; `text` is what `other` says in words."""

    outcome: str
    at: datetime
    detail: str = ""
    right_plan: str = ""
    text: str = ""


class Outreach(State):
    """`flags` say how the member may be reached; `contact` is the sealed part that says it in full. `joined` are the
    referrers of merged referrals, who hear all notices."""

    plan: str = ""
    referrer: str = ""
    # A presumptive start comes before its form: nothing was asked of the plan yet (loop.md 3.1).
    kind: Literal["full", "presumptive_start"] = "full"
    joined: tuple[Joined, ...] = ()
    member: str = ""
    county: str = ""
    age_band: str = ""
    language: str = ""
    populations: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    consent_holder: str = ""
    consent: Consent | None = None
    contact: str = ""
    pcp: str = ""
    # Who runs a program the member is in, by program.
    programs: Mapping[str, str] = {}
    claimed_by: str = ""
    grant: Grant | None = None
    decision: Literal["", "approved", "denied"] = ""
    # Who told a day of release, and so may know it; empty where there is none.
    release_told_by: tuple[str, ...] = ()
    deceased: bool = False
    # Somebody concerned told that the member has died, and the plan has not taken it back.
    death_told: bool = False
    term: Term | None = None
    # The member appealed against the end of the term, which goes on until that is resolved.
    appealed: bool = False
    assignment: Assignment | None = None
    # Those that were accepted, and that another offer followed: what their provider tells late is still of its own days
    # (loop.md 8.6).
    former: tuple[Assignment, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    ending: Ending | None = None
    # The assignment whose services its provider ended.
    ended_service: str = ""
    ended_service_on: date | None = None
    ended_service_as: int = 0
    reported: tuple[ReportedClosing, ...] = ()
    months: tuple[Month, ...] = ()
    closing: Closing | None = None
    told: tuple[str, ...] = ()
    # Clocks that were raised, as `<assignment> <clock> <state>`.
    raised: tuple[str, ...] = ()
    # From when the week counts in which a visit is due, once a week passed without one (loop.md 6.12).
    week_from: datetime | None = None


# ── what can be read from the state ───────────────────────────────────────────────────────────────────────


def attempts_of(outreach: Outreach, assignment: str) -> tuple[Attempt, ...]:
    return tuple(each for each in outreach.attempts if each.assignment == assignment)


def counted(outreach: Outreach, assignment: str) -> tuple[Attempt, ...]:
    """The attempts that count: those since the acceptance that were not taken back (loop.md 6.1, 8.7)."""
    return tuple(
        each
        for each in attempts_of(outreach, assignment)
        if not each.before_acceptance and not each.taken_back
    )


def raised(assignment: str, clock: str, state: str) -> str:
    """How a clock that was raised is remembered."""
    return f"{assignment} {clock} {state}"


def assignment_of(outreach: Outreach, assignment: str) -> Assignment | None:
    """The newest one, or a former one, of this id."""
    known = (outreach.assignment, *outreach.former)
    return next((each for each in known if each is not None and each.assignment == assignment), None)


def seen_by(outreach: Outreach) -> str:
    """The provider that may see this outreach: the one whose assignment is live, and after the loop's end the one
    that held it last. An offer is not enough."""
    held = outreach.assignment
    if held is None or held.accepted_at is None:
        return ""
    return held.provider if not held.ended or outreach.closing is not None else ""


STATUSES = ("waiting", "open", "services_started", "member_declined", "unable_to_reach", "closed")


def status(outreach: Outreach) -> str:
    """`waiting` for a provider, `open`, how it ended, or `closed` by something else."""
    if outreach.ending is not None:
        return outreach.ending.how
    if outreach.closing is not None:
        return "closed"
    return "open" if outreach.assignment is not None and outreach.assignment.held else "waiting"


def over(outreach: Outreach) -> bool:
    """Whether the loop closed without service: then nobody is to reach out, serve or be called any more."""
    return outreach.closing is not None and outreach.closing.outcome != SERVICES_RECEIVED


def served(outreach: Outreach) -> bool:
    """Whether the first service was given."""
    return outreach.ending is not None and outreach.ending.how == "services_started"


def dead(outreach: Outreach) -> bool:
    """Whether anybody concerned told that the member has died: nobody contacts them any more (loop.md 7.7)."""
    return outreach.deceased or outreach.death_told


def restricted(outreach: Outreach) -> bool:
    """Whether the member may not be reached in the usual ways: such rules beat every default (loop.md 6.2)."""
    return not UNSAFE.isdisjoint(outreach.flags) or dead(outreach)


def addressee(outreach: Outreach) -> str:
    """Who a notice for the member is for: the member, who holds consent for a minor, or an adult's conservator or
    representative. Empty where a minor's consent holder is not known, since no other adult may be told (loop.md 6.6)."""
    if outreach.consent_holder in ("", "self"):
        return "" if not outreach.consent_holder and outreach.age_band == "child_youth" else "member"
    return outreach.consent_holder


def chosen_instead(flags: Iterable[str]) -> frozenset[str]:
    """The programs that the member chose over ECM (loop.md 4.4)."""
    return frozenset(
        flag.removeprefix("chose_")
        for flag in flags
        if flag.startswith("chose_") and not flag.startswith("chose_ecm_over_")
    )


CHANNEL = "channel_"
