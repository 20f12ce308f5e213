"""Does whatever was ever published still say what it said? Recorded events of every version are read and folded for
as long as there is a log; and how an event gets a new version is shown with one that is only a test's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from pydantic import ValidationError

from loopkeeper.contract import events
from loopkeeper.contract.decider import Command, Decider, State
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.event import Catalog, Event, Superseded
from loopkeeper.event_log.port import Received
from loopkeeper.flow.reactions import NEWER, Reactions
from tests.chaos.invariants import DOMAINS
from tools.docs import asyncapi, generate

RECORDED = Path(__file__).parent / "recorded"
AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)


# ── what was published once ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Journal:
    """One service's journal of one stream as it was recorded, and the status its row had; None where it has no row."""

    service: str
    stream: str
    status: str | None
    events: tuple[tuple[str, dict[str, Any]], ...]


def journals() -> Iterator[Journal]:
    for file in sorted(RECORDED.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            found = json.loads(line)
            entries = tuple((each["type"], each["data"]) for each in found["events"])
            yield Journal(found["service"], found["stream"], found["status"], entries)


ALL = tuple(journals())


def read(wire_type: str, data: Any) -> Event:
    event = events.read(wire_type, json.dumps(data).encode())
    assert event is not None, f"{wire_type} is not known any more"
    return event


def test_every_version_of_every_event_is_recorded() -> None:
    recorded = {wire_type for journal in ALL for wire_type, _ in journal.events}
    assert recorded == {*events.CATALOG.by_type, *events.CATALOG.superseded}


@pytest.mark.parametrize("service", DOMAINS)
def test_recorded_journals_fold_to_the_status_they_had(service: str) -> None:
    domain, seen = DOMAINS[service], Counter[str]()
    for journal in ALL:
        if journal.service == service and journal.status is not None:
            state = domain.decider.fold(read(*entry) for entry in journal.events)
            assert state is not None
            assert domain.columns(state)["status"] == journal.status, journal.stream
            seen[journal.status] += 1
    assert len(seen) > 1, "else nothing was compared"


def test_a_recorded_event_of_todays_version_loses_nothing_by_being_read() -> None:
    for journal in ALL:
        for wire_type, data in journal.events:
            if wire_type in events.CATALOG.by_type:
                said = json.loads(read(wire_type, data).payload())
                assert within(data, said), wire_type


def within(recorded: Any, said: Any) -> bool:
    """Whether everything recorded is still said; more may be."""
    if isinstance(recorded, dict) and isinstance(said, dict):
        return all(name in said and within(value, said[name]) for name, value in recorded.items())
    if isinstance(recorded, list) and isinstance(said, list):
        return len(recorded) == len(said) and all(map(within, recorded, said))
    return recorded == said


# ── a new version, with an event that is only a test's ────────────────────────────────────────────────────


class VisitPlanned(Event):
    """Since version 3 a visit has a window instead of an hour, and says who comes."""

    wire = "outreach.visit_planned"
    wire_version = 3
    begins_at: datetime
    ends_at: datetime
    visitor: str


class VisitPlannedV2(Superseded):
    """Version 3 says who comes; before, it was always the lead."""

    wire = "outreach.visit_planned"
    wire_version = 2
    begins_at: datetime
    ends_at: datetime

    def upcast(self) -> VisitPlanned:
        return VisitPlanned(**dict(self), visitor="lead")


class VisitPlannedV1(Superseded):
    """Version 2 has a window of time; before, visits had an hour of the day in text."""

    wire = "outreach.visit_planned"
    hour: int

    def upcast(self) -> VisitPlannedV2:
        begins = self.occurred_at.replace(hour=self.hour)
        kept = {name: value for name, value in self if name != "hour"}
        return VisitPlannedV2(**kept, begins_at=begins, ends_at=begins.replace(hour=self.hour + 1))


class Visits(State):
    """What a service keeps of visits: it knows the newest version only."""

    visitors: tuple[str, ...] = ()
    hours: tuple[int, ...] = ()


def evolve(state: Visits | None, event: Event) -> Visits | None:
    state = state or Visits()
    match event:
        case VisitPlanned(visitor=visitor, begins_at=begins_at):
            return Visits(visitors=(*state.visitors, visitor), hours=(*state.hours, begins_at.hour))
        case _:
            return state


OLD = (VisitPlannedV1, VisitPlannedV2)
CATALOG = Catalog([VisitPlanned], OLD)
VISITS: Decider[Visits] = Decider("visits", Visits, lambda state, command: (), evolve)
# As each version lay in the log.
LOGGED = {
    "ecm.outreach.visit_planned.v1": {"occurred_at": AT.isoformat(), "hour": 9, "policy": ["visits-1"]},
    "ecm.outreach.visit_planned.v2": {
        "occurred_at": AT.isoformat(), "begins_at": "2026-03-02T10:00:00Z", "ends_at": "2026-03-02T12:00:00Z",
    },
    "ecm.outreach.visit_planned.v3": {
        "occurred_at": AT.isoformat(), "begins_at": "2026-03-02T11:00:00Z", "ends_at": "2026-03-02T12:00:00Z",
        "visitor": "mei-tran",
    },
}  # fmt: skip


def received(wire_type: str, data: Any) -> Received:
    body = json.dumps(data).encode()
    return Received(0, 0, "ref_1", Message(uuid4(), wire_type, "/notification", "ref_1", AT, body, 1))


def on_visit_planned(event: VisitPlanned, message: Message) -> Command:
    return Command(fact=event)


def test_the_wire_type_names_the_version() -> None:
    assert VisitPlanned.wire_type() == "ecm.outreach.visit_planned.v3"
    assert [old.wire_type()[-2:] for old in OLD] == ["v1", "v2"]


def test_all_that_lies_in_the_log_comes_to_a_reader_in_the_newest_version_and_folds() -> None:
    reactions = Reactions({VisitPlanned: on_visit_planned}, CATALOG)
    assert reactions.types == LOGGED.keys()
    facts: list[Event] = []
    for wire_type, data in LOGGED.items():
        submission = reactions.react(received(wire_type, data))
        assert submission is not None
        assert submission.command is not None
        assert submission.command.fact is not None
        facts.append(submission.command.fact)
    assert VISITS.fold(facts) == Visits(visitors=("lead", "lead", "mei-tran"), hours=(9, 10, 11))


def test_what_every_event_has_is_kept_through_all_versions() -> None:
    first = CATALOG.read(
        "ecm.outreach.visit_planned.v1", json.dumps(LOGGED["ecm.outreach.visit_planned.v1"]).encode()
    )
    assert first is not None
    assert (first.occurred_at, first.policy) == (AT, ("visits-1",))


def test_an_old_version_is_checked_by_its_own_shape_and_parked_where_it_has_another() -> None:
    wrong = LOGGED["ecm.outreach.visit_planned.v3"]
    with pytest.raises(ValidationError):
        CATALOG.read("ecm.outreach.visit_planned.v1", json.dumps(wrong).encode())
    submission = Reactions({VisitPlanned: on_visit_planned}, CATALOG).react(
        received("ecm.outreach.visit_planned.v1", wrong)
    )
    assert submission is not None
    assert submission.poison.startswith("ValidationError")


def test_a_version_that_is_newer_than_its_reader_is_parked_until_the_reader_is_upgraded() -> None:
    data = LOGGED["ecm.outreach.visit_planned.v2"]
    before = Reactions(
        {VisitPlannedV2AsItWas: on_visit_planned}, Catalog([VisitPlannedV2AsItWas], [VisitPlannedV1])
    )
    submission = before.react(received("ecm.outreach.visit_planned.v3", data))
    assert submission is not None
    assert submission.poison == NEWER
    elsewhere = Reactions({}, Catalog([VisitPlannedV2AsItWas], [VisitPlannedV1]))
    assert elsewhere.react(received("ecm.outreach.visit_planned.v3", data)) is None
    assert before.react(received("ecm.outreach.visit_cancelled.v1", data)) is None


class VisitPlannedV2AsItWas(Event):
    """The program before version 3: there this was the newest."""

    wire = "outreach.visit_planned"
    wire_version = 2
    begins_at: datetime
    ends_at: datetime


@pytest.mark.parametrize(
    ("kinds", "old", "why"),
    [
        ([VisitPlanned], [VisitPlannedV2], r"is in version 3, and before it in \[2\]"),
        ([VisitPlanned, VisitPlannedV2AsItWas], OLD, "and before it in"),
        ([], OLD, "nothing supersedes outreach.visit_planned"),
        ([VisitPlanned, VisitPlanned], OLD, None),
        ([VisitPlanned], [*OLD, type("Again", (VisitPlannedV1,), {})], "there are two of"),
    ],
)
def test_versions_without_gap_or_double_are_all_a_catalog_takes(
    kinds: list[type[Event]], old: list[type[Superseded]], why: str | None
) -> None:
    if why is None:
        assert Catalog(kinds, old).by_type
        return
    with pytest.raises(ValueError, match=why):
        Catalog(kinds, old)


def test_every_version_is_documented_and_only_the_newest_is_sent() -> None:
    readers: dict[type[Event], list[str]] = {VisitPlanned: ["notification"]}
    schemas = generate.schemas(CATALOG)
    assert schemas.keys() == {f"schemas/{wire_type}.json" for wire_type in LOGGED}
    table = generate.event_table(readers, CATALOG)
    assert (
        "| outreach.visit_planned (v3) | notification | notification | `begins_at`, `ends_at`, `visitor` |"
        in table
    )
    assert "| ecm.outreach.visit_planned.v1 | v2 | Version 2 has a window of time; before, " in table
    document = yaml.safe_load(asyncapi.document("1", readers, CATALOG))
    newest = "#/channels/loop/messages/outreach.visit_planned"
    sent, heard = (
        [each["$ref"] for each in document["operations"][name]["messages"]]
        for name in ("notificationSends", "notificationReceives")
    )
    assert sent == [newest]
    assert heard == [newest, f"{newest}.v1", f"{newest}.v2"]
    assert {each["name"] for each in document["components"]["messages"].values()} == LOGGED.keys()


def test_a_test_class_is_no_event_of_the_product() -> None:
    assert "ecm.outreach.visit_planned.v3" not in events.by_type()
