"""What intake's rules must know beyond the form: which member this is, who else was referred, what the roster says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from loopkeeper.contract import ids
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import (
    AuthorizationOverturned,
    AuthorizationPended,
    Eligibility,
    Linked,
    Question,
    ReferralAmended,
    ReferralReceived,
)
from loopkeeper.policy import Policy
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import STREAM, Change, Key, NeedsMore, Surroundings, View, Work
from referral_intake.domain.commands import (
    AnswerQuestions,
    Asking,
    CloseReferral,
    Keys,
    MergeReferral,
    NoteFact,
    ReadAgain,
    ReceiveReferral,
    Reopening,
)
from referral_intake.domain.duplicates import Match
from referral_intake.domain.rules import as_received
from referral_intake.domain.state import POSSIBLE, REDIRECT, Referral
from referral_intake.persistence import projections
from referral_intake.persistence.queries import Known, Told, load_known, told_in

# Every member of a plan is told apart under this kind of shared row, so that of two referrals of one person that
# arrive at once the second finds the first.
MEMBER = "member"


class Reception(View[Referral]):
    """Members, rosters and other referrals of one batch, kept up to date within it."""

    def __init__(
        self, known: Known, held: Collection[Key], policy: Policy | None, sealer: Sealer | None
    ) -> None:
        self._known = known
        self._held = {name for kind, name in held if kind == STREAM}
        self._policy = policy
        self._sealer = sealer
        self._minted: dict[str, str] = {}
        self._copied: dict[str, str] = {}

    def complete(self, stream: str, state: Referral | None, command: Command) -> Command:
        match command:
            case ReceiveReferral():
                return self._received(stream, command)
            case AnswerQuestions():
                return self._answered(stream, state, command)
            case MergeReferral():
                other = self._known.states.get(command.into)
                own = stream if other is not None else ""
                return command.model_copy(
                    update={"match": Match(own=own, survivor=command.into, other=other)}
                )
            case CloseReferral():
                return command.model_copy(update={"least_attempts": self._least_attempts(state, command.at)})
            case NoteFact(fact=AuthorizationPended()):
                return command.model_copy(update={"asking": self._asking(command.at)})
            case NoteFact(fact=AuthorizationOverturned()):
                return command.model_copy(update={"reopened": self._reopened(stream, state, command)})
            case _:
                return command

    def note(self, change: Change[Referral]) -> None:
        if change.after is not None:
            self._known.states[change.stream] = change.after
            self._held.add(change.stream)
        keys = getattr(change.submission.command, "keys", None)
        own = change.stream == change.submission.stream
        if own and isinstance(keys, Keys) and (keys.cin or keys.person):
            self._known.keys[change.stream] = keys
            if isinstance(change.submission.command, ReadAgain) and keys.member and change.after is not None:
                self._minted[keys.member] = change.after.member

    # ── a referral comes in, or says more of who it is about ──────────────────────────────────────────────

    def _received(self, stream: str, command: ReceiveReferral) -> ReceiveReferral:
        again = command.reopening
        if again is not None:
            again = self._before(again)
        eligibility = self._eligibility(command.received.plan, command.keys, command.at)
        if again is not None and again.before is not None and again.why != "redirected":
            member = again.before.member
        else:
            member = self._member(command.keys.member, command)
        received = command.received.model_copy(
            update={"occurred_at": command.at, "member": member, "eligibility": eligibility}
        )
        if received.linked is None and (before := self._served_before(command.keys)):
            received = received.model_copy(update={"linked": Linked(to=before, why="plan_change")})
        found = self._match(stream, received, command.keys, again, command.at)
        return command.model_copy(
            update={
                "received": received, "match": found, "reopening": again, "asking": self._asking(command.at)
            }
        )  # fmt: skip

    def _answered(self, stream: str, state: Referral | None, command: AnswerQuestions) -> AnswerQuestions:
        """Identity that comes late: asked again which member this is, and what the roster says (loop.md 2.5, 2.7)."""
        revised, keys = command.revised, command.keys
        found = Match()
        if state is not None:
            kept = {"member": state.member, "eligibility": state.eligibility}
            if keys.cin or keys.person or keys.roster:
                kept["eligibility"] = self._eligibility(revised.plan, keys, command.at)
                kept["member"] = self._member(keys.member, command) if keys.member else state.member
                possible = self._possible(stream, kept["member"], keys, late=True)
                redirect = self._redirect(revised, kept["eligibility"], keys, command.at)
                found = Match(possible=possible, redirect=redirect)
            revised = revised.model_copy(update=kept)
        return command.model_copy(
            update={"revised": revised, "match": found, "asking": self._asking(command.at)}
        )

    def _before(self, again: Reopening) -> Reopening:
        before = self._known.states.get(again.old)
        closed = before.closing if before is not None else None
        until = self._policy.due("contest", closed.at).at if self._policy and closed else None
        into = (closed.merged_into or "") if closed else ""
        return again.model_copy(update={"before": before, "until": until, "into": into})

    def _member(self, key: str, command: Told) -> str:
        fresh = ids.derive("mem", command.at, command.seed, "member")
        if not key:
            return fresh
        if key not in self._known.members:
            self._known.members[key] = self._minted[key] = fresh
        return self._known.members[key]

    def _eligibility(self, plan: str, keys: Keys, at: datetime) -> Eligibility:
        if not keys.roster or plan not in self._known.rosters:
            return Eligibility()
        row = self._known.roster.get(keys.roster)
        if row is None or (keys.birth and row["birth_key"] != keys.birth):
            return Eligibility(state="not_found")
        return Eligibility(state=_covered(row, la_date(at)), programs=tuple(row["programs"]))

    # ── who else ──────────────────────────────────────────────────────────────────────────────────────────

    def _match(
        self, stream: str, received: ReferralReceived, keys: Keys, again: Reopening | None, at: datetime
    ) -> Match:
        redirect = self._redirect(received, received.eligibility, keys, at) if again is None else ()
        if again is not None and again.why == "split":
            return Match(own=stream)
        found = Match(own=stream, redirect=redirect)
        if keys.member:
            mine = [
                (name, state)
                for name, state in sorted(self._known.states.items())
                if state.member == received.member and state.plan == received.plan and name != stream
            ]
            open_ones = [(name, state) for name, state in mine if state.received_at and not state.closing]
            if open_ones:
                return self._survivor(found, received, *open_ones[0])
            in_ecm = [(name, state) for name, state in mine if state.in_ecm] if again is None else []
            if in_ecm:
                name, state = in_ecm[-1]
                if state.kind == "presumptive_start" and received.kind == "full":
                    # Served already, but still without the formal referral that opens the review.
                    return self._survivor(found, received, name, state)
                self._hold(name)
                itself = bool(received.preferred) and received.referrer in received.preferred
                return found.model_copy(update={"served": name, "other": state, "serves_itself": itself})
        possible = self._possible(stream, received.member, keys)
        return found.model_copy(update={"possible": possible})

    def _served_before(self, keys: Keys) -> str:
        """The referral through which the member was served under the plan before, the latest one (loop.md 4.9)."""
        members = {self._known.members[key] for key in keys.moved if key in self._known.members}
        found = [
            (state.closing.at, name)
            for name, state in self._known.states.items()
            if state.member in members and state.closing and state.closing.outcome == "services_received"
        ]
        return max(found)[1] if found else ""

    def _survivor(self, found: Match, received: ReferralReceived, name: str, state: Referral) -> Match:
        self._hold(name)
        resealed: Mapping[str, str] = {}
        if state.kind == "presumptive_start" and received.kind == "full" and self._sealer is not None:
            resealed = reseal(self._sealer, received.plan, found.own, received.sealed, received.plan, name)
        return found.model_copy(update={"survivor": name, "other": state, "resealed": resealed})

    def _hold(self, stream: str) -> None:
        if stream not in self._held:
            raise NeedsMore(streams=[stream])

    def _possible(self, stream: str, member: str, keys: Keys, *, late: bool = False) -> Linked | None:
        """An open referral that may be the same person's: by CIN alone, or by name and birth date where one lacks the
        CIN (loop.md 2.8); with identity that comes late, the very same member's too."""
        for name, others in sorted(self._known.keys.items()):
            state = self._known.states.get(name)
            if name == stream or state is None or state.closing is not None or state.received_at is None:
                continue
            same = bool(keys.member) and others.member == keys.member
            by_number = bool(keys.cin) and others.cin == keys.cin and not same
            by_name = bool(keys.person) and others.person == keys.person and not (keys.cin and others.cin)
            if by_number or by_name or (late and same):
                return Linked(to=name, why=POSSIBLE)
        return None

    def _redirect(
        self, received: ReferralReceived, eligibility: Eligibility, keys: Keys, at: datetime
    ) -> tuple[Question, ...]:
        """Whether another plan is the right one: its roster has the member and this one's has not, or this one says
        which counties it serves, and the member's is none of them (loop.md 2.14)."""
        today = la_date(at)
        if eligibility.state in ("not_found", "left"):
            theirs = [
                plan
                for plan, key in keys.others.items()
                if (row := self._known.roster.get(key)) is not None and _covered(row, today) == "confirmed"
            ]
            if len(theirs) == 1:
                return (Question(id=f"{REDIRECT}-{theirs[0]}", pointer="/plan", blocking=True),)
        return self._by_county(received, eligibility, keys, today)

    def _by_county(
        self, received: ReferralReceived, eligibility: Eligibility, keys: Keys, today: date
    ) -> tuple[Question, ...]:
        policy = self._policy
        if policy is None or not received.county or eligibility.state == "confirmed":
            return ()
        served = policy.rows("plan_counties", on=today, plan=received.plan)
        if not served or any(received.county in row["counties"] for row in served):
            return ()
        others = [
            row.plan
            for row in policy.all_rows
            if row.table == "plan_counties" and row.plan and row.holds_on(today)
            and received.county in row["counties"]
        ]  # fmt: skip
        named = f"-{others[0]}" if len(others) == 1 else ""
        return (Question(id=f"{REDIRECT}{named}", pointer="/plan", blocking=True),)

    # ── deadlines and policy ──────────────────────────────────────────────────────────────────────────────

    def _asking(self, at: datetime) -> Asking:
        if self._policy is None:
            return Asking()
        due = self._policy.due("information", at).at
        again = (self._policy.due(f"information_reminder_{n}", at).at for n in (1, 2))
        return Asking(due_at=due, remind_at=tuple(again))

    def _least_attempts(self, state: Referral | None, at: datetime) -> int:
        if self._policy is None or state is None or "reach" not in self._policy.tables:
            return 1
        rows = self._policy.rows("reach", on=la_date(at), plan=state.plan, step="unable_to_reach")
        return rows[0]["attempts"] if rows else 1

    def _reopened(
        self, stream: str, state: Referral | None, command: NoteFact
    ) -> tuple[str, ReferralReceived] | None:
        """The referral that an overturned denial opens, with everything carried over (loop.md 4.8)."""
        if state is None or state.received_at is None or self._sealer is None:
            return None
        name = ids.derive("ref", command.at, command.seed, "overturned")
        self._copied[name] = stream
        received = as_received(state, command.at)
        sealed = reseal(self._sealer, state.plan, stream, state.sealed, state.plan, name)
        linked = Linked(to=stream, why="overturned")
        return name, received.model_copy(update={"linked": linked, "sealed": sealed, "claim": None})

    # ── child rows ────────────────────────────────────────────────────────────────────────────────────────

    async def project(self, connection: Connection, changes: Sequence[Change[Referral]]) -> None:
        told = {
            change.stream: self._known.keys[change.stream]
            for change in changes
            if change.stream in self._known.keys
            and any(isinstance(event, ReferralReceived | ReferralAmended) for _, event in change.written)
            and change.stream == change.submission.stream
            and getattr(change.submission.command, "keys", None) is not None
        }
        await projections.members(connection, self._minted)
        await projections.identities(connection, told)
        await projections.supports(connection, changes)
        await projections.copied_identities(connection, self._copied)


def reseal(
    sealer: Sealer, plan: str, stream: str, sealed: Mapping[str, str], to_plan: str, to_stream: str
) -> dict[str, str]:
    """The same parts, sealed for another place: by machine and unread, so nobody's opening to write down."""
    return {
        part: sealer.seal(to_plan, to_stream, part, sealer.open(plan, stream, part, text))
        for part, text in sealed.items()
    }


def _covered(row: Mapping[str, Any], on: date) -> Any:
    """Whom a later whole roster does not name has left: whether the coverage ended is not known (loop.md 2.5)."""
    if row["left_on"] is not None:
        return "left"
    through: date | None = row["covered_through"]
    return "confirmed" if row["covered_from"] <= on and (through is None or on <= through) else "ended"


class IntakeSurroundings(Surroundings[Referral]):
    """Locks the members of referrals that come in; reads them, the rosters and others' referrals after the lock."""

    def __init__(self, policy: Policy | None = None, sealer: Sealer | None = None) -> None:
        self._policy = policy
        self._sealer = sealer

    async def needs(self, connection: Connection, work: Sequence[Work[Referral]]) -> set[Key]:
        return {(MEMBER, command.keys.member) for command in told_in(work) if command.keys.member}

    async def load(
        self, connection: Connection, work: Sequence[Work[Referral]], locked: Collection[Key]
    ) -> View[Referral]:
        known = await load_known(connection, work)
        return Reception(known, locked, self._policy, self._sealer)
