"""The sender's own members as a file finds them: offered, accepted or served, each by the CIN, opened with an audit row.

Identity is in no row here. It is opened from the noted events of the referral, whose sealed parts travel whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.contract.vocabulary.identifiers import cin as plain_cin
from loopkeeper.plan_files.members import Attempt, Member, State
from loopkeeper.plan_files.rtf import UNPROVED
from loopkeeper.runtime.files.kinds import Sent
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import SYSTEM
from loopkeeper.security.organizations import Client
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.provider_copy import read_text
from notification.domain.outreach.state import (
    SERVICES_RECEIVED,
    Assignment,
    Outreach,
    attempts_of,
    counted,
    restricted,
)

FIELDS = ("first_name", "last_name", "cin", "birth_date", "phone", "address")
CONTACT_FIELDS = (
    "address", "county", "no_fixed_address", "usual_place", "phone", "email", "best_contact", "best_time",
    "language_spoken", "language_written", "caregiver", "safe_contact",
)  # fmt: skip
IDENTITY, CONTACT, NPI = "identity", "contact", "npi"
# Which of two referrals of one member a row is about: the one that goes on.
GOES_ON: tuple[State, ...] = ("serving", "outreach", "accepted", "offered", "ended", "closed", "turned_down")


@dataclass(frozen=True, slots=True)
class Loop:
    """A member's loop: its referral, and the assignment the sender holds or held."""

    referral: str
    assignment: str


@dataclass(frozen=True, slots=True)
class Own:
    """The sender's members by CIN, and the loop of each."""

    members: Mapping[str, Member]
    loops: Mapping[str, Loop]
    npi: str


async def own_members(context: RunningService, sent: Sent) -> Own:
    """Of the sender and this plan. An offer is there only for a provider that answers by file: to it the member file is
    the telling (loop.md 1.6)."""
    provider = sent.client.organization
    entry = await context.pool.fetchval("SELECT entry FROM provider WHERE id = $1", provider)
    known = read_text(entry) if entry else None
    by_file = known is not None and known.answers_by == "file"
    rows = await context.pool.fetch(
        """SELECT id, state FROM referral WHERE plan_id = $1 AND (held_by = $2 OR formerly_held_by @> ARRAY[$2])""",
        sent.plan,
        provider,
    )
    found: dict[str, tuple[Outreach, Assignment, State]] = {}
    for row in rows:
        outreach = Outreach.model_validate(orjson.loads(row["state"]))
        held = held_by(outreach, provider)
        state = member_state(outreach, held, offers=by_file)
        if held is not None and state is not None:
            found[row["id"]] = (outreach, held, state)
    opened = await opened_members(
        context, sent.client, sent.plan, {ref: outreach for ref, (outreach, _, _) in found.items()}
    )
    members: dict[str, Member] = {}
    loops: dict[str, Loop] = {}
    for referral, (outreach, held, state) in found.items():
        identity = opened[referral]
        cin = plain_cin(identity.get("cin") or "")
        before = members.get(cin)
        if not cin or (before is not None and GOES_ON.index(before.state) <= GOES_ON.index(state)):
            continue
        members[cin] = member_of(cin, identity, outreach, held, state)
        loops[cin] = Loop(referral, held.assignment)
    return Own(members, loops, npi_of(context, known))


def npi_of(context: RunningService, entry: ProviderRecorded | None) -> str:
    """The provider's NPI; empty where it has none, or none is known."""
    sealed = entry.sealed.get(NPI) if entry is not None else None
    return context.sealer.open(SYSTEM, entry.provider, NPI, sealed)[NPI] if entry and sealed else ""


def held_by(outreach: Outreach, provider: str) -> Assignment | None:
    """The provider's newest assignment of the member: the live one, or one that it held on days of its own."""
    known = (outreach.assignment, *reversed(outreach.former))
    return next((each for each in known if each is not None and each.provider == provider), None)


def member_state(outreach: Outreach, held: Assignment | None, *, offers: bool) -> State | None:
    """Where the member is with the provider that holds or held this assignment; None for one it may not know of."""
    if held is None:
        return None
    if held is not outreach.assignment:
        return "closed"
    if held.accepted_at is None:
        if held.declined_on is not None:
            return "turned_down"
        return "offered" if offers and not held.ended and outreach.closing is None else None
    if outreach.ended_service == held.assignment:
        return "ended"
    served = outreach.ending is not None and outreach.ending.how == "services_started"
    if served:
        return "ended" if held.ended else "serving"
    if held.ended or outreach.closing is not None or outreach.ending is not None:
        return "closed"
    begun = held.initiated_on is not None or bool(counted(outreach, held.assignment))
    return "outreach" if begun else "accepted"


def member_of(
    cin: str, identity: Mapping[str, Any], outreach: Outreach, held: Assignment, state: State
) -> Member:
    """The member as the rules of files know one."""
    address: Mapping[str, Any] = identity.get("address") or {}
    newest = held is outreach.assignment
    ending, closing = (outreach.ending, outreach.closing) if newest else (None, None)
    reason = ""
    if closing is not None:
        reason = closing.outcome
    elif ending is not None:
        reason = {"services_started": SERVICES_RECEIVED, "member_declined": "declined_by_member"}.get(
            ending.how, ending.how
        )
    closed_on = ending.on if ending is not None else _day(closing.at if closing is not None else None)
    served = ending is not None and ending.how == "services_started"
    return Member(
        cin=cin,
        state=state,
        first_name=identity.get("first_name") or "",
        last_name=identity.get("last_name") or "",
        birth_date=date.fromisoformat(identity["birth_date"]) if identity.get("birth_date") else None,
        lead=held.lead.name if held.lead is not None else "",
        phone=identity.get("phone") or "",
        street=address.get("street") or "",
        city=address.get("city") or "",
        zip=address.get("zip") or "",
        designated_contact=restricted(outreach),
        offered_on=None,
        accepted_on=_day(held.accepted_at),
        outreach_on=held.initiated_on,
        services_on=ending.on if ending is not None and served else None,
        closed_on=closed_on
        if closing is not None or ending is not None
        else held.declined_on or held.ended_on,
        closed_as=reason,
        ended_on=outreach.ended_service_on if outreach.ended_service == held.assignment else None,
        ended_as=outreach.ended_service_as if outreach.ended_service == held.assignment else 0,
        attempts=tuple(
            Attempt(la_date(each.at), each.modality, each.reached)
            for each in attempts_of(outreach, held.assignment)
            # What was taken back can be said again.
            if not each.taken_back
        ),
        asked=frozenset(
            (UNPROVED if each.reason == "unable_to_reach" else each.reason, each.on)
            for each in outreach.reported
            if each.assignment == held.assignment
        ),
        counts={
            each.month: {
                name: number
                for name, number in (("in_person", each.in_person), ("remote", each.remote))
                if number is not None
            }
            for each in outreach.months
            if each.assignment == held.assignment
        },
    )


async def opened_members(
    context: RunningService,
    client: Client,
    plan: str,
    states: Mapping[str, Outreach],
    *,
    why: str = "a provider's file",
) -> Mapping[str, Mapping[str, Any]]:
    """Identity and contact of these referrals' members, each opening with an audit row."""
    sealed = await sealed_identities(context, list(states))
    openings = [
        Opening(
            plan,
            referral,
            {
                **({IDENTITY: sealed[referral]} if referral in sealed else {}),
                **({CONTACT: outreach.contact} if outreach.contact else {}),
            },
        )
        for referral, outreach in states.items()
    ]
    if not openings:
        return {}
    parts = await open_identity(
        context.sealer, context.store, client, context.clock.now(), openings, fields=FIELDS, why=why
    )
    return {
        each.stream: {**part.get(CONTACT, {}), **part.get(IDENTITY, {})}
        for each, part in zip(openings, parts, strict=True)
    }


async def sealed_identities(context: RunningService, referrals: Sequence[str]) -> Mapping[str, str]:
    """The newest sealed identity of each referral, from the events noted of it."""
    rows = await context.pool.fetch(
        """SELECT stream, payload FROM journal WHERE stream = ANY($1::text[])
           AND type IN ('ecm.referral.received.v1', 'ecm.referral.amended.v1') ORDER BY stream, n""",
        referrals,
    )
    found: dict[str, str] = {}
    for row in rows:
        sealed: Mapping[str, str] = orjson.loads(row["payload"]).get("sealed") or {}
        if IDENTITY in sealed:
            found[row["stream"]] = sealed[IDENTITY]
    return found


def _day(at: datetime | None) -> date | None:
    return la_date(at) if at is not None else None
