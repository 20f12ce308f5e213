"""One request and its answer, as telemetry may see it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from starlette.types import Scope

from loopkeeper.contract import ids

# W3C Trace Context, version 00; all zeros name nothing.
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


KEY = "loopkeeper.exchange"


@dataclass(slots=True)
class Exchange:
    """One request and its answer, as telemetry may see it: no address, no header, no body, only the route's template.

    `service` declared the route. `parent` is the caller's traceparent or empty; `traceparent` is this request's own
    span. `seconds`, `status` and `slug` (of a problem) are filled when it is over; `status` 0 says the caller left
    before an answer. `declared` says whether the answer is in the route's declaration.
    """

    method: str
    trace_id: str
    traceparent: str
    parent: str = ""
    request_id: str = field(default_factory=lambda: ids.uuid().hex)
    route: str = ""
    service: str = ""
    status: int = 0
    slug: str = ""
    declared: bool = True
    seconds: float = 0.0


Observe = Callable[[Exchange], None]


def exchange_of(scope: Scope) -> Exchange:
    return cast("Exchange", scope[KEY])


def new_trace_id() -> str:
    """A trace of its own."""
    return secrets.token_hex(16)


def begin(scope: Scope) -> Exchange:
    """The trace this request belongs to: the caller's where its `traceparent` is well formed, else a new one."""
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    parent = next((value.decode("latin-1") for name, value in headers if name == b"traceparent"), "")
    match = TRACEPARENT.fullmatch(parent)
    trace_id = match.group(1) if match else new_trace_id()
    return Exchange(
        method=scope["method"],
        trace_id=trace_id,
        traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-01",
        parent=parent if match else "",
    )
