"""A sample plan's members told to notification as the log would tell them, and its files sent as its provider would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import orjson

from loopkeeper.contract import events, ids
from loopkeeper.contract.calendar import noon_of
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import Event
from loopkeeper.plan_files.person import person_id
from loopkeeper.runtime.files.worker import Working
from loopkeeper.security.keyring import SYSTEM
from loopkeeper.store.definition import Submission
from loopkeeper.store.store import answered
from notification.domain.outreach.commands import DeclineForMember, EndService, RecordAttempt, StartServices
from notification.files.reporting import KINDS
from tests.notification.house import House, Organization
from tests.plan_files.worlds import SAMPLES, World


def organizations_of(world: World) -> Sequence[Organization]:
    plan, sender, other = world.said["plan"], world.said["sender"], world.said["other_provider"]
    return (
        (plan["id"], plan["name"], "plan", ("plan",)),
        (sender["slug"], sender["name"], "provider", ("provider",)),
        (other["slug"], other["name"], "provider", ("provider",)),
    )


async def furnish(opened: House, world: World) -> None:
    """What the product holds before any file arrives."""
    folder = opened.context.settings.policy_folder / "files"
    folder.mkdir(exist_ok=True)
    (folder / "plan.yaml").write_bytes((SAMPLES / world.name / "profile.yaml").read_bytes())
    opened.clock.set(datetime.fromisoformat(world.said["as_of"]))
    for who in ("sender", "other_provider"):
        await _provider(opened, world.said[who])
    members = {
        (f"ref_{number:032x}", f"asg_{number:032x}"): member
        for number, member in enumerate(world.said["members"])
        if member["state"] != "none"
    }
    await opened.take(
        [
            opened.message(fact, stream)
            for (stream, assignment), member in members.items()
            for fact in _told(opened, world, member, stream, assignment)
        ]
    )
    submissions = [
        Submission(ids.uuid(), stream, command)
        for (stream, _), member in members.items()
        for command in _done(member, member.get("provider", ""))
    ]
    outcomes = await opened.context.store.execute(submissions)
    for submission in submissions:
        answered(outcomes[submission.id])
    await opened.take(
        [
            opened.message(closing, stream)
            for (stream, _), member in members.items()
            if (closing := _closing(member)) is not None
        ]
    )


async def _provider(opened: House, said: Mapping[str, Any]) -> None:
    sealed = opened.context.sealer.seal(SYSTEM, said["slug"], "npi", {"npi": said["npi"]})
    entry = events.ProviderRecorded(
        occurred_at=opened.clock.now(),
        provider=said["slug"],
        version=1,
        name=said["name"],
        answers_by="file",
        sealed={"npi": sealed},
    )
    await opened.hear(entry, stream=said["slug"])


def _closing(said: Mapping[str, Any]) -> Event | None:
    outcome = {"serving": "services_received", "ended": "services_received", "declined": "declined_by_member"}
    if said["state"] not in outcome:
        return None
    on = _at(said.get("services_on") or said["declined_on"])
    return events.ReferralClosed(occurred_at=on, outcome=outcome[said["state"]], clr_reason="other")


def _told(
    opened: House, world: World, said: Mapping[str, Any], stream: str, assignment: str
) -> Sequence[Event]:
    plan, seal = world.said["plan"]["id"], opened.context.sealer.seal
    identity = {
        name: said[name] for name in ("cin", "first_name", "last_name", "birth_date", "plan_member_id")
    }
    contact = {
        "phone": said["phone"], "county": said["county"], "language_spoken": said["language"],
        "address": {"street": said["street"], "city": said["city"], "zip": said["zip"], "state": "CA"},
    }  # fmt: skip
    found: list[Event] = [
        events.ReferralReceived.model_validate(
            {
                "occurred_at": _at(said["received_on"]), "plan": plan, "referrer": said["source"], "member": f"mem_{stream}",
                "county": said["county"], "language": said["language"], "age_band": "adult",
                "populations": [{"code": code, "result": "met", "claimed": True} for code in said["populations"]],
                "sealed": {"identity": seal(plan, stream, "identity", identity), "contact": seal(plan, stream, "contact", contact)},
            }
        )
    ]  # fmt: skip
    if said["state"] == "pending":
        return found
    term, provider = said["authorization"], said["provider"]
    found.append(
        events.AuthorizationApproved.model_validate(
            {
                "occurred_at": _at(term["from"]),
                "number": term["number"],
                "from": term["from"],
                "through": term["through"],
            }
        )
    )
    offered = _at(said.get("offered_on") or term["from"])
    found.append(
        events.AssignmentMade(
            occurred_at=offered, assignment=assignment, provider=provider, answer_due_at=offered
        )
    )
    if said["state"] != "offered":
        lead = events.Lead(person=person_id(said["lead"]), name=said["lead"])
        found.append(
            events.AssignmentAccepted(
                occurred_at=_at(said["accepted_on"]), assignment=assignment, provider=provider, lead=lead
            )
        )
    return found


def _done(said: Mapping[str, Any], provider: str) -> Sequence[Command]:
    """What the provider reported by the routes."""
    found: list[Command] = [
        RecordAttempt(
            provider=provider,
            tried_at=_at(each["on"]),
            actor_kind="other_staff",
            modality=each["modality"],
            outcome="reached" if each["reached"] else "no_answer",
            reached=each["reached"],
        )
        for each in said.get("attempts", ())
    ]
    if "services_on" in said:
        found.append(StartServices(provider=provider, on=_day(said["services_on"])))
    if "declined_on" in said:
        found.append(DeclineForMember(provider=provider, on=_day(said["declined_on"]), how="phone"))
    if "ended" in said:
        found.append(EndService(provider=provider, code=said["ended"]["code"], on=_day(said["ended"]["on"])))
    return found


def _day(text: Any) -> date:
    return date.fromisoformat(str(text))


def _at(text: Any) -> datetime:
    return noon_of(_day(text))


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────


async def sent(opened: House, world: World, kind: str, file: str) -> Mapping[str, Any]:
    """The file as it is when it is done; what it asks of assignment is answered as assignment would."""
    sender, plan = world.said["sender"]["slug"], world.said["plan"]["id"]
    async with opened.caller(sender) as caller:
        answer = await caller.post(
            f"/v1/files/{kind}?plan={plan}&name={file}",
            content=world.content(file),
            headers={"Content-Type": "application/octet-stream"},
        )
        assert answer.status_code == 202, answer.text
        working = Working(opened.context, {each.kind: each for each in KINDS})
        path = f"/v1/files/{kind}/{answer.json()['id']}"
        while True:
            while await working.round():
                pass
            if not await _answer_offers(opened):
                break
        shown = (await caller.get(path)).json()
        rows = (
            (await caller.get(f"{path}/rows?limit=1000")).json()
            if shown["state"] == "done"
            else {"items": []}
        )
    return {**shown, "items": rows["items"]}


async def _answer_offers(opened: House) -> int:
    """What files said of offers becomes the fact that assignment would publish; returns how many."""
    rows = await opened.rows(
        "SELECT id, stream, payload FROM journal WHERE type = 'ecm.outreach.answered.v1' ORDER BY at, stream, n"
    )
    new = [row for row in rows if row["id"] not in opened.played]
    for row in new:
        opened.played.add(row["id"])
        said = events.OutreachAnswered.model_validate(orjson.loads(row["payload"]))
        await opened.hear(_decided(said), stream=row["stream"])
    return len(new)


def _decided(said: events.OutreachAnswered) -> Event:
    at = noon_of(said.on)
    match said.answer:
        case "accepted" if said.lead is not None:
            return events.AssignmentAccepted(
                occurred_at=at, assignment=said.assignment, provider=said.provider, lead=said.lead
            )
        case "lead_changed" if said.lead is not None:
            return events.AssignmentLeadChanged(
                occurred_at=at, assignment=said.assignment, provider=said.provider, lead=said.lead
            )
        case _:
            return events.AssignmentDeclined(
                occurred_at=at, assignment=said.assignment, provider=said.provider, reason=said.reason
            )
