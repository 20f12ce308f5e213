"""What a decision must know beyond its referral: the day's policy, the provider's entry, the member's other grants."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from authorization.domain.commands import (
    Amend,
    Approve,
    Deny,
    End,
    LookAgain,
    Modify,
    OpenReview,
    Overturn,
    PassDeadline,
    Pend,
    RequestReauthorization,
    Resume,
)
from authorization.domain.presumptive import hubs_of
from authorization.domain.state import NOT_REAUTHORIZED, Authorization
from authorization.persistence import policy_lookup
from authorization.persistence.open_authorizations import read_entries
from authorization.persistence.tables import FOR_NOW
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, Plain
from loopkeeper.contract.events import ProviderRecorded, ReferralAmended
from loopkeeper.policy import Policy
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import Change, Key, Loaded, Loader, Work

MEMBER, PROVIDER = "member", "provider"


@dataclass(frozen=True, slots=True)
class Kept:
    """One request of a member as far as the next one must know it."""

    grant_live: bool
    grant_through: date | None
    approved_through: date | None
    holder: str


class Desk(Loaded[Authorization, Command]):
    """The policy, the providers and the members of one batch; kept up to date while it is decided."""

    def __init__(
        self,
        policy: Policy,
        providers: Mapping[str, ProviderRecorded],
        members: Mapping[tuple[str, str], Mapping[str, Kept]],
    ) -> None:
        self._policy = policy
        self._providers = providers
        self._members = {key: dict(kept) for key, kept in members.items()}

    def with_context(
        self, stream: str, state: Authorization | None, command: Command, plain: Plain
    ) -> Command:
        return self.complete(stream, state, command.model_copy(update={"at": plain.at, "seed": plain.seed}))

    def complete(self, stream: str, state: Authorization | None, command: Command) -> Command:
        if state is None:
            return command
        match command:
            case OpenReview() | Amend():
                return command.model_copy(update=self._judged(stream, state, command))
            case LookAgain():
                day = la_date(state.received_at or command.at)
                rules = policy_lookup.granting(self._policy, state, self._providers, day)
                return command.model_copy(
                    update={"rules": rules, **self._standing(stream, state, command.at)}
                )
            case PassDeadline():
                return command.model_copy(update=self._passed(state, command))
            case _:
                return command.model_copy(update=self._asked(state, command))

    def observe(self, change: Change[Authorization]) -> None:
        after = change.after
        if after is not None and after.member:
            self._members.setdefault((after.plan, after.member), {})[change.stream] = _kept(after)

    def _judged(self, stream: str, state: Authorization, command: OpenReview | Amend) -> dict[str, Any]:
        policy, at = self._policy, command.at
        paused = state.waiting is not None and state.waiting.pause is not None
        rules = policy_lookup.opening(policy, state, self._providers, at)
        if isinstance(command, Amend) and paused:
            rules = rules.model_copy(update=_only_clock(policy_lookup.running_on(policy, state, at)))
        elif isinstance(command, Amend) and state.review is not None:
            # Learned only now, an urgency counts from now.
            rules = rules.model_copy(update=policy_lookup.clocks(policy, state.urgency or "routine", at))
        # What a referral merged into this one was granted ends with that one, and its claim goes on here.
        merged = command.fact.joined if isinstance(command.fact, ReferralAmended) else None
        return {"rules": rules, "draw": drawn(command.seed), **self._standing(stream, state, at, merged)}

    def _passed(self, state: Authorization, command: PassDeadline) -> dict[str, Any]:
        match command.kind:
            case "cap" if state.waiting is not None:
                return {"denial": policy_lookup.deeming(self._policy, state.waiting.cap_at)}
            case "pause":
                return {"rules": policy_lookup.running_on(self._policy, state, command.at)}
            case "term":
                return {"denial": policy_lookup.ending(self._policy, NOT_REAUTHORIZED, command.at)[1]}
            case _:
                return {}

    def _asked(self, state: Authorization, command: Command) -> dict[str, Any]:
        """What policy says to a person's command."""
        policy, at = self._policy, command.at
        day = la_date(at)
        match command:
            case Modify():
                return {
                    "rules": policy_lookup.terms(policy, state, day),
                    "denial": policy_lookup.denying(policy, command.reason, at),
                }
            case Approve():
                return {"rules": policy_lookup.terms(policy, state, day)}
            case Deny():
                return self._denial(command)
            case Pend():
                by = policy.due("asked_by_plan", at)
                return {"known": policy_lookup.askable(policy, day), "by": by.at, "refs": (by.ref,)}
            case Resume():
                return {"rules": policy_lookup.running_on(policy, state, at)}
            case Overturn():
                due = policy.due("overturned", at)
                return {"due_at": due.at, "refs": (due.ref,)}
            case End():
                days, denial = policy_lookup.ending(policy, command.code, at)
                return {"notice_days": days, "denial": denial}
            case RequestReauthorization():
                rules = policy_lookup.terms(policy, state, day)
                return {"rules": rules.model_copy(update=policy_lookup.clocks(policy, "routine", at))}
            case _:
                return {}

    def _denial(self, command: Deny) -> dict[str, Any]:
        denial = policy_lookup.denying(self._policy, command.reason, command.at)
        return {
            "needs_license": denial.needs_license,
            "citation": command.citation or denial.citation,
            "appeal_by": denial.rights.appeal_by,
            "notice_due_at": denial.notice_due_at,
            "rights": denial.rights,
            "refs": denial.refs,
            "exclusive": denial.exclusive,
            "chosen": denial.chosen,
        }

    def _standing(
        self, stream: str, state: Authorization, at: datetime, merged: str | None = None
    ) -> dict[str, Any]:
        members = self._members.get((state.plan, state.member), {})
        others = [kept for name, kept in members.items() if name not in (stream, merged)]
        today = la_date(at)
        open_ = [k for k in others if k.approved_through is not None and k.approved_through >= today]
        ended = [k.grant_through for k in others if k.grant_through is not None and not k.grant_live]
        provider = self._providers.get(state.claim.provider) if state.claim else None
        hubs = hubs_of([provider] if provider is not None else [])
        return {
            "provider": provider,
            "hubs": {hub: self._providers[hub] for hub in hubs if hub in self._providers},
            # An open term whose provider is not known yet is still somebody's.
            "open_with": (open_[0].holder or "another provider") if open_ else None,
            "member_grant_live": any(k.grant_live for k in others),
            "last_grant_through": max(ended, default=None),
        }


def _only_clock(rules: Any) -> dict[str, Any]:
    return {"due_at": rules.due_at, "at_risk_at": rules.at_risk_at}


def drawn(seed: UUID) -> float:
    """A number in [0, 1) made from the event's id: the same in every delivery, and nobody's choice."""
    return int.from_bytes(hashlib.sha256(seed.bytes + b"sample").digest()[:8], "big") / 2**64


def _kept(state: Authorization) -> Kept:
    term = state.term
    through = (FOR_NOW if state.reauthorization else term.last_day) if term is not None else None
    return Kept(state.grant_live, state.grant.through if state.grant else None, through, state.holder)


class AuthorizationLoader(Loader[Authorization, Command]):
    """Locks the members and claimed providers of new requests; loads their entries and other requests."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def locks(self, connection: Connection, work: Sequence[Work[Authorization]]) -> set[Key]:
        keys: set[Key] = set()
        for plan, member, provider in _concerned(work):
            keys.add((MEMBER, f"{plan}:{member}"))
            if provider:
                keys.add((PROVIDER, provider))
        return keys

    async def load(
        self, connection: Connection, work: Sequence[Work[Authorization]], locked: Collection[Key]
    ) -> Desk:
        concerned = list(_concerned(work))
        if not concerned:
            return Desk(self._policy, {}, {})
        providers = await read_entries(connection, [p for _, _, p in concerned if p])
        providers |= await read_entries(connection, sorted(hubs_of(providers.values())))
        rows = await connection.fetch(
            """SELECT r.id, r.plan_id, r.member, r.grant_live, r.grant_through, r.approved_through, r.holder
               FROM referral r JOIN unnest($1::text[], $2::text[]) AS t (plan, member)
               ON r.plan_id = t.plan AND r.member = t.member""",
            [plan for plan, _, _ in concerned],
            [member for _, member, _ in concerned],
        )
        members: dict[tuple[str, str], dict[str, Kept]] = {}
        for row in rows:
            members.setdefault((row["plan_id"], row["member"]), {})[row["id"]] = Kept(
                row["grant_live"], row["grant_through"], row["approved_through"], row["holder"]
            )
        return Desk(self._policy, providers, members)


def _concerned(work: Sequence[Work[Authorization]]) -> set[tuple[str, str, str]]:
    """Plan, member and claimed provider of every request that is opened, amended or looked at again."""
    found: set[tuple[str, str, str]] = set()
    for item in work:
        command, state = item.submission.command, item.state
        if isinstance(command, OpenReview):
            event: Any = command.fact
            found.add((event.plan, event.member, event.claim.provider if event.claim else ""))
        elif isinstance(command, Amend) and state is not None:
            changed: Any = command.fact
            claim = changed.claim or state.claim
            found.add((state.plan, changed.member or state.member, claim.provider if claim else ""))
        elif isinstance(command, LookAgain) and state is not None:
            found.add((state.plan, state.member, state.claim.provider if state.claim else ""))
    return found
