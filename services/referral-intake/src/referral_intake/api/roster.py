"""The routes of the plan's roster: replace it, and see how far its import is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.http.call import allowed
from loopkeeper.http.route import Operation, refused
from loopkeeper.http.upload import Upload
from loopkeeper.kernel.errors import not_found
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import reading
from referral_intake.persistence.coverage import compare, rosters_of
from referral_intake.persistence.roster import Import, load_roster, loaded_of

router = APIRouter(tags=["intake"], route_class=Operation)
File = Upload("application/x-ndjson", "text/csv", largest=lambda settings: settings.max_roster)


class RosterRowError(BaseModel):
    line: int
    pointer: str
    rule: str
    fix: str


class RosterResult(BaseModel):
    """How far the import is, and what came of it. Lines refused are named; the others are kept."""

    state: str = Field(
        description="running, waiting for its next part, held for confirm_removals, broken, or done"
    )
    lines: int = Field(description="Lines of the file that are done; the next part begins after them")
    accepted: int
    refused: int
    removed: int = Field(description="Members not in the file: they have left, or would")
    dry_run: bool
    errors: tuple[RosterRowError, ...]


class RosterQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: bool = Field(default=False, description="Check only; keep nothing")
    more: bool = Field(
        default=False, description="Another part of the file follows, with the same Idempotency-Key"
    )
    from_line: int = Field(
        default=1, ge=1, description="The line of the whole file with which this body begins"
    )
    confirm_removals: bool = Field(
        default=False, description="More than a fifth of the roster may leave: it was looked at, and is right"
    )


@router.put(
    "/v1/roster",
    summary="Replace the plan's roster",
    responses={
        202: {"model": RosterResult},
        **refused("row-invalid", status=422),
        **refused("import-running"),
        **refused("removals-unconfirmed"),
    },
)
async def put_roster(
    asked: Annotated[RosterQuery, Query()],
    pieces: Annotated[AsyncIterator[bytes], Depends(File)],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> RosterResult:
    """Who is covered, one member a line: cin, birth_date, county, covered_from, covered_through, pcp, programs.
    Programs are those next to ECM, by code or name (`pace`, `alw`); a member on a waiting list is not enrolled
    (`alw: wait-listed`). CSV, NDJSON or a workbook. Good lines replace the roster kept before; bad ones are named; a
    member the file does not name has left, and where that would be more than a fifth, nobody leaves without
    `confirm_removals`. A dry run tells how many. Loops of members of whom it says something else now learn that. The
    Idempotency-Key is the import's id: broken off, or sent in parts (`more`), it goes on by the same key from the line
    GET /v1/roster names."""
    context = call.service
    upload = Import(
        plan=call.client.organization,
        id=str(call.command_id),
        as_csv=call.media == "text/csv",
        charset=call.charset,
        synthetic=context.settings.synthetic_members == "on",
        dry_run=asked.dry_run,
        from_line=asked.from_line,
        more=asked.more,
        confirm_removals=asked.confirm_removals,
    )
    loaded = await load_roster(context.store, context.sealer, context.clock, upload, pieces)
    if loaded.state == "done" and not asked.dry_run:
        await compare(rosters_of(context), upload.plan, upload.id)
    if loaded.state == "waiting" and not asked.dry_run:
        call.answer.status_code = 202
    return RosterResult.model_validate(loaded, from_attributes=True)


@router.get("/v1/roster", summary="Progress of the roster's import")
async def roster(call: Annotated[Call, allowed(Role.PLAN)]) -> RosterResult:
    """Progress of the newest import of the plan's roster: its state, the lines done, and the rows refused."""
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM roster_import WHERE plan_id = $1", call.client.organization
        )
    if row is None:
        raise not_found()
    return RosterResult.model_validate(loaded_of(row), from_attributes=True)
