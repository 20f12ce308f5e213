"""Sentences as codes and values: everything a sentence says apart from its words, and nothing that it does not say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from loopkeeper.contract import events
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.event_text import sentence
from loopkeeper.contract.event_values import SAYS, values
from loopkeeper.contract.events import Event

RECORDED = Path(__file__).parent / "recorded"
# What decides which of an event's sentences is said, without being in it.
CHOOSES = {
    "state",
    "cause",
    "reached",
    "modified",
    "must",
    "by",
    "missing",
    "recipient_kind",
    "reminder",
    "clock",
    "continues",
    "upheld",
}


def recorded() -> dict[type[Event], list[Event]]:
    """Every event of the recorded journals, by its kind."""
    found: dict[type[Event], list[Event]] = defaultdict(list)
    for file in sorted(RECORDED.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            for each in orjson.loads(line)["events"]:
                event = events.read(each["type"], orjson.dumps(each["data"]))
                if event is not None:
                    found[type(event)].append(event)
    return found


ALL = recorded()


def test_every_event_has_its_values_named() -> None:
    assert set(SAYS) == set(events.CATALOG.by_type.values())


@pytest.mark.parametrize("kind", sorted(SAYS, key=lambda each: each.wire), ids=lambda kind: kind.wire)
@pytest.mark.parametrize("whole", [False, True], ids=["others", "plan"])
def test_a_value_is_said_by_the_sentence(kind: type[Event], whole: bool) -> None:
    for event in ALL[kind]:
        said = sentence(event, whole=whole).lower()
        for name, value in values(event, whole=whole).items():
            if name not in CHOOSES:
                assert any(form.lower() in said for form in spoken(value)), (name, value, said)


def test_only_the_plan_hears_why_and_for_which_population_6_3() -> None:
    for kind, name in (
        (events.AuthorizationDenied, "reason"),
        (events.AuthorizationPresumptiveGranted, "population"),
        (events.AuthorizationPended, "asks"),
        (events.AuthorizationEnded, "code"),
        (events.ReferralReceived, "met"),
    ):
        assert any(name in values(event, whole=True) for event in ALL[kind])
        assert not any(name in values(event) for event in ALL[kind])


def spoken(value: Any) -> Iterator[str]:
    """The ways in which a sentence may say this value."""
    if isinstance(value, list):
        if not value:
            yield ""
        yield from (form for each in value for form in spoken(each))
        return
    text = str(value)
    yield text if value != 0 else "none"
    yield text.replace("_", " ").replace("-", " ")
    if re.match(r"\d{4}-\d\d-\d\d", text):
        day = date.fromisoformat(text[:10])
        yield f"{day:%B} {day.day}, {day.year}"
        if len(text) > 10:
            at = datetime.fromisoformat(text)
            day = la_date(at - at.resolution)
            yield f"{day:%B} {day.day}, {day.year}"
