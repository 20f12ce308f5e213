"""David's story, line by line: referred by his clinic, authorized, assigned, found, served, and his clinic told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from demo.people import CLINIC, HARBOR, STREET
from demo.stage import Stage

Tell = Callable[[str, str], None]
LOS_ANGELES = ZoneInfo("America/Los_Angeles")

DAVID: dict[str, Any] = {
    "first_name": "David",
    "last_name": "Okafor",
    "cin": "90000001S",
    "birth_date": "1964-02-17",
    "county": "alameda",
    "no_fixed_address": True,
    "usual_place": "A green tent behind the gas station at 5th and Alder",
    "language_spoken": "en",
    "race_ethnicity": ["Black or African American"],
}

# On the roster like him, and nobody has referred her yet: the form to paste is hers.
NEIGHBOUR: dict[str, Any] = {
    "first_name": "Marisol",
    "last_name": "Vega",
    "cin": "90000002S",
    "birth_date": "1971-09-30",
    "county": "alameda",
}


def form() -> dict[str, Any]:
    """What his primary care clinic fills in."""
    return {
        "plan": HARBOR,
        "member": DAVID,
        "referrer": {"name": "Dr. Lin", "title": "Physician", "email": "lin@eastside.example",
                     "relationship": "primary_care"},
        "populations": ["homelessness"],
        "answers": {"place_not_for_sleeping": True, "complex_need": True, "cannot_self_manage": True,
                    "coordination_would_help": True},
        "programs": {"hospice": "no", "pace": "no", "ihss": "unknown", "aps": "yes"},
        "attestation": {"attested": True, "name": "Dr. Lin"},
        "comments": "A foot wound that will not close. He rarely makes it to appointments.",
    }  # fmt: skip


async def play(stage: Stage, tell: Tell) -> str:
    """The whole loop; returns the referral's id."""
    ask, hears = stage.caller.ask, stage.partner.hears
    receipt = await ask(CLINIC, "POST", "/v1/referrals", form(), key="david-1")
    referral: str = receipt["id"]
    met = [found["code"] for found in receipt["screening"] if found["result"] == "met"]
    tell("Eastside Community Clinic", f"refers David, 62, who lives in a tent: {referral}")
    tell(
        "Loopkeeper",
        f"screens the answers: {', '.join(met)} met; coverage {receipt['eligibility']}; nothing more is asked",
    )
    approved = await hears(HARBOR, referral, "authorization.approved")
    by = "a rule the plan turned on" if approved.data["by"] == "rule" else "a person of the plan"
    tell(
        "Harbor Health Plan",
        f"authorizes through {approved.data['through']}, by {by}: {approved.data['number']}",
    )
    offer = await hears(STREET, referral, "notice.offer")
    tell("Harbor Street Medicine", f"is asked first: {await _why(stage, offer.data['assignment'])}")
    await _accept(stage, offer.data["assignment"], tell)
    await hears(CLINIC, referral, "notice.assigned")
    tell("Eastside Community Clinic", "hears that David has a provider, and whom to call")
    await _reach(stage, referral, tell)
    closed = await hears(CLINIC, referral, "notice.closed")
    tell("Eastside Community Clinic", f"hears: {closed.data['text']}")
    await stage.quiet()
    found = await ask(CLINIC, "GET", f"/v1/referrals/{referral}")
    closing = found["closing"]
    tell(
        "Loopkeeper",
        f"the loop is closed ({closing['outcome'].replace('_', ' ')}), and the clinic was told: proved",
    )
    return referral


async def _why(stage: Stage, assignment: str) -> str:
    explained = await stage.caller.ask(HARBOR, "GET", f"/v1/assignments/{assignment}/explanation")
    first = explained["lines"][0].partition(": ")[2].rstrip(".")
    skipped = len(explained["skipped"])
    return f"{first}; {len(explained['ranked'])} could take him, {skipped} were passed over with a reason"


async def _accept(stage: Stage, assignment: str, tell: Tell) -> None:
    lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
    await stage.caller.ask(STREET, "POST", f"/v1/assignments/{assignment}:accept", lead)
    member = await stage.caller.ask(STREET, "GET", f"/v1/assignments/{assignment}/member")
    tell(
        "Luis Ortega",
        f"is his lead care manager and now may see whom to look for, and where: {member['contact']['usual_place']}",
    )


async def _reach(stage: Stage, referral: str, tell: Tell) -> None:
    tries = (
        ("phone", "no_answer", "calls the number on file: no answer"),
        ("phone", "voicemail", "calls again: a stranger's voicemail"),
        ("in_person", "engaged", "walks to the gas station, and David agrees"),
    )
    for modality, outcome, words in tries:
        attempt = {
            "at": datetime.now(UTC).isoformat(),
            "actor_kind": "lead_care_manager",
            "modality": modality,
            "outcome": outcome,
        }
        await stage.caller.ask(STREET, "POST", f"/v1/outreach/{referral}/attempts", attempt)
        tell("Luis Ortega", words)
    today = datetime.now(LOS_ANGELES).date().isoformat()
    await stage.caller.ask(STREET, "POST", f"/v1/outreach/{referral}:start-services", {"on": today})
    tell("Luis Ortega", "dresses the wound: the first ECM service")
