"""A fact of a file as the command of the rules: the same that its route would give, or one that only files have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from loopkeeper.contract.calendar import noon_of
from loopkeeper.contract.events import Lead
from loopkeeper.contract.vocabulary import AttemptOutcome
from loopkeeper.plan_files.person import person_id
from loopkeeper.plan_files.rtf import UNPROVED
from loopkeeper.security.organizations import Client
from loopkeeper.security.sealing import Sealer
from notification.domain.outreach.commands import (
    CountMonth,
    DeclineForMember,
    EndService,
    ProviderCommand,
    RecordAttempt,
    ReportAnswer,
    ReportClosing,
    ReportInitiated,
    ReportUnableToReach,
    StartServices,
)

# Of a *no* a month's file does not say how it was said.
NOT_SAID = "not_said"
CLOSING = "closing"
ANSWERS = frozenset({"accepted", "declined", "lead_changed"})
# What does not fail its row: whom to call, what is counted, how the member is reached.
BESIDE = frozenset({"lead_changed", "contact_corrected", "month_counted"})


def lead_of(name: str) -> Lead:
    """A person of whom a file has only the name."""
    return Lead(person=person_id(name) or "lead", name=name)


def day_of(said: Mapping[str, Any], name: str = "on") -> date | None:
    """A day of a fact; facts that were kept have it as text."""
    value = said.get(name)
    return date.fromisoformat(value) if isinstance(value, str) else value


def proved_by(command: ProviderCommand, client: Client) -> ProviderCommand:
    """Where a person signed in and sent the file, the command names that person, which is proved (loop.md 1.4)."""
    if client.person is None:
        return command
    return command.model_copy(update={"person": client.person.id, "proved": True})


def answer_of(said: Mapping[str, Any], provider: str, assignment: str, today: date) -> ReportAnswer:
    """The provider's answer to its offer; its day is that of its row."""
    lead = lead_of(said["lead"]) if said.get("lead") else None
    return ReportAnswer(
        provider=provider,
        person=lead.person if lead is not None else "",
        assignment=assignment,
        answer=said["fact"],
        on=day_of(said) or today,
        lead=lead,
        reason=said.get("reason") or "",
    )


def command_of_fact(
    said: Mapping[str, Any], *, provider: str, plan: str, referral: str, sealer: Sealer, at: datetime
) -> ProviderCommand:
    """The command of a fact that is neither an answer nor a contact. Raises `LookupError` for a fact without one."""
    on = day_of(said)
    match said["fact"]:
        case "attempted":
            return _attempt(said, provider, at)
        case "outreach_initiated":
            return ReportInitiated(provider=provider, on=on)
        case "services_started":
            return StartServices(provider=provider, on=on)
        case "member_declined":
            return DeclineForMember(provider=provider, on=on, how=said.get("how") or NOT_SAID)
        case "unable_to_reach":
            return ReportUnableToReach(provider=provider, on=on)
        case "service_ended":
            return EndService(provider=provider, code=said["code"], on=on)
        case "month_counted":
            return CountMonth(
                provider=provider,
                month=said["period"],
                in_person=said.get("in_person"),
                remote=said.get("remote"),
                assignment=said.get("assignment") or "",
            )
        case "plan_asked":
            text = said.get("text")
            sealed = {CLOSING: sealer.seal(plan, referral, CLOSING, {"text": text})} if text else {}
            why = "unable_to_reach" if said["why"] == UNPROVED else said["why"]
            return ReportClosing(provider=provider, reason=why, on=on, sealed=sealed)
        case other:
            raise LookupError(f"no rule takes {other}")


def _attempt(said: Mapping[str, Any], provider: str, at: datetime) -> RecordAttempt:
    reached = bool(said["reached"])
    unsaid = AttemptOutcome.REACHED if reached else AttemptOutcome.NOT_REACHED
    day = day_of(said)
    return RecordAttempt(
        provider=provider,
        tried_at=min(noon_of(day), at) if day is not None else at,
        actor_kind=said.get("by") or "other_staff",
        modality=said["modality"],
        outcome=said.get("outcome") or unsaid.value,
        reached=reached,
        minutes=said.get("minutes"),
        assignment=said.get("assignment") or "",
    )
