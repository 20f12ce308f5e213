"""What a decision must know beyond its referral: the day's policy, the provider's entry, the member's other grants."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

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
from authorization.domain.contexts import (
    AmendContext,
    AppealContext,
    ApproveContext,
    Asked,
    ClaimContext,
    CoverageContext,
    Deadline,
    DenyContext,
    EndContext,
    MemberGrants,
    ModifyContext,
    OverturnContext,
    PauseContext,
    PendContext,
    ReauthorizationContext,
    ReviewContext,
    TermContext,
)
from authorization.domain.presumptive import hubs_of
from authorization.domain.state import NOT_REAUTHORIZED, Authorization
from authorization.persistence import policy_lookup
from authorization.persistence.columns import FOR_NOW
from authorization.persistence.open_authorizations import read_entries
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, InvariantBroken, Plain
from loopkeeper.contract.events import Claim, ProviderRecorded, ReferralAmended
from loopkeeper.policy import Policy
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import STREAM, Change, Loaded, Loader, NeedsMore, Work
from loopkeeper.store.shared_rows import Key, Locked

MEMBER, PROVIDER = "member", "provider"


@dataclass(frozen=True, slots=True)
class Kept:
    """One request of a member as far as the next one must know it."""

    grant_live: bool
    grant_through: date | None
    approved_through: date | None
    holder: str


@dataclass(slots=True)
class AuthorizationLoaded(Loaded[Authorization, Asked]):
    """The policy, the providers and the members of one batch; kept up to date while it is decided."""

    policy: Policy
    providers: Mapping[str, ProviderRecorded]
    # A member's requests, by plan and member, and then by stream.
    members: dict[tuple[str, str], dict[str, Kept]]
    # The referrals under which a joined claim is answered: those with a row here, and those whose row is held.
    known: set[str] = field(default_factory=set[str])
    held: set[str] = field(default_factory=set[str])

    def with_context(self, stream: str, state: Authorization | None, command: Command, plain: Plain) -> Asked:
        """Of a request that is not known here there is nothing to know: policy answers as for any plan."""
        known = state or Authorization()
        match command:
            case OpenReview():
                return command, self._reviewed(stream, known, plain)
            case Amend():
                return command, self._amended(stream, known, command, plain)
            case LookAgain():
                return command, self._claimed(stream, known, plain)
            case PassDeadline():
                return command, self._passed(known, command, plain)
            case NoteFact() | ExpireGrant() | RevokeGrant() | Continue():
                return command, plain
            case _:
                return self._asked(known, command, plain)

    def observe(self, change: Change[Authorization]) -> None:
        after = change.after
        self.known.add(change.stream)
        self.held.add(change.stream)
        if after is not None and after.member:
            self.members.setdefault((after.plan, after.member), {})[change.stream] = _kept(after)

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────────────

    def _claimed(
        self, stream: str, state: Authorization, plain: Plain, joins: ReferralAmended | None = None
    ) -> ClaimContext:
        """`joins`: what says that another referral joins this one. What that one was granted ends with it, and its
        claim goes on here."""
        joined = joins.joined_claim.claim if joins is not None and joins.joined_claim is not None else None
        provider = self._entry(state.claim)
        second = self._entry(joined)
        hubs = hubs_of(each for each in (provider, second) if each is not None)
        day = la_date(state.received_at or plain.at)
        merged = joins.joined if joins is not None else None
        # One command may answer both: the claim that joins, and the one from before that goes on here.
        answered = {merged if joined is not None else None, state.second.referral if state.second else None}
        return ClaimContext(
            at=plain.at,
            seed=plain.seed,
            own=stream,
            grant=policy_lookup.granting(
                self.policy, state.plan, state.claim, state.eligibility, self.providers, day
            ),
            member_grants=self._member_grants(stream, state, plain.at, merged),
            provider=provider,
            hubs={hub: self.providers[hub] for hub in hubs if hub in self.providers},
            joined=policy_lookup.granting(
                self.policy, state.plan, joined, state.eligibility, self.providers, day
            ),
            joined_provider=second,
            opens=frozenset(each for each in sorted(filter(None, answered)) if self._opens(each)),
        )

    def _entry(self, claim: Claim | None) -> ProviderRecorded | None:
        return self.providers.get(claim.provider) if claim is not None else None

    def _opens(self, stream: str) -> bool:
        """Whether the referral that is answered has no row here yet; one that it has is held first."""
        if stream in self.known and stream not in self.held:
            raise NeedsMore(streams=[stream])
        return stream not in self.known

    def _reviewed(
        self, stream: str, state: Authorization, plain: Plain, joins: ReferralAmended | None = None
    ) -> ReviewContext:
        policy, claimed = self.policy, self._claimed(stream, state, plain, joins)
        start = policy_lookup.asked_at(state, plain.at)
        return ReviewContext(
            at=plain.at,
            seed=plain.seed,
            **of_claim(claimed),
            clocks=policy_lookup.clocks(policy, state.urgency or "routine", start),
            term=policy_lookup.terms(policy, state, la_date(state.received_at or plain.at)),
            approval=policy_lookup.approving(policy, state, plain.at),
            draw=drawn(plain.seed),
        )

    def _amended(self, stream: str, state: Authorization, command: Amend, plain: Plain) -> AmendContext:
        joins = command.fact if isinstance(command.fact, ReferralAmended) else None
        reviewed = self._reviewed(stream, state, plain, joins)
        paused = policy_lookup.running_on(self.policy, state, plain.at)
        clocks, start = reviewed.clocks, policy_lookup.asked_at(state, plain.at)
        if state.review is not None:
            # An urgency learned later counts from when it arrived, however late it is heard here.
            arrived = min(command.fact.occurred_at, plain.at) if command.fact is not None else plain.at
            clocks = policy_lookup.clocks(self.policy, state.urgency or "routine", start, arrived)
        return AmendContext(
            at=plain.at,
            seed=plain.seed,
            **of_claim(reviewed),
            clocks=clocks,
            term=reviewed.term,
            approval=reviewed.approval,
            draw=reviewed.draw,
            running_on=paused,
            judged=policy_lookup.judged(self.policy, plain.at),
        )

    def _member_grants(
        self, stream: str, state: Authorization, at: datetime, merged: str | None
    ) -> MemberGrants:
        members = self.members.get((state.plan, state.member), {})
        others = [kept for name, kept in members.items() if name not in (stream, merged)]
        today = la_date(at)
        open_ = [k for k in others if k.approved_through is not None and k.approved_through >= today]
        ended = [k.grant_through for k in others if k.grant_through is not None and not k.grant_live]
        return MemberGrants(
            # An open term whose provider is not known yet is still somebody's.
            open_with=(open_[0].holder or "another provider") if open_ else None,
            grant_live=any(k.grant_live for k in others),
            last_grant_through=max(ended, default=None),
        )

    # ── deadlines and people ──────────────────────────────────────────────────────────────────────────────

    def _passed(self, state: Authorization, command: PassDeadline, plain: Plain) -> Deadline:
        policy, at, seed = self.policy, plain.at, plain.seed
        match command.kind:
            case "cap" if state.waiting is not None:
                return policy_lookup.deeming(policy, plain, state.waiting.cap_at)
            case "pause":
                running_on = policy_lookup.running_on(policy, state, at)
                return PauseContext(at=at, seed=seed, running_on=running_on)
            case "coverage":
                return CoverageContext(at=at, seed=seed, judged=policy_lookup.judged(policy, at))
            case "term":
                _, ending = policy_lookup.ending(policy, NOT_REAUTHORIZED, at)
                return TermContext(at=at, seed=seed, ending=ending)
            case _:
                return plain

    def _asked(self, state: Authorization, command: Command, plain: Plain) -> Asked:
        """What policy says to a person's command."""
        policy, at, seed = self.policy, plain.at, plain.seed
        day = la_date(at)
        match command:
            case Approve():
                term = policy_lookup.terms(policy, state, day)
                return command, ApproveContext(at=at, seed=seed, term=term)
            case Modify():
                term = policy_lookup.terms(policy, state, day)
                denial = policy_lookup.denying(policy, state, command.reason, at)
                return command, ModifyContext(at=at, seed=seed, term=term, denial=denial)
            case Deny():
                denial = policy_lookup.denying(policy, state, command.reason, at)
                return command, DenyContext(at=at, seed=seed, denial=denial)
            case Pend():
                by, known = policy.due("asked_by_plan", at), policy_lookup.askable(policy, day)
                return command, PendContext(at=at, seed=seed, known=known, by=by.at, refs=(by.ref,))
            case Resume():
                running_on = policy_lookup.running_on(policy, state, at)
                return command, PauseContext(at=at, seed=seed, running_on=running_on)
            case Overturn():
                due = policy.due("overturned", at)
                return command, OverturnContext(at=at, seed=seed, due_at=due.at, refs=(due.ref,))
            case Appeal():
                due = policy.due("appeal_resolved", at)
                return command, AppealContext(at=at, seed=seed, due_at=due.at, refs=(due.ref,))
            case End():
                days, ending = policy_lookup.ending(policy, command.code, at)
                at_once, unfit, refs = policy_lookup.unfit(policy, command.code, command.without_notice, at)
                ending = replace(ending, refs=(*ending.refs, *refs))
                days = 0 if at_once else days
                return command, EndContext(at=at, seed=seed, notice_days=days, unfit=unfit, ending=ending)
            case RequestReauthorization():
                clocks = policy_lookup.clocks(policy, command.urgency, at)
                return command, ReauthorizationContext(at=at, seed=seed, clocks=clocks)
            case _:
                raise InvariantBroken(f"authorization has no rule for {type(command).__name__}")


def of_claim(context: ClaimContext) -> dict[str, Any]:
    """What a larger context takes over of what a claim is judged by."""
    names = ("own", "grant", "member_grants", "provider", "hubs", "joined", "joined_provider", "opens")
    return {name: getattr(context, name) for name in names}


def drawn(seed: UUID) -> float:
    """A number in [0, 1) made from the event's id: the same in every delivery, and nobody's choice."""
    return int.from_bytes(hashlib.sha256(seed.bytes + b"sample").digest()[:8], "big") / 2**64


def _kept(state: Authorization) -> Kept:
    term = state.term
    through = (FOR_NOW if state.lives_on else term.last_day) if term is not None else None
    return Kept(state.grant_live, state.grant.through if state.grant else None, through, state.holder)


class AuthorizationLoader(Loader[Authorization, Asked]):
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
        self, connection: Connection, work: Sequence[Work[Authorization]], locked: Locked
    ) -> AuthorizationLoaded:
        concerned = list(_concerned(work))
        if not concerned:
            return AuthorizationLoaded(self._policy, {}, {})
        providers = await read_entries(connection, [p for _, _, p in concerned if p])
        answered = sorted(_answered(work))
        known = (
            await connection.fetch("SELECT id FROM referral WHERE id = ANY($1::text[])", answered)
            if answered
            else []
        )
        providers |= await read_entries(connection, sorted(hubs_of(providers.values())))
        rows = await connection.fetch(
            """SELECT r.id, r.plan_id, r.member, r.grant_live, r.grant_through, r.approved_through, r.holder
               FROM unnest($1::text[], $2::text[]) AS t (plan, member) CROSS JOIN LATERAL (
                 SELECT * FROM referral r WHERE r.plan_id = t.plan AND r.member = t.member OFFSET 0) r""",
            [plan for plan, member, _ in concerned if member],
            [member for _, member, _ in concerned if member],
        )
        members: dict[tuple[str, str], dict[str, Kept]] = {}
        for row in rows:
            members.setdefault((row["plan_id"], row["member"]), {})[row["id"]] = Kept(
                row["grant_live"], row["grant_through"], row["approved_through"], row["holder"]
            )
        held = {name for kind, name in locked.keys if kind == STREAM}
        return AuthorizationLoaded(
            self._policy, providers, members, {row["id"] for row in known} | held, held
        )


def _concerned(work: Sequence[Work[Authorization]]) -> set[tuple[str, str, str]]:
    """Plan, member and claimed provider of every request that is opened, amended or looked at again. Of whom it is about
    nothing may be known yet: then there is no member whose other requests count."""
    found: set[tuple[str, str, str]] = set()
    for item in work:
        command, state = item.submission.command, item.state
        if isinstance(command, OpenReview):
            event: Any = command.fact
            found.add((event.plan, event.member, event.claim.provider if event.claim else ""))
        elif isinstance(command, Amend) and state is not None:
            changed: Any = command.fact
            joined = changed.joined_claim.claim if changed.joined_claim else None
            for claim in (changed.claim or state.claim, joined):
                found.add((state.plan, changed.member or state.member, claim.provider if claim else ""))
        elif isinstance(command, LookAgain) and state is not None:
            found.add((state.plan, state.member, state.claim.provider if state.claim else ""))
    return found


def _answered(work: Sequence[Work[Authorization]]) -> Iterator[str]:
    """The referrals under which a claim of theirs is answered, where they joined another."""
    for item in work:
        command, state = item.submission.command, item.state
        fact = command.fact if isinstance(command, Amend) else None
        if isinstance(fact, ReferralAmended) and fact.joined_claim is not None and fact.joined is not None:
            yield fact.joined
        if state is not None and state.second is not None:
            yield state.second.referral
