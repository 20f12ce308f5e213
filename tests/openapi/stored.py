"""Hooks of schemathesis: what the reference cannot say is given to the cases: what is stored, and what two fields say together.

Loaded by `SCHEMATHESIS_HOOKS=tests.openapi.stored`. Only a case that the reference allows is changed, and only where it
names something: an id, a plan, an endpoint. A case that breaks the reference is sent as it was made.
"""

from __future__ import annotations

import json
import os
import random
import uuid
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

# Of this key: the ids it may name by the noun of the path, and plan and endpoint by field.
KNOWN: dict[str, dict[str, str]] = json.loads(Path(os.environ["LOOPKEEPER_TEST_KNOWN"]).read_text())
# Nobody waits for news as long as a caller may ask for.
LONGEST_WAIT = 1


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give a good case something to name."""
    if (case.query or {}).get("wait") and str(case.query["wait"]).isdigit():
        case.query["wait"] = min(int(case.query["wait"]), LONGEST_WAIT)
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if "Idempotency-Key" in (case.headers or {}):
        # One that was sent with another body is refused, as it should be.
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    noun = case.path.removeprefix("/v1/").partition("/")[0].partition(":")[0]
    for name in case.path_parameters or {}:
        if (known := KNOWN["ids"].get(noun)) and hash(str(case.path_parameters[name])) % 2:
            case.path_parameters[name] = known
    _name(case.body)
    if case.media_type == "text/csv" and isinstance(case.body, str):
        # Which columns there are, the guides say: what was made is the first line under them.
        case.body = f"{KNOWN['columns'][noun]}\n{case.body}"
    named = isinstance(case.body, dict) and isinstance(case.body.get("acted_by"), dict)
    if case.operation.label in KNOWN["acted"] and isinstance(case.body, dict) and not named:
        # With a key somebody must be named; with a person's token nobody may be.
        case.body["acted_by"] = {"person": "maria-chen"}
    if case.operation.label == "POST /v1/referrals/{id}:withdraw" and isinstance(case.body, dict):
        # Whose referral it is decides who may say so.
        case.body["by"] = "member"
    if case.operation.label == "POST /v1/referrals" and isinstance(case.body, dict):
        # A start names its population and day; and nobody is found by a name alone.
        if case.body.get("kind") == "presumptive_start":
            case.body["kind"] = "full"
        case.body["member"] = {**case.body["member"], "cin": f"9{random.randrange(10**7):07}S"}


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
