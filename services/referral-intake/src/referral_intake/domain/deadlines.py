"""Which deadlines of a referral live, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from referral_intake.domain.state import Referral


def timers(referral: Referral) -> Mapping[str, datetime]:
    """The deadlines that live: while a blocking question is open, its reminders and its end."""
    if referral.closing is not None or not referral.blocked or referral.questions_due_at is None:
        return {}
    reminders = {
        f"remind-{number}": at
        for number, at in enumerate(referral.remind_at, start=1)
        if number > referral.reminders
    }
    return {**reminders, "information": referral.questions_due_at}
