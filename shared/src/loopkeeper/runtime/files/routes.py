"""The routes of files: send one, see how far it is and what became of each row, fetch it back with the answers in it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote
from zlib import crc32

import orjson
from fastapi import APIRouter, Depends, Query, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.calendar import la_date
from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing, Page, listing, made
from loopkeeper.http.person import Person
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.http.upload import Upload
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.plan_files.profile_folder import Profiles, read_profiles
from loopkeeper.plan_files.returned import returned_file
from loopkeeper.plan_files.writing import MEDIA
from loopkeeper.runtime.files import taking_back, taking_in
from loopkeeper.runtime.files.kinds import BackBy, FileKind, Reading, Sent
from loopkeeper.runtime.files.months import FilesOfMonth, files_of_month
from loopkeeper.runtime.files.records import judged_of
from loopkeeper.runtime.files.views import FileRows, ShownFile, shown, shown_row
from loopkeeper.runtime.files.worker import reading_of
from loopkeeper.runtime.service import Call, RunningService
from loopkeeper.security.organizations import OrganizationKind, Role
from loopkeeper.security.sealing import AuditRow
from loopkeeper.spreadsheets import Unreadable
from loopkeeper.spreadsheets.cells import MEGABYTE
from loopkeeper.store.row_access import OWN, reading, visible_row, visible_rows

LARGEST = 25 * MEGABYTE
BYTES = Upload(
    "application/octet-stream",
    "text/csv",
    "text/plain",
    "text/tab-separated-values",
    MEDIA["xlsx"],
    "application/vnd.ms-excel",
    "application/vnd.oasis.opendocument.spreadsheet",
    largest=lambda _: LARGEST,
)


RETURNED = {MEDIA[kind]: {"schema": {"type": "string", "format": "binary"}} for kind in ("xlsx", "csv")}


class FileQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str = Field("", max_length=60, description="The plan whose file it is")
    name: str = Field("", max_length=200, description="The file's name; kept sealed")
    dry_run: bool = Field(default=False, description="Judge every row, and let none act")


class FilesQuery(Page):
    plan: str | None = Field(None, max_length=60, description="Only files of this plan")
    state: str | None = Field(None, max_length=20, description="Only files in this state")


# No spreadsheet has more.
MOST_ROWS = 2**20


class RowsQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    result: str | None = Field(None, max_length=20, description="Only accepted, unchanged or refused rows")
    after: int = Field(0, ge=0, le=MOST_ROWS, description="Only rows below this one")
    limit: int = Field(200, ge=1, le=1000, description="Rows a page")


class ReleaseFileBody(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid")

    acted_by: Person = Field(description="Who of the plan lets it act")


class TakeFileBackBody(BlankIsMissing):
    """Who wants the file taken back, and why: two persons, one after the other."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    acted_by: Person = Field(description="Who wants it taken back")
    reason: Literal["wrong_file", "wrong_period", "wrong_members", "sent_by_mistake"] = Field(
        description="Why: a code, since words could be about a person"
    )


def routes_of(service: str, kinds: Sequence[FileKind]) -> APIRouter:
    """The routes of the kinds of file that this service takes."""
    router = APIRouter(tags=[service], route_class=Operation)
    for kind in kinds:
        _add(router, kind)
    return router


def _add(router: APIRouter, kind: FileKind) -> None:
    path, name = f"/v1/files/{kind.kind}", kind.kind
    readers = tuple(dict.fromkeys((*kind.roles, Role.PLAN, Role.OPERATIONS)))
    keys = tuple(taking_in.COLUMN_OF[role] for role in dict.fromkeys((*kind.roles, Role.PLAN)))

    async def send(
        asked: Annotated[FileQuery, Query()],
        pieces: Annotated[AsyncIterator[bytes], Depends(BYTES)],
        call: Annotated[Call, allowed(*kind.roles)],
    ) -> ShownFile:
        sent, owners = _sent(call, kind, asked)
        row = await taking_in.take(call.service, sent, owners, pieces)
        call.location(f"{path}/{sent.id}")
        return shown(row)

    async def files(
        asked: Annotated[FilesQuery, Query()], call: Annotated[Call, allowed(*readers)]
    ) -> Listing[ShownFile]:
        start = asked.start()
        rows = await visible_rows(
            call.service.readers,
            call.client,
            f"""SELECT * FROM file WHERE kind = $1 AND (at, id) > ($2, $3) AND ($4::text IS NULL OR plan = $4)
                AND ($5::text IS NULL OR state = $5) AND {OWN} ORDER BY at, id LIMIT $6""",  # noqa: S608 own fragments
            name,
            start.at,
            start.id,
            asked.plan,
            asked.state,
            asked.fetch,
            keys=keys,
        )
        return await listing(call, asked, rows, shown)

    async def months(
        month: Annotated[str, PathParameter(description="Such as 2026-10")],
        call: Annotated[Call, allowed(Role.PLAN)],
    ) -> FilesOfMonth:
        return await files_of_month(call, kind, month)

    async def file(id: Id, call: Annotated[Call, allowed(*readers)]) -> ShownFile:
        row = await _row(call, id, name, keys)
        call.etag(_version(row))
        return shown(row)

    async def rows(
        id: Id, asked: Annotated[RowsQuery, Query()], call: Annotated[Call, allowed(*readers)]
    ) -> FileRows:
        row = await _row(call, id, name, keys)
        layout = (await _read_by(call.service, row, kind)).layout
        async with reading(call.service.readers, call.client) as connection:
            found = await connection.fetch(
                """SELECT * FROM file_row WHERE file = $1 AND row > $2 AND ($3::text IS NULL OR result = $3)
                   ORDER BY row LIMIT $4""",
                id,
                asked.after,
                asked.result,
                asked.limit,
            )
        items = await made(call, found, lambda each: shown_row(each, layout.heading))
        return FileRows(items=items, next_after=items[-1].row if len(items) == asked.limit else None)

    async def returned(id: Id, call: Annotated[Call, allowed(*kind.roles)]) -> Response:
        row = await _row(call, id, name, keys)
        return await _returned(call, row, kind)

    async def release(
        id: Id,
        body: Annotated[ReleaseFileBody, example({"acted_by": {"person": "maria-chen"}})],
        call: Annotated[Call, allowed(Role.PLAN)],
    ) -> ShownFile:
        call.check_match(_version(await _row(call, id, name, ("plan_id",))))
        await call.service.store.record([_said(call, id, body.acted_by, "lets a held file act")])
        if not await taking_back.release(call.service, id):
            raise Problem(409, "not-held", "The file is not held.", fix="There is nothing to release.")
        return shown(await _row(call, id, name, keys))

    async def take_back(
        id: Id,
        body: Annotated[
            TakeFileBackBody, example({"acted_by": {"person": "maria-chen"}, "reason": "wrong_period"})
        ],
        call: Annotated[Call, allowed(*dict.fromkeys((*kind.roles, Role.PLAN)))],
    ) -> ShownFile:
        row, service = await _row(call, id, name, keys), call.service
        call.check_match(_version(row))
        if row["state"] in ("receiving", "refused") or row["dry_run"]:
            fix = "Nothing of it acted: there is nothing to take back."
            raise Problem(409, "nothing-to-take-back", "No row of this file acts.", fix=fix)
        by = call.acted_by(body.acted_by)
        asked = {"organization": by.organization, "person": by.person, "reason": body.reason}
        if taking_back.second_to_say(orjson.loads(row["note"]), row["state"], asked):
            # Before it is marked: a crash in between leaves the second person's word unsaid, to be said again.
            sent = taking_in.sent_of(service, row, kind.kind)
            acted = await taking_back.accepted_rows(service, id)
            back_by = BackBy(by.organization, by.person, by.proved, body.reason)
            await taking_back.keep_taken_back(
                service, id, await kind.take_back(service, sent, acted, back_by)
            )
        await service.store.record(
            [_said(call, id, body.acted_by, f"wants the file taken back: {body.reason}")]
        )
        await taking_back.ask_back(service, id, asked)
        return shown(await _row(call, id, name, keys))

    said = f"A {kind.about}"
    whose = "the sender sees it, and the plan whose file it is" if kind.for_a_plan else "the sender sees it"
    again = (
        "The same Idempotency-Key answers with the same file. Sent again, rows that were accepted are unchanged and "
        "rows that were refused are tried again."
    )
    _route(
        router.post,
        path,
        send,
        f"send_{name}",
        f"Send a {kind.about}",
        f"{said}: taken whole, then read by its profile and judged row by row; good rows act, each refused row says "
        f"its code, its column and what to do. {again} With `dry_run` nothing acts.",
        status_code=202,
        responses=refused("unknown-plan", "plan-missing", status=422),
    )
    _route(
        router.get,
        path,
        files,
        f"{name}_files",
        f"Files: {kind.about}",
        f"Least recently changed first; {whose}.",
    )
    _route(
        router.get,
        f"{path}/{{id:key}}",
        file,
        f"{name}_file",
        f"How far a file is: {kind.about}",
        f"{said}: {whose}.",
    )
    _route(
        router.get,
        f"{path}/{{id:key}}/rows",
        rows,
        f"{name}_rows",
        f"What became of each row: {kind.about}",
        "The rows in the order of the file, each with its result, code, column and what to do.",
        responses=refused("file-refused"),
    )
    _route(
        router.get,
        f"{path}/{{id:key}}/returned",
        returned,
        f"{name}_returned",
        f"The file with its answers: {kind.about}",
        "The same rows and columns, and of each row its result, its code and what to do; in a workbook the cells that "
        "are wrong are marked. Correct it and send it again: only the corrected rows act. To its sender alone.",
        responses={200: {"content": RETURNED}, **refused("file-open", "file-refused", "file-forgotten")},
        response_class=Response,
    )
    if kind.for_a_plan:
        _route(
            router.get,
            f"{path}/months/{{month:key}}",
            months,
            f"{name}_months",
            f"Who sent the files of a month: {kind.about}",
            f"{said}: for its plan, by sender. Who is late by the policy row `files/due` or missing, who sent it again, and of "
            "the rows sent how many count: those that recorded something and were not taken back.",
        )
        _route(
            router.post,
            f"{path}/{{id:key}}:release",
            release,
            f"release_{name}",
            f"Let a held file act: {kind.about}",
            f"{said} of which more rows are refused than the plan lets act (policy row `files/hold`) is held until a "
            "named person of the plan lets it act.",
            responses=refused("not-held"),
        )
    _route(
        router.post,
        f"{path}/{{id:key}}:take-back",
        take_back,
        f"take_back_{name}",
        f"Take a whole file back: {kind.about}",
        f"{said} is taken back by two named persons, of its sender or its plan: from the first one's word on no further "
        f"row acts, the second one's ends it. {kind.taking_back}",
        responses=refused("same-person", "taken-back", "nothing-to-take-back"),
    )


def _route(
    add: Callable[..., Any],
    path: str,
    endpoint: Callable[..., Any],
    name: str,
    summary: str,
    text: str,
    **more: Any,
) -> None:
    """Declare one route of a kind of file: each has its own name and its own words in the reference."""
    endpoint.__name__, endpoint.__doc__ = name, text
    add(path, summary=summary, **more)(endpoint)


# ── sending ───────────────────────────────────────────────────────────────────────────────────────────────


def _sent(call: Call, kind: FileKind, asked: FileQuery) -> tuple[Sent, Mapping[str, str]]:
    client = call.client
    plan = _plan(call, kind, asked.plan)
    role = next(role for role in kind.roles if role in client.roles)
    owners = {taking_in.COLUMN_OF[role]: client.organization}
    if kind.for_a_plan:
        owners["plan_id"] = plan
    sent = Sent(
        id=f"fil_{call.command_id.hex}",
        client=client,
        plan=plan,
        kind=kind.kind,
        dry_run=asked.dry_run,
        received_at=call.service.clock.now(),
        sealed_with=taking_in.sealing_key(plan),
        name=asked.name,
    )
    return sent, owners


def _plan(call: Call, kind: FileKind, plan: str) -> str:
    """Whose file it is. Raises `plan-missing`, `unknown-plan`, and 404 where a plan sends another plan's."""
    client = call.client
    if not plan and Role.PLAN in client.roles and Role.PLAN in kind.roles:
        plan = client.organization
    if not plan and not kind.for_a_plan:
        return ""
    if not plan:
        fix = "Send ?plan= with the plan's id."
        raise Problem(422, "plan-missing", "The file does not say which plan it is for.", fix=fix)
    found = call.service.directory.organization(plan)
    if found is None or found.kind is not OrganizationKind.PLAN:
        fix = "Send the id of a plan served here."
        raise Problem(422, "unknown-plan", "The plan named is not served here.", fix=fix)
    if set(kind.roles) == {Role.PLAN} and plan != client.organization:
        # What only a plan sends is about its own members.
        raise not_found()
    return plan


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


async def _row(call: Call, id: str, kind: str, keys: Sequence[str]) -> Mapping[str, Any]:
    return await visible_row(
        call.service.readers,
        call.client,
        f"SELECT * FROM file WHERE id = $1 AND kind = $2 AND {OWN}",  # noqa: S608 own fragments
        id,
        kind,
        keys=keys,
    )


def _version(row: Mapping[str, Any]) -> int:
    """Another one whenever the file's state, or what was said of it, is another."""
    return crc32(f"{row['state']} {row['note']}".encode())


async def _read_by(
    context: RunningService, row: Mapping[str, Any], kind: FileKind, content: bytes = b""
) -> Reading:
    """By what the file was read. Raises 409 where its profile is not here any more."""
    profiles: Profiles = await asyncio.to_thread(read_profiles, context.settings.profiles_folder)
    day = row["period_through"] or la_date(row["received_at"])
    whose = row["plan"] or row["organization"]
    try:
        found = reading_of(profiles, whose, kind.kind, content, "", day)
    except Unreadable as error:
        raise Problem(409, "file-refused", error.sentence, fix=error.fix) from None
    return found


async def _returned(call: Call, row: Mapping[str, Any], kind: FileKind) -> Response:
    context = call.service
    if row["state"] not in ("done", "refused", "taken_back"):
        raise Problem(409, "file-open", "The file is not done yet.", fix="Fetch it when its state is done.")
    if row["state"] == "refused":
        raise Problem(409, "file-refused", f"{row['sentence']} Nothing of it was read.", fix=row["fix"])
    if row["forgotten_at"] is not None:
        fix = "Its rows can still be read."
        raise Problem(409, "file-forgotten", "The bytes of this file are no longer kept.", fix=fix)
    async with reading(context.readers, call.client) as connection:
        parts = await connection.fetch(
            "SELECT n, sealed FROM file_part WHERE file = $1 ORDER BY n", row["id"]
        )
        kept = await connection.fetch("SELECT * FROM file_row WHERE file = $1 ORDER BY row", row["id"])
    await context.store.record([_audit(call, row)])
    sent = taking_in.sent_of(context, row, kind.kind)
    content = await taking_in.content_of(context, row["sealed_with"], row["id"], parts)
    layout = (await _read_by(context, row, kind, content)).layout
    receipts = {each["row"]: orjson.loads(each["receipt"]) for each in kept}
    added = (kind.receipt_columns, receipts)
    try:
        answer = await asyncio.to_thread(
            returned_file, content, layout, judged_of(kept), name=sent.name, receipts=added
        )
    except Unreadable as error:
        # Its profile was changed since it was read.
        raise Problem(409, "file-refused", error.sentence, fix=error.fix) from None
    media = MEDIA["xlsx"] if answer.workbook else MEDIA["csv"]
    name = quote(f"{row['id']}_returned.{'xlsx' if answer.workbook else 'csv'}")
    return Response(
        answer.content, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _said(call: Call, file: str, person: Person, why: str) -> AuditRow:
    """Who said so of a whole file."""
    client, by = call.client, call.acted_by(person)
    return AuditRow(
        call.service.clock.now(),
        client.organization,
        client.id,
        "",
        file,
        (),
        (),
        why,
        by.person,
        bool(by.proved),
    )


def _audit(call: Call, row: Mapping[str, Any]) -> AuditRow:
    client = call.client
    now, plan = call.service.clock.now(), row["plan"]
    return AuditRow(
        now,
        client.organization,
        client.id,
        plan,
        row["id"],
        ("file",),
        ("all",),
        "to send the file back",
        client.person.id if client.person is not None else "",
        client.person is not None,
    )
