"""A fact of a file as the call of a route: the same rules, roles and refusals as for a person who calls it by hand.

A fact for which there is no route yet is `Unplaced`: it is shown with its row and never lost in silence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from loopkeeper.contract.calendar import noon_of
from loopkeeper.contract.vocabulary import AttemptOutcome
from loopkeeper.plan_files.outcomes import fact_key

LONGEST_PERSON = 100


@dataclass(frozen=True, slots=True)
class Loop:
    """The ids under which a member's loop is found, and who its lead care manager is."""

    referral: str
    assignment: str
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its key makes a repetition harmless."""

    method: str
    path: str
    body: Mapping[str, Any]
    key: UUID


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A fact that has no route: why, in words."""

    fact: str
    why: str


def call_of(
    said: Mapping[str, Any], loop: Loop, *, sender: str, plan: str, kind: str, ordinal: int = 0
) -> Call | Unplaced:
    """The call of a fact. `ordinal` tells apart two attempts of one day and way."""
    name = said["fact"]
    on: date | None = said.get("on")
    more = (said.get("modality", ""), ordinal) if name == "attempted" else ()
    key = fact_key(sender, plan, kind, loop.referral, name, on, *more)
    outreach, assignment = f"/v1/outreach/{loop.referral}", f"/v1/assignments/{loop.assignment}"
    by = {"acted_by": {"person": person_id(loop.lead)}}
    match name:
        case "accepted":
            return Call("POST", f"{assignment}:accept", {"lead": _lead(said["lead"])}, key)
        case "declined":
            return Call("POST", f"{assignment}:decline", {"reason": said["reason"]}, key)
        case "lead_changed":
            changed = fact_key(sender, plan, kind, loop.referral, name, None, person_id(said["lead"]))
            return Call("POST", f"{assignment}:change-lead", {"lead": _lead(said["lead"])}, changed)
        case "attempted":
            return _attempt(said, outreach, by, key)
        case "services_started" | "unable_to_reach":
            verb = {"services_started": "start-services", "unable_to_reach": "unable-to-reach"}[name]
            return Call("POST", f"{outreach}:{verb}", {**by, "on": _written(on)}, key)
        case "service_ended":
            return Call(
                "POST", f"{outreach}:end-service", {**by, "code": said["code"], "on": _written(on)}, key
            )
        case "contact_corrected":
            contact = {part: said[part] for part in ("phone", "address") if part in said}
            corrected = fact_key(sender, plan, kind, loop.referral, name, None, repr(sorted(contact.items())))
            return Call("POST", f"{outreach}:change-contact", {**by, **contact}, corrected)
        case _:
            return Unplaced(name, WHY.get(name, "No route records it."))


WHY: Mapping[str, str] = {
    "outreach_initiated": "A status as reported, without an attempt, has no route.",
    "member_declined": "The route asks how the member said no, and a month's file does not say it.",
    "plan_asked": "A provider's closing that asks the plan has no route.",
    "month_counted": "A month's encounters have no route.",
    "told": "What a plan's own file says is compared, not recorded.",
}


def person_id(name: str) -> str:
    """The id of a person of whom a file has only the name: the same for the same name, in any letters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    return "-".join(re.findall("[a-z0-9]+", plain))[:LONGEST_PERSON]


def _lead(name: str) -> Mapping[str, str]:
    return {"person": person_id(name) or "lead", "name": name}


def _attempt(said: Mapping[str, Any], outreach: str, by: Mapping[str, Any], key: UUID) -> Call | Unplaced:
    outcome = said.get("outcome") or (AttemptOutcome.REACHED.value if said["reached"] else "")
    if not outcome:
        return Unplaced("attempted", "No outcome says that a member was not reached, and no more.")
    body = {
        **by,
        "at": noon_of(said["on"]).isoformat().replace("+00:00", "Z"),
        "actor_kind": said.get("by") or "other_staff",
        "modality": said["modality"],
        "outcome": outcome,
        "minutes": said.get("minutes"),
    }
    return Call("POST", f"{outreach}/attempts", body, key)


def _written(day: date | None) -> str | None:
    return day.isoformat() if day else None
