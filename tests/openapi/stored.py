"""Hooks of schemathesis: what the reference cannot say is given to the cases: what is stored, and what two fields say together.

Loaded by `SCHEMATHESIS_HOOKS=tests.openapi.stored`. Only a case that the reference allows is changed, and only where it
names something: an id, a plan, an endpoint. A case that breaks the reference is sent as it was made, of the state as it is.
"""

from __future__ import annotations

import json
import os
import random
import uuid
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode

# Of this key, by operation: the id its path may name, what its query says (None: nothing), the first line of its file,
# whether its body says who acted; and by name of a field what it may say, or that it is left out.
KNOWN: dict[str, Any] = json.loads(Path(os.environ["LOOPKEEPER_TEST_KNOWN"]).read_text())
# What takes a file as its body.
FILES = [f"POST /v1/files/{kind}" for kind in ("referrals", "decisions", "otf", "rtf")]
# Nobody waits for news as long as a caller may ask for.
LONGEST_WAIT = 1
# Open loops are as they are now: what filters or orders them goes with no `updated_since`.
OF_OPEN = ("open", "county", "actor", "step", "due", "order", "possible_duplicate")


@schemathesis.serializer("application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:
    """One text of many lines, sent as it is; what is no text is sent as the JSON it would be."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Whatever JSON is sent where texts are taken, lines or files, is a text: it breaks the reference in no way."""
    is_json = isinstance(body, dict | list | int | float | bool) or body is None
    label = context.operation.label
    return not (is_json and (label in KNOWN["lines"] or label in FILES))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give a good case something to name."""
    if (case.query or {}).get("wait") and str(case.query["wait"]).isdigit():
        case.query["wait"] = min(int(case.query["wait"]), LONGEST_WAIT)
    if case.meta is None:
        return
    if case.meta.generation.mode is not GenerationMode.POSITIVE:
        _of_the_state_as_it_is(case)
        return
    if "Idempotency-Key" in (case.headers or {}):
        # One that was sent with another body is refused, as it should be.
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    label = case.operation.label
    for name in case.path_parameters or {}:
        if (known := KNOWN["ids"].get(label)) and hash(str(case.path_parameters[name])) % 2:
            case.path_parameters[name] = known
    _ask(label, case)
    _name(case.body)
    if label in KNOWN["lines"] and isinstance(case.body, str):
        # Which columns there are, the guides say: what was made is what follows.
        case.body = f"{KNOWN['lines'][label].get(case.media_type, '')}\n{case.body}"
    named = isinstance(case.body, dict) and isinstance(case.body.get("acted_by"), dict)
    if label in KNOWN["acted"] and isinstance(case.body, dict) and not named:
        # With a key somebody must be named; with a person's token nobody may be.
        case.body["acted_by"] = {"person": "maria-chen"}
    if (
        label == "POST /v1/referrals/{id}:answer"
        and isinstance(case.body, dict)
        and case.body.get("corrections")
    ):
        # Which fields there are, and what each may say, the form itself says.
        case.body["corrections"] = {"/member/phone": "555-0142"}
    if label == "POST /v1/reports" and isinstance(case.body, dict):
        # Which days a report is of follows from its kind, and they must have begun.
        case.body["period"] = "2025-Q4" if case.body.get("kind") == "qimr" else "2026-02"
    if label == "POST /v1/referrals/{id}:close" and isinstance(case.body, dict):
        # Some outcomes ask for words, some for when and how.
        case.body |= {"text": "Nobody goes on with it.", "on": "2026-03-01", "how": "by phone"}
    if label == "PUT /v1/providers/{id}" and isinstance(case.body, dict):
        # A contract ends no earlier than it begins.
        for each in case.body.get("contracts") or ():
            if isinstance(each, dict):
                each.pop("through", None)
    if label == "POST /v1/referrals/{id}:withdraw" and isinstance(case.body, dict):
        # Whose referral it is decides who may say so.
        case.body["by"] = "member"
    if label == "POST /v1/referrals" and isinstance(case.body, dict):
        # A start names its population and day; and nobody is found by a name alone.
        if case.body.get("kind") == "presumptive_start":
            case.body["kind"] = "full"
        case.body["member"] = {**case.body["member"], "cin": f"9{random.randrange(10**7):07}S"}


def _of_the_state_as_it_is(case: Any) -> None:
    """What is wrong elsewhere is to be found there, and not behind a state that nobody has seen."""
    headers = case.meta.components.get(ParameterLocation.HEADER)
    if "If-Match" in (case.headers or {}) and headers is not None and headers.mode is GenerationMode.POSITIVE:
        case.headers["If-Match"] = "*"


def _ask(label: str, case: Any) -> None:
    """What this key may ask of what is stored, and what fields of one query say together."""
    query = case.query if case.query is not None else {}
    for name, value in KNOWN["query"].get(label, {}).items():
        if value is not None:
            query[name] = value
        else:
            query.pop(name, None)
    if label == "GET /v1/referrals" and query.get("updated_since"):
        for name in OF_OPEN:
            query.pop(name, None)
    case.query = query


def _name(body: Any) -> None:
    if isinstance(body, list):
        for each in body:
            _name(each)
    if isinstance(body, dict):
        for name, value in list(body.items()):
            if name in KNOWN["absent"]:
                del body[name]
            elif name in KNOWN["fields"] and isinstance(value, str) and value.strip():
                body[name] = KNOWN["fields"][name]
            else:
                _name(value)
