"""What surrounds the outreach rows of a batch: whose subscriptions must hear, how everybody is called, plans' policy.

A fact and what is told of it are one transaction: `project` writes the notices with their deadlines, an entry in the
feed of every subscription concerned, and what the plan's topic in Kafka is to have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import orjson

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event, NoticeDelivered, NoticeOverdue
from loopkeeper.policy import Policy
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.organizations import Directory, OrganizationKind
from loopkeeper.store.definition import Change, Key, Submission, Surroundings, View, Work
from loopkeeper.store.journal import Entry
from loopkeeper.store.provider_copy import read_entry
from notification.domain.notices import notice_policy
from notification.domain.notices.notice_policy import Duty
from notification.domain.notices.notices import concerned, notices
from notification.domain.notices.visibility import event_body, granting, part2, partner_body, reveals
from notification.domain.notices.wording import Named, Names, Notice
from notification.domain.outreach.commands import (
    RaiseNotice,
    ReachPolicy,
    RecordHandOver,
    ReportUnableToReach,
)
from notification.domain.outreach.rules import DECIDER
from notification.domain.outreach.state import Outreach
from notification.persistence import feed, forwarded
from notification.persistence.feed import News
from notification.persistence.notice_proof import Told, expect, mark, mark_late


@dataclass(slots=True)
class Writing:
    """What a batch has to write beside its rows."""

    news: list[News] = field(default_factory=list[News])
    notices: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    told: list[Told] = field(default_factory=list[Told])
    late: dict[str, datetime] = field(default_factory=dict[str, datetime])
    forward: list[tuple[str, Message]] = field(default_factory=list[tuple[str, Message]])


class Listeners(View[Outreach]):
    """Who hears what of one batch. `untold` are the notices whose deadlines came, as far as they are not told."""

    def __init__(
        self,
        policy: Policy,
        names: Names,
        subscriptions: Sequence[feed.Subscription],
        untold: Mapping[str, tuple[str, str]],
        *,
        forwards: bool = False,
    ) -> None:
        self._forwards = forwards
        self._policy = policy
        self._names = names
        self._subscriptions = subscriptions
        self._untold = untold

    def complete(self, stream: str, state: Outreach | None, command: Command) -> Command:
        match command:
            case ReportUnableToReach():
                on = command.on or la_date(command.at)
                reach = reach_policy(self._policy, state.plan if state else "", on)
                return command.model_copy(update={"reach": reach})
            case RaiseNotice():
                code, kind = self._untold.get(command.notice, ("", ""))
                return command.model_copy(update={"code": code, "recipient_kind": kind})
            case _:
                return command

    async def project(self, connection: Connection, changes: Sequence[Change[Outreach]]) -> None:
        writing = Writing()
        for change in changes:
            for entry, event, before, after in _steps(change):
                traceparent = change.submission.traceparent or entry.traceparent
                self._tell(writing, entry, event, after, traceparent, change.submission)
                for notice in notices(change.stream, before, event, after, self._names):
                    self._give(writing, entry, event, notice, after, change.at, traceparent)
                if isinstance(event, NoticeDelivered):
                    writing.told.append(_told(event, change.submission.command))
                if isinstance(event, NoticeOverdue):
                    writing.late[event.notice] = event.due_at
        await feed.insert(connection, "notice", writing.notices)
        await expect(connection, writing.notices)
        await feed.write(connection, feed.rows_of(self._subscriptions, writing.news, _latest(changes)))
        await forwarded.enqueue(connection, writing.forward)
        await mark(connection, writing.told)
        await mark_late(connection, writing.late)

    def _tell(
        self,
        writing: Writing,
        entry: Entry,
        event: Event,
        after: Outreach,
        traceparent: str,
        submission: Submission,
    ) -> None:
        """The plan gets the event itself, a partner what the plan granted of it (loop.md 7.5)."""
        on, name = la_date(entry.at), f"evt_{entry.id.hex}"
        base = {"event": str(entry.id)}
        told = {after.plan: event_body(event, entry.payload)}
        for partner in sorted({each.partner for each in notice_policy.grants(self._policy, after.plan, on)}):
            mine = granting(
                notice_policy.grants(self._policy, after.plan, on), partner, after.populations, after.county
            )
            body = partner_body(event, entry.payload) if mine else None
            if body is not None and partner != after.plan:
                told[partner] = body
        for organization, body in told.items():
            data = {**body, **base, **self._protected(after, organization, on)}
            writing.news.append(
                News(organization, name, entry.type, entry.stream, entry.at, data, traceparent)
            )
            if self._forwards and organization and organization == after.plan and forwarded.concerns(event):
                message = submission.received.message if submission.received is not None else None
                assert message is not None  # noqa: S101 another service's event is always one that was received
                writing.forward.append((organization, forwarded.forwarded(message, data)))

    def _give(
        self,
        writing: Writing,
        entry: Entry,
        event: Event,
        notice: Notice,
        after: Outreach,
        at: datetime,
        traceparent: str,
    ) -> None:
        """One notice: its row, and where its recipient is an organization's endpoint an entry of the feed."""
        duty = notice_policy.duty(self._policy, notice, event, after, at)
        if duty is None:
            return
        protected = self._protected(after, notice.recipient, la_date(at))
        writing.notices.append(_row(entry, notice, duty, after, at, protected))
        if notice.recipient_kind != "member":
            writing.news.append(_in_words(entry, notice, duty, at, traceparent, protected))

    def _protected(self, after: Outreach, reader: str, on: date) -> Mapping[str, Any]:
        """What must travel with a Part 2 program's word (loop.md 6.5); nothing for all others."""
        programs = notice_policy.part2_programs(self._policy, on)
        sources = [after.referrer, after.claimed_by, after.assignment.provider if after.assignment else ""]
        found = part2(sources, programs, reader, after.consent, on) if programs else None
        return {"part2": found} if found is not None else {}


def reach_policy(policy: Policy, plan: str, on: date) -> ReachPolicy:
    """What this plan asks to be tried before a member counts as unreachable."""
    row = policy.row("reach", on=on, plan=plan or None, step="unable_to_reach")
    return ReachPolicy(
        attempts=row["attempts"],
        days=row["days"],
        modalities=row["modalities"],
        in_person=row["in_person"],
        ref=row.ref,
    )


def _steps(change: Change[Outreach]) -> Iterator[tuple[Entry, Event, Outreach | None, Outreach]]:
    """Each journal row of a change with the states before and after it."""
    before = change.before
    for entry, event in change.written:
        after = DECIDER.evolve(before, event) or Outreach()
        yield entry, event, before, after
        before = after


def _told(event: NoticeDelivered, command: Command | None) -> Told:
    by: Mapping[str, str | bool] = command.told_by if isinstance(command, RecordHandOver) else {}
    return Told(event.notice, event.occurred_at, event.how, by)


def _in_words(
    entry: Entry, notice: Notice, duty: Duty, at: datetime, traceparent: str, protected: Mapping[str, Any]
) -> News:
    notice_id = notice.id(entry.id)
    data = {
        **notice.facts,
        "notice": notice_id,
        "code": notice.code,
        "event": str(entry.id),
        "language": duty.words["language"],
        "text": duty.words["text"],
        **protected,
    }
    referral = notice.referral or entry.stream
    return News(notice.recipient, notice_id, notice.wire_type, referral, at, data, traceparent, notice_id)


def _row(
    entry: Entry, notice: Notice, duty: Duty, after: Outreach, at: datetime, protected: Mapping[str, Any]
) -> dict[str, Any]:
    shown = {"referral": notice.referral or entry.stream, "facts": dict(notice.facts), **protected}
    return {
        "id": notice.id(entry.id),
        "referral": notice.stream or entry.stream,
        "plan": after.plan,
        "event": entry.id,
        "code": notice.code,
        "recipient": notice.recipient,
        "recipient_kind": notice.recipient_kind,
        "addressee": duty.addressee,
        "words": {**duty.words, **shown},
        "needs": list(duty.needs),
        "closing": notice.closing,
        "published": duty.published or notice.closing,
        "at": at,
        "due_at": duty.due_at,
        "overdue_at": None,
        "told_at": None,
        "told_how": "",
        "told_by": {},
    }


def _latest(changes: Sequence[Change[Outreach]]) -> datetime:
    return max(change.at for change in changes)


class NotificationSurroundings(Surroundings[Outreach]):
    """Finds and locks the subscriptions that may have to hear of a batch."""

    def __init__(self, policy: Policy, directory: Directory, *, forwards: bool = False) -> None:
        self._forwards = forwards
        self._policy = policy
        self._directory = directory
        # Whoever has any row of a plan, ever: which one holds on the day is looked at later.
        self._partners: dict[str, set[str]] = {}
        for row in policy.all_rows:
            if row.table == "partner_grants" and row.plan:
                self._partners.setdefault(row.plan, set()).add(row["partner"])
        self._programs = {row["organization"] for row in policy.all_rows if row.table == "part2_programs"}

    async def needs(self, connection: Connection, work: Sequence[Work[Outreach]]) -> set[Key]:
        rows = await connection.fetch(
            "SELECT id FROM subscription WHERE organization = ANY($1::text[]) AND state <> 'deleted'",
            self._concerned(work),
        )
        return {(feed.SHARED, row["id"]) for row in rows}

    async def load(
        self, connection: Connection, work: Sequence[Work[Outreach]], locked: Collection[Key]
    ) -> View[Outreach]:
        # One made since the locks were taken hears of the next fact: its sequence is not ours to move.
        held = [name for kind, name in locked if kind == feed.SHARED]
        subscriptions = await feed.standing(connection, held) if held else []
        names = await self._names(connection, self._concerned(work))
        untold = await _untold(connection, work)
        return Listeners(self._policy, names, subscriptions, untold, forwards=self._forwards)

    def _concerned(self, work: Sequence[Work[Outreach]]) -> list[str]:
        found: set[str] = set()
        for item in work:
            command = item.submission.command
            fact = command.fact if command is not None else None
            mine = concerned(item.state, fact)
            plan = item.state.plan if item.state is not None else ""
            plans = {plan or getattr(fact, "plan", "") or ""} - {""}
            found |= mine | {partner for each in plans for partner in self._partners.get(each, ())}
        return sorted(found)

    async def _names(self, connection: Connection, organizations: Sequence[str]) -> Names:
        known = {
            slug: Named(found.name, found.phone, treats=found.kind in TREATING)
            for slug in organizations
            if (found := self._directory.organization(slug)) is not None
        }
        for slug in self._programs & set(organizations):
            known[slug] = replace(known.get(slug, Named(slug)), reveals=True)
        rows = await connection.fetch(
            "SELECT id, entry FROM provider WHERE id = ANY($1::text[])", organizations
        )
        for row in rows:
            entry = read_entry(orjson.loads(row["entry"]))
            listed = known.get(row["id"], Named(row["id"]))
            revealing = reveals(entry) or listed.reveals
            known[row["id"]] = Named(entry.name or listed.name, entry.phone or listed.phone, revealing, True)
        return Names(known)


# Organizations of these kinds may be told who else serves a member.
TREATING = frozenset({OrganizationKind.PROVIDER, OrganizationKind.HUB})


async def _untold(connection: Connection, work: Sequence[Work[Outreach]]) -> Mapping[str, tuple[str, str]]:
    """Of the notices whose deadline came, those not told: code and kind of recipient."""
    asked = [command.notice for item in work if isinstance(command := item.submission.command, RaiseNotice)]
    if not asked:
        return {}
    rows = await connection.fetch(
        "SELECT id, code, recipient_kind FROM notice WHERE id = ANY($1::text[]) AND told_at IS NULL", asked
    )
    return {row["id"]: (row["code"], row["recipient_kind"]) for row in rows}
