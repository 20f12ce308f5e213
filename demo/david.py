"""David's story, line by line: found in a tent, served, sent to a hospital, housed, and let go a year and a half later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from demo.providers import CLINIC, HARBOR, HOSPITAL, STREET
from demo.stage import Stage

# When, who, what.
Tell = Callable[[date, str, str], None]

DAVID: dict[str, Any] = {
    "first_name": "David",
    "last_name": "Okafor",
    "cin": "90000001S",
    "birth_date": "1964-02-17",
    "county": "alameda",
    "no_fixed_address": True,
    "usual_place": "A green tent behind the gas station at 5th and Alder",
    "language_spoken": "en",
    "race_ethnicity": ["black"],
}

# On the roster like him, and nobody has referred her yet: the form to paste is hers.
NEIGHBOUR: dict[str, Any] = {
    "first_name": "Marisol",
    "last_name": "Vega",
    "cin": "90000002S",
    "birth_date": "1971-09-30",
    "county": "alameda",
}

LEAD = {"person": "luis-ortega", "name": "Luis Ortega"}


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


@dataclass
class Story:
    """The telling of it. `referral` is his loop once it began."""

    stage: Stage
    tell: Tell
    referral: str = ""

    async def play(self) -> str:
        """The whole of it; returns the referral's id."""
        await self._referred()
        await self._found()
        await self._supported()
        await self._in_hospital()
        await self._housed()
        return self.referral

    async def says(self, who: str, what: str) -> None:
        self.tell(await self.stage.today(), who, what)

    async def ask(self, who: str, method: str, path: str, body: Any = None) -> Any:
        return await self.stage.caller.ask(who, method, path, body)

    async def later(self, **by: int) -> None:
        await self.stage.pass_time(timedelta(**by))

    # ── referred, authorized, assigned ────────────────────────────────────────────────────────────────────

    async def _referred(self) -> None:
        receipt = await self.ask(CLINIC, "POST", "/v1/referrals", form())
        self.referral = receipt["id"]
        met = [found["code"] for found in receipt["screening"] if found["result"] == "met"]
        await self.says(
            "Eastside Community Clinic", f"refers David, 62, who lives in a tent: {self.referral}"
        )
        await self.says(
            "Loopkeeper", f"screens the answers: {', '.join(met)} met; coverage {receipt['eligibility']}"
        )
        hears = self.stage.partner.hears
        approved = await hears(HARBOR, self.referral, "authorization.approved")
        by = "a rule the plan turned on" if approved.data["by"] == "rule" else "a person of the plan"
        await self.says(
            "Harbor Health Plan",
            f"authorizes through {approved.data['through']}, by {by}: {approved.data['number']}",
        )
        offer = await hears(STREET, self.referral, "notice.offer")
        assignment = offer.data["assignment"]
        explained = await self.ask(HARBOR, "GET", f"/v1/assignments/{assignment}/explanation")
        why = explained["lines"][0].partition(": ")[2].rstrip(".")
        await self.says(
            "Harbor Street Medicine",
            f"is asked first: {why}; {len(explained['ranked'])} could take him, {len(explained['skipped'])} were passed "
            "over, each with its reason",
        )
        await self.later(days=1)
        await self.ask(STREET, "POST", f"/v1/assignments/{assignment}:accept", {"lead": LEAD})
        member = await self.ask(STREET, "GET", f"/v1/assignments/{assignment}/member")
        place = member["contact"]["usual_place"]
        await self.says(
            "Luis Ortega", f"is his lead care manager and now may see whom to look for, and where: {place}"
        )
        await hears(CLINIC, self.referral, "notice.assigned")
        await self.says("Eastside Community Clinic", "hears that David has a provider, and whom to call")

    # ── found and served ──────────────────────────────────────────────────────────────────────────────────

    async def _found(self) -> None:
        tries = (
            ("phone", "no_answer", "calls the number on file: no answer"),
            ("phone", "voicemail", "calls again: a stranger's voicemail"),
            ("in_person", "engaged", "walks to the gas station, and David agrees"),
        )
        await self.stage.quiet()
        for modality, outcome, words in tries:
            attempt = {
                "at": (await self.stage.now()).isoformat(),
                "actor_kind": "lead_care_manager",
                "modality": modality,
                "outcome": outcome,
            }
            await self.ask(STREET, "POST", f"/v1/outreach/{self.referral}/attempts", attempt)
            await self.says("Luis Ortega", words)
            await self.later(days=1)
        on = {"on": (await self.stage.today()).isoformat()}
        await self.ask(STREET, "POST", f"/v1/outreach/{self.referral}:start-services", on)
        await self.says("Luis Ortega", "dresses the wound: the first ECM service")
        closed = await self.stage.partner.hears(CLINIC, self.referral, "notice.closed")
        await self.says("Eastside Community Clinic", f"hears: {closed.data['text']}")
        await self.stage.quiet()
        closing = (await self.ask(CLINIC, "GET", f"/v1/referrals/{self.referral}"))["closing"]
        told = "and the clinic was told: proved" if closing["told_at"] else "and the clinic was NOT told"
        await self.says("Loopkeeper", f"the loop is closed ({closing['outcome'].replace('_', ' ')}), {told}")

    async def _supported(self) -> None:
        await self.later(days=7)
        for code, words in (("medically_tailored_meals", "meals that fit his diabetes"),
                            ("housing_transition_navigation", "somebody to look for a room with him")):  # fmt: skip
            await self.ask(STREET, "POST", f"/v1/referrals/{self.referral}/supports", {"code": code})
            await self.says("Luis Ortega", f"asks for {words}: a small loop of its own, linked to David's")

    # ── a hospital, a room, a year ────────────────────────────────────────────────────────────────────────

    async def _in_hospital(self) -> None:
        await self.later(days=60)
        until = (await self.stage.today() + timedelta(days=4)).isoformat()
        again = form() | {
            "referrer": {"name": "Ana Ruiz", "email": "ana@bayview.example", "relationship": "hospital",
                         "treating_until": until},
            "comments": "Four days with a foot ulcer; very high blood sugar.",
        }  # fmt: skip
        made = await self.ask(HOSPITAL, "POST", "/v1/referrals", again)
        await self.says("Bayview Hospital", "admits David for four days and refers him again, not knowing")
        await self.stage.quiet()
        found = await self.ask(HOSPITAL, "GET", f"/v1/referrals/{made['id']}")
        outcome = found["closing"]["outcome"].replace("_", " ") if found["closing"] else found["status"]
        await self.says(
            "Loopkeeper", f"sees that he has a care manager: the new loop is linked and closed ({outcome})"
        )
        told = await self.stage.partner.hears(HOSPITAL, made["id"], "notice.closed")
        await self.says("Bayview Hospital", f"hears: {told.data['text']}")
        await self.stage.partner.hears(STREET, self.referral, "notice.referred_again")
        await self.says("Luis Ortega", "is told, and is at the bedside before the discharge")

    async def _housed(self) -> None:
        await self.later(days=240)
        queue = await self.ask(STREET, "GET", "/v1/authorizations")
        (mine,) = [each for each in queue["items"] if each["referral"] == self.referral]
        path = f"/v1/authorizations/{mine['id']}"
        lead = {"acted_by": {"person": "luis-ortega", "title": "Lead care manager"}}
        await self.ask(STREET, "POST", f"{path}:request-reauthorization", lead)
        await self.says(
            "Luis Ortega", "asks for six months more: David has a room, and is learning to keep it"
        )
        nurse = {"acted_by": {"person": "maria-chen", "title": "UM nurse"}}
        await self.ask(HARBOR, "POST", f"{path}:approve", nurse)
        extended = await self.stage.partner.hears(HARBOR, self.referral, "authorization.extended")
        await self.says(
            "Harbor Health Plan",
            f"extends through {extended.data['through']}, by Maria Chen, judged by what he still needs and not by the tent",
        )
        await self.later(days=150)
        on = {"code": 1, "on": (await self.stage.today()).isoformat()}
        await self.ask(STREET, "POST", f"/v1/outreach/{self.referral}:end-service", on)
        await self.says("Luis Ortega", "writes: he met the goals of his care plan")
        await self.stage.quiet()
        last = (await self.stage.today() + timedelta(days=14)).isoformat()
        await self.ask(HARBOR, "POST", f"{path}:end", nurse | {"code": 1, "on": last})
        await self.says(
            "Harbor Health Plan",
            f"ends the service with {last}, told more than ten days ahead, as he may appeal",
        )
