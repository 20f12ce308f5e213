"""What the month's file says of one referral: ours, versioned. The state's own schema is not public, and this is never sent
by us."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from loopkeeper.contract.vocabulary.populations import Population
from referral_intake.domain.reports.history import History
from referral_intake.domain.reports.period import Period

SCHEMA = "loopkeeper-monthly-preview/1"


def entry(history: History, who: Mapping[str, Any], period: Period, npi: str) -> Mapping[str, Any]:
    """One referral as it was on the month's last day. Fields are in the order of the state's phases (ECMG26 p123)."""
    turn = history.served_by(period.last)
    ended = history.ended(period.last)
    started = history.enrolled_from(period.last)
    tried = [each for each in history.attempts if period.has(each.on)]
    in_person, remote = history.met(turn, period.months) if turn is not None else (0, 0)
    term = history.term if history.authorized(period.last) else None
    return {
        "referral": history.referral,
        "member": {
            "cin": who.get("cin") or "",
            "last_name": who.get("last_name") or "",
            "first_name": who.get("first_name") or "",
            "birth_date": who.get("birth_date") or "",
            "county": history.county,
        },
        "enrollment": {
            "status": "not_enrolled" if started is None else "ended" if ended is not None else "enrolled",
            "start": _day(started),
            "end": _day(ended[0] if ended is not None else None),
            "discontinuation_reason": ended[1] if ended is not None else None,
            "in_person": in_person,
            "remote": remote,
        },
        "populations": sorted(each.number for each in Population if each.value in history.populations),
        "authorization": {
            "status": history.authorization(period.last),
            "number": term.number if term is not None else "",
            "from": _day(term.from_ if term is not None else None),
            "through": _day(term.through if term is not None else None),
        },
        "outreach": {
            "attempts": len(tried),
            "in_person": sum(each.modality == "in_person" for each in tried),
            "reached": sum(each.reached for each in tried),
        },
        "provider": {"id": turn.provider if turn is not None else "", "npi": npi},
        "lead_care_manager": turn.lead.name if turn is not None and turn.lead is not None else "",
        "closed_loop_referral": {
            "received": _day(history.received_on),
            "status": history.status(period.last),
            "closed": _day(history.closed_on if history.closed(period.last) else None),
            "closing_reason": history.clr_reason if history.closed(period.last) else "",
            "referred_by": history.referrer,
        },
        "community_supports": [
            {
                "support": each.code,
                "status": _furthest(each.moved, period),
                "asked": _day(each.moved.get("asked")),
            }
            for _, each in sorted(history.supports.items())
            if _furthest(each.moved, period)
        ],
    }


def _day(on: date | None) -> str | None:
    return on.isoformat() if on is not None else None


def _furthest(moved: Mapping[str, date], period: Period) -> str:
    reached = [
        status
        for status in ("done", "declined", "accepted", "asked")
        if status in moved and moved[status] <= period.last
    ]
    return reached[0] if reached else ""
