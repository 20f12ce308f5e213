"""What each service's rules may know of a batch, found in the rows as they are in memory: what its `Loader` finds by SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assignment.persistence import context as of_assignment
from authorization.domain.commands import Amend, LookAgain, OpenReview
from authorization.persistence import context as of_authorization
from authorization.persistence.columns import FOR_NOW
from authorization.persistence.columns import columns as authorization_columns
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.policy import Policy
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import STREAM, Loaded, Submission
from notification.domain.notices.wording import Names
from notification.domain.outreach.commands import RaiseNotice, Untold
from notification.persistence.context import NotificationLoaded
from referral_intake.domain.commands import AnswerQuestions, ChooseProvider, Keys, ReceiveReferral
from referral_intake.persistence.columns import columns as intake_columns
from referral_intake.persistence.context import IntakeLoaded
from referral_intake.persistence.queries import KnownMembers

States = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """What everybody knows from the beginning: the policy, the directory, and how parts are sealed."""

    policy: Policy
    providers: Mapping[str, ProviderRecorded]
    sealer: Sealer


@dataclass
class Noticed:
    """A notice as its row has it."""

    id: str
    referral: str
    code: str
    recipient_kind: str
    published: bool
    due_at: Any
    told: bool = False
    late: bool = False

    @property
    def waits(self) -> bool:
        """Whether its deadline lives."""
        return self.due_at is not None and not self.told and not self.late


@dataclass
class Beside:
    """Rows that hang on no stream: intake's members and who each referral says its member is; what notification must tell."""

    members: dict[str, str] = field(default_factory=dict[str, str])
    roster: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    keys: dict[str, Keys] = field(default_factory=dict[str, Keys])
    notices: dict[str, Noticed] = field(default_factory=dict[str, Noticed])


Load = Callable[[Known, Beside, States, Sequence[Submission]], Loaded[Any, Any]]


def intake(known: Known, beside: Beside, states: States, batch: Sequence[Submission]) -> Loaded[Any, Any]:
    """The states that `queries.load_known` selects: open ones and those that serve, of members and numbers told."""
    found, told = KnownMembers(), [s.command for s in batch]
    forms = [c for c in told if isinstance(c, ReceiveReferral | AnswerQuestions)]
    found.roster = {
        c.keys.roster: beside.roster[c.keys.roster] for c in forms if c.keys.roster in beside.roster
    }
    found.rosters = frozenset(row["plan"] for row in beside.roster.values())
    found.members = dict(beside.members)
    for name, state in states.items() if forms else ():
        row = intake_columns(state)
        serves = row["status"] == "closed" and row["outcome"] == "services_received" and row["provider_id"]
        if row["status"] not in ("closed", ""):
            found.states[name] = state
            if name in beside.keys:
                found.keys[name] = beside.keys[name]
        elif serves:
            found.states[name] = state
    for other in (other for each in batch for other in each.other_streams):
        if other in states:
            found.states[other] = states[other]
    for stream in (each.stream for each in batch if isinstance(each.command, ChooseProvider)):
        if (into := _goes_on_in(states, stream)) is not None:
            found.goes_on_in[stream] = into
            found.states[into] = states[into]
    held = {(STREAM, name) for name in states}
    return IntakeLoaded(found, held, known.policy, known.sealer)


def _goes_on_in(states: States, stream: str) -> str | None:
    into = None
    while (
        closing := states[stream].closing if stream in states else None
    ) is not None and closing.merged_into:
        into = stream = closing.merged_into
    return into


# Whose rules know of the member's other requests.
OF_MEMBERS = (OpenReview, Amend, LookAgain)


def authorization(
    known: Known, beside: Beside, states: States, batch: Sequence[Submission]
) -> Loaded[Any, Any]:
    members: dict[tuple[str, str], dict[str, of_authorization.Kept]] = {}
    asked = any(isinstance(each.command, OF_MEMBERS) for each in batch)
    for name, state in states.items() if asked else ():
        row = authorization_columns(state)
        grant, term = state.grant, state.term
        through = (FOR_NOW if state.reauthorization else term.last_day) if term else None
        kept = of_authorization.Kept(
            row["grant_live"], grant.through if grant else None, through, row["holder"]
        )
        members.setdefault((state.plan, state.member), {})[name] = kept
    return of_authorization.AuthorizationLoaded(
        known.policy, known.providers, members, set(states), set(states)
    )


def assignment(known: Known, beside: Beside, states: States, batch: Sequence[Submission]) -> Loaded[Any, Any]:
    held: dict[str, int] = {}
    holders: dict[str, dict[str, of_assignment.Holding]] = {}
    served: dict[str, set[str]] = {}
    members = {getattr(each.command.fact, "member", "") for each in batch if each.command is not None}
    for name, state in states.items():
        members.add(state.member)
        for offer in state.offers:
            if offer.held:
                held[offer.provider] = held.get(offer.provider, 0) + 1
            if offer.live:
                holding = of_assignment.Holding(offer.made_at, offer.assignment)
                holders.setdefault(state.member, {})[name] = holding
            if offer.accepted_at is not None:
                for known_as in (state.member, name):
                    served.setdefault(known_as, set()).add(offer.provider)
    locked = {(of_assignment.MEMBER, member or "") for member in members}
    locked |= {(of_assignment.PROVIDER, provider) for provider in known.providers}
    return of_assignment.AssignmentLoaded(known.policy, known.providers, held, holders, locked, served)


def notification(
    known: Known, beside: Beside, states: States, batch: Sequence[Submission]
) -> Loaded[Any, Any]:
    asked = [c.notice for s in batch if isinstance(c := s.command, RaiseNotice)]
    notices = [beside.notices[name] for name in asked if not beside.notices[name].told]
    untold = {each.id: Untold(each.code, each.recipient_kind) for each in notices}
    return NotificationLoaded(known.policy, Names(), (), untold)


LOADS: Mapping[str, Load] = {
    "intake": intake,
    "authorization": authorization,
    "assignment": assignment,
    "notification": notification,
}
