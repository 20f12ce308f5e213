"""The facts that the tests of notification tell: David's referral by a clinic, and Maria Lopez, who leads his care."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from loopkeeper.contract.events import Lead, ReferralReceived
from loopkeeper.testing.rules import MONDAY
from tests.builders import facts

DAVID = "ref_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b"


def received(**changes: Any) -> ReferralReceived:
    """David, 62, who sleeps in a tent behind a gas station, as the log knows him: codes and random ids only."""
    fields: dict[str, Any] = {
        "member": "mem_0193a1b2c3d47e5f8a9b0c1d2e3f4a5b",
        "county": "san-francisco",
        "age_band": "adult",
        "language": "en",
        "sealed": {"identity": "v1.1.sealed"},
    }
    return facts.received(**{**fields, **changes})


made = partial(facts.made, answer_due_at=MONDAY + timedelta(days=5))
accepted = partial(facts.accepted, lead=Lead(person="maria.lopez", name="Maria Lopez"))
approved = partial(facts.approved, number="A-1")
