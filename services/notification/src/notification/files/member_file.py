"""The member file: what a plan tells a provider that answers by file, written from the loops and kept sealed.

It is the telling itself, identity included (loop.md 1.6), so each person in it has an audit row. It is a whole list: all
who are offered to the provider or served by it, and those it was told of before and has no more, until it fetched a file
that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import orjson

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.contract.vocabulary.identifiers import cin as plain_cin
from loopkeeper.kernel.errors import Problem
from loopkeeper.plan_files.checks import FileContext
from loopkeeper.plan_files.members import State
from loopkeeper.plan_files.mif import Provider, Told, mif_rows
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.profile_folder import read_profiles
from loopkeeper.plan_files.writing import file_name, write_file
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.files import taking_in as kept
from loopkeeper.runtime.files.kinds import Sent
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.organizations import Client, Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.provider_copy import read_text
from notification.domain.notices.notice_policy import part2_programs
from notification.domain.outreach.state import Outreach
from notification.files.member_rows import (
    DISCONTINUED,
    ENGAGEMENT,
    Reader,
    changed,
    ended_row,
    row_of,
)
from notification.files.members import (
    CONTACT,
    CONTACT_FIELDS,
    IDENTITY,
    member_state,
    npi_of,
    sealed_identities,
)

KIND = "mif"
IDENTITY_FIELDS = ("first_name", "last_name", "cin", "birth_date", "plan_member_id")
WHY = "told to the provider by its member file"
# What the row of a member tells, by the codes of the notices that it tells too.
TELLS_HELD = ("offer", "offer_reminded", "yours", "decided", "extended", "started")
TELLS_ENDED = ("offer_withdrawn", "assignment_ended", "ended")


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of one plan that a provider holds or held, those that it was told of, and what the last file said."""

    states: Mapping[str, Outreach]
    received: Mapping[str, date]
    # What the files said of each loop of which anything went out, since the last one that was fetched; the newest last.
    told: Mapping[str, Mapping[str, Any]]
    # What the last file that was fetched said.
    fetched: Mapping[str, Mapping[str, Any]]
    # What the last file that was written said, and when that was.
    last: Mapping[str, Mapping[str, Any]]
    written_at: datetime | None


def layout_of(context: RunningService, plan: str, on: date) -> tuple[Layout, str] | None:
    """How the plan writes its member file on a day, and the plan's number in files; None where no profile says so."""
    profile = read_profiles(context.settings.profiles_folder).of(plan, on)
    layout = profile.files.get(KIND) if profile is not None else None
    return (layout, profile.number_in_files) if profile is not None and layout is not None else None


async def entry_of(context: RunningService, provider: str) -> ProviderRecorded | None:
    entry = await context.pool.fetchval("SELECT entry FROM provider WHERE id = $1", provider)
    return read_text(entry) if entry else None


async def write_member_file(
    context: RunningService, file: str, plan: str, provider: str, client: Client
) -> Mapping[str, Any]:
    """Write the file of this plan for this provider now, under this id. Raises 409 `profile-missing`,
    `answers-otherwise`."""
    now = context.clock.now()
    today = la_date(now)
    found = await asyncio.to_thread(layout_of, context, plan, today)
    if found is None:
        raise Problem(
            409,
            "profile-missing",
            "No profile says how this plan writes its member file.",
            fix="Put the profile into the policy folder's files/, or ask who operates this.",
        )
    entry = await entry_of(context, provider)
    if entry is None or entry.answers_by != "file":
        raise Problem(
            409,
            "answers-otherwise",
            "This provider does not answer by file.",
            fix="Set answers_by to file in its directory entry, or read its offers over the API.",
        )
    loops = await loops_of(context, plan, provider)
    return await _write(context, file, plan, entry, client, loops, found, now)


async def _write(
    context: RunningService,
    file: str,
    plan: str,
    entry: ProviderRecorded,
    client: Client,
    loops: Loops,
    found: tuple[Layout, str],
    now: datetime,
) -> Mapping[str, Any]:
    layout, number = found
    today = la_date(now)
    said = said_of(loops, entry.provider)
    told = await _rows(context, plan, entry.provider, client, loops, said, layout, file, now)
    organization = context.directory.organization(plan)
    about = FileContext(
        plan=plan,
        plan_name=organization.name if organization is not None else plan,
        plan_number=number,
        today=today,
        sender=entry.provider,
    )
    npi = npi_of(context, entry)
    recipient = Provider(entry.provider, entry.name, npi=npi, phone=entry.phone)
    # Those without a CIN cannot be told by a list whose key it is; their offer is read over the API.
    ordered = sorted((each for each in told.items() if each[1].cin), key=lambda each: (each[1].cin, each[0]))
    period = (today.replace(day=1), today)
    content = await asyncio.to_thread(
        lambda: write_file(KIND, layout, mif_rows([row for _, row in ordered], about, recipient, period))
    )
    first = (
        len(layout.titles) + any(column.group for column in layout.columns) * (layout.format == "xlsx") + 2
    )
    rows = [
        {"row": first + place, "stream": stream, "receipt": said[stream]}
        for place, (stream, _) in enumerate(ordered)
    ]
    name = file_name(layout, today, npi=npi, plan=plan, provider=entry.provider)
    sent = Sent(file, client, plan, KIND, False, now, kept.sealing_key(plan), "done", name)
    return await _keep(context, sent, entry.provider, layout.format, content, rows)


# ── whom it is about ──────────────────────────────────────────────────────────────────────────────────────


async def loops_of(context: RunningService, plan: str, provider: str) -> Loops:
    pool = context.pool
    since = await pool.fetchval(
        """SELECT max(received_at) FROM file WHERE kind = 'mif' AND plan = $1 AND provider_id = $2
           AND note ->> 'fetched_at' IS NOT NULL""",
        plan, provider,
    )  # fmt: skip
    files = await pool.fetch(
        """SELECT id, received_at, note ->> 'fetched_at' IS NOT NULL AS fetched, note ? 'sent' AS begun FROM file
           WHERE kind = 'mif' AND plan = $1 AND provider_id = $2
             AND received_at >= coalesce($3::timestamptz, '-infinity') ORDER BY received_at, id""",
        plan, provider, since,
    )  # fmt: skip
    rows = await pool.fetch(
        "SELECT file, stream, receipt FROM file_row WHERE file = ANY($1::text[]) AND stream <> ''",
        [each["id"] for each in files],
    )
    by_file: dict[str, dict[str, Mapping[str, Any]]] = {each["id"]: {} for each in files}
    for row in rows:
        by_file[row["file"]][row["stream"]] = orjson.loads(row["receipt"])
    told: dict[str, Mapping[str, Any]] = {}
    for each in files:
        # Of a file of which nothing went out nobody was told: who is gone by now is not told of after all.
        if each["fetched"] or each["begun"]:
            told |= by_file[each["id"]]
    nothing: dict[str, Mapping[str, Any]] = {}
    fetched = next((by_file[each["id"]] for each in reversed(files) if each["fetched"]), nothing)
    states = await pool.fetch(
        "SELECT id, state FROM referral WHERE (plan_id = $1 AND held_by = $2) OR id = ANY($3::text[])",
        plan,
        provider,
        sorted(told),
    )
    received = await pool.fetch(
        """SELECT DISTINCT ON (stream) stream, payload FROM journal WHERE stream = ANY($1::text[])
           AND type LIKE 'ecm.referral.received.%' ORDER BY stream, n""",
        [row["id"] for row in states],
    )
    last = by_file[files[-1]["id"]] if files else {}
    return Loops(
        {row["id"]: Outreach.model_validate(orjson.loads(row["state"])) for row in states},
        {row["stream"]: _day_of(row["payload"]) for row in received},
        told,
        fetched,
        last,
        files[-1]["received_at"] if files else None,
    )


def _day_of(payload: bytes) -> date:
    """The day on which a noted fact happened."""
    return la_date(datetime.fromisoformat(orjson.loads(payload)["occurred_at"]))


def said_of(loops: Loops, provider: str) -> Mapping[str, Mapping[str, Any]]:
    """What a file written now says of each loop, in codes."""
    said: dict[str, Mapping[str, Any]] = {}
    for stream, outreach in loops.states.items():
        held = (
            outreach.assignment
            if outreach.assignment is not None and outreach.assignment.provider == provider
            else None
        )
        state = member_state(outreach, held, offers=True)
        engagement = ENGAGEMENT.get(state, "") if state is not None else ""
        if engagement:
            number = outreach.term.number if outreach.term is not None else ""
            assignment = held.assignment if held is not None else ""
            said[stream] = {"engagement": engagement, "assignment": assignment, "number": number}
        elif loops.fetched.get(stream, {}).get("engagement") != DISCONTINUED and stream in loops.told:
            said[stream] = {"engagement": DISCONTINUED}
    return said


async def _rows(
    context: RunningService,
    plan: str,
    provider: str,
    client: Client,
    loops: Loops,
    said: Mapping[str, Mapping[str, Any]],
    layout: Layout,
    file: str,
    now: datetime,
) -> Mapping[str, Told]:
    """The row of each loop; opening them is written down, each with its own audit row."""
    sealed = await sealed_identities(context, list(said))
    streams = [stream for stream in said if stream in sealed]
    openings = [
        Opening(
            plan,
            stream,
            {IDENTITY: sealed[stream]}
            | ({CONTACT: loops.states[stream].contact} if loops.states[stream].contact else {}),
        )
        for stream in streams
    ]
    parts = await open_identity(
        context.sealer,
        context.store,
        client,
        now,
        openings,
        fields=(*IDENTITY_FIELDS, *CONTACT_FIELDS),
        why=f"{WHY} {file}",
    )
    today = la_date(now)
    names = {slug: each.name for slug, each in context.directory.organizations().items()}
    reader = Reader(provider, today, part2_programs(context.policy, today), names)
    told: dict[str, Told] = {}
    for stream, part in zip(streams, parts, strict=True):
        identity = part.get(IDENTITY, {})
        cin = plain_cin(identity.get("cin") or "")
        if said[stream]["engagement"] == DISCONTINUED:
            told[stream] = ended_row(cin, identity)
            continue
        state = loops.states[stream]
        told[stream] = row_of(
            cin, identity, part.get(CONTACT, {}), state, _state(state, provider), reader, layout,
            received_on=loops.received.get(stream), new=stream not in loops.fetched,
        )  # fmt: skip
    return told


def _state(outreach: Outreach, provider: str) -> State:
    state = member_state(outreach, outreach.assignment, offers=True)
    if state is None:
        raise LookupError("a row without a member")
    return state


# ── how it is kept ────────────────────────────────────────────────────────────────────────────────────────


async def _keep(
    context: RunningService,
    sent: Sent,
    provider: str,
    format: str,
    content: bytes,
    rows: Sequence[Mapping[str, Any]],
) -> Mapping[str, Any]:
    now = context.clock.now()
    parts = [
        kept.sealed_part(context, sent, n, content[start : start + kept.PART])
        for n, start in enumerate(range(0, max(len(content), 1), kept.PART))
    ]
    keys = {kept.COLUMN_OF[Role.PROVIDER]: provider, kept.COLUMN_OF[Role.PLAN]: sent.plan}
    facts = {
        "organization": provider, "digest": sha256(content).hexdigest(), "bytes": len(content), "format": format,
        "rows": len(rows), "done": len(rows), "done_at": now, "period_from": la_date(now).replace(day=1),
        "period_through": la_date(now), "state": "done", "counts": orjson.dumps({"accepted": len(rows)}).decode(),
    }  # fmt: skip

    async def steps(connection: Connection) -> Mapping[str, Any]:
        found = await connection.fetchrow("SELECT * FROM file WHERE id = $1", sent.id)
        if found is not None:
            return dict(found)
        await kept.insert(connection, sent, {**keys, **facts}, kept.sealed_name(context, sent))
        await connection.executemany(
            "INSERT INTO file_part VALUES ($1, $2, $3)", [(sent.id, n, part) for n, part in enumerate(parts)]
        )
        await connection.execute(
            """INSERT INTO file_row SELECT $1, x.row, x.row, x.stream, 'done', 'accepted', '', '', '', '[]', '', 0,
                 x.receipt FROM jsonb_to_recordset($2::jsonb) AS x (row int, stream text, receipt jsonb)""",
            sent.id,
            orjson.dumps(list(rows)).decode(),
        )
        row = await connection.fetchrow("SELECT * FROM file WHERE id = $1", sent.id)
        return dict(row or {})

    return await context.store.transact(steps)


# ── on a schedule ─────────────────────────────────────────────────────────────────────────────────────────


def is_due(loops: Loops, provider: str, since: int, every: int) -> bool:
    """Whether a file is to be written: the first as soon as there is anybody to tell of, the next where it says something
    new and `every` business days have gone by; `since` have."""
    return changed(loops.last, said_of(loops, provider)) and (loops.written_at is None or since >= every)


async def pairs(context: RunningService, on: date) -> Sequence[tuple[str, str]]:
    """The plans that write member files on a day and the providers that answer by file, as far as they have to do with
    each other."""
    profiles = (await asyncio.to_thread(read_profiles, context.settings.profiles_folder)).profiles
    plans = sorted({each.plan for each in profiles if KIND in each.files and each.holds_on(on)})
    if not plans:
        return []
    rows = await context.pool.fetch(
        """SELECT plan, p.id AS provider FROM provider p CROSS JOIN unnest($1::text[]) AS plan
           WHERE p.entry ->> 'answers_by' = 'file' AND (
             EXISTS (SELECT FROM referral r WHERE r.plan_id = plan AND r.held_by = p.id)
             OR EXISTS (SELECT FROM file f WHERE f.kind = 'mif' AND f.plan = plan AND f.provider_id = p.id))
           ORDER BY 1, 2""",
        plans,
    )
    return [(row["plan"], row["provider"]) for row in rows]
