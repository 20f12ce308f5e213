"""What each rule of authorization may know beyond the request: the day's policy, the directory, the member's other requests.

Policy is looked up by date (`persistence/policy_lookup.py`); `refs` name its rows. `Asked` is the closed union that
`rules.decide` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from authorization.domain.commands import (
    Amend,
    Appeal,
    Approve,
    Continue,
    Deny,
    End,
    ExpireGrant,
    LookAgain,
    Modify,
    NoteFact,
    OpenReview,
    Overturn,
    PassDeadline,
    Pend,
    RequestReauthorization,
    Resume,
    RevokeGrant,
)
from loopkeeper.contract.decider import Context, Plain
from loopkeeper.contract.events import ProviderRecorded, Rights

# ── what policy says ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRules:
    """The clocks of a decision."""

    clock: str
    due_at: datetime
    cap_at: datetime
    at_risk_at: datetime
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningOn:
    """The time left of a paused clock when it runs on."""

    due_at: datetime
    at_risk_at: datetime | None
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TermRules:
    """How long a term is, from when it runs, and how many days before its end something must be said."""

    months: int
    prompt_days: tuple[int, ...]
    notice_days: int
    # None: the plan has not chosen, and there is no default.
    runs_from: Literal["first_service", "decision"] | None
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRules:
    """The presumptive table for one claim: which provider types it pairs with each population, and a grant's days."""

    types: Mapping[str, tuple[str, ...]]
    days: int
    # Days from the end of one grant to the next of the same member.
    again_days: int
    # By when the plan urges the formal referral, and the days of the reminders.
    referral_by: date | None
    remind_on: tuple[date, ...]
    # The answers of the roster with which a grant may be made, and those that put its payment at risk.
    grants_with: frozenset[str]
    at_risk_with: frozenset[str]
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRules:
    """When a rule may approve: populations the plan turned on, each with its sample; programs nobody may be in next to
    ECM, and those between which and ECM the member chooses; and what the state says must be authorized, by its trigger,
    with the row that says so. `unless` is the stated contrary that leaves a change of plans to a person, by the way it
    was learned, within so many days (`look_back`). `covered` are the answers of the roster with which a rule may
    approve."""

    covered: frozenset[str]
    automatic: Mapping[str, float]
    exclusive: tuple[str, ...]
    chosen: tuple[str, ...]
    must: Mapping[str, str]
    unless: Mapping[str, str | None]
    look_back: int
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenialRules:
    """What an adverse decision of a person carries. `exclusive` are the programs nobody may be in next to ECM, `chosen`
    those among which and ECM the member chooses. `criteria` are those of each population's own rows."""

    needs_license: bool
    citation: str
    notice_due_at: datetime
    rights: Rights
    exclusive: tuple[str, ...]
    chosen: tuple[str, ...]
    criteria: Mapping[str, tuple[str, ...]]
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingRules:
    """What the end of a term carries."""

    rights: Rights
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """By when a named person judges what may end a term."""

    due_at: datetime
    refs: tuple[str, ...]


# ── contexts ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberGrants:
    """What the plan has granted or authorized this member through other referrals. `open_with` is who serves under an
    open term."""

    open_with: str | None = None
    grant_live: bool = False
    last_grant_through: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimContext(Context):
    """What a claim to serve is judged by; `grant` is None where nothing was claimed. `hubs` are the entries of the hubs
    that the provider acts through. `joined` and `joined_provider` are the same for the claim of a referral that joins;
    `opens`: the referrals that may be answered and have no row here yet: it begins with the answer. `own` is this loop."""

    own: str
    grant: GrantRules | None
    member_grants: MemberGrants
    provider: ProviderRecorded | None
    hubs: Mapping[str, ProviderRecorded]
    joined: GrantRules | None
    joined_provider: ProviderRecorded | None
    opens: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewContext(ClaimContext):
    """What opens a review, or approves at once. `draw` in [0, 1) decides the sample: made from the event's id, so that a
    redelivery draws alike."""

    clocks: ClockRules
    term: TermRules
    approval: ApprovalRules
    draw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendContext(ReviewContext):
    """The same for a referral that changed; `clocks` of a review that is open are counted from that change.
    `running_on` is where a paused clock runs on, None where none is paused."""

    running_on: RunningOn | None
    judged: Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveContext(Context):
    term: TermRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyContext(ApproveContext):
    denial: DenialRules


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyContext(Context):
    denial: DenialRules


@dataclass(frozen=True, slots=True, kw_only=True)
class PendContext(Context):
    """`known` are the data elements of the standard, `by` is until when the clock is paused."""

    known: frozenset[str]
    by: datetime
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseContext(Context):
    """The end of a pause; None where the clock is not paused."""

    running_on: RunningOn | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverturnContext(Context):
    """By when the linked referral must be authorized."""

    due_at: datetime
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealContext(Context):
    """By when an appeal is resolved."""

    due_at: datetime
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndContext(Context):
    """How many days old the member's notice must be when the term ends; `unfit` are the codes that the case stated for a
    shorter notice goes with, where this one does not."""

    notice_days: int
    unfit: tuple[str, ...] = ()
    ending: EndingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ReauthorizationContext(Context):
    """The clocks of a decision asked for now."""

    clocks: ClockRules


@dataclass(frozen=True, slots=True, kw_only=True)
class CapContext(Context):
    """What is adverse by law carries."""

    notice_due_at: datetime
    rights: Rights
    refs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TermContext(Context):
    """A term that runs out."""

    ending: EndingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageContext(Context):
    """Coverage that ends inside a term."""

    judged: Judged


Deadline = CapContext | PauseContext | TermContext | CoverageContext | Plain
Asked = (
    tuple[OpenReview, ReviewContext]
    | tuple[Amend, AmendContext]
    | tuple[LookAgain, ClaimContext]
    | tuple[NoteFact | ExpireGrant | RevokeGrant | Continue, Plain]
    | tuple[PassDeadline, Deadline]
    | tuple[Approve, ApproveContext]
    | tuple[Modify, ModifyContext]
    | tuple[Deny, DenyContext]
    | tuple[Pend, PendContext]
    | tuple[Resume, PauseContext]
    | tuple[Overturn, OverturnContext]
    | tuple[Appeal, AppealContext]
    | tuple[End, EndContext]
    | tuple[RequestReauthorization, ReauthorizationContext]
)
