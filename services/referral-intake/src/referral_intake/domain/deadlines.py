"""Which deadlines of a referral live, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from loopkeeper.contract.calendar import end_of_la_day
from referral_intake.domain.state import Referral

TERM = "term"


def timers(referral: Referral) -> Mapping[str, datetime]:
    """The deadlines that live: while a blocking question is open, its reminders and its end; `term`, the end of the
    authorization's last day, while the loop is open."""
    if referral.closing is not None:
        return {}
    over = {TERM: end_of_la_day(referral.ending.on)} if referral.ending is not None else {}
    if not referral.blocked or referral.questions_due_at is None:
        return over
    reminders = {
        f"remind-{number}": at
        for number, at in enumerate(referral.remind_at, start=1)
        if number > referral.reminders
    }
    return {**over, **reminders, "information": referral.questions_due_at}
