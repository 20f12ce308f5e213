"""The routes of the provider directory: write one's part, import many, take one out, and the public list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from assignment.api.directory_import import Imported, import_providers
from assignment.persistence.directory import (
    ProviderBody,
    check_hubs,
    check_parts,
    parts_of,
    recording,
    retiring,
    sealed_npi,
)
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.contract.field_types import AnyCounty
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.http.call import allowed, everyone
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.http.upload import Upload
from loopkeeper.kernel.errors import not_found
from loopkeeper.runtime.service import Call, RunningService
from loopkeeper.security.organizations import OrganizationKind, Role
from loopkeeper.store.definition import Reference
from loopkeeper.store.row_access import reading

router = APIRouter(tags=["assignment"], route_class=Operation)
File = Upload("text/csv", largest=lambda settings: settings.max_roster)
SERVING = frozenset({OrganizationKind.PROVIDER, OrganizationKind.HUB, OrganizationKind.COUNTY})
# What every public list of ECM providers must say (ECMG26 p93), and what it does not mean (loop.md 6.1).
NOTE = "Enhanced Care Management needs the plan's authorization before it is provided; reaching out to a member does not."


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProviderQuery(Page):
    county: AnyCounty | None = None
    population: Population | None = None
    language: str | None = Field(None, max_length=10)
    plan: str | None = Field(None, max_length=60)


class ShownContract(Shown):
    """`hub`: who holds the contract, where the provider acts through another organization."""

    plan: str
    populations: tuple[str, ...]
    hub: str | None = None


class ShownProvider(Shown):
    """One entry of the directory. `verified_at`: when operations last looked at it."""

    id: str
    name: str
    phone: str
    types: tuple[str, ...]
    populations: tuple[str, ...]
    age_bands: tuple[str, ...]
    counties: tuple[str, ...]
    languages: tuple[str, ...]
    contracts: tuple[ShownContract, ...]
    active: bool
    version: int
    verified_at: datetime | None


class ShownEntry(ShownProvider):
    note: str = NOTE


class ShownPlaces(Shown):
    """What the public list does not say of an entry. `taken`: members it serves, and offers that wait for its answer.
    `answers_by`: `api`, or `file` for a monthly file."""

    provider: str
    capacity: int
    taken: int
    answers_by: str


class PublicDirectory(Listing[ShownProvider]):
    """One page of the directory."""

    note: str = NOTE


class ImportQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: bool = Field(default=False, description="Check only; keep nothing")


# ── write ─────────────────────────────────────────────────────────────────────────────────────────────────


@router.put(
    "/v1/providers/{id:key}",
    summary="Write one's own part of a provider's entry",
    responses={
        201: {"model": ShownProvider},
        **refused("part-not-yours"),
        **refused("stale", status=412),
        **refused("npi-invalid", status=422),
    },
)
async def put_provider(
    id: Id,
    body: Annotated[ProviderBody, example({"phone": "555-0120", "languages": ["en", "es"], "capacity": 25})],
    call: Annotated[Call, allowed(Role.OPERATIONS, Role.PLAN, Role.PROVIDER)],
) -> ShownProvider:
    """Write the fields sent and leave the others. Parts have one owner each, so If-Match is optional; sent, it is
    honoured."""
    if not _serves(call.service, id) or not parts_of(call.client, id):
        raise not_found()
    check_parts(call.client, id, body)
    check_hubs(body, _is_hub(call.service))
    sealed = sealed_npi(call.service.sealer, id, body.npi)
    return await _written(call, id, recording(call.client, id, body, _match(call), sealed))


def _serves(context: RunningService, slug: str) -> bool:
    known = context.directory.organization(slug)
    return known is not None and known.kind in SERVING


def _is_hub(context: RunningService) -> Callable[[str], bool]:
    def is_hub(slug: str) -> bool:
        known = context.directory.organization(slug)
        return known is not None and known.kind is OrganizationKind.HUB

    return is_hub


@router.delete("/v1/providers/{id:key}", summary="Take a provider out of the directory")
async def delete_provider(
    id: Id, call: Annotated[Call, allowed(Role.OPERATIONS, needs_if_match=True)]
) -> ShownProvider:
    """The entry becomes inactive and leaves the public list: it gets no further offers. Members it serves stay
    with it until their assignments end."""
    call.check_match((await _entry(call, id))["version"])
    return await _written(call, id, retiring(call.client, id, _match(call)))


async def _written(call: Call, slug: str, reference: Reference) -> ShownProvider:
    """The entry after this change. Raises 412 with the current ETag where another version was meant."""
    try:
        outcome = await call.record(reference)
    except Refused as refused:
        if refused.slug == "stale":
            call.check_match((await _entry(call, slug))["version"])
        raise
    row: Mapping[str, Any] | None = outcome.state
    shown = _shown_provider(row["entry"] if row is not None else await _entry(call, slug))
    if shown.version == 1:
        call.answer.status_code = 201
    call.etag(shown.version)
    return shown


def _match(call: Call) -> int | None:
    tag = (call.if_match or "").strip().removeprefix("W/").strip('"')
    if not tag or tag == "*":
        return None
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 10 else -1


async def _entry(call: Call, slug: str) -> Mapping[str, Any]:
    """What the directory says of this provider. Raises 404 where it says nothing."""
    async with reading(call.service.readers, call.caller) as connection:
        entry = await connection.fetchval("SELECT entry FROM provider WHERE id = $1", slug)
    if entry is None:
        raise not_found()
    return orjson.loads(entry)


@router.post(
    "/v1/providers:import",
    summary="Write many entries from a CSV file",
    responses=refused("row-invalid", status=422),
)
async def import_rows(
    asked: Annotated[ImportQuery, Query()],
    pieces: Annotated[AsyncIterator[bytes], Depends(File)],
    call: Annotated[Call, allowed(Role.OPERATIONS, Role.PLAN)],
) -> Imported:
    """One line a provider, lists with `;` between: id, name, npi, phone, types, populations, age_bands, counties,
    languages, capacity, answers_by, active, and one contract: plan, contract_populations, from, through, hub. An empty
    cell leaves its field. A plan writes its own contracts only. Good lines are kept; bad ones are named."""
    context = call.service
    return await import_providers(
        context.store,
        context.pool,
        call.client,
        pieces,
        command_id=call.command_id,
        traceparent=call.traceparent,
        serving=lambda slug: _serves(context, slug),
        is_hub=_is_hub(context),
        sealer=context.sealer,
        at=context.clock.now(),
        dry_run=asked.dry_run,
        charset=call.charset,
    )


# ── read ──────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/providers", summary="The public directory of ECM providers")
async def providers(
    asked: Annotated[ProviderQuery, Query()], call: Annotated[Call, everyone]
) -> PublicDirectory:
    """Providers with their populations and counties; nothing about any member."""
    start = asked.start()
    async with reading(call.service.readers, None) as connection:
        rows = await connection.fetch(
            """SELECT id, entry, "at" FROM provider WHERE ("at", id) > ($1, $2) AND active
               AND ($3::text IS NULL OR entry -> 'counties' ? $3) AND ($4::text IS NULL OR entry -> 'populations' ? $4)
               AND ($5::text IS NULL OR entry -> 'languages' ? $5)
               AND ($6::text IS NULL OR entry -> 'contracts' @> jsonb_build_array(jsonb_build_object('plan', $6::text)))
               ORDER BY "at", id LIMIT $7""",
            start.at,
            start.id,
            asked.county,
            asked.population,
            asked.language,
            asked.plan,
            asked.fetch,
        )
    page = await listing(call, asked, rows, lambda row: _shown_provider(orjson.loads(row["entry"])))
    return PublicDirectory(items=page.items, next_cursor=page.next_cursor)


@router.get("/v1/providers/{id:key}", summary="One provider")
async def provider(id: Id, call: Annotated[Call, everyone]) -> ShownEntry:
    """One entry of the directory."""
    shown = _shown_provider(await _entry(call, id))
    call.etag(shown.version)
    return ShownEntry(**shown.model_dump())


@router.get("/v1/providers/{id:key}/places", summary="How many places a provider has, and how many are taken")
async def places(id: Id, call: Annotated[Call, allowed(Role.PROVIDER, Role.OPERATIONS)]) -> ShownPlaces:
    """Only the provider itself and operations read it. The ETag is the entry's, for a change of it by `PUT`."""
    if Role.OPERATIONS not in call.client.roles and call.client.organization != id:
        raise not_found()
    event = ProviderRecorded.model_validate(await _entry(call, id))
    async with reading(call.service.readers, call.caller) as connection:
        taken = await connection.fetchval("SELECT sum(taken) FROM places WHERE provider_id = $1", id)
    call.etag(event.version)
    return ShownPlaces(provider=id, capacity=event.capacity, taken=taken or 0, answers_by=event.answers_by)


def _shown_provider(entry: Mapping[str, Any]) -> ShownProvider:
    event = ProviderRecorded.model_validate(entry)
    return ShownProvider(
        id=event.provider,
        name=event.name,
        phone=event.phone,
        types=event.types,
        populations=event.populations,
        age_bands=event.age_bands,
        counties=event.counties,
        languages=event.languages,
        contracts=tuple(
            ShownContract(plan=c.plan, populations=c.populations, hub=c.hub) for c in event.contracts
        ),
        active=event.active,
        version=event.version,
        verified_at=event.verified_at,
    )
