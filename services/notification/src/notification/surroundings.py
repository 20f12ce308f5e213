"""What surrounds the outreach rows of a batch: whose subscriptions must hear, how everybody is called, plans' policy.

A fact and what is told of it are one transaction: `project` writes the notices, and an entry in the feed of every
subscription concerned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from loopkeeper.calendar import la_date
from loopkeeper.clients import Directory
from loopkeeper.database import Connection
from loopkeeper.decider import Command
from loopkeeper.domain import Change, Key, Surroundings, View, Work
from loopkeeper.events import Event, NoticeDelivered
from loopkeeper.journal import Entry
from loopkeeper.policy import Policy
from loopkeeper.provider_copy import read_entry
from notification import feed
from notification.feed import News
from notification.notices import Named, Names, Notice, concerned, event_body, notices, render, reveals
from notification.rules import DECIDER, Outreach, ReachPolicy, ReportUnableToReach

# Words exist in English; a plan's own rows may say them otherwise, and other languages are further rows.
LANGUAGE = "en"


class Listeners(View[Outreach]):
    """Who hears what of one batch."""

    def __init__(self, policy: Policy, names: Names, subscriptions: Sequence[feed.Subscription]) -> None:
        self._policy = policy
        self._names = names
        self._subscriptions = subscriptions

    def complete(self, stream: str, state: Outreach | None, command: Command) -> Command:
        if not isinstance(command, ReportUnableToReach):
            return command
        on = command.on or la_date(command.at)
        row = self._policy.row("reach", on=on, plan=state.plan if state else None, step="unable_to_reach")
        reach = ReachPolicy(
            attempts=row["attempts"],
            days=row["days"],
            modalities=row["modalities"],
            in_person=row["in_person"],
            ref=row.ref,
        )
        return command.model_copy(update={"reach": reach})

    async def project(self, connection: Connection, changes: Sequence[Change[Outreach]]) -> None:
        news: list[News] = []
        rows: list[dict[str, Any]] = []
        told: list[tuple[str, datetime]] = []
        for change in changes:
            for entry, event, before, after in _steps(change):
                traceparent = change.submission.traceparent or entry.traceparent
                news.append(_to_plan(entry, after, event, traceparent))
                for notice in notices(change.stream, before, event, after, self._names):
                    words = self._words(notice, after, change.at)
                    rows.append(_row(entry, notice, words, change.at))
                    news.append(_in_words(entry, notice, words, change.at, traceparent))
                if isinstance(event, NoticeDelivered):
                    told.append((event.notice, event.occurred_at))
        await feed.insert(connection, "notice", rows)
        await feed.write(connection, feed.rows_of(self._subscriptions, news, _latest(changes)))
        await _mark_told(connection, told)

    def _words(self, notice: Notice, after: Outreach, at: datetime) -> Mapping[str, str]:
        row = self._policy.row(
            "notices",
            on=la_date(at),
            plan=after.plan or None,
            code=notice.code,
            recipient=notice.recipient_kind,
            variant=notice.variant,
            language=LANGUAGE,
        )
        return {"language": LANGUAGE, "text": render(row["text"], notice.slots), "policy": row.ref}


def _steps(change: Change[Outreach]) -> Iterator[tuple[Entry, Event, Outreach | None, Outreach]]:
    """Each journal row of a change with the states before and after it."""
    before = change.before
    for entry, event in change.written:
        after = DECIDER.evolve(before, event) or Outreach()
        yield entry, event, before, after
        before = after


def _to_plan(entry: Entry, after: Outreach, event: Event, traceparent: str) -> News:
    data = {**event_body(event, entry.payload), "event": str(entry.id)}
    return News(after.plan, f"evt_{entry.id.hex}", entry.type, entry.stream, entry.at, data, traceparent)


def _in_words(entry: Entry, notice: Notice, words: Mapping[str, str], at: datetime, traceparent: str) -> News:
    notice_id = notice.id(entry.id)
    data = {
        **notice.facts,
        "notice": notice_id,
        "code": notice.code,
        "event": str(entry.id),
        "language": words["language"],
        "text": words["text"],
    }
    closing = notice_id if notice.closing else ""
    return News(
        notice.recipient, notice_id, notice.wire_type, entry.stream, at, data, traceparent, notice_id, closing
    )


def _row(entry: Entry, notice: Notice, words: Mapping[str, str], at: datetime) -> dict[str, Any]:
    return {
        "id": notice.id(entry.id),
        "referral": entry.stream,
        "event": entry.id,
        "code": notice.code,
        "recipient": notice.recipient,
        "recipient_kind": notice.recipient_kind,
        "words": words,
        "closing": notice.closing,
        "at": at,
        "told_at": None,
    }


def _latest(changes: Sequence[Change[Outreach]]) -> datetime:
    return max(change.at for change in changes)


async def _mark_told(connection: Connection, told: Sequence[tuple[str, datetime]]) -> None:
    if told:
        await connection.execute(
            """UPDATE notice n SET told_at = t.at FROM unnest($1::text[], $2::timestamptz[]) AS t (id, at)
               WHERE n.id = t.id AND n.told_at IS NULL""",
            [notice for notice, _ in told],
            [at for _, at in told],
        )


class NotificationSurroundings(Surroundings[Outreach]):
    """Finds and locks the subscriptions that may have to hear of a batch."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self._policy = policy
        self._directory = directory

    async def needs(self, connection: Connection, work: Sequence[Work[Outreach]]) -> set[Key]:
        rows = await connection.fetch(
            "SELECT id FROM subscription WHERE organization = ANY($1::text[]) AND state <> 'deleted'",
            _concerned(work),
        )
        return {(feed.SHARED, row["id"]) for row in rows}

    async def load(
        self, connection: Connection, work: Sequence[Work[Outreach]], locked: Collection[Key]
    ) -> View[Outreach]:
        # One made since the locks were taken hears of the next fact: its sequence is not ours to move.
        held = [name for kind, name in locked if kind == feed.SHARED]
        subscriptions = await feed.standing(connection, held) if held else []
        return Listeners(self._policy, await self._names(connection, _concerned(work)), subscriptions)

    async def _names(self, connection: Connection, organizations: Sequence[str]) -> Names:
        known = {
            slug: Named(found.name, found.phone)
            for slug in organizations
            if (found := self._directory.organization(slug)) is not None
        }
        rows = await connection.fetch(
            "SELECT id, entry FROM provider WHERE id = ANY($1::text[])", organizations
        )
        for row in rows:
            entry = read_entry(orjson.loads(row["entry"]))
            listed = known.get(row["id"], Named(row["id"]))
            known[row["id"]] = Named(entry.name or listed.name, entry.phone or listed.phone, reveals(entry))
        return Names(known)


def _concerned(work: Sequence[Work[Outreach]]) -> list[str]:
    found: set[str] = set()
    for item in work:
        command = item.submission.command
        found |= concerned(item.state, command.fact if command is not None else None)
    return sorted(found)
