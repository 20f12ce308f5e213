"""Forms of the referral standard, and what is asked of each."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import orjson

import referral_intake
from loopkeeper.contract.events import Question
from loopkeeper.policy.reading import load
from referral_intake.domain.form.form import ReferralBody
from referral_intake.domain.form.form_standard import (
    Reading,
    questions,
    understand,
)
from referral_intake.domain.form.screening import screen

POLICY = load([Path(referral_intake.__file__).parent / "policy"])
MARCH = date(2026, 3, 3)


def body(base: dict[str, Any], **changes: Any) -> ReferralBody:
    """The example with these changes; `member` and `referrer` are merged, the others replaced."""
    for part in ("member", "referrer"):
        changes[part] = base[part] | changes.get(part, {})
    return ReferralBody.model_validate_json(orjson.dumps(base | changes))


def read(form: ReferralBody) -> Reading:
    return understand(form, referrer="eastside-clinic", on=MARCH, synthetic=True)


def asked(form: ReferralBody) -> dict[str, Question]:
    reading = read(form)
    screening = screen(
        POLICY, on=MARCH, plan=form.plan, form=reading.standard, answers=form.answers, claimed=reading.claimed,
        age=reading.age, groups=reading.groups,
    )  # fmt: skip
    return {each.id: each for each in questions(form, reading, screening, on=MARCH)}
