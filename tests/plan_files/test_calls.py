"""Each fact of a file is the call of a route that its OpenAPI document knows, under a key that stays the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from loopkeeper.plan_files.calls import WHY, Call, Loop, Unplaced, call_of, person_id
from tests.plan_files.judging import judged
from tests.plan_files.worlds import PLANS, World

ROOT = Path(__file__).parents[2]
LOOP = Loop("ref_0190", "asg_0190", "Nora Navigator")
DOCUMENTS = [
    json.loads((ROOT / "docs/reference/openapi" / f"{name}.json").read_text())
    for name in ("assignment", "notification")
]


def schema_of(call: Call) -> Mapping[str, Any]:
    """The body's schema of the route this call meets."""
    path = call.path.replace(LOOP.referral, "{referral}").replace(LOOP.assignment, "{id}")
    for document in DOCUMENTS:
        operation = document["paths"].get(path, {}).get("post")
        if operation:
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            return {**body, "components": document["components"]}
    raise AssertionError(path)


def test_every_fact_of_the_samples_is_a_call_its_route_takes_or_says_why_there_is_none() -> None:
    seen: set[str] = set()
    for world in map(World, PLANS):
        for said in world.expected:
            if said["kind"] not in ("rtf", "otf") or "file_refused" in said:
                continue
            for outcome in judged(world, said["file"], said["kind"], world.members)[1].outcomes:
                for fact in outcome.facts:
                    call = call_of(fact, LOOP, sender="a", plan="b", kind=said["kind"])
                    seen.add(fact["fact"])
                    if isinstance(call, Unplaced):
                        assert call.why
                        assert fact["fact"] in WHY or (fact["fact"] == "attempted" and not fact["reached"])
                        continue
                    Draft202012Validator(schema_of(call)).validate(json.loads(json.dumps(call.body)))
    assert seen == {
        "accepted", "declined", "lead_changed", "outreach_initiated", "attempted", "services_started", "member_declined",
        "unable_to_reach", "plan_asked", "service_ended", "contact_corrected", "month_counted",
    }  # fmt: skip


def test_the_same_fact_has_the_same_key_in_next_months_file_and_another_attempt_another() -> None:
    world = World("sampleton")
    (file,) = [said for said in world.expected if said["kind"] == "otf"]
    fact = judged(world, file["file"], "otf", world.members)[1].outcomes[4].facts[0]
    one, again = (call_of(fact, LOOP, sender="a", plan="b", kind="otf") for _ in range(2))
    other = call_of(fact, LOOP, sender="a", plan="b", kind="otf", ordinal=1)
    assert isinstance(one, Call)
    assert isinstance(again, Call)
    assert isinstance(other, Call)
    assert one.key == again.key != other.key
    assert one.body["at"] == "2026-10-02T19:00:00Z"


def test_a_persons_id_is_the_same_however_the_name_is_written() -> None:
    assert person_id("Núñez,  María") == person_id("NUNEZ Maria") == "nunez-maria"
