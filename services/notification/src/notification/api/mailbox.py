"""`/v1/mailbox` and `/v1/notices`: what an organization is told without a webhook, and what people told by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import uuid5

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.field_types import AnyLanguage, HappenedAt, YesNo
from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import not_found
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Client, Role
from loopkeeper.store.pages import Selection, literal, page
from notification.api.subscriptions import own_organization
from notification.api.views import Body, StaffPerson, state_of
from notification.domain.notices.handover import HandOver, Way, check, check_electronic
from notification.domain.notices.notice_policy import fax_agreement
from notification.domain.outreach.commands import RecordDelivered, RecordHandOver, TakeBackHandOver
from notification.domain.outreach.holding import in_the_future
from notification.domain.outreach.rules import already_told
from notification.domain.outreach.state import Outreach, addressee, dead
from notification.persistence import notice_proof
from notification.persistence.context import kind_told
from notification.persistence.notice_proof import Told

router = APIRouter(tags=["notification"], route_class=Operation)
Reader = Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)]
# What a plan alone tells its member: letters with a reason and rights.
PLAN_ONLY = ["not_authorized", "deemed_adverse", "pended", "ended"]
COLUMNS = (
    "n.id, n.referral, n.plan, n.code, n.recipient, n.recipient_kind, n.addressee, n.words, n.needs, n.closing, "
    "n.published, n.at, n.due_at, n.overdue_at, n.told_at, n.told_how, n.told_by"
)
# Its own; a member's also to the provider that serves the member, since it meets them (domain.md 9, S1).
MINE = """(n.recipient = $1 OR ($2 AND n.recipient_kind = 'member' AND n.code <> ALL($3::text[])
  AND n.serving = $1))"""

SERVED = (
    "n.serving = $1", "n.serving <> ''", "n.recipient <> $1", "n.recipient_kind = 'member'", "n.code <> ALL($2::text[])",
)  # fmt: skip


class MailboxPage(Page):
    told: bool | None = Field(None, description="Only notices that count as told, or only those that do not")
    recipient_kind: Literal["referrer", "provider", "pcp", "member"] | None = None


class Item(BaseModel):
    """A notice in a mailbox, without its words. `recipient_kind` member: for a person of the plan, or of the provider
    that serves, to hand over to the `addressee`. `needs`: what is missing before (approved_text, language,
    consent_holder), and which contact rules apply (safe_contact, do_not_contact)."""

    model_config = ConfigDict(frozen=True)

    id: str
    referral: str
    code: str
    recipient_kind: str
    addressee: str | None
    needs: tuple[str, ...]
    at: datetime
    due_at: datetime | None
    overdue: bool
    told_at: datetime | None
    told_how: str | None


class Opened(Item):
    """With its words. `state`: draft or approved; missing: there is no text in the member's language."""

    language: str
    state: str
    text: str
    facts: Mapping[str, str]
    part2: Mapping[str, Any] | None = None


class HandOverBody(Body):
    """`to`: the recipient; for a member's notice the member, or who holds consent for a minor."""

    acted_by: StaffPerson = Field(description="Who told it")
    how: Way
    at: HappenedAt | None = Field(None, description="Now, where it is missing")
    to: Literal[
        "recipient",
        "member",
        "parent",
        "guardian",
        "court",
        "county",
        "conservator",
        "authorized_representative",
    ] = "recipient"
    language: AnyLanguage | None = None
    interpreted: YesNo = False
    own_words: YesNo = Field(False, description="Told in the plan's own approved text, not in the draft")
    safe_contact_checked: YesNo = Field(False, description="The safe-contact rules were read and kept")


@router.get("/v1/mailbox", summary="Notices for your organization")
async def mailbox(asked: Annotated[MailboxPage, Query()], call: Reader) -> Listing[Item]:
    """The list alone does not count as notifying; an opened notice does."""
    organization, provider, plan_only = own_of(call.client)
    wanted = Selection(COLUMNS, "notice n", asked.start(), asked.fetch, at="n.at", id="n.id")
    wanted.values += [organization, plan_only] if provider else [organization]
    if asked.told is not None:
        wanted.where("n.told_at IS NOT NULL" if asked.told else "n.told_at IS NULL")
    if asked.recipient_kind is not None:
        wanted.where(f"n.recipient_kind = {literal(asked.recipient_kind)}")
    mine = [["n.recipient = $1"], *([SERVED] if provider else [])]
    async with own_organization(call, ordered=True) as connection:
        rows = await page(connection, wanted, mine)
    return await listing(call, asked, rows, lambda row: Item(**_item(row)))


@router.get("/v1/mailbox/{id:key}", summary="Open one notice")
async def open_one(id: Id, call: Reader) -> Opened:
    """A notice that its recipient opens counts as told (loop.md 7.4). A member's notice counts once somebody hands it over."""
    row = await _row(call, id)
    context, now = call.service, call.service.clock.now()
    mine = row["recipient"] == call.client.organization and row["recipient_kind"] != "member"
    if mine and row["told_at"] is None and not call.head:
        if row["published"]:
            await _publish(call, row, now)
        by = _opener(call)
        await context.store.transact(lambda c: notice_proof.mark(c, [Told(row["id"], now, "mailbox", by)]))
        row = await _row(call, id)
    words = orjson.loads(row["words"])
    shown = {name: words.get(name) for name in ("language", "state", "text", "facts", "part2")}
    return Opened(**_item(row), **shown)


HANDED_OVER = {
    "acted_by": {"person": "luis-ortega", "title": "Lead care manager"}, "how": "in_person", "to": "member",
    "language": "es", "own_words": True,
}  # fmt: skip


@router.post(
    "/v1/notices/{id:key}:hand-over",
    summary="Record that a person delivered a notice",
    responses=refused(
        "already-told", "in-the-future", "not-the-addressee", "contact-unsafe", "language-mismatch", "text-not-approved",
        "fax-not-agreed",
    ),
)  # fmt: skip
async def hand_over(
    id: Id,
    body: Annotated[HandOverBody, example(HANDED_OVER)],
    call: Annotated[Call, allowed(Role.PLAN, Role.PROVIDER)],
) -> Item:
    """Who told it, how and when: one of the three ways in which something counts as told. A fax tells a referrer only
    under an agreement of both, which is the plan's row of `fax_agreements` (loop.md 7.4)."""
    row, context = await _row(call, id), call.service
    at = body.at or context.clock.now()
    by = _by(call, body)
    if row["told_at"] is not None:
        if orjson.loads(row["told_by"]).get("claim") == by["claim"]:
            return Item(**_item(row))
        raise already_told()
    if at > context.clock.now():
        raise in_the_future()
    if row["recipient_kind"] == "member":
        await _check(call, row, body)
    if row["recipient_kind"] == "referrer":
        agreement = fax_agreement(context.policy, row["plan"], row["recipient"], la_date(at))
        check_electronic(body.how, agreement)
        by = {**by, "agreement": agreement or ""} if body.how is Way.FAX else by
    if row["published"]:
        await _record(call, row, body, at, by)
    else:
        await context.store.transact(lambda c: _mark_once(c, Told(row["id"], at, "hand_over", by)))
    return Item(**_item(await _row(call, id)))


class TakeBackHandOverBody(Body):
    """`because`: why the hand-over is an error."""

    acted_by: StaffPerson = Field(description="Who takes it back")
    because: Literal["did_not_happen", "another_member", "another_recipient"]


@router.post(
    "/v1/notices/{id:key}:take-back",
    summary="Take back a hand-over that was recorded in error",
    responses=refused("nothing-to-take-back"),
)
async def take_back_hand_over(
    id: Id,
    body: Annotated[
        TakeBackHandOverBody,
        example(
            {"acted_by": {"person": "luis-ortega", "title": "Lead care manager"}, "because": "another_member"}
        ),
    ],
    call: Annotated[Call, allowed(Role.PLAN, Role.PROVIDER)],
) -> Item:
    """The organization that recorded the hand-over, or the plan, takes it back with a reason (loop.md 8.7). The notice is
    not told and is to be told again, unless its recipient's endpoint took it too. What followed stays."""
    row = await _row(call, id)
    command = TakeBackHandOver(notice=row["id"], because=body.because, acted_by=call.acted_by(body.acted_by))
    await call.submit(row["referral"], command, causation=row["id"])
    return Item(**_item(await _row(call, id)))


async def _check(call: Call, row: Mapping[str, Any], body: HandOverBody) -> None:
    words = orjson.loads(row["words"])
    said = HandOver(
        body.to, body.how, body.language or "", body.own_words, body.interpreted, body.safe_contact_checked
    )
    state = await _state(call, row["referral"])
    check(
        said,
        addressee=addressee(state),
        dead=dead(state),
        language=words["language"] if "language" not in row["needs"] else "",
        draft=words.get("state") != "approved",
        # As they are now, not as they were when the notice arose.
        flags=state.flags,
    )


async def _state(call: Call, referral: str) -> Outreach:
    row = await call.service.pool.fetchrow("SELECT state FROM referral WHERE id = $1", referral)
    return state_of(row) if row is not None else Outreach()


async def _mark_once(connection: Connection, one: Told) -> None:
    """Raises 409 where somebody was faster."""
    at = await connection.fetchval("SELECT told_at FROM notice WHERE id = $1 FOR UPDATE", one.notice)
    if at is not None:
        raise already_told()
    await notice_proof.mark(connection, [one])


async def _record(
    call: Call, row: Mapping[str, Any], body: HandOverBody, at: datetime, by: Mapping[str, str | bool]
) -> None:
    command = RecordHandOver(
        notice=row["id"],
        code=row["code"],
        recipient_kind=kind_told(row["recipient_kind"], row["closing"]),
        delivered_at=at,
        acted_by=call.acted_by(body.acted_by),
        told_by=by,
    )
    await call.submit(row["referral"], command, causation=row["id"])


async def _publish(call: Call, row: Mapping[str, Any], now: datetime) -> None:
    command = RecordDelivered(
        notice=row["id"],
        code=row["code"],
        recipient_kind=row["recipient_kind"],
        delivered_at=now,
        how="mailbox",
    )
    # The same id as of a webhook's arrival: what comes first is published, the other is known by then.
    arrival = uuid5(notice_proof.CLAIMS, row["id"])
    await call.submit(row["referral"], command, causation=row["id"], command_id=arrival)


def _by(call: Call, body: HandOverBody) -> Mapping[str, str | bool]:
    return {
        "organization": call.client.organization,
        "person": body.acted_by.person,
        "proved": call.client.person is not None,
        "title": body.acted_by.title,
        "how": str(body.how),
        "to": body.to,
        "language": str(body.language or ""),
        "interpreted": body.interpreted,
        "own_words": body.own_words,
        "claim": call.command_id.hex,
    }


def _opener(call: Call) -> Mapping[str, str | bool]:
    """Who opened it: a key, or the person who signed in."""
    person = call.client.person
    who = {"organization": call.client.organization, "client": call.client.id}
    return {**who, "person": person.id, "proved": True} if person is not None else who


def own_of(client: Client) -> tuple[str, bool, list[str]]:
    """The parameters of the clause that names the caller's own notices."""
    return client.organization, Role.PROVIDER in client.roles, PLAN_ONLY


async def _row(call: Call, id: str) -> Mapping[str, Any]:
    """The notice, for its recipient, the provider that serves its member, or the plan whose member it concerns."""
    plan = Role.PLAN in call.client.roles
    async with own_organization(call) as connection:
        row = await connection.fetchrow(
            f"SELECT {COLUMNS} FROM notice n WHERE n.id = $4 AND ({MINE} OR ($5 AND n.plan = $1))",  # noqa: S608
            *own_of(call.client),
            id,
            plan,
        )
    if row is None:
        raise not_found()
    return row


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    words = orjson.loads(row["words"])
    return {
        "id": row["id"],
        "referral": words["referral"],
        "code": row["code"],
        "recipient_kind": row["recipient_kind"],
        "addressee": row["addressee"] or None,
        "needs": tuple(row["needs"]),
        "at": row["at"],
        "due_at": row["due_at"],
        "overdue": row["overdue_at"] is not None,
        "told_at": row["told_at"],
        "told_how": row["told_how"] or None,
    }
