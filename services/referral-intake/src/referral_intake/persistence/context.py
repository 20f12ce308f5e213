"""What intake's rules must know beyond the form: which member this is, who else was referred, what the roster says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from loopkeeper.contract import ids
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, InvariantBroken, Plain
from loopkeeper.contract.events import (
    AuthorizationOverturned,
    AuthorizationPended,
    AuthorizationPresumptiveEnded,
    Eligibility,
    Linked,
    Question,
    ReferralReceived,
)
from loopkeeper.policy import Policy
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.sealing import AuditRow, Sealer
from loopkeeper.store.definition import STREAM, Change, Loaded, Loader, NeedsMore, Work
from loopkeeper.store.shared_rows import Key, Locked
from referral_intake.domain import duplicates
from referral_intake.domain.commands import (
    AnswerQuestions,
    AskSupport,
    ChooseProvider,
    CloseReferral,
    ConfirmDeath,
    EndOfTerm,
    Keys,
    LearnCoverage,
    MeetDeadline,
    MergeReferral,
    MoveSupport,
    NoteFact,
    ReadAgain,
    ReceiveReferral,
    RecordCustody,
    RecordReleaseDate,
    Reopening,
    TakeBackDeath,
    TellDeath,
    WithdrawReferral,
)
from referral_intake.domain.contexts import (
    AnswerContext,
    AnswerTimes,
    Asked,
    Before,
    ChooseContext,
    CloseContext,
    CoverageContext,
    EndingContext,
    JudgedContext,
    MergeContext,
    Noted,
    OverturnedContext,
    PendedContext,
    ReceiveContext,
)
from referral_intake.domain.duplicates import AlreadyServed, Joins, Others, completes, served_before
from referral_intake.domain.form.overlaps import choices_open, overlaps_on
from referral_intake.domain.member_keys import found_as, keys_learned
from referral_intake.domain.questions import who_is_it
from referral_intake.domain.rules import as_received
from referral_intake.domain.state import REDIRECT, Referral
from referral_intake.persistence.queries import KnownMembers, form_commands, load_known
from referral_intake.persistence.roster_rows import answered

# Every member of a plan is told apart under this kind of shared row, so that of two referrals of one person that
# arrive at once the second finds the first.
MEMBER = "member"


class IntakeLoaded(Loaded[Referral, Asked]):
    """Members, rosters and other referrals of one batch, kept up to date within it. `minted` are members met for the
    first time, by key; `copied` the referrals that carry another one's identity over, new id by old."""

    def __init__(self, known: KnownMembers, held: Collection[Key], policy: Policy, sealer: Sealer) -> None:
        self.known = known
        self.minted: dict[str, str] = {}
        self.copied: dict[str, str] = {}
        # What was passed on from another plan's loop.
        self.passed: list[AuditRow] = []
        self._held = {name for kind, name in held if kind == STREAM}
        self._policy = policy
        self._sealer = sealer

    def with_context(self, stream: str, state: Referral | None, command: Command, plain: Plain) -> Asked:
        at, seed = plain.at, plain.seed
        match command:
            case ReceiveReferral():
                return command, self._received(stream, command, plain)
            case AnswerQuestions():
                return command, self._answered(stream, state or Referral(), command, plain)
            case MergeReferral():
                survivor = self.known.states.get(command.into)
                return command, MergeContext(at=at, seed=seed, own=stream, survivor=survivor)
            case CloseReferral():
                least = self._least_attempts(state, at)
                return command, CloseContext(at=at, seed=seed, least_attempts=least)
            case LearnCoverage():
                flags = state.flags if state is not None else ()
                choices = self._choices(command.eligibility, flags, at)
                return command, CoverageContext(at=at, seed=seed, asking=self._asking(at), choices=choices)
            case RecordCustody():
                due = self._policy.due("custody_judged", at)
                return command, JudgedContext(at=at, seed=seed, due_at=due.at, refs=(due.ref,))
            case TellDeath() | ConfirmDeath():
                due = self._policy.due("death_judged", at)
                return command, JudgedContext(at=at, seed=seed, due_at=due.at, refs=(due.ref,))
            case EndOfTerm():
                code = str(state.ending.code) if state is not None and state.ending is not None else ""
                return command, self._ended(state, code, plain)
            case NoteFact():
                return command, self._noted(stream, state, command, plain)
            case ChooseProvider():
                serving = self.known.goes_on_in.get(stream)
                if serving is not None:
                    self._hold(serving)
                return command, ChooseContext(at=at, seed=seed, serving=serving)
            case (
                MeetDeadline() | WithdrawReferral() | RecordReleaseDate() | AskSupport()
                | MoveSupport() | TakeBackDeath()
            ):  # fmt: skip
                return command, plain
            case _:
                raise InvariantBroken(f"intake has no rule for {type(command).__name__}")

    def observe(self, change: Change[Referral]) -> None:
        if change.after is not None:
            self.known.states[change.stream] = change.after
            self._held.add(change.stream)
        keys = getattr(change.submission.command, "keys", None)
        own = change.stream == change.submission.stream
        if own and isinstance(keys, Keys) and (keys.cin or keys.person):
            self.known.keys[change.stream] = keys
            if isinstance(change.submission.command, ReadAgain) and keys.member and change.after is not None:
                for key in keys_learned(self.minted, keys.member, keys.named):
                    self.minted[key] = change.after.member

    # ── a referral comes in, or says more of who it is about ──────────────────────────────────────────────

    def _received(self, stream: str, command: ReceiveReferral, plain: Plain) -> ReceiveContext:
        again, keys, at = command.reopening, command.keys, plain.at
        before = self._before(again) if again is not None else None
        eligibility = self._eligibility(command.received.plan, keys, at)
        carried = (
            before.state if before is not None and again is not None and again.why != "redirected" else None
        )
        member = carried.member if carried is not None else self._member(keys, plain)
        received = command.received.model_copy(update={"member": member})
        moved = self._moved(received, keys, plain) if received.linked is None else ""
        found = duplicates.match(
            stream, received, keys, self._others(), again.why if again is not None else ""
        )
        resealed: Mapping[str, str] = {}
        if isinstance(found, Joins):
            self._hold(found.survivor)
            if completes(found.state, received):
                plan = received.plan
                resealed = reseal(self._sealer, plan, stream, received.sealed, plan, found.survivor)
        elif isinstance(found, AlreadyServed):
            self._hold(found.through)
        return ReceiveContext(
            at=at,
            seed=plain.seed,
            own=stream,
            member=member,
            eligibility=eligibility,
            moved_from=Linked(to=moved, why="plan_change") if moved else None,
            authorized_there=duplicates.authorized_there(self.known.states[moved]) if moved else (),
            match=found,
            resealed=resealed,
            redirect=self._redirect(received, eligibility, keys, at) if again is None else (),
            choices=self._choices(eligibility, received.flags, at),
            asking=self._asking(at),
            before=before,
        )

    def _moved(self, received: ReferralReceived, keys: Keys, plain: Plain) -> str:
        """The loop that served the member under the plan before, where it may be passed on; that is written down."""
        found, day = served_before(keys, self.known.members, self._others()), la_date(plain.at)
        if not found:
            return ""
        old = self.known.states[found]
        table = "part2_programs"
        rows = self._policy.rows(table, on=day) if table in self._policy.tables else ()
        if not duplicates.may_pass(old, received.plan, {row["organization"] for row in rows}, day):
            return ""
        why = f"plan change: ECM goes on under {received.plan} (loop.md 4.9)"
        fields = ("populations", "provider")
        self.passed.append(AuditRow(plain.at, received.plan, "", old.plan, found, ("referral",), fields, why))
        return found

    def _answered(
        self, stream: str, state: Referral, command: AnswerQuestions, plain: Plain
    ) -> AnswerContext:
        """Identity that comes late: asked again which member this is, and what the roster says (loop.md 2.5, 2.7)."""
        revised, keys, at = command.revised, command.keys, plain.at
        member, eligibility, possible, redirect = state.member, state.eligibility, None, ()
        moved = self._moved(revised, keys, plain) if state.received_at and state.linked is None else ""
        if state.received_at is not None and (keys.cin or keys.person or keys.roster):
            eligibility = self._eligibility(revised.plan, keys, at)
            before = self.known.keys.get(stream, Keys())
            own = state.member if keys.member and before.member == keys.member else None
            member = self._member(keys, plain, own) if keys.member else member
            possible = duplicates.possible(stream, member, keys, self._others(), late=True)
            redirect = self._redirect(revised, eligibility, keys, at)
        return AnswerContext(
            at=at,
            seed=plain.seed,
            member=member,
            eligibility=eligibility,
            possible=Linked(to=moved, why="plan_change") if moved else possible,
            authorized_there=duplicates.authorized_there(self.known.states[moved]) if moved else (),
            redirect=redirect,
            choices=self._choices(eligibility, revised.flags, state.received_at or at),
            asking=self._asking(at),
        )

    def _before(self, again: Reopening) -> Before:
        before = self.known.states.get(again.old)
        closed = before.closing if before is not None else None
        until = self._policy.due("contest", closed.at).at if closed else None
        return Before(state=before, into=(closed.merged_into or "") if closed else "", until=until)

    def _others(self) -> Others:
        return Others(self.known.states, self.known.keys)

    def _member(self, keys: Keys, plain: Plain, own: str | None = None) -> str:
        """Which member this is. `own`: whom the referral was about so far, under the same number and birth date; a
        first name that is corrected makes nobody else of them, unless it is the other's (loop.md 2.7)."""
        fresh = ids.derive("mem", plain.at, plain.seed, "member")
        if not keys.member:
            return fresh
        known = self.known.members
        found = known.get(keys.named) or own or found_as(known, keys.member, keys.named) or fresh
        for key in keys_learned(known, keys.member, keys.named):
            known[key] = self.minted[key] = found
        return found

    def _eligibility(self, plan: str, keys: Keys, at: datetime) -> Eligibility:
        if not keys.roster or plan not in self.known.rosters:
            return Eligibility()
        return answered(self.known.roster.get(keys.roster), keys.birth, la_date(at))

    def _hold(self, stream: str) -> None:
        if stream not in self._held:
            raise NeedsMore(streams=[stream])

    # ── which plan ────────────────────────────────────────────────────────────────────────────────────────

    def _redirect(
        self, received: ReferralReceived, eligibility: Eligibility, keys: Keys, at: datetime
    ) -> tuple[Question, ...]:
        """Who it is, where the roster has another birth date; whether another plan is the right one: its roster has the member and this one's has not, or this one says
        which counties it serves, and the member's is none of them (loop.md 2.14)."""
        today = la_date(at)
        who = who_is_it(eligibility)
        if eligibility.state in ("not_found", "left", "other_birth_date"):
            theirs = [
                plan
                for plan, key in keys.others.items()
                if (row := self.known.roster.get(key)) is not None
                and answered(row, "", today).state == "confirmed"
            ]
            if len(theirs) == 1:
                return (*who, Question(id=f"{REDIRECT}-{theirs[0]}", pointer="/plan", blocking=True))
        return (*who, *self._by_county(received, eligibility, keys, today))

    def _by_county(
        self, received: ReferralReceived, eligibility: Eligibility, keys: Keys, today: date
    ) -> tuple[Question, ...]:
        policy = self._policy
        known = eligibility.state in ("confirmed", "begins_later")
        if not received.county or known or in_care(received):
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

    def _choices(self, eligibility: Eligibility, flags: Sequence[str], at: datetime) -> tuple[Question, ...]:
        return tuple(choices_open(eligibility.programs, flags, overlaps_on(self._policy, la_date(at))))

    # ── deadlines and policy ──────────────────────────────────────────────────────────────────────────────

    def _asking(self, at: datetime) -> AnswerTimes:
        due = self._policy.due("information", at).at
        again = (self._policy.due(f"information_reminder_{n}", at).at for n in (1, 2))
        return AnswerTimes(due_at=due, remind_at=tuple(again))

    def _least_attempts(self, state: Referral | None, at: datetime) -> int:
        if state is None or "reach" not in self._policy.tables:
            return 1
        rows = self._policy.rows("reach", on=la_date(at), plan=state.plan, step="unable_to_reach")
        return rows[0]["attempts"] if rows else 1

    def _noted(self, stream: str, state: Referral | None, command: NoteFact, plain: Plain) -> Noted:
        match command.fact:
            case AuthorizationPended():
                return PendedContext(at=plain.at, seed=plain.seed, asking=self._asking(plain.at))
            case AuthorizationOverturned():
                opens = self._opened(stream, state, plain)
                return OverturnedContext(at=plain.at, seed=plain.seed, opens=opens)
            case AuthorizationPresumptiveEnded(reason=("expired" | "revoked") as reason) if _start_alone(
                state
            ):
                return self._ended(state, f"grant_{reason}", plain)
            case _:
                return plain

    def _ended(self, state: Referral | None, ending: str, plain: Plain) -> EndingContext:
        """The row for this ending; the plan is asked where there is none."""
        served = state is not None and state.services_started_on is not None
        day = la_date(plain.at)
        rows = self._policy.rows("endings", on=day, ending=ending, served=served)
        due = self._policy.due("ending_answered", plain.at)
        return EndingContext(
            at=plain.at,
            seed=plain.seed,
            closes_as=rows[0]["closes_as"] if rows else None,
            due_at=due.at,
            refs=(*(row.ref for row in rows), due.ref),
        )

    def _opened(
        self, stream: str, state: Referral | None, plain: Plain
    ) -> tuple[str, ReferralReceived] | None:
        """The referral that an overturned denial opens, with everything carried over (loop.md 4.8)."""
        if state is None or state.received_at is None:
            return None
        name = ids.derive("ref", plain.at, plain.seed, "overturned")
        self.copied[name] = stream
        received = as_received(state, plain.at)
        sealed = reseal(self._sealer, state.plan, stream, state.sealed, state.plan, name)
        linked = Linked(to=stream, why="overturned")
        return name, received.model_copy(update={"linked": linked, "sealed": sealed, "claim": None})


def in_care(received: ReferralReceived) -> bool:
    """Whether it is a child in care, who may be placed in another county than that of its plan: where it lives says
    nothing of which plan is the right one (loop.md 2.14)."""
    if received.age_band != "child_youth":
        return False
    welfare = any(
        each.code == "child_welfare" and (each.claimed or each.result == "met")
        for each in received.populations
    )
    return welfare or received.consent_holder in IN_CARE


# Who holds consent for a child in care.
IN_CARE = frozenset({"court", "county"})


def _start_alone(state: Referral | None) -> bool:
    """Whether only the start of services is here, and no form that opens a review."""
    return state is not None and state.kind == "presumptive_start" and state.review is None


def reseal(
    sealer: Sealer, plan: str, stream: str, sealed: Mapping[str, str], to_plan: str, to_stream: str
) -> dict[str, str]:
    """The same parts, sealed for another place: by machine and unread, so nobody's opening to write down."""
    return {
        part: sealer.seal(to_plan, to_stream, part, sealer.open(plan, stream, part, text))
        for part, text in sealed.items()
    }


class IntakeLoader(Loader[Referral, Asked]):
    """Locks the members of referrals that come in; reads them, the rosters and others' referrals after the lock."""

    def __init__(self, policy: Policy, sealer: Sealer) -> None:
        self._policy = policy
        self._sealer = sealer

    async def locks(self, connection: Connection, work: Sequence[Work[Referral]]) -> set[Key]:
        return {(MEMBER, command.keys.member) for command in form_commands(work) if command.keys.member}

    async def load(
        self, connection: Connection, work: Sequence[Work[Referral]], locked: Locked
    ) -> IntakeLoaded:
        return IntakeLoaded(await load_known(connection, work), locked.keys, self._policy, self._sealer)
