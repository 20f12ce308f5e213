"""`/v1/reports`: previews of what a plan reports to the state, each figure with the referrals behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from loopkeeper.contract.calendar import la_date
from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing, listing
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import Problem
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import AuditRow
from loopkeeper.store.row_access import OWN, reading, visible_row, visible_rows
from referral_intake.api.reports.views import (
    Behind,
    BehindQuery,
    CountedReferral,
    Figures,
    FiguresQuery,
    Report,
    ReportBody,
    ReportsQuery,
    ShownFigure,
    SubmitBody,
    defined,
    definitions,
    figure_of,
    shown,
    values,
)
from referral_intake.domain.reports.counting import Kind
from referral_intake.domain.reports.figures import Value, published, share
from referral_intake.domain.reports.period import Period
from referral_intake.files.contents import MEDIA, SOURCES
from referral_intake.files.reports import asked_of, content_of
from referral_intake.persistence import reports as kept

router = APIRouter(tags=["intake"], route_class=Operation)
KEYS = ("plan_id",)
FILES: Mapping[Kind, str] = {"measures": "json", "monthly": "json", "qimr": "xlsx"}


def schema_of(media: str) -> Mapping[str, str]:
    """A report as JSON is an object, whose members its definitions explain; a workbook is bytes."""
    return {"type": "object"} if media == "application/json" else {"type": "string", "format": "binary"}


@router.post(
    "/v1/reports",
    summary="Ask for a report of a month or quarter",
    status_code=202,
    responses=refused("period-of-another-kind", "period-not-begun", status=422),
)
async def ask_report(
    body: Annotated[ReportBody, example({"kind": "measures", "period": "2026-03"})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> Report:
    """Builds a preview of what the plan reports to the state: `measures` (closed-loop measures of a month), `monthly` (the
    month's JSON) or `qimr` (the quarterly workbook). The official layouts are not public; nothing is sent to anybody. The
    same facts give the same bytes. Each member whose name is in it is an opening that is recorded. The same
    Idempotency-Key answers with the same report."""
    period, context = Period.of(body.period), call.service
    if period.quarter != (body.kind == "qimr"):
        fix = "Send a quarter such as 2026-Q4 for qimr, a month such as 2026-10 for the others."
        raise Problem(422, "period-of-another-kind", "This report is of other days.", fix=fix)
    now, client = context.clock.now(), call.client
    if period.first > la_date(now):
        raise Problem(422, "period-not-begun", "These days are still to come.", fix="Ask for days gone by.")
    person = client.person
    report = f"rep_{call.command_id.hex}"
    await kept.ask(
        context,
        kept.Asked(
            report, client.organization, body.kind, body.period, client.id, person.id if person is not None else "",
            person is not None, now,
        ),
    )  # fmt: skip
    asked_of(context).wake()
    call.location(f"/v1/reports/{report}")
    return shown(call, await _row(call, report))


@router.get("/v1/reports", summary="Reports")
async def reports(
    asked: Annotated[ReportsQuery, Query()], call: Annotated[Call, allowed(Role.PLAN)]
) -> Listing[Report]:
    """The plan's own, least recently changed first."""
    start = asked.start()
    rows = await visible_rows(
        call.service.readers,
        call.client,
        f"""SELECT {kept.READ} FROM report WHERE (at, id) > ($1, $2) AND ($3::text IS NULL OR kind = $3)
            AND ($4::text IS NULL OR period = $4) AND {OWN} ORDER BY at, id LIMIT $5""",  # noqa: S608 own fragments
        start.at,
        start.id,
        asked.kind,
        asked.period,
        asked.fetch,
        keys=KEYS,
    )
    return await listing(call, asked, rows, lambda row: shown(call, row))


@router.get("/v1/reports/{id:key}", summary="How far a report is")
async def report(id: Id, call: Annotated[Call, allowed(Role.PLAN)]) -> Report:
    """For the plan whose report it is."""
    row = await _row(call, id)
    call.etag(_version(row))
    return shown(call, row)


@router.get(
    "/v1/reports/{id:key}/content",
    summary="The bytes of a report",
    responses={200: {"content": {media: {"schema": schema_of(media)} for media in MEDIA.values()}}}
    | refused("report-open", "report-forgotten"),
    response_class=Response,
)  # fmt: skip
async def content(id: Id, call: Annotated[Call, allowed(Role.PLAN)]) -> Response:
    """The whole report, with members' names where the state asks for them, to its plan alone. Nothing in it is masked."""
    row, context = await _ready(call, id), call.service
    async with reading(context.readers, call.client) as connection:
        parts = await connection.fetch("SELECT n, sealed FROM report_part WHERE report = $1 ORDER BY n", id)
    await context.store.record([_audit(call, row, "to fetch a report")])
    whole = await asyncio.to_thread(content_of, context, row, parts)
    kind: Kind = row["kind"]
    name = quote(f"preview_{kind}_{row['period']}.{FILES[kind]}")
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "ETag": f'"{row["digest"]}"'}
    return Response(whole, media_type=MEDIA[kind], headers=headers)


@router.get(
    "/v1/reports/{id:key}/figures",
    summary="A report's figures, as submitted and as now",
    responses=refused("report-open"),
)
async def figures(
    id: Id, asked: Annotated[FiguresQuery, Query()], call: Annotated[Call, allowed(Role.PLAN)]
) -> Figures:  # fmt: skip
    """Every figure with its definition and source. Next to each is what it was in the report of the same days that was
    submitted last: later facts change a figure, and never what was submitted."""
    row = await _ready(call, id)
    known, submitted = defined(row), await _submitted(call, row)
    before = {each.cell: each.value for each in values(submitted)} if submitted is not None else {}
    now = {each.cell: each for each in values(row)}
    # What was submitted and is no more is nothing now.
    cells = now | {cell: Value(*cell, 0) for cell in before if cell not in now}
    counts, by_name = {cell: each.value for cell, each in cells.items()}, {each.name: each for each in known}
    return Figures(
        sources=tuple(SOURCES[row["kind"]]),
        definitions=definitions(known),
        submitted=submitted["id"] if submitted is not None else None,
        items=tuple(
            figure_of(
                each, share(counts, cell, by_name), before.get(cell, 0) if submitted is not None else None
            )
            for cell, each in cells.items()
            if asked.by is None or asked.by == each.by
        ),
    )


@router.get(
    "/v1/reports/{id:key}/published",
    summary="A report's figures as they may be published",
    responses=refused("report-open"),
)
async def published_figures(id: Id, call: Annotated[Call, allowed(Role.PLAN)]) -> Figures:  # fmt: skip
    """The figures without those that would tell of fewer than 11 people (policy row `reporting/mask`): a hidden one has no
    value, no share and no days, and with it are hidden those from which it could be worked out."""
    row, context = await _ready(call, id), call.service
    day = Period.of(row["period"]).last
    mask = context.policy.row("reporting", on=day, plan=row["plan_id"], step="mask")
    known = defined(row)
    found = await asyncio.to_thread(published, values(row), known, mask["below"])
    return Figures(
        sources=tuple(SOURCES[row["kind"]]),
        definitions=definitions(known),
        items=tuple(
            ShownFigure(
                figure=each.figure, by=each.by, of=each.of, value=each.value, share=each.share,
                median_days=each.days[0] if each.days else None, p95_days=each.days[1] if each.days else None,
            )
            for each in found
        ),
    )  # fmt: skip


@router.get(
    "/v1/reports/{id:key}/referrals",
    summary="The referrals behind a figure",
    responses=refused("report-open", "report-forgotten"),
)
async def behind(
    id: Id, asked: Annotated[BehindQuery, Query()], call: Annotated[Call, allowed(Role.PLAN)]
) -> Behind:  # fmt: skip
    """The referrals that count in this figure of this report, as they were counted, in the order of their ids. Their
    times add up to the figure."""
    row = await _ready(call, id)
    async with reading(call.service.readers, call.client) as connection:
        found = await connection.fetch(
            """SELECT referral, coalesce((figures ->> $2::text)::int, 1) AS times FROM report_line
               WHERE report = $1 AND referral > $3 AND ($2::text = '' OR figures ? $2::text)
                 AND ($4::text = '' OR names -> $4::text ? $5::text) ORDER BY referral LIMIT $6""",
            row["id"],
            asked.figure,
            asked.after,
            asked.by,
            asked.of,
            asked.limit,
        )
    items = tuple(CountedReferral(referral=each["referral"], times=each["times"]) for each in found)
    return Behind(items=items, next_after=items[-1].referral if len(items) == asked.limit else None)


@router.post(
    "/v1/reports/{id:key}:submit",
    summary="Say that a report was submitted",
    responses=refused("report-open", "already-submitted"),
)
async def submit(
    id: Id,
    body: Annotated[SubmitBody, example({"acted_by": {"person": "maria-chen"}})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> Report:
    """A named person of the plan says that these figures went to the state. Nothing is sent by this. From then on they
    are shown, as submitted, next to the figures of every later report of the same days."""
    row = await _ready(call, id)
    call.check_match(_version(row))
    by = call.acted_by(body.acted_by)
    await call.service.store.record([_audit(call, row, "says that a report was submitted", by.person)])
    said = {"organization": by.organization, "person": by.person, "title": body.acted_by.title}
    if not await kept.submit(call.service, id, said):
        fix = "Ask for a new report, and submit that."
        raise Problem(409, "already-submitted", "This report was submitted already.", fix=fix)
    return shown(call, await _row(call, id))


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


async def _row(call: Call, id: str) -> Mapping[str, Any]:
    query = f"SELECT * FROM report WHERE id = $1 AND {OWN}"  # noqa: S608 own fragments
    return await visible_row(call.service.readers, call.client, query, id, keys=KEYS)


async def _ready(call: Call, id: str) -> Mapping[str, Any]:
    """Raises 409 where it is not built, or its bytes are gone."""
    row = await _row(call, id)
    if row["state"] != "ready":
        raise Problem(
            409, "report-open", "The report is not ready.", fix="Ask again when its state is ready."
        )
    if row["forgotten_at"] is not None and not call.scope["path"].endswith(("/figures", "/published")):
        fix = "Its figures can still be read."
        raise Problem(409, "report-forgotten", "The bytes of this report are no longer kept.", fix=fix)
    return row


async def _submitted(call: Call, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The report of the same days that was submitted last."""
    rows = await visible_rows(
        call.service.readers,
        call.client,
        f"""SELECT * FROM report WHERE kind = $1 AND period = $2 AND submitted_at IS NOT NULL AND {OWN}
            ORDER BY submitted_at DESC LIMIT 1""",  # noqa: S608 own fragments
        row["kind"],
        row["period"],
        keys=KEYS,
    )
    return rows[0] if rows else None


def _version(row: Mapping[str, Any]) -> int:
    return (
        (row["ready_at"] is not None)
        + 2 * (row["submitted_at"] is not None)
        + 4 * (row["forgotten_at"] is not None)
    )


def _audit(call: Call, row: Mapping[str, Any], why: str, person: str = "") -> AuditRow:
    client = call.client
    proved = client.person
    return AuditRow(
        call.service.clock.now(), client.organization, client.id, row["plan_id"], row["id"], ("report",), ("all",), why,
        proved.id if proved is not None else person, proved is not None,
    )  # fmt: skip
