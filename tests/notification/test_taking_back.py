"""What a file caused and is still the last word of, from the journal alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notification.files.taking_back import KEPT, SAID_SINCE, Caused

ATTEMPT: Mapping[str, Any] = {"number": 1, "assignment": "asg_1"}
GONE: Mapping[str, Any] = {"what": "attempted", "number": 1, "assignment": "asg_1"}


def test_attempts_and_facts_of_the_file_are_its_own_and_others_are_not() -> None:
    found = Caused()
    found.heard("attempted", ATTEMPT, mine=True)
    found.heard("attempted", {**ATTEMPT, "number": 2}, mine=False)
    found.heard("initiated", {}, mine=True)
    found.heard("answered", {}, mine=True)
    found.heard("month_counted", {}, mine=False)
    assert found.attempts == {1: "asg_1"}
    assert found.facts == {"initiated"}
    assert list(found.stays) == [KEPT["answered"]]


def test_what_was_taken_back_already_is_not_taken_back_again() -> None:
    found = Caused()
    found.heard("attempted", ATTEMPT, mine=True)
    found.heard("services_started", {}, mine=True)
    found.heard("taken_back", {**GONE, "assignment": "asg_2"}, mine=False)
    assert found.attempts == {1: "asg_1"}
    found.heard("taken_back", GONE, mine=False)
    found.heard("taken_back", {"what": "services_started", "assignment": "asg_1"}, mine=False)
    assert (found.attempts, found.facts) == ({}, set())


def test_after_a_crash_its_own_taking_back_is_said_again() -> None:
    found = Caused()
    found.heard("attempted", ATTEMPT, mine=True)
    found.heard("taken_back", GONE, mine=True)
    assert found.attempts == {1: "asg_1"}


def test_what_another_file_said_since_is_left() -> None:
    found = Caused()
    found.heard("services_started", {}, mine=True)
    found.heard("services_started", {}, mine=False)
    assert found.facts == set()
    assert list(found.stays) == [SAID_SINCE]
