"""Whom an offer may go to: what the rules know of the directory, the places taken, and the member's other assignments. How it
comes here, under which locks, is in loader.py."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

from assignment.domain.commands import (
    Accept,
    AskPlan,
    AssignByHand,
    ChangeLead,
    Decline,
    End,
    EndTerm,
    NoteFact,
    ProviderLeft,
    ProviderReturned,
    RequestChange,
    Start,
    Watch,
    Withdraw,
)
from assignment.domain.contexts import (
    AcceptContext,
    Asked,
    ChangeContext,
    Conflict,
    HandContext,
    LeftContext,
    Limit,
    Obliged,
    OfferContext,
    Offering,
    OtherAssignment,
    SettleContext,
    SilenceContext,
    StartContext,
)
from assignment.domain.matching import Need, Ranking, contracted, rank
from assignment.domain.offers import need, wants_offer
from assignment.domain.state import Assignment, told
from assignment.persistence.prior_providers import Families, Served
from loopkeeper.contract.calendar import la_date, month_end, month_start, noon_of
from loopkeeper.contract.decider import Command, InvariantBroken, Plain
from loopkeeper.contract.events import ProviderRecorded, ReferralAmended
from loopkeeper.policy import Policy, Row
from loopkeeper.store.definition import Change, Loaded, NeedsMore
from loopkeeper.store.shared_rows import Key

MEMBER, PROVIDER = "member", "provider"
DAY = timedelta(days=1)
# Links that join two referrals of one member for certain: a possible duplicate, or what was split again, does not.
SAME_MEMBER = frozenset({"plan_change", "contested", "overturned"})


class Holding(NamedTuple):
    """A member's live assignment: when it was made, and its id."""

    made_at: datetime
    assignment: str


# Each member's live assignments by referral.
Holders = Mapping[str, Mapping[str, Holding]]


# What a rule may look at beyond its own row: the plans' providers, how many places each of them has given away, and the
# members' live assignments with who served before.
DIRECTORY, COUNTS, HOLDERS = "directory", "counts", "holders"
ALL = frozenset({DIRECTORY, COUNTS, HOLDERS})

# Flags of a member whose contact is restricted.
SAFETY = frozenset({"do_not_contact", "safe_contact"})


class AssignmentLoaded(Loaded[Assignment, Asked]):
    """The directory and the places taken, kept up to date while a batch is decided. Of `ALL` it has the `parts` that
    its batch's commands were seen to need; a command that turns out to need another goes to the next batch, which has all."""

    def __init__(
        self,
        policy: Policy,
        entries: Mapping[str, ProviderRecorded],
        held: Mapping[str, int],
        holders: Holders,
        locked: Collection[Key],
        served: Served | None = None,
        families: Families | None = None,
        parts: Collection[str] = ALL,
    ) -> None:
        self._policy = policy
        self._parts = frozenset(parts)
        self._entries = entries
        # Places taken, by provider.
        self._held = dict(held)
        self._holders = {member: dict(referrals) for member, referrals in holders.items()}
        self._locked = locked
        self._served = served or {}
        self._families = dict(families or {})

    def with_context(self, stream: str, state: Assignment | None, command: Command, plain: Plain) -> Asked:
        """Of a referral that is not known here there is nothing to look for."""
        at, seed, known = plain.at, plain.seed, state or Assignment()
        wanted = wants_offer(known, command, at)
        match command:
            case ChangeLead() | Watch() | EndTerm():
                return command, plain
            case NoteFact():
                return command, self._settling(stream, known, command, plain)
            case Accept():
                pcp, contracted = self._policy.due("pcp_told", at), self._contracted(known, command, at)
                return command, AcceptContext(at=at, seed=seed, contracted=contracted, pcp_due_at=pcp.at)
            case Decline() | Withdraw() | End():
                offering = self._offering(stream, known, command, at) if wanted else None
                return command, OfferContext(at=at, seed=seed, offering=offering)
            case RequestChange():
                offering = self._offering(stream, known, command, at) if wanted else None
                change = self._limit("provider_change", at) if offering is None else None
                return command, ChangeContext(at=at, seed=seed, offering=offering, change=change)
            case AssignByHand():
                return command, self._by_hand(stream, known, command, plain)
            case AskPlan():
                re_offers = wanted and self._re_offers(known, at)
                offering = self._offering(stream, known, command, at) if re_offers else None
                told = self._told(known, at) if wanted else None
                return command, SilenceContext(at=at, seed=seed, told=told, offering=offering)
            case ProviderLeft() | ProviderReturned():
                contracted = self._may_serve(known, command.provider, at)
                limit = self._limit("provider_change", at)
                return command, LeftContext(at=at, seed=seed, contracted=contracted, change=limit)
            case Start():
                conflict = self._conflict(stream, known, at) if state is not None else None
                return command, StartContext(at=at, seed=seed, conflict=conflict)
            case _:
                raise InvariantBroken(f"assignment has no rule for {type(command).__name__}")

    def _settling(self, stream: str, state: Assignment, command: NoteFact, plain: Plain) -> SettleContext:
        offering, conflict, change, at = None, None, None, plain.at
        match command.fact:
            case _ if wants_offer(state, command, at):
                offering = self._offering(stream, state, command, at)
            case ReferralAmended(member=str()):
                conflict = self._conflict(stream, state, at)
                change = self._limit("provider_change", at)
            case ReferralAmended(chosen=tuple()):
                change = self._limit("provider_change", at)
            case _:
                pass
        return SettleContext(at=at, seed=plain.seed, offering=offering, conflict=conflict, change=change)

    def _by_hand(self, stream: str, state: Assignment, command: AssignByHand, plain: Plain) -> HandContext:
        offering, obliged, at = None, None, plain.at
        if wants_offer(state, command, at):
            offering = self._offering(stream, state, command, at)
            if (found := self._obliged(state, offering, at)) is not None:
                obliged, ref = found
                offering = replace(offering, refs=(*offering.refs, ref))
        return HandContext(at=at, seed=plain.seed, offering=offering, obliged=obliged)

    def _offering(self, stream: str, state: Assignment, command: Command, at: datetime) -> Offering:
        self._must_know(state, *ALL)
        ranking = self.ranking(state, command, at)
        wanted = {(MEMBER, state.member)}
        if ranking.first is not None:
            wanted.add((PROVIDER, ranking.first.provider))
        self._lock(wanted)
        told, answer = self._told(state, at), self._limit("provider_answer", at)
        by_file = ranking.first is not None and self._answers_by(ranking.first.provider) == "file"
        if by_file:
            answer = self._next_file(state.plan, answer)
        # The telling does not wait for a file (loop.md 5.6).
        inside = at < told.due_at < answer.due_at and not by_file
        return Offering(
            ranking=ranking,
            answer_due_at=told.due_at if inside else answer.due_at,
            answer_at_risk_at=min(answer.at_risk_at, told.due_at) if inside else answer.at_risk_at,
            told=told,
            other_assignment=self._other_assignment(stream, state),
            refs=(*answer.refs, *self._refs(state, command, ranking, at)),
        )

    def _conflict(self, stream: str, state: Assignment, at: datetime) -> Conflict:
        self._must_know(state, HOLDERS)
        self._lock({(MEMBER, state.member)})
        return Conflict(told=self._told(state, at), other_assignment=self._other_assignment(stream, state))

    def _must_know(self, state: Assignment, *parts: str) -> None:
        if not self._parts.issuperset(parts):
            # Nobody's row: a command that asks for it waits for a part of the directory.
            raise NeedsMore({(MEMBER, state.member), (PROVIDER, "")})

    def _lock(self, wanted: set[Key]) -> None:
        if not wanted <= set(self._locked):
            raise NeedsMore(wanted)

    def ranking(self, state: Assignment, command: Command, at: datetime) -> Ranking:
        """Who could take the member, best first, by the counts as they are here."""
        day = la_date(at)
        plan = state.plan
        wanted = self._with_history(state, need(state, command))
        held, held_offer = self._held, state.held_offer
        if isinstance(command, AssignByHand) and held_offer is not None:
            # Its own turn is taken back by the same command and takes no place.
            held = {**held, held_offer.provider: held.get(held_offer.provider, 0) - 1}
        specialists = {
            code: [row["provider_type"] for row in self._specialists(plan, code, day)]
            for code in wanted.populations
        }
        ties = {row["program"]: row["tie"] for row in self._policy.rows("program_ties", on=day)}
        return rank(
            wanted,
            list(self._entries.values()),
            held,
            [row["factor"] for row in self._factors(wanted.populations, day)],
            specialists,
            day,
            ties=ties,
            staff_allowed=self._policy.row("plan_staff", on=day, plan=plan)["switched_on"],
        )

    def _with_history(self, state: Assignment, wanted: Need) -> Need:
        """With who served the member before: through an earlier referral, or under the plan before (loop.md 4.9)."""
        linked = state.linked if state.linked is not None and state.linked.why in SAME_MEMBER else None
        before = linked.to if linked is not None else ""
        served = {*self._served.get(state.member, ()), *self._served.get(before, ())}
        moved: set[str] = set()
        if linked is not None and linked.why == "plan_change":
            moved |= set(self._served.get(before, ()))
        if "plan_change_provider" in state.flags:
            # The old provider itself brought word of the change.
            moved.add(state.referrer)
        family = frozenset(self._families.get((state.family_of or "", state.plan, state.referrer), ()))
        if not SAFETY.isdisjoint(state.flags):
            # Whom the member is to be kept safe from may be family (loop.md 6.2).
            family = frozenset[str]()
        return replace(
            wanted, served_before=frozenset(served), moved_with=frozenset(moved), family_with=family
        )

    def observe(self, change: Change[Assignment]) -> None:
        for state, step in ((change.before, -1), (change.after, 1)):
            held_offer = state.held_offer if state is not None else None
            if state is None or held_offer is None:
                continue
            self._held[held_offer.provider] = self._held.get(held_offer.provider, 0) + step
            if step > 0:
                self._families[(change.stream, state.plan, state.referrer)] = {held_offer.provider}
            if not held_offer.live:
                continue
            holds = self._holders.setdefault(state.member, {})
            if step > 0:
                holds[change.stream] = Holding(held_offer.made_at, held_offer.assignment)
            else:
                holds.pop(change.stream, None)

    def _told(self, state: Assignment, at: datetime) -> Limit:
        """By when the plan must see to it: inside the time in which some provider must be told whom to serve."""
        start = at if told(state) or state.authorized_at is None else state.authorized_at
        return self._limit("provider_told", start)

    def _answers_by(self, provider: str) -> str | None:
        entry = self._entries.get(provider)
        return None if entry is None else entry.answers_by

    def _next_file(self, plan: str, usual: Limit) -> Limit:
        """When the first monthly file is due in which an answer may still be asked for: none is due before the usual day."""
        last = month_end(month_start(la_date(usual.due_at)) - DAY)
        while True:
            row = self._policy.row("files", on=last, plan=plan, step="due")
            due_at, at_risk_at = (
                self._policy.calendar.business_days_after(noon_of(last), days)
                for days in (row["days"], max(row["days"] - 1, 0))
            )
            if due_at >= usual.due_at:
                return Limit(due_at=due_at, at_risk_at=at_risk_at, refs=(*usual.refs, row.ref))
            last = month_end(last + DAY)

    def _limit(self, clock: str, start: datetime) -> Limit:
        due, risk = self._policy.due(clock, start), self._policy.due(f"{clock}_at_risk", start)
        return Limit(due_at=due.at, at_risk_at=risk.at, refs=(due.ref,))

    def _other_assignment(self, stream: str, state: Assignment) -> OtherAssignment | None:
        holds = self._holders.get(state.member, {})
        others = [held for referral, held in holds.items() if referral != stream]
        if not others:
            return None
        first = min(others)
        return OtherAssignment(assignment=first.assignment, since=first.made_at)

    def _obliged(self, state: Assignment, offering: Offering, at: datetime) -> tuple[Obliged, str] | None:
        """For whom a must rule speaks instead of the one chosen by hand (loop.md 5.7), and the row that says so."""
        chosen, day = offering.ranking.first, la_date(at)
        musts = {row["factor"]: row for row in self._policy.rows("must_rules", on=day)}
        first = self.ranking(state, NoteFact(), at).first
        if chosen is None or first is None or first.provider == chosen.provider:
            return None
        factor = next((each for each in first.because if each in musts and each not in chosen.because), "")
        if not factor:
            return None
        row = musts[factor]
        return Obliged(provider=first.provider, factor=factor, yields_to=row["yields_to"]), row.ref

    def _re_offers(self, state: Assignment, at: datetime) -> bool:
        """Whether the plan lets silence go to the next, and this silence is one of a provider that answers by API."""
        self._must_know(state, DIRECTORY)
        held_offer, on = state.held_offer, la_date(at)
        by_api = held_offer is not None and self._answers_by(held_offer.provider) == "api"
        return by_api and self._policy.row("re_offer", on=on, plan=state.plan)["switched_on"]

    def _refs(self, state: Assignment, command: Command, ranking: Ranking, at: datetime) -> Iterator[str]:
        """The rows this choice used: the factors, the ties of the member's programs, the pairs that fit the first."""
        day = la_date(at)
        wanted = need(state, command)
        yield from (row.ref for row in self._factors(wanted.populations, day))
        for row in self._policy.rows("program_ties", on=day):
            if row["program"] in wanted.programs:
                yield row.ref
        first = self._entries.get(ranking.first.provider) if ranking.first is not None else None
        if first is not None:
            for code in wanted.populations:
                pairs = self._specialists(state.plan, code, day)
                yield from (row.ref for row in pairs if row["provider_type"] in first.types)

    def _contracted(self, state: Assignment, command: Accept, at: datetime) -> bool:
        return self._may_serve(state, command.provider, at)

    def _may_serve(self, state: Assignment, provider: str, at: datetime) -> bool:
        """Whether the directory has this provider under a contract of the plan, for the member's populations, today."""
        self._must_know(state, DIRECTORY)
        entry, on = self._entries.get(provider), la_date(at)
        populations = need(state, NoteFact()).populations
        if entry is None or not entry.active:
            return False
        return bool(contracted(entry, state.plan, populations, on, self._entries))

    def _factors(self, populations: Collection[str], day: date) -> list[Row]:
        """The ranking's rows that count for these populations, in order, each factor once."""
        rows = sorted(self._policy.rows("ranking", on=day), key=lambda row: row["place"])
        chosen: dict[str, Row] = {}
        for row in rows:
            if row["population"] in (None, *populations):
                chosen.setdefault(row["factor"], row)
        return list(chosen.values())

    def _specialists(self, plan: str, population: str, day: date) -> list[Row]:
        tables = ("specialists", "presumptive")
        return [
            row
            for name in tables
            for row in self._policy.rows(name, on=day, plan=plan, population=population)
        ]
