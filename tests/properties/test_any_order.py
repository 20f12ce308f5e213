"""What the order and the number of deliveries may change: nothing for duplicates, and what is over stays over.

The log gives the facts of one referral one order, at least once. So a second delivery, at once or later, in the same
poll or another, must leave row, journal and deadlines exactly as one delivery does; and a closing must end everybody's
work, wherever among the other facts it is heard.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
import pytest_asyncio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from assignment.domain.deadlines import timers as answers_awaited
from assignment.domain.rules import DECIDER as ASSIGNMENT
from assignment.persistence.context import MEMBER, PROVIDER, AssignmentLoaded
from authorization.domain.deadlines import timers as grants_running
from authorization.domain.rules import DECIDER as AUTHORIZATION
from authorization.domain.state import status as authorization_status
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract import ids
from loopkeeper.contract.decider import Decider
from loopkeeper.contract.events import (
    AuthorizationPresumptiveEnded,
    Event,
    NoticeDelivered,
    OutreachAttempted,
    ProviderRecorded,
    ReferralClosed,
    ReferralReceived,
)
from loopkeeper.event_log.port import Received
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed as packages
from loopkeeper.policy.reading import load
from loopkeeper.runtime.service import Service, installed
from loopkeeper.store.definition import Loaded, Submission
from loopkeeper.testing.rules import MONDAY
from notification.domain.outreach.rules import DECIDER as NOTIFICATION
from notification.domain.outreach.rules import allowed
from referral_intake.domain.commands import ReceiveReferral
from referral_intake.domain.next_step import next_step
from referral_intake.domain.rules import DECIDER as INTAKE
from tests.builders import facts
from tests.builders.facts import HOMELESS, TODAY
from tests.builders.intake import receive
from tests.builders.organizations import HARBOR, STREET
from tests.databases import Databases
from tests.examples import many
from tests.properties.pure_store import PureStream
from tests.properties.readers import POLICY, Reader, message, reading

ENTRY: Mapping[str, Any] = {
    "name": "Harbor Street Medicine",
    "types": ["street_medicine"],
    "populations": ["homelessness"],
    "counties": ["alameda"],
    "languages": ["en"],
    "capacity": 100_000,
    "contracts": [{"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"}],
}
SERVICES: Mapping[str, Service] = installed()


def received(member: str) -> ReferralReceived:
    """Not on the roster, so a person decides; the street team claims and is granted."""
    return facts.received(
        referrer=STREET,
        member=member,
        county="alameda",
        age_band="adult",
        language="en",
        populations=(HOMELESS,),
        attested=True,
        claim={"provider": STREET, "population": "homelessness", "from": TODAY},
    )


def story(member: str, outcome: str) -> Sequence[Event]:
    """What the log tells of one referral, from reception to the proof that the referrer was told."""
    return (
        received(member),
        facts.review_opened(due_at=MONDAY, cap_at=MONDAY),
        facts.granted(),
        facts.made(answer_due_at=MONDAY),
        facts.accepted(),
        facts.approved(),
        AuthorizationPresumptiveEnded(occurred_at=MONDAY, grant="grant_1", reason="approved", through=TODAY),
        OutreachAttempted(
            occurred_at=MONDAY, assignment="asg_1", number=1, actor_kind="peer", modality="phone",
            outcome="engaged", reached=True,
        ),
        facts.services_started(),
        facts.closed(outcome, assignment="asg_1"),
        NoticeDelivered(
            occurred_at=MONDAY, notice="ntc_1", code="closed", recipient_kind="referrer", how="webhook"
        ),
    )  # fmt: skip


COUNT = len(story("", "withdrawn"))
ORDERS = st.permutations(range(COUNT))


# ── twice ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Pair:
    """The same service twice: one hears everything once, one hears everything twice."""

    once: Reader
    twice: Reader


@pytest_asyncio.fixture(scope="module")
async def pairs(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Mapping[str, Pair]]:
    home = tmp_path_factory.mktemp("pairs")
    async with AsyncExitStack() as stack:
        made: dict[str, list[Reader]] = {name: [] for name in SERVICES}
        for name in [*SERVICES, *SERVICES]:
            url = await databases.make(name, await databases.template(name))
            reader = reading(SERVICES[name], url, home, MONDAY, {STREET: ENTRY})
            made[name].append(await stack.enter_async_context(reader))
        yield {name: Pair(*readers) for name, readers in made.items()}
    await databases.drop()


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[Sequence[int], Sequence[Sequence[int]]]:
    """An order of the story's facts, and polls that bring each a second time, anywhere after its first."""
    order = draw(ORDERS)
    heard = list(order)
    for number in draw(ORDERS):
        heard.insert(draw(st.integers(heard.index(number) + 1, len(heard))), number)
    polls: list[list[int]] = [[]]
    for number in heard:
        polls[-1].append(number)
        if draw(st.integers(0, 3)) == 0:
            polls.append([])
    return order, polls


@pytest.mark.parametrize("name", SERVICES)
@given(delivered=deliveries(), outcome=st.sampled_from(["services_received", "withdrawn"]))
# On a real database, so a failure is shown as it was found: making it smaller would take minutes.
@settings(max_examples=many(15), deadline=None, phases=[Phase.generate])
async def test_hearing_everything_twice_is_hearing_it_once(
    pairs: Mapping[str, Pair],
    name: str,
    delivered: tuple[Sequence[int], Sequence[Sequence[int]]],
    outcome: str,
) -> None:
    pair, (order, polls) = pairs[name], delivered
    stream, member = ids.new("ref"), ids.new("mem")
    messages = [
        message(stream, event, uuid5(UUID(int=1), f"{stream} {number}"), MONDAY)
        for number, event in enumerate(story(member, outcome))
    ]
    if name == "intake":
        reception = Submission(uuid4(), stream, ReceiveReferral(received=received(member)))
        for reader in (pair.once, pair.twice):
            await reader.store.execute([reception])
    for number in order:
        await pair.once.poll([messages[number]])
    for poll in polls:
        await pair.twice.poll([messages[number] for number in poll])
    once = await pair.once.rows_of(stream)
    assert once["referral"]
    assert await pair.twice.rows_of(stream) == once


# ── later ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", ["services_received", "withdrawn"])
@pytest.mark.parametrize("name", SERVICES)
async def test_what_waited_parked_and_was_replayed_is_as_if_it_had_been_heard_at_once(
    pairs: Mapping[str, Pair], name: str, outcome: str
) -> None:
    """Rules that need another row first (an offer the provider's, to count its places) find it in a replay too."""
    pair = pairs[name]
    stream, member = ids.new("ref"), ids.new("mem")
    messages = [
        message(stream, event, uuid5(UUID(int=2), f"{stream} {number}"), MONDAY)
        for number, event in enumerate(story(member, outcome))
        # The service's own events are nothing it hears of.
        if event.wire_type() in pair.once.reactions.types
    ]
    if name == "intake":
        reception = Submission(uuid4(), stream, ReceiveReferral(received=received(member)))
        for reader in (pair.once, pair.twice):
            await reader.store.execute([reception])
    await pair.once.poll(messages)
    parked = pair.twice.parked
    await parked.set_aside([Received(0, n, stream, each) for n, each in enumerate(messages)], {})
    assert (await parked.replay(stream, dry_run=True)).left == 0
    replayed = await parked.replay(stream)
    assert (replayed.applied, replayed.error) == (len(messages), "")
    assert await pair.twice.rows_of(stream) == await pair.once.rows_of(stream)


# ── in any order ──────────────────────────────────────────────────────────────────────────────────────────


def _entry() -> ProviderRecorded:
    return ProviderRecorded.model_validate({**ENTRY, "occurred_at": MONDAY, "provider": STREET, "version": 1})


def _desk(rows: Policy) -> Loaded[Any, Any]:
    return AuthorizationLoaded(rows, {STREET: _entry()}, {})


def _places(rows: Policy) -> Loaded[Any, Any]:
    return AssignmentLoaded(rows, {STREET: _entry()}, {}, {}, {(MEMBER, "mem_1"), (PROVIDER, STREET)})


def _nothing(rows: Policy) -> None:
    """Its facts' rules need nothing but time and seed."""


@dataclass(frozen=True)
class Case:
    """A service's rules, what its store tells them next to the facts, and what must be so of a referral that is over."""

    decider: Decider[Any, Any]
    loaded: Callable[[Policy], Loaded[Any, Any] | None]
    is_over: Callable[[Any], bool]


CASES: Mapping[str, Case] = {
    "authorization": Case(
        AUTHORIZATION,
        _desk,
        lambda state: authorization_status(state) in ("", "closed") and not grants_running(state),
    ),
    "assignment": Case(ASSIGNMENT, _places, lambda state: state.live is None and not answers_awaited(state)),
    "notification": Case(NOTIFICATION, _nothing, lambda state: allowed(state) == ()),
}


@pytest.fixture(scope="module")
def rows() -> Policy:
    return load(packages(), POLICY)


def hear(stream: PureStream, name: str, events: Sequence[Event]) -> None:
    """These facts in this order, as the service's own reactions take them; it skips those it does not read."""
    reactions = SERVICES[name].reactions
    for number, event in enumerate(events):
        if type(event) in reactions:
            id = uuid5(UUID(int=2), str(number))
            command: Any = reactions[type(event)](event, message("ref_1", event, id, MONDAY))
            stream.give(command, id, MONDAY)


@pytest.mark.parametrize("name", CASES)
@given(order=ORDERS)
@settings(max_examples=many(40), deadline=None)
def test_wherever_the_closing_is_heard_nobody_works_on_what_is_over(
    rows: Policy, name: str, order: Sequence[int]
) -> None:
    case, facts = CASES[name], story("mem_1", "withdrawn")
    stream = PureStream(case.decider, name="ref_1", loaded=case.loaded(rows))
    hear(stream, name, [facts[number] for number in order])
    assert case.is_over(stream.state)
    assert stream.folded() == stream.state


@given(order=ORDERS)
@settings(max_examples=many(40), deadline=None)
def test_a_loop_closes_once_and_the_same_way_wherever_first_services_are_heard(order: Sequence[int]) -> None:
    facts = story("mem_1", "services_received")
    stream = PureStream(INTAKE, notes_all=True)
    stream.give(receive(received("mem_1")), UUID(int=3), MONDAY)
    hear(stream, "intake", [facts[number] for number in order])
    closings = [event for event in stream.published if isinstance(event, ReferralClosed)]
    assert [closing.outcome for closing in closings] == ["services_received"]
    assert next_step(stream.state).actor == ""
