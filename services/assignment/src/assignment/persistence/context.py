"""Whom an offer may go to: the directory, the places taken, and the member's other assignments, loaded under locks.

The likely provider is found by an unlocked look; its places are counted again once its row is locked. Should the
count then send the offer elsewhere, the command goes to the next batch with that provider locked (protocols.md §7).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, NamedTuple

import orjson

from assignment.domain.matching import Need, Ranking, contracted, rank
from assignment.domain.offers import (
    Accept,
    AskPlan,
    AssignByHand,
    Market,
    MarketCommand,
    NoteFact,
    RequestChange,
    Start,
    need,
    wants_offer,
)
from assignment.domain.rules import DECIDER
from assignment.domain.state import Assignment, told
from assignment.persistence import prior_providers
from assignment.persistence.prior_providers import Families, Served
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, Plain
from loopkeeper.contract.events import ProviderRecorded, ReferralAmended
from loopkeeper.kernel.clock import Clock
from loopkeeper.policy import Due, Policy, Row
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import Change, Key, Loaded, Loader, NeedsMore, Work

MEMBER, PROVIDER = "member", "provider"
# Links that join two referrals of one member for certain: a possible duplicate, or what was split again, does not.
SAME_MEMBER = frozenset({"plan_change", "contested", "overturned"})


class Holding(NamedTuple):
    """A member's live assignment: when it was made, and its id."""

    made_at: datetime
    assignment: str


# Each member's live assignments by referral.
Holders = Mapping[str, Mapping[str, Holding]]


class Places(Loaded[Assignment, Command]):
    """The directory and the places taken, kept up to date while a batch is decided."""

    def __init__(
        self,
        policy: Policy,
        entries: Mapping[str, ProviderRecorded],
        held: Mapping[str, int],
        holders: Holders,
        locked: Collection[Key],
        served: Served | None = None,
        families: Families | None = None,
    ) -> None:
        self._policy = policy
        self._entries = entries
        # Places taken, by provider.
        self._held = dict(held)
        self._holders = {member: dict(referrals) for member, referrals in holders.items()}
        self._locked = locked
        self._served = served or {}
        self._families = dict(families or {})

    def with_context(self, stream: str, state: Assignment | None, command: Command, plain: Plain) -> Command:
        return self.complete(stream, state, command.model_copy(update={"at": plain.at, "seed": plain.seed}))

    def complete(self, stream: str, state: Assignment | None, command: Command) -> Command:
        if state is None or not isinstance(command, MarketCommand):
            return command
        market = self._market(stream, state, command)
        return command if market is None else command.model_copy(update={"market": market})

    def _market(self, stream: str, state: Assignment, command: MarketCommand) -> Market | None:
        """What the rule must know for this command; None where it asks for nothing."""
        match command:
            case Accept():
                pcp = self._policy.due("pcp_told", command.at)
                return Market(contracted=self._contracted(state, command), pcp_due_at=pcp.at)
            case AskPlan() if wants_offer(state, command) and not self._re_offers(state, command):
                return self._due(state, command)
            case RequestChange() if not wants_offer(state, command):
                return Market().model_copy(update=self._change(command))
            case NoteFact(fact=ReferralAmended(member=str())) | Start() if not wants_offer(state, command):
                self._lock({(MEMBER, state.member)})
                market = self._elsewhere(stream, state, self._due(state, command))
                return market.model_copy(update=self._change(command))
            case NoteFact(fact=ReferralAmended(chosen=tuple())) if not wants_offer(state, command):
                return Market().model_copy(update=self._change(command))
            case _:
                return self._offering(stream, state, command) if wants_offer(state, command) else None

    def _change(self, command: Command) -> Mapping[str, Any]:
        """By when a change of provider must be done."""
        due, risk = self._limit("provider_change", command.at)
        return {"change_due_at": due.at, "change_at_risk_at": risk, "change_refs": (due.ref,)}

    def _offering(self, stream: str, state: Assignment, command: MarketCommand) -> Market:
        ranking = self.ranking(state, command)
        wanted = {(MEMBER, state.member)}
        if ranking.first is not None:
            wanted.add((PROVIDER, ranking.first.provider))
        self._lock(wanted)
        market = self._elsewhere(stream, state, self._due(state, command))
        answer, risk = self._limit("provider_answer", command.at)
        told = market.plan_due_at
        inside = told is not None and command.at < told < answer.at
        found = market.model_copy(
            update={
                "ranking": ranking,
                "answer_due_at": told if inside else answer.at,
                "answer_at_risk_at": min(risk, told) if inside and told is not None else risk,
                "refs": (answer.ref, *self._refs(state, command, ranking)),
                "re_offer": True,
            }
        )
        return self._obliged(state, command, found) if isinstance(command, AssignByHand) else found

    def _lock(self, wanted: set[Key]) -> None:
        if not wanted <= set(self._locked):
            raise NeedsMore(wanted)

    def ranking(self, state: Assignment, command: Command) -> Ranking:
        """Who could take the member, best first, by the counts as they are here."""
        day = la_date(command.at)
        plan = state.plan
        wanted = self._with_history(state, need(state, command))
        held, turn = self._held, state.turn
        if isinstance(command, AssignByHand) and turn is not None:
            # Its own turn is taken back by the same command and takes no place.
            held = {**held, turn.provider: held.get(turn.provider, 0) - 1}
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
        return replace(
            wanted, served_before=frozenset(served), moved_with=frozenset(moved), family_with=family
        )

    def observe(self, change: Change[Assignment]) -> None:
        for state, step in ((change.before, -1), (change.after, 1)):
            turn = state.turn if state is not None else None
            if state is None or turn is None:
                continue
            self._held[turn.provider] = self._held.get(turn.provider, 0) + step
            if step > 0:
                self._families[(change.stream, state.plan, state.referrer)] = {turn.provider}
            if not turn.live:
                continue
            holds = self._holders.setdefault(state.member, {})
            if step > 0:
                holds[change.stream] = Holding(turn.made_at, turn.assignment)
            else:
                holds.pop(change.stream, None)

    def _due(self, state: Assignment, command: Command) -> Market:
        """By when the plan must see to it: inside the time in which some provider must be told whom to serve."""
        start = command.at if told(state) or state.authorized_at is None else state.authorized_at
        due, risk = self._limit("provider_told", start)
        return Market(plan_due_at=due.at, plan_at_risk_at=risk, refs=(due.ref,))

    def _limit(self, clock: str, start: datetime) -> tuple[Due, datetime]:
        """A clock's deadline, and when it is at risk."""
        return self._policy.due(clock, start), self._policy.due(f"{clock}_at_risk", start).at

    def _elsewhere(self, stream: str, state: Assignment, market: Market) -> Market:
        others = [
            held for referral, held in self._holders.get(state.member, {}).items() if referral != stream
        ]
        if not others:
            return market
        first = min(others)
        return market.model_copy(
            update={
                "assigned_elsewhere": True,
                "elsewhere": first.assignment,
                "elsewhere_since": first.made_at,
            }
        )

    def _obliged(self, state: Assignment, command: AssignByHand, market: Market) -> Market:
        """For whom a must rule speaks instead of the one chosen by hand (loop.md 5.7)."""
        day, chosen = la_date(command.at), market.ranking.first
        musts = {row["factor"]: row for row in self._policy.rows("must_rules", on=day)}
        first = self.ranking(state, NoteFact(at=command.at)).first
        if chosen is None or first is None or first.provider == chosen.provider:
            return market
        factor = next((each for each in first.because if each in musts and each not in chosen.because), "")
        if not factor:
            return market
        row = musts[factor]
        return market.model_copy(
            update={
                "obliged": first.provider,
                "obliged_by": factor,
                "yields_to": row["yields_to"],
                "refs": (*market.refs, row.ref),
            }
        )

    def _re_offers(self, state: Assignment, command: Command) -> bool:
        """Whether the plan lets silence go to the next, and this silence is one of a provider that answers by API."""
        turn, on = state.turn, la_date(command.at)
        entry = self._entries.get(turn.provider) if turn is not None else None
        by_api = entry is not None and entry.answers_by == "api"
        return by_api and self._policy.row("re_offer", on=on, plan=state.plan)["switched_on"]

    def _refs(self, state: Assignment, command: Command, ranking: Ranking) -> Iterator[str]:
        """The rows this choice used: the factors, the ties of the member's programs, the pairs that fit the first."""
        day = la_date(command.at)
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

    def _contracted(self, state: Assignment, command: Accept) -> bool:
        entry, on = self._entries.get(command.provider), la_date(command.at)
        populations = need(state, command).populations
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


class AssignmentLoader(Loader[Assignment, Command]):
    """Locks the members and the likely providers of a batch's offers."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock

    async def locks(self, connection: Connection, work: Sequence[Work[Assignment]]) -> set[Key]:
        asking = _asking(work, self._clock.now())
        if not asking:
            return set()
        places = await self._places(connection, work, ())
        keys: set[Key] = {(MEMBER, state.member) for state, _ in asking}
        for state, command in asking:
            if not wants_offer(state, command):
                continue
            first = places.ranking(state, command).first
            if first is not None:
                keys.add((PROVIDER, first.provider))
        return keys

    async def load(
        self, connection: Connection, work: Sequence[Work[Assignment]], locked: Collection[Key]
    ) -> Places:
        if not any(isinstance(item.submission.command, MarketCommand) for item in work):
            return Places(self._policy, {}, {}, {}, locked)
        return await self._places(connection, work, locked)

    async def _places(
        self, connection: Connection, work: Sequence[Work[Assignment]], locked: Collection[Key]
    ) -> Places:
        commands = _states(work, self._clock.now())
        states = [state for state, _ in commands]
        plans = sorted({state.plan for state in states if state.plan})
        rows = await connection.fetch(
            """SELECT id, entry FROM provider WHERE entry -> 'contracts' @> ANY (
               SELECT jsonb_build_array(jsonb_build_object('plan', plan)) FROM unnest($1::text[]) AS t (plan))""",
            plans,
        )
        entries = {row["id"]: ProviderRecorded.model_validate(orjson.loads(row["entry"])) for row in rows}
        counts = await connection.fetch(
            """SELECT provider_id, count(*) AS held FROM assignment
               WHERE held AND provider_id = ANY($1::text[]) GROUP BY provider_id""",
            sorted(entries),
        )
        members = sorted({state.member for state in states if state.member})
        found = await connection.fetch(
            "SELECT member, referral, made_at, id FROM assignment WHERE live AND member = ANY($1::text[])",
            members,
        )
        holders: dict[str, dict[str, Holding]] = {}
        for row in found:
            holders.setdefault(row["member"], {})[row["referral"]] = Holding(row["made_at"], row["id"])
        looking = [
            state for state, command in commands if isinstance(command, AskPlan) or _looks(state, command)
        ]
        served = (
            await prior_providers.served(connection, looking) if looking else dict[str, Collection[str]]()
        )
        families = (
            await prior_providers.families(connection, looking)
            if looking
            else dict[tuple[str, str, str], Collection[str]]()
        )
        held = {row["provider_id"]: row["held"] for row in counts}
        return Places(self._policy, entries, held, holders, locked, served, families)


def _states(work: Sequence[Work[Assignment]], at: datetime) -> list[tuple[Assignment, Command]]:
    """Each command with its state as the rule will see it, as far as facts make it: its own and, in the same batch,
    those before it."""
    found: list[tuple[Assignment, Command]] = []
    states: dict[str, Assignment | None] = {}
    for item in work:
        command, stream = item.submission.command, item.submission.stream
        if command is None:
            continue
        state = states.get(stream, item.state)
        if command.fact is not None:
            state = DECIDER.evolve(state, command.fact)
        states[stream] = state
        if state is not None:
            found.append((state, command.model_copy(update={"at": at})))
    return found


def _asking(work: Sequence[Work[Assignment]], at: datetime) -> list[tuple[Assignment, Command]]:
    """The commands that look for a provider, or at the member's other assignments."""
    return [(state, command) for state, command in _states(work, at) if _looks(state, command)]


def _looks(state: Assignment, command: Command) -> bool:
    match command:
        case NoteFact(fact=ReferralAmended(member=str())) | Start():
            return state.turn is not None
        case AskPlan():
            # Whether it goes to the next is looked at under the lock of its own row only.
            return False
        case _:
            return wants_offer(state, command)
