"""What the policy says of a notice: whether it is told, by when, in which words of which language, and what is missing.

Words for organizations are English. A member's are in the member's language; a draft, or no text at all, is handed to
nobody before a person of the plan says in whose approved words it was told: never silently in English (domain.md 5.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import Event
from loopkeeper.policy import Policy, Row
from notification.domain.notices.visibility import Grant
from notification.domain.notices.wording import Notice, Phrase, render
from notification.domain.outreach.state import DO_NOT_CONTACT, SAFE_CONTACT, Outreach, addressee

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Duty:
    """How one notice is to be told. `needs`: why a person must do more than hand it over."""

    words: Mapping[str, Any]
    due_at: datetime | None
    published: bool
    addressee: str
    needs: tuple[str, ...]


def duty(policy: Policy, notice: Notice, event: Event, after: Outreach, at: datetime) -> Duty | None:
    """None where this is not told, by the plan's or the packaged rows."""
    on = la_date(at)
    rows = policy.rows(
        "notice_duties",
        on=on,
        plan=after.plan or None,
        code=notice.code,
        recipient=notice.recipient_kind,
    )
    if not rows or not rows[0]["told"]:
        return None
    row = rows[0]
    due_at = notice.due_at
    if due_at is None and row["clock"]:
        due_at = policy.due(row["clock"], notice.start or at, on=on).at
    if notice.recipient_kind != "member":
        words = _words(policy, notice, after.plan, ENGLISH, on)
        return Duty({**words, "duty": row.ref}, due_at, row["published"], "", ())
    words, needs = letter(policy, notice, after, on)
    return Duty({**words, "duty": row.ref}, due_at, row["published"], addressee(after), needs)


def letter(
    policy: Policy, notice: Notice, after: Outreach, on: date
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """A member's words, and what is missing before they may be handed over."""
    needs: list[str] = []
    if not addressee(after):
        needs.append("consent_holder")
    if DO_NOT_CONTACT in after.flags:
        needs.append("do_not_contact")
    elif SAFE_CONTACT in after.flags:
        needs.append("safe_contact")
    language = after.language or ENGLISH
    if not after.language:
        needs.append("language")
    try:
        words = _words(policy, notice, after.plan, language, on)
    except LookupError:
        words = {"language": language, "text": "", "state": "missing"}
    if words["state"] != "approved":
        needs.append("approved_text")
    return words, tuple(needs)


def _words(policy: Policy, notice: Notice, plan: str, language: str, on: date) -> Mapping[str, Any]:
    """Raises LookupError where no text, no phrase or no month is known in this language."""
    row = _text(policy, notice, plan, language, on)
    text = render(row["text"], notice.slots, language, _phrases(policy, plan, on))
    return {"language": language, "text": text, "state": row["state"], "policy": row.ref}


def _text(policy: Policy, notice: Notice, plan: str, language: str, on: date) -> Row:
    return policy.row(
        "notices",
        on=on,
        plan=plan or None,
        code=notice.code,
        recipient=notice.recipient_kind,
        variant=notice.variant,
        language=language,
    )


def _phrases(policy: Policy, plan: str, on: date) -> Phrase:
    def phrase(kind: str, code: str, language: str) -> str:
        row = policy.row("notice_phrases", on=on, plan=plan or None, kind=kind, code=code, language=language)
        return row["text"]

    return phrase


def grants(policy: Policy, plan: str, on: date) -> tuple[Grant, ...]:
    """What this plan granted to partners on a day: its own rows only."""
    if not plan:
        return ()
    return tuple(
        Grant(row.ref, row["partner"], row["population"], row["county"] or "")
        for row in policy.rows("partner_grants", on=on, plan=plan)
    )


def fax_agreement(policy: Policy, plan: str, referrer: str, on: date) -> str | None:
    """The row by which both agreed that a fax tells this referrer, on a day; a row of no plan is nobody's agreement."""
    rows = policy.rows("fax_agreements", on=on, plan=plan or None, referrer=referrer)
    return next((row.ref for row in rows if row.plan is not None), None)


def part2_programs(policy: Policy, on: date) -> frozenset[str]:
    return frozenset(row["organization"] for row in policy.rows("part2_programs", on=on))
