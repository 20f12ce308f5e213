"""What a decision must know beyond its referral: the day's policy, the provider's entry, the member's other grants."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson

from authorization.rules import (
    Approve,
    Authorization,
    Deny,
    LookAgain,
    OpenReview,
    Rules,
    met,
)
from loopkeeper.calendar import la_date
from loopkeeper.database import Connection
from loopkeeper.decider import Command
from loopkeeper.domain import Change, Key, Surroundings, View, Work
from loopkeeper.events import ProviderRecorded
from loopkeeper.policy import Policy
from loopkeeper.provider_copy import read_entry

MEMBER, PROVIDER = "member", "provider"


@dataclass(frozen=True, slots=True)
class Kept:
    """One request of a member as far as the next one must know it."""

    grant_live: bool
    grant_through: date | None
    approved_through: date | None
    holder: str


class Desk(View[Authorization]):
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

    def complete(self, stream: str, state: Authorization | None, command: Command) -> Command:
        if state is None:
            return command
        match command:
            case OpenReview():
                update = {"rules": self._opening(state, command.at), "draw": drawn(command.seed)}
                return command.model_copy(update={**update, **self._standing(stream, state, command.at)})
            case LookAgain():
                day = la_date(state.received_at or command.at)
                rules = self._granting(state, day)
                return command.model_copy(
                    update={"rules": rules, **self._standing(stream, state, command.at)}
                )
            case Approve():
                return command.model_copy(update={"rules": self._terms(state, la_date(command.at))})
            case Deny():
                return command.model_copy(update=self._denial(command))
            case _:
                return command

    def note(self, change: Change[Authorization]) -> None:
        after = change.after
        if after is not None and after.member:
            self._members.setdefault((after.plan, after.member), {})[change.stream] = _kept(after)

    def _standing(self, stream: str, state: Authorization, at: datetime) -> dict[str, Any]:
        others = [k for s, k in self._members.get((state.plan, state.member), {}).items() if s != stream]
        today = la_date(at)
        open_ = [k for k in others if k.approved_through is not None and k.approved_through >= today]
        ended = [k.grant_through for k in others if k.grant_through is not None and not k.grant_live]
        return {
            "provider": self._providers.get(state.claim.provider) if state.claim else None,
            # An open term whose provider is not known yet is still somebody's.
            "open_with": (open_[0].holder or "another provider") if open_ else None,
            "member_grant_live": any(k.grant_live for k in others),
            "last_grant_through": max(ended, default=None),
        }

    def _opening(self, state: Authorization, at: datetime) -> Rules:
        clock = f"decision_{state.urgency or 'routine'}"
        received = state.received_at or at
        day = la_date(received)
        due, cap = self._policy.due(clock, received), self._policy.due("decision_cap", received)
        automatic = [
            row for row in self._policy.rows("auto_approval", on=day, plan=state.plan) if row["switched_on"]
        ]
        exclusive = self._policy.rows("program_overlap", on=day, rule="exclusive")
        chosen = [row for row in automatic if row["population"] in met(state)]
        return self._granting(state, day).model_copy(
            update={
                "clock": state.urgency or "routine",
                "due_at": due.at,
                "cap_at": cap.at,
                "review_refs": (due.ref, cap.ref),
                "automatic": {row["population"]: row["sample"] for row in automatic},
                "exclusive": tuple(row["program"] for row in exclusive),
                "approve_refs": tuple(row.ref for row in chosen),
            }
        )

    def _granting(self, state: Authorization, day: date) -> Rules:
        population = state.claim.population if state.claim else ""
        rows = self._policy.rows("presumptive", on=day, plan=state.plan, population=population)
        days = self._policy.row("clocks", on=day, clock="presumptive_grant")
        again = self._policy.row("clocks", on=day, clock="presumptive_again")
        types = self._providers[state.claim.provider].types if self._known(state) and state.claim else ()
        used = [row.ref for row in rows if row["provider_type"] in types]
        return self._terms(state, day).model_copy(
            update={
                "types": tuple(row["provider_type"] for row in rows),
                "grant_days": days["amount"],
                "again_days": again["amount"],
                "grant_refs": (*used, days.ref),
            }
        )

    def _known(self, state: Authorization) -> bool:
        return state.claim is not None and state.claim.provider in self._providers

    def _terms(self, state: Authorization, day: date) -> Rules:
        months = self._policy.row("clocks", on=day, clock="term_initial")
        choices = self._policy.rows("back_dating", on=day, plan=state.plan)
        chosen = choices[0] if choices else None
        return Rules(
            term_months=months["amount"],
            term_from=chosen["term_from"] if chosen else None,
            term_refs=(chosen.ref,) if chosen else (),
        )

    def _denial(self, command: Deny) -> dict[str, Any]:
        day = la_date(command.at)
        rows = self._policy.rows("denial_reasons", on=day, reason=command.reason)
        notice, appeal = (
            self._policy.due("denial_notice", command.at),
            self._policy.due("appeal", command.at),
        )
        return {
            "needs_license": bool(rows) and rows[0]["licensed"],
            "citation": command.citation or (rows[0]["citation"] if rows else ""),
            # The last day on which an appeal is in time: the deadline is the end of that day.
            "appeal_by": la_date(appeal.at - appeal.at.resolution),
            "notice_due_at": notice.at,
            "refs": (*(row.ref for row in rows), notice.ref, appeal.ref),
        }


def drawn(seed: UUID) -> float:
    """A number in [0, 1) made from the event's id: the same in every delivery, and nobody's choice."""
    return int.from_bytes(hashlib.sha256(seed.bytes + b"sample").digest()[:8], "big") / 2**64


def _kept(state: Authorization) -> Kept:
    decision = state.decision
    approved = decision.through if decision is not None and decision.kind == "approved" else None
    return Kept(state.grant_live, state.grant.through if state.grant else None, approved, state.holder)


class AuthorizationSurroundings(Surroundings[Authorization]):
    """Locks the members and claimed providers of new requests; loads their entries and other requests."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def needs(self, connection: Connection, work: Sequence[Work[Authorization]]) -> set[Key]:
        keys: set[Key] = set()
        for plan, member, provider in _concerned(work):
            keys.add((MEMBER, f"{plan}:{member}"))
            if provider:
                keys.add((PROVIDER, provider))
        return keys

    async def load(
        self, connection: Connection, work: Sequence[Work[Authorization]], locked: Collection[Key]
    ) -> View[Authorization]:
        concerned = list(_concerned(work))
        entries = await connection.fetch(
            "SELECT id, entry FROM provider WHERE id = ANY($1::text[])", [p for _, _, p in concerned if p]
        )
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
        providers = {row["id"]: read_entry(orjson.loads(row["entry"])) for row in entries}
        return Desk(self._policy, providers, members)


def _concerned(work: Sequence[Work[Authorization]]) -> set[tuple[str, str, str]]:
    """Plan, member and claimed provider of every request that is opened or looked at again."""
    found: set[tuple[str, str, str]] = set()
    for item in work:
        command, state = item.submission.command, item.state
        if isinstance(command, OpenReview):
            event: Any = command.fact
            found.add((event.plan, event.member, event.claim.provider if event.claim else ""))
        elif isinstance(command, LookAgain) and state is not None:
            found.add((state.plan, state.member, command.waits_for))
    return found
