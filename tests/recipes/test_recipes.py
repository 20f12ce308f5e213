"""Every recipe of CONTRIBUTING.md, followed in a copy of the sources: what its steps say is what makes it work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.recipes import example_change

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the copy says of itself, with all recipes followed."""
    copy = example_change.made_in(tmp_path_factory.mktemp("recipes"))
    sources = [copy, copy / "shared/src", *sorted((copy / "services").glob("*/src"))]
    run = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "followed.py")],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sources)), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["from"].startswith(str(copy))
    return said


def test_an_event_is_published_described_and_said_in_a_sentence(followed: dict[str, Any]) -> None:
    assert followed["rules"]["event"] == "ecm.assignment.visit_planned.v1"
    assert followed["rules"]["sentence"] == "harbor-street-medicine planned the first visit on March 9, 2026."
    assert "| assignment.visit_planned | assignment |" in followed["events.md"]
    assert "ecm.assignment.visit_planned.v1.json" in {Path(name).name for name in followed["schemas"]}


def test_a_command_is_refused_or_yields_the_event(followed: dict[str, Any]) -> None:
    assert followed["rules"]["refused"] == "not-live"
    assert followed["rules"]["event"] == "ecm.assignment.visit_planned.v1"


def test_a_deadline_is_the_end_of_the_planned_day_and_goes_with_it(followed: dict[str, Any]) -> None:
    assert followed["rules"]["due_at"] == "2026-03-10T07:00:00+00:00"
    assert "visit" not in followed["rules"]["after_the_day"]


def test_a_route_is_in_the_services_document_with_its_refusals(followed: dict[str, Any]) -> None:
    assert followed["route"]["summary"] == "Plan the first visit"
    assert "not-live" in followed["route"]["responses"]["409"]["description"]
    assert {"401", "403", "404", "413", "422"} <= followed["route"]["responses"].keys()


def test_a_migration_is_the_one_head_and_the_newest_of_its_service(followed: dict[str, Any]) -> None:
    assert followed["heads"] == [followed["newest"]]


def test_a_policy_row_is_sound_and_listed_with_its_source(followed: dict[str, Any]) -> None:
    assert followed["findings"] == []
    (row,) = [line for line in followed["policy.md"].splitlines() if line.startswith("| first-visit |")]
    assert "our default" in row


def test_a_notice_has_its_words_and_its_duty(followed: dict[str, Any]) -> None:
    assert followed["notice"] == (
        "The first visit for referral ref_1 is planned on March 9, 2026. Questions: call Harbor Health Plan at 555-0100."
    )


def test_a_service_is_found_by_its_entry_point_and_owns_its_noun(followed: dict[str, Any]) -> None:
    assert followed["services"][-1] == "visits"
    assert followed["owner"] == "visits"
    assert followed["visits"] == "Loopkeeper: visits"


def test_each_recipe_names_the_test_or_the_commit_that_follows_it() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    recipes = re.findall(r"^### ([^\n]+)\n(.*?)(?=^##|\Z)", text.partition("## Recipes")[2], re.M | re.S)
    assert [name for name, _ in recipes] == [
        "Add an event", "Give an event a new version", "Add a command", "Add a deadline", "Add a route",
        "Add a table, with its migration", "Add a policy row", "Add a notice", "Add a service",
    ]  # fmt: skip
    for name, recipe in recipes:
        (file, test) = re.findall(r"^Followed by\s+`(tests/[\w/]+\.py)::(\w+)`", recipe, re.M)[0]
        assert f"def {test}(" in (ROOT / file).read_text(), name
