"""What a row of a month says next to its status: the lead, the end of services, the contact, the month's encounters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from loopkeeper.contract.vocabulary.decisions import Discontinuation
from loopkeeper.plan_files.checks import FileContext, refuse_faults, warnings
from loopkeeper.plan_files.members import Member, name_words
from loopkeeper.plan_files.outcomes import RowRefused, Warned, fact
from loopkeeper.plan_files.table import Record

_HELD = frozenset({"accepted", "outreach", "serving"})


@dataclass(slots=True)
class Step:
    """What a row changes."""

    member: Member
    facts: list[dict[str, Any]]
    warnings: list[Warned]
    code: str = ""


def day_of(record: Record, name: str, context: FileContext, *, needed: bool) -> date | None:
    refuse_faults(record, (name,))
    day: date | None = record[name]
    if day is None and needed:
        raise RowRefused("date-required", name)
    if day is not None and day > context.today:
        raise RowRefused("in-the-future", name)
    return day


def end_code(record: Record, context: FileContext) -> int:
    """The code under which services ended, 0 where the row says nothing of an end."""
    ended = day_of(record, "ecm.ended_on", context, needed=False)
    if ended is None:
        return 0
    refuse_faults(record, ("ecm.end_code",))
    code = str(record["ecm.end_code"] or "").lstrip("0")
    if not code:
        raise RowRefused("code-required", "ecm.end_code")
    if code not in Discontinuation.codes():
        raise RowRefused("code-unknown", "ecm.end_code")
    start = record["ecm.start"]
    if start is not None and ended < start:
        raise RowRefused("dates-contradict", "ecm.ended_on")
    return int(code)


def tell_lead(record: Record, step: Step) -> None:
    step.warnings += warnings(record, ("lead.name",))
    lead, member = record["lead.name"], step.member
    if not lead or member.state not in _HELD or name_words(lead) == name_words(member.lead):
        return
    step.facts.append(fact("lead_changed", lead=lead))
    step.member = replace(member, lead=lead)


def tell_end(record: Record, step: Step, context: FileContext) -> None:
    code = end_code(record, context)
    if not code:
        return
    member, ended = step.member, record["ecm.ended_on"]
    if member.state == "ended":
        return
    if member.state != "serving":
        raise RowRefused("not-started", "ecm.ended_on")
    if member.services_on is not None and ended < member.services_on:
        raise RowRefused("dates-contradict", "ecm.ended_on")
    step.facts.append(fact("service_ended", code=code, on=ended))
    step.member = replace(member, state="ended", ended_on=ended, ended_as=code)
    step.code = ""


def tell_contact(record: Record, step: Step) -> None:
    """Where the row marks a phone or an address as new; otherwise it is an echo of the member file, and is not read."""
    step.warnings += warnings(record, ("contact.new_phone", "contact.new_address"))
    given: dict[str, Any] = {}
    if record["contact.new_phone"]:
        step.warnings += warnings(record, ("contact.phone",))
        phone = record["contact.phone"]
        if phone and phone != step.member.phone:
            given["phone"] = phone
    if record["contact.new_address"]:
        parts = ("street", "city", "zip", "state")
        step.warnings += warnings(record, [f"contact.{part}" for part in parts])
        address = {part: record[f"contact.{part}"] for part in parts[:3] if record[f"contact.{part}"]}
        state = record["contact.state"]
        if state and state.upper() not in ("CA", "CALIFORNIA"):
            address["state"] = state
        if address and any(getattr(step.member, part, None) != text for part, text in address.items()):
            given["address"] = address
    if not given:
        return
    if step.member.designated_contact:
        which = "contact.phone" if "phone" in given else "contact.street"
        step.warnings.append(Warned("contact-designated", which))
        return
    step.facts.append(fact("contact_corrected", **given))
    plain = {key: text for key, text in given.get("address", {}).items() if key != "state"}
    step.member = replace(step.member, phone=given.get("phone", step.member.phone), **plain)


def tell_counts(record: Record, step: Step, context: FileContext) -> None:
    names = ("in_person", "remote")
    step.warnings += warnings(record, [f"count.{name}" for name in names])
    counted = {name: record[f"count.{name}"] for name in names if record[f"count.{name}"] is not None}
    if not counted:
        return
    step.warnings += warnings(record, ("file.period",))
    period = record["file.period"] or context.period
    if period is None:
        return
    month = f"{period[0]:%Y-%m}"
    known = step.member.counts.get(month, {})
    if {**known, **counted} == known:
        return
    step.facts.append(fact("month_counted", period=month, **counted))
    step.member = replace(step.member, counts={**step.member.counts, month: {**known, **counted}})
