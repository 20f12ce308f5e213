"""A year of deadlines in virtual time, with and without outages: each fires once, on its moment or right after the outage,
and none is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from authorization.domain.commands import Amend, NoteFact, OpenReview
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.persistence.context import AuthorizationLoaded
from authorization.timers import on_timer
from loopkeeper.contract.calendar import end_of_la_day, la_date
from loopkeeper.contract.decider import Command, Refused
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationDeemedAdverse,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationOverdue,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveReminded,
    AuthorizationReauthorizationDue,
    AuthorizationReauthorizationRequested,
    AuthorizationReviewOpened,
    Eligibility,
    Event,
    NoticeDelivered,
    Question,
)
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from tests.builders import facts
from tests.builders.authorization import (
    ENTRY,
    TEAM,
    amended,
    approve,
    ask_again,
    claim,
    deny,
    pend,
    received,
    resume,
)
from tests.builders.facts import HOMELESS
from tests.properties.pure_store import PureStream

DEMO = Path(__file__).parents[2] / "demo" / "policy"
SPACE = UUID("00000000-0000-0000-0000-0000000000dd")
FROM, UNTIL = datetime(2026, 1, 1, 8, 0, tzinfo=UTC), datetime(2027, 10, 1, 8, 0, tzinfo=UTC)
MEMBERS = 120
Span = tuple[datetime, datetime]
# A long week-end, the night on which summer time begins, a fortnight over the year's end, an hour on a cap's midnight.
OUTAGES: Sequence[Span] = (
    (datetime(2026, 2, 13, 1, tzinfo=UTC), datetime(2026, 2, 17, 16, tzinfo=UTC)),
    (datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 3, 8, 18, tzinfo=UTC)),
    (datetime(2026, 7, 8, 6, 30, tzinfo=UTC), datetime(2026, 7, 8, 7, 30, tzinfo=UTC)),
    (datetime(2026, 12, 22, 8, tzinfo=UTC), datetime(2027, 1, 5, 20, tzinfo=UTC)),
)


@dataclass
class Year:
    """Requests of many members, what people do and when, and a sweep that fires what is due unless all is down."""

    policy: Policy
    outages: Sequence[Span] = ()
    streams: dict[str, PureStream] = field(default_factory=dict[str, PureStream])
    acts: list[tuple[datetime, str, Command]] = field(default_factory=list[tuple[datetime, str, Command]])
    fired: list[tuple[str, str, datetime, datetime]] = field(
        default_factory=list[tuple[str, str, datetime, datetime]]
    )
    refused: int = 0

    def up(self, at: datetime) -> datetime:
        """This moment, or the end of the outage it falls into."""
        return next((end for begin, end in self.outages if begin <= at < end), at)

    def run(self) -> None:
        on = on_timer(None)  # pyright: ignore[reportArgumentType] deadlines need no equipment
        self.acts.sort(key=lambda act: (self.up(act[0]), act[0], act[1]))
        while True:
            timer = self._next_timer()
            act = self.acts[0] if self.acts else None
            if timer is None and act is None:
                return
            if act is not None and (timer is None or self.up(act[0]) <= timer[0]):
                self.acts.pop(0)
                self._give(act[1], act[2], self.up(act[0]), f"{act[0]}")
            elif timer is not None:
                now, due_at, stream, kind = timer
                if now > UNTIL:
                    return
                self.fired.append((stream, kind, due_at, now))
                self._give(stream, on(kind, due_at), now, f"{kind}|{due_at}")
                assert timers(self.streams[stream].state).get(kind) != due_at, f"{kind} fires forever"

    def _next_timer(self) -> tuple[datetime, datetime, str, str] | None:
        due = (
            (self.up(at), at, name, kind)
            for name, stream in self.streams.items()
            if stream.state is not None
            for kind, at in timers(stream.state).items()
        )
        return min(due, default=None)

    def _give(self, name: str, command: Command, at: datetime, what: str) -> None:
        stream = self.streams.setdefault(
            name, PureStream(DECIDER, name=name, loaded=AuthorizationLoaded(self.policy, {TEAM: ENTRY}, {}))
        )
        try:
            stream.give(command, uuid5(SPACE, f"{name}|{type(command).__name__}|{what}"), at)
        except Refused:
            # Too late, or already decided: people hear it, nothing changes.
            self.refused += 1


def people(seed: int) -> Iterator[tuple[datetime, str, Command]]:
    """What happens of itself in a year: referrals on any day at any hour, decisions quick, slow or never."""
    chance = random.Random(seed)
    for number in range(MEMBERS):
        name = f"ref_{number:03}"
        at = FROM + timedelta(minutes=chance.randrange(365 * 24 * 60))
        kind = "presumptive_start" if number % 5 == 0 else "full"
        fact = received(
            occurred_at=at,
            kind=kind,
            member=f"mem_{number}",
            urgency=chance.choice(["routine", "routine", "expedited"]),
            claim=claim(from_=la_date(at) - timedelta(days=chance.randrange(3))) if number % 2 == 0 else None,
            eligibility=Eligibility(state=chance.choice(["confirmed", "unknown", "unknown"])),
        )
        yield at, name, OpenReview(fact=fact)
        if kind == "presumptive_start" and chance.random() < 0.8:
            at += timedelta(hours=chance.randrange(32 * 24))
            form = amended("joined", at, kind="full", populations=(HOMELESS,))
            yield at, name, Amend(fact=form)
        yield from _decided(chance, name, at)


def _decided(chance: random.Random, name: str, at: datetime) -> Iterator[tuple[datetime, str, Command]]:
    if chance.random() < 0.3:
        asked = at + timedelta(hours=chance.randrange(1, 100))
        yield asked, name, pend("county")
        back = asked + timedelta(hours=chance.randrange(1, 400))
        answer = amended("answered", back, questions=(Question(id="npi", pointer="/npi"),))
        if chance.random() < 0.6:
            yield back, name, (Amend(fact=answer) if chance.random() < 0.7 else resume())
    if chance.random() < 0.25:
        return
    at += timedelta(hours=chance.randrange(1, 20 * 24))
    if chance.random() < 0.3:
        yield at, name, deny("no_active_medi_cal", provider_told=False)
        told = at + timedelta(hours=chance.randrange(1, 200))
        notice = NoticeDelivered(
            occurred_at=told, notice="ntc_1", code="decided", recipient_kind="provider", how="webhook"
        )
        yield told, name, NoteFact(fact=notice)
        return
    yield at, name, approve()
    taken = facts.accepted(at=at)
    yield at + timedelta(days=2), name, NoteFact(fact=taken)
    if chance.random() < 0.4:
        asked = at + timedelta(days=chance.randrange(300, 364))
        yield asked, name, ask_again()
        if chance.random() < 0.7:
            yield asked + timedelta(days=chance.randrange(1, 30)), name, approve()


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed(), DEMO)


@pytest.fixture(scope="module", params=[(), OUTAGES], ids=["undisturbed", "with outages"])
def year(request: pytest.FixtureRequest, policy: Policy) -> Year:
    made = Year(policy, request.param)
    made.acts = list(people(7))
    made.run()
    return made


def all_of(year: Year, kind: type[Event]) -> list[tuple[str, Any]]:
    return [
        (name, e) for name, stream in year.streams.items() for e in stream.published if isinstance(e, kind)
    ]


def test_every_deadline_fires_on_its_moment_or_right_after_the_outage_it_fell_into(year: Year) -> None:
    assert len(year.fired) > 400
    assert {kind for _, kind, _, _ in year.fired} == {
        "grant", "reminder", "at_risk", "due", "cap", "pause", "reauthorization", "term",
    }  # fmt: skip
    for stream, kind, due_at, now in year.fired:
        assert now == year.up(due_at), (stream, kind)
    late = [now for _, _, due_at, now in year.fired if now > due_at]
    assert bool(late) == bool(year.outages)


def test_no_deadline_is_left_behind(year: Year) -> None:
    for name, stream in year.streams.items():
        assert not [at for at in timers(stream.state).values() if at <= UNTIL], name


def test_no_deadline_fires_twice(year: Year) -> None:
    fired = [(stream, kind, due_at) for stream, kind, due_at, _ in year.fired]
    assert len(fired) == len(set(fired))


def test_software_said_and_asked_and_denied_nobody(year: Year) -> None:
    """loop.md 4.1, 4.5."""
    assert all(denied.acted_by.person for _, denied in all_of(year, AuthorizationDenied))
    for name, _ in all_of(year, AuthorizationDeemedAdverse):
        journal = year.streams[name].published
        decided = [e for e in journal if isinstance(e, AuthorizationDenied | AuthorizationApproved)]
        state = year.streams[name].state
        assert decided or state.review is not None


def test_each_undecided_request_is_said_to_be_overdue_once_and_deemed_adverse_at_its_cap(year: Year) -> None:
    for name, opened in all_of(year, AuthorizationReviewOpened):
        journal = year.streams[name].published
        said = [e for e in journal if isinstance(e, AuthorizationOverdue)]
        first = [e.state for e in said if not _after_reauthorization(journal, e)]
        assert first in ([], ["at_risk"], ["breached"], ["at_risk", "breached"]), name
        decided = next(
            (e for e in journal if isinstance(e, AuthorizationApproved | AuthorizationDenied)), None
        )
        deemed = [
            e for e in journal if isinstance(e, AuthorizationDeemedAdverse) and e.cap_at == opened.cap_at
        ]
        undecided = decided is None or decided.occurred_at > year.up(opened.cap_at)
        assert len(deemed) == undecided, name
        for one in deemed:
            assert la_date(one.notice_due_at - timedelta(hours=1)) == la_date(one.cap_at - timedelta(hours=1))


def _after_reauthorization(journal: Sequence[Event], event: Event) -> bool:
    before = journal[: journal.index(event)]
    return any(isinstance(e, AuthorizationReauthorizationRequested) for e in before)


def test_every_grant_ends_once_and_within_thirty_days(year: Year) -> None:
    grants = all_of(year, AuthorizationPresumptiveGranted)
    assert len(grants) > 30
    for name, granted in grants:
        (over,) = [e for e in year.streams[name].published if isinstance(e, AuthorizationPresumptiveEnded)]
        assert granted.from_ <= over.through <= granted.from_ + timedelta(days=29)
        if over.reason == "expired":
            assert over.through == granted.through
            assert over.occurred_at == year.up(end_of_la_day(granted.through))
        reminders = [
            e.day for e in year.streams[name].published if isinstance(e, AuthorizationPresumptiveReminded)
        ]
        assert reminders == sorted(set(reminders))
        assert all(0 < day < 30 for day in reminders)


def test_every_term_ends_with_a_notice_ten_days_old_or_was_prolonged(year: Year) -> None:
    """loop.md 4.7: never while a reauthorization waits."""
    approvals = all_of(year, AuthorizationApproved)
    assert len(approvals) > 50
    for name, approved in approvals:
        journal, state = year.streams[name].published, year.streams[name].state
        for over in (e for e in journal if isinstance(e, AuthorizationEnded)):
            assert over.on - la_date(over.occurred_at) >= timedelta(days=10), name
            assert over.on >= approved.through
        prompts = [e for e in journal if isinstance(e, AuthorizationReauthorizationDue)]
        assert len({e.occurred_at for e in prompts}) == len(prompts)
        waits = state.reauthorization is not None
        longer = any(isinstance(e, AuthorizationExtended) for e in journal)
        ended = any(isinstance(e, AuthorizationEnded) for e in journal)
        runs = state.term.through >= la_date(UNTIL) - timedelta(days=1)
        assert waits or longer or ended or runs, name
        if waits:
            assert state.term.ending is None


def test_each_journal_folds_to_its_row(year: Year) -> None:
    for name, stream in year.streams.items():
        assert stream.folded() == stream.state, name


def test_an_outage_changes_no_deadline(policy: Policy) -> None:
    """Due dates, caps, grants and terms come from the facts' own times, however late they are looked at."""
    calm, rough = Year(policy), Year(policy, OUTAGES)
    for year in (calm, rough):
        year.acts = list(people(11))
        year.run()
    for name, opened in all_of(calm, AuthorizationReviewOpened):
        (same,) = [e for e in rough.streams[name].published if isinstance(e, AuthorizationReviewOpened)]
        assert (same.due_at, same.cap_at, same.at_risk_at) == (
            opened.due_at,
            opened.cap_at,
            opened.at_risk_at,
        )
    for name, granted in all_of(calm, AuthorizationPresumptiveGranted):
        (same,) = [e for e in rough.streams[name].published if isinstance(e, AuthorizationPresumptiveGranted)]
        assert (same.from_, same.through) == (granted.from_, granted.through)
