"""`/v1/files/mif`: the member files that a plan tells a provider by: write one, see which there are, fetch it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation, refused
from loopkeeper.http.stream import Stream
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.plan_files.writing import MEDIA
from loopkeeper.runtime.files.taking_in import content_of, sent_of
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import OrganizationKind, Role
from loopkeeper.security.sealing import AuditRow
from loopkeeper.store.row_access import OWN, reading, visible_row, visible_rows
from notification.files.fetched import at_risk, tell_by, went_out
from notification.files.member_file import KIND, write_member_file

router = APIRouter(tags=["notification"], route_class=Operation)
KEYS = ("plan_id", "provider_id")
PARTIES = (Role.PROVIDER, Role.PLAN)
# Bytes that go out at a time.
PIECE = 64 * 1024
RANGE = re.compile(r"bytes=(\d{1,12})-(\d{0,12})")


class MemberFileQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str = Field("", max_length=60, description="The plan that tells; a plan's own key need not say it")
    provider: str = Field(
        "", max_length=60, description="The provider that is told; a provider's own key need not say it"
    )


class MemberFilesQuery(Page):
    plan: str | None = Field(None, max_length=60, description="Only files of this plan")
    fetched: bool | None = Field(None, description="Only files that were fetched, or only those that wait")


class MemberFile(BaseModel):
    """One member file. `fetched_at`: when its provider had fetched the whole of it, and its members were told with it.
    `tell_by`: when the first of those it tells of must have been told; a file that waits too long for that is
    `at_risk`."""

    model_config = ConfigDict(frozen=True)

    id: str
    plan: str
    provider: str
    written_at: datetime
    rows: int
    bytes: int
    digest: str = Field(description="SHA-256 of the file's bytes, in hexadecimal")
    fetched_at: datetime | None = None
    tell_by: datetime | None = None
    at_risk: bool = False
    forgotten_at: datetime | None = Field(None, description="Since when its bytes are no longer kept")


@router.post(
    "/v1/files/mif:write",
    summary="Write a member file now",
    status_code=201,
    responses=refused("profile-missing", "answers-otherwise")
    | refused("unknown-plan", "unknown-provider", status=422),
)
async def write_mif(
    asked: Annotated[MemberFileQuery, Query()], call: Annotated[Call, allowed(*PARTIES)]
) -> MemberFile:
    """Writes what the plan has to tell a provider that answers by file: all who are offered to it or served by it, and
    those that it has no more. One is written on a schedule, too, often enough to keep the ten business days. Each
    person in it is a disclosure that is recorded; rows keep safe-contact and Part 2 rules. The same Idempotency-Key
    answers with the same file."""
    plan, provider = _parties(call, asked)
    file = f"fil_{call.command_id.hex}"
    known = await call.service.pool.fetchrow("SELECT * FROM file WHERE id = $1 AND kind = $2", file, KIND)
    row = known or await write_member_file(call.service, file, plan, provider, call.client)
    call.location(f"/v1/files/mif/{row['id']}")
    return await _shown(call, row)


@router.get("/v1/files/mif", summary="Member files")
async def mif_files(
    asked: Annotated[MemberFilesQuery, Query()],
    call: Annotated[Call, allowed(*PARTIES, Role.OPERATIONS)],
) -> Listing[MemberFile]:
    """Those of the provider, or of the plan, least recently changed first."""
    start = asked.start()
    rows = await visible_rows(
        call.service.readers,
        call.client,
        f"""SELECT * FROM file WHERE kind = $1 AND (at, id) > ($2, $3) AND ($4::text IS NULL OR plan = $4)
            AND ($5::boolean IS NULL OR (note ->> 'fetched_at' IS NOT NULL) = $5) AND {OWN}
            ORDER BY at, id LIMIT $6""",  # noqa: S608 own fragments
        KIND,
        start.at,
        start.id,
        asked.plan,
        asked.fetched,
        asked.fetch,
        keys=KEYS,
    )
    due = await _due(call, [row["id"] for row in rows])
    return await listing(call, asked, rows, lambda row: _show(call, row, due.get(row["id"])))


@router.get("/v1/files/mif/{id:key}", summary="One member file")
async def mif_file(id: Id, call: Annotated[Call, allowed(*PARTIES, Role.OPERATIONS)]) -> MemberFile:
    """When it was written, whether it was fetched, and by when it must be."""
    return await _shown(call, await _row(call, id))


@router.get(
    "/v1/files/mif/{id:key}/content",
    summary="The bytes of a member file",
    responses=refused("file-forgotten") | refused("range-unknown", status=416),
    response_class=Response,
)
async def mif_content(id: Id, call: Annotated[Call, allowed(*PARTIES)]) -> Response:
    """The file as its plan writes it. A download that broke off goes on with `Range: bytes=N-`. Once its provider has
    the whole file, the members in it count as told; a plan's own download tells nobody."""
    row, context = await _row(call, id), call.service
    if row["forgotten_at"] is not None:
        fix = "Write a new one with POST /v1/files/mif:write."
        raise Problem(409, "file-forgotten", "The bytes of this file are no longer kept.", fix=fix)
    start, end = _wanted(call, row["bytes"])
    async with reading(context.readers, call.client) as connection:
        parts = await connection.fetch(
            "SELECT n, sealed FROM file_part WHERE file = $1 ORDER BY n", row["id"]
        )
    await context.store.record([_audit(call, row)])
    content = await content_of(context, row["sealed_with"], row["id"], parts)
    sent = sent_of(context, row, KIND)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(sent.name or row['id'])}",
        "Content-Length": str(end - start),
        "Accept-Ranges": "bytes",
        "ETag": f'"{row["digest"]}"',
    }
    partial = (start, end) != (0, row["bytes"])
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{row['bytes']}"
    media = MEDIA["xlsx"] if row["format"] == "xlsx" else MEDIA["csv"]
    answer = Stream(_pieces(call, row, content, start, end), media_type=media, headers=headers)
    answer.status_code = 206 if partial else 200
    return answer


async def _pieces(
    call: Call, row: Mapping[str, Any], content: bytes, start: int, end: int
) -> AsyncGenerator[bytes]:
    """What goes out, and then that it went out: only the provider's own fetching tells it."""
    sent = start
    mine = row["provider_id"] == call.client.organization and Role.PROVIDER in call.client.roles
    try:
        for at in range(start, end, PIECE):
            yield content[at : min(at + PIECE, end)]
            sent = min(at + PIECE, end)
    finally:
        if mine and not call.head and sent > start:
            await went_out(call.service, row["id"], call.client.id, start, sent)


def _wanted(call: Call, size: int) -> tuple[int, int]:
    """The bytes that are asked for: one range, or all."""
    said = call.headers.get(b"range", b"").decode("latin-1").strip()
    if not said:
        return 0, size
    found = RANGE.fullmatch(said)
    start = int(found[1]) if found else 0
    end = min(int(found[2]) + 1, size) if found and found[2] else size
    if found is None or start >= end:
        raise Problem(
            416, "range-unknown", "The file has no such bytes.", fix="Ask for `Range: bytes=N-`, N below its size.",
            headers={"Content-Range": f"bytes */{size}"},
        )  # fmt: skip
    return start, end


def _parties(call: Call, asked: MemberFileQuery) -> tuple[str, str]:
    """Which plan tells which provider: one of the two is the caller. Raises 422, 404."""
    client = call.client
    plan = asked.plan or (client.organization if Role.PLAN in client.roles else "")
    provider = asked.provider or (client.organization if Role.PROVIDER in client.roles else "")
    as_plan = Role.PLAN in client.roles and plan == client.organization
    as_provider = Role.PROVIDER in client.roles and provider == client.organization
    found = call.service.directory.organization(plan)
    if found is None or found.kind is not OrganizationKind.PLAN:
        fix = "Send ?plan= with the id of a plan served here."
        raise Problem(422, "unknown-plan", "The plan named is not served here.", fix=fix)
    if not provider:
        fix = "Send ?provider= with the provider's id."
        raise Problem(422, "unknown-provider", "No provider is named.", fix=fix)
    if not as_plan and not as_provider:
        raise not_found()
    return plan, provider


async def _row(call: Call, id: str) -> Mapping[str, Any]:
    return await visible_row(
        call.service.readers,
        call.client,
        f"SELECT * FROM file WHERE id = $1 AND kind = $2 AND {OWN}",  # noqa: S608 own fragments
        id,
        KIND,
        keys=KEYS,
    )


async def _shown(call: Call, row: Mapping[str, Any]) -> MemberFile:
    due = await _due(call, [row["id"]])
    return _show(call, row, due.get(row["id"]))


async def _due(call: Call, files: Sequence[str]) -> Mapping[str, datetime]:
    return await tell_by(call.service.pool, files)


def _show(call: Call, row: Mapping[str, Any], due_at: datetime | None) -> MemberFile:
    note = orjson.loads(row["note"])
    return MemberFile(
        id=row["id"],
        plan=row["plan"],
        provider=row["provider_id"],
        written_at=row["received_at"],
        rows=row["rows"],
        bytes=row["bytes"],
        digest=row["digest"],
        fetched_at=note.get("fetched_at"),
        tell_by=due_at,
        at_risk=at_risk(call.service, due_at, call.service.clock.now()),
        forgotten_at=row["forgotten_at"],
    )


def _audit(call: Call, row: Mapping[str, Any]) -> AuditRow:
    client = call.client
    person = client.person
    return AuditRow(
        call.service.clock.now(),
        client.organization,
        client.id,
        row["plan"],
        row["id"],
        ("file",),
        ("all",),
        "to fetch the member file",
        person.id if person is not None else "",
        person is not None,
    )
