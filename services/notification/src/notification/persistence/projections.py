"""Telling: what is written of each event that outreach notes or makes, in the transaction that notes it.

The answer to "who is told when …?" is here. The rules are pure, in `domain.notices`: `telling.copies` says who gets the
event itself, `telling.tellings` who is told in words. Here they become rows: notices with their deadlines, an entry in
the feed of every subscription concerned, and what the plan's topic in Kafka is to have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from loopkeeper.contract.decider import Command, InvariantBroken
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import NoticeDelivered, NoticeOverdue, NoticeTakenBack
from loopkeeper.kernel.clock import Clock
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.definition import Change, Projection, Submission, TooMuchAtOnce, Wrote
from loopkeeper.store.gathered import Gathered, Writes
from loopkeeper.store.journal import Entry
from notification.domain.notices.telling import Copy, Happened, Telling, copies, tellings
from notification.domain.outreach.commands import RecordHandOver
from notification.domain.outreach.evolve import evolve
from notification.domain.outreach.state import Outreach, addressee, dead, seen_by
from notification.persistence import feed, forwarded, notice_proof
from notification.persistence.context import NotificationLoaded
from notification.persistence.feed import News
from notification.persistence.notice_proof import Told
from notification.persistence.outgoing import Outgoing


@dataclass(slots=True)
class Writing:
    """What a batch has to write next to its rows."""

    news: list[News] = field(default_factory=list[News])
    notices: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    told: list[Told] = field(default_factory=list[Told])
    untold: list[str] = field(default_factory=list[str])
    late: dict[str, datetime] = field(default_factory=dict[str, datetime])
    forward: list[tuple[str, Message]] = field(default_factory=list[tuple[str, Message]])

    def touches_others(self, moved: Collection[str]) -> bool:
        """Whether a notice is told or late that something else of this batch writes too: `moved` are the referrals whose notices
        go to another provider."""
        told, late = {each.notice for each in self.told}, set(self.late)
        return bool(
            (told | late) & {each["id"] for each in self.notices} or told & late or (moved and told | late)
        )


class TellingProjection(Projection[Outreach]):
    """Writes who is told what of a batch's events. `forwards`: whether plans read a topic of their own in Kafka;
    `outgoing` hands what is to be sent to the sender of this process."""

    def __init__(self, clock: Clock, *, forwards: bool) -> None:
        self._clock = clock
        self._forwards = forwards
        self.outgoing = Outgoing()

    async def write(
        self,
        connection: Connection,
        writes: Gathered,
        changes: Sequence[Change[Outreach]],
        loaded: NotificationLoaded,
    ) -> Wrote:
        """For each event of each change: copies and notices, then whether it says that a notice was told or is late."""
        writing = self._writing(changes, loaded)
        at = max(change.at for change in changes)
        rows = feed.rows_of(loaded.subscriptions, writing.news, at, self.outgoing.holder)
        if len(rows.feed) > feed.MOST_ROWS and len({change.submission.id for change in changes}) > 1:
            raise TooMuchAtOnce
        serving = {change.stream: _serving(change.after) for change in changes}
        for each in writing.notices:
            if each["recipient_kind"] == "member":
                each["serving"] = serving.get(each["referral"], "")
        readdressed = _readdressed(changes)
        died, lives = _turned(changes, to=True), _turned(changes, to=False)
        # What a notice of this batch is told by, whose member's notice it is or is now for, must find it written.
        elsewhere = {
            each["referral"] for each in writing.notices if each["recipient_kind"] == "member"
        } - serving.keys()
        moved = {change.stream for change in changes if _serving(change.before) != _serving(change.after)}
        rewrites = elsewhere or readdressed or died or lives or writing.untold
        seen: Writes = connection if rewrites or writing.touches_others(moved) else writes
        await feed.insert(seen, "notice", writing.notices)
        await notice_proof.expect(seen, writing.notices)
        await notice_proof.name_who_serves(connection, elsewhere)
        await notice_proof.pass_on(seen, {stream: serving[stream] for stream in moved})
        await notice_proof.readdress(seen, readdressed)
        await feed.write_and_lease(writes, rows, self.outgoing.room, self._clock.now())
        await forwarded.enqueue(writes, writing.forward)
        again = [
            *await notice_proof.unmark(connection, writing.untold),
            *await notice_proof.speak_again(connection, lives),
        ]
        await notice_proof.fall_silent(seen, died)
        await notice_proof.mark(seen, writing.told)
        await notice_proof.mark_late(seen, writing.late)
        await feed.mark_told(writes, [each.notice for each in writing.told if each.how == "webhook"])

        def committed() -> None:
            self.outgoing.hand(rows.outgoing, writes.answers.get("leased") or ())

        due = [each["due_at"] for each in writing.notices if each["due_at"] is not None]
        return Wrote([*due, *again], committed)

    def _writing(self, changes: Sequence[Change[Outreach]], loaded: NotificationLoaded) -> Writing:
        writing = Writing()
        for change in changes:
            submission = change.submission
            for entry, happened in _happened(change):
                traceparent = submission.traceparent or entry.traceparent
                for copy in copies(loaded.policy, happened):
                    writing.news.append(_copied(entry, copy, traceparent))
                    if self._forwards and copy.organization and copy.organization == happened.after.plan:
                        writing.forward += _forwarded(happened, copy, submission)
                for telling in tellings(loaded.policy, loaded.names, happened, change.at):
                    writing.notices.append(_row(entry, telling, happened.after, change.at))
                    if telling.notice.recipient_kind != "member":
                        writing.news.append(_in_words(entry, telling, change.at, traceparent))
                match happened.event:
                    case NoticeDelivered() as event:
                        writing.told.append(_told(event, submission.command))
                    case NoticeTakenBack() as event:
                        writing.untold.append(event.notice)
                    case NoticeOverdue() as event:
                        writing.late[event.notice] = event.due_at
                    case _:
                        pass
        return writing


def _readdressed(changes: Sequence[Change[Outreach]]) -> dict[str, str]:
    """The referrals whose notices for the member are now for somebody else: a changed court order or placement takes
    effect at once, also for what waits to be told (loop.md 6.6)."""
    found: dict[str, str] = {}
    for change in changes:
        before, after = change.before, change.after
        if before is not None and after is not None and addressee(before) != addressee(after):
            found[change.stream] = addressee(after)
    return found


def _turned(changes: Sequence[Change[Outreach]], *, to: bool) -> set[str]:
    """The referrals whose member somebody told to have died (`to`), or who is found to live."""
    return {
        change.stream
        for change in changes
        if change.after is not None
        and dead(change.after) is to
        and (change.before is not None and dead(change.before)) is not to
    }


def _serving(state: Outreach | None) -> str:
    return seen_by(state) if state is not None else ""


def _happened(change: Change[Outreach]) -> Iterator[tuple[Entry, Happened]]:
    """Each journal row of a change with the states before and after it."""
    before, last = change.before, len(change.written) - 1
    for number, (entry, event) in enumerate(change.written):
        # The state behind the last of them is known: it was folded when that was decided.
        after = change.after if number == last and change.after is not None else evolve(before, event)
        yield entry, Happened(entry.id, entry.stream, entry.at, event, entry.payload, before, after)
        before = after


def _copied(entry: Entry, copy: Copy, traceparent: str) -> News:
    name = f"evt_{entry.id.hex}"
    return News(copy.organization, name, entry.type, entry.stream, entry.at, copy.body, traceparent)


def _forwarded(happened: Happened, copy: Copy, submission: Submission) -> Iterator[tuple[str, Message]]:
    """The event for the plan's topic, where that has events of its kind."""
    if not forwarded.concerns(happened.event):
        return
    message = submission.received.message if submission.received is not None else None
    if message is None:
        raise InvariantBroken("another service's event was noted that was never received")
    yield copy.organization, forwarded.forwarded(message, copy.body)


def _told(event: NoticeDelivered, command: Command | None) -> Told:
    by: Mapping[str, str | bool] = command.told_by if isinstance(command, RecordHandOver) else {}
    return Told(event.notice, event.occurred_at, event.how, by)


def _in_words(entry: Entry, telling: Telling, at: datetime, traceparent: str) -> News:
    notice, words = telling.notice, telling.duty.words
    notice_id = notice.id(entry.id)
    body = {
        **notice.facts,
        "notice": notice_id,
        "code": notice.code,
        "event": str(entry.id),
        "language": words["language"],
        "text": words["text"],
        **telling.protected,
    }
    referral = notice.referral or entry.stream
    published = telling.duty.published or notice.closing
    return News(
        notice.recipient, notice_id, notice.wire_type, referral, at, body, traceparent, notice_id, published
    )


def _row(entry: Entry, telling: Telling, after: Outreach, at: datetime) -> dict[str, Any]:
    notice, duty = telling.notice, telling.duty
    shown = {
        "referral": notice.referral or entry.stream,
        "facts": dict(notice.facts),
        **telling.protected,
    }
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
        "serving": "",
    }
