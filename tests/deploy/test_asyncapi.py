"""docs/reference/asyncapi.yaml: valid by AsyncAPI's own schema, whole, and true about who sends and what a message carries."""

from __future__ import annotations

import copy
import json
import re
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
import yaml

from loopkeeper.contract import events
from loopkeeper.contract.envelope import Message
from loopkeeper.kernel.clock import SystemClock
from tests.deploy.places import ROOT

Document = dict[str, Any]


@pytest.fixture(scope="module")
def written() -> Document:
    return yaml.safe_load((ROOT / "docs/reference/asyncapi.yaml").read_text())


@pytest.fixture(scope="module")
def official() -> jsonschema.Draft7Validator:
    schema = json.loads((ROOT / "tests/deploy/vendored/asyncapi-3.1.0.json").read_text())
    return jsonschema.Draft7Validator(schema)


def test_the_document_is_valid_by_the_official_schema(
    written: Document, official: jsonschema.Draft7Validator
) -> None:
    assert written["asyncapi"] == "3.1.0"
    assert not [error.json_path for error in official.iter_errors(written)]
    wrong = copy.deepcopy(written)
    wrong["channels"]["loop"]["adress"] = wrong["channels"]["loop"].pop("address")
    assert list(official.iter_errors(wrong)), "a misspelt key would not be found"


def test_every_reference_leads_somewhere(written: Document) -> None:
    text = yaml.safe_dump(written)
    found = re.findall(r"\$ref: '?([^'\n]+)", text)
    assert len(found) > 100
    for reference in found:
        if reference.startswith("#/"):
            place: Any = written
            for step in reference[2:].split("/"):
                place = place[step]
        else:
            schema = json.loads((ROOT / "docs" / "reference" / reference).read_text())
            jsonschema.Draft202012Validator.check_schema(schema)


def test_every_event_is_sent_once_by_the_service_that_owns_it(written: Document) -> None:
    sent = {
        message["$ref"].rpartition("/")[2]: name.removesuffix("Sends")
        for name, operation in written["operations"].items()
        if operation["action"] == "send" and operation["channel"]["$ref"] == "#/channels/loop"
        for message in operation["messages"]
    }
    assert sent == {kind.wire: events.publisher(kind) for kind in events.by_type().values()}


def test_the_headers_are_those_a_message_is_sent_with(written: Document) -> None:
    envelope = written["components"]["schemas"]["Envelope"]
    message = Message(uuid4(), "ecm.referral.received.v1", "/intake", "ref_1", SystemClock().now(), b"{}", 1)
    headers = message.headers()
    assert list(envelope["properties"]) == list(headers)
    jsonschema.validate(headers, envelope)


def test_a_plans_topic_has_the_events_of_authorization_and_no_field_that_is_sealed(written: Document) -> None:
    plan = written["channels"]["plan"]
    assert plan["address"] == "plan.{plan}.authorizations"
    kinds = {
        kind.wire: kind for kind in events.by_type().values() if events.publisher(kind) == "authorization"
    }
    assert set(plan["messages"]) == set(kinds)
    assert not any("sealed" in kind.model_fields for kind in kinds.values())
    (forwards,) = (
        each for each in written["operations"].values() if each["channel"]["$ref"] == "#/channels/plan"
    )
    assert len(forwards["messages"]) == len(kinds)
