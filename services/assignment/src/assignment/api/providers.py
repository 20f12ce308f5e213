"""The routes of the provider directory: write one's part, import many, take one out, and the public list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field

from assignment.api.directory_import import Imported, import_providers
from assignment.persistence.directory import (
    ProviderBody,
    check_hubs,
    check_parts,
    parts_of,
    recording,
    retiring,
)
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.contract.field_types import AnyCounty
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.http.old import Api, Call, Listing, Page, Reply, check_match, listing, not_found
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import OrganizationKind, Role
from loopkeeper.store.definition import Reference, Submission
from loopkeeper.store.row_access import reading

api = Api("assignment")
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


class PublicDirectory(Listing[ShownProvider]):
    """One page of the directory."""

    note: str = NOTE


class ImportQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: bool = Field(default=False, description="Check only; keep nothing")


@api.route(
    "PUT",
    "/v1/providers/{id}",
    roles=(Role.OPERATIONS, Role.PLAN, Role.PROVIDER),
    summary="Write one's own part of a provider's entry",
    body=ProviderBody,
    answers={200: ShownProvider, 201: ShownProvider},
    refusals={"part-not-yours": 409, "npi-invalid": 422, "stale": 412},
    example={"phone": "555-0120", "languages": ["en", "es"], "capacity": 25},
)
async def put_provider(call: Call[ProviderBody, Context]) -> Reply:
    """Write the fields sent and leave the others. Parts have one owner each, so If-Match is optional; sent, it is
    honoured."""
    slug, client = call.path["id"], call.client
    known = call.service.directory.organization(slug)
    if known is None or known.kind not in SERVING or not parts_of(client, slug):
        raise not_found()
    check_parts(client, slug, call.body)
    check_hubs(call.body, _is_hub(call.service))
    return await _written(call, slug, recording(client, slug, call.body, _match(call)))


def _is_hub(context: Context) -> Callable[[str], bool]:
    def is_hub(slug: str) -> bool:
        known = context.directory.organization(slug)
        return known is not None and known.kind is OrganizationKind.HUB

    return is_hub


@api.route(
    "DELETE",
    "/v1/providers/{id}",
    roles=(Role.OPERATIONS,),
    summary="Take a provider out of the directory",
    needs_if_match=True,
    answers={200: ShownProvider},
    refusals={"stale": 412},
)
async def delete_provider(call: Call[None, Context]) -> Reply:
    """The entry becomes inactive and leaves the public list: nobody is offered to it any more. Members it serves stay
    with it until their assignments end."""
    slug = call.path["id"]
    entry = (await _entry(call, slug))["entry"]
    return await _written(call, slug, retiring(call.client, slug, _match(call)), entry["version"])


async def _written(
    call: Call[Any, Context], slug: str, reference: Reference, version: int | None = None
) -> Reply:
    """The entry after this change. Raises 412 with the current ETag where another version was meant."""
    context = call.service
    if version is not None:
        check_match(call, version)
    try:
        outcome = await context.store.submit(
            Submission(
                call.claim, slug, reference=reference, body_hash=call.body_hash, traceparent=call.traceparent
            )
        )
    except Refused as refused:
        if refused.slug == "stale":
            check_match(call, (await _entry(call, slug))["entry"]["version"])
        raise
    row: Mapping[str, Any] = outcome.state if outcome.state is not None else await _entry(call, slug)
    shown = _shown_provider(row["entry"])
    return Reply(201 if shown.version == 1 else 200, shown, etag=shown.version)


def _match(call: Call[Any, Context]) -> int | None:
    tag = (call.if_match or "").strip().removeprefix("W/").strip('"')
    if not tag or tag == "*":
        return None
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 10 else -1


async def _entry(call: Call[Any, Context], slug: str) -> Mapping[str, Any]:
    async with reading(call.service.readers, call.caller) as connection:
        row = await connection.fetchrow("SELECT entry, version FROM provider WHERE id = $1", slug)
    if row is None:
        raise not_found()
    return {"entry": orjson.loads(row["entry"])}


@api.route(
    "POST",
    "/v1/providers:import",
    roles=(Role.OPERATIONS, Role.PLAN),
    summary="Write many entries from a CSV file",
    query=ImportQuery,
    media=("text/csv",),
    stream=True,
    largest=lambda settings: settings.max_roster,
    answers={200: Imported},
    refusals={"row-invalid": 422},
)
async def import_rows(call: Call[None, Context, ImportQuery]) -> Reply:
    """One line a provider, lists with `;` between: id, name, npi, phone, types, populations, age_bands, counties,
    languages, capacity, answers_by, active, and one contract: plan, contract_populations, from, through, hub. An empty
    cell leaves its field. A plan writes its own contracts only. Good lines are kept; bad ones are named."""
    context = call.service

    def serving(slug: str) -> bool:
        known = context.directory.organization(slug)
        return known is not None and known.kind in SERVING

    result = await import_providers(
        context.store,
        context.pool,
        call.client,
        call.stream(),
        claim=call.claim,
        traceparent=call.traceparent,
        serving=serving,
        is_hub=_is_hub(context),
        at=context.clock.now(),
        dry_run=call.query.dry_run,
    )
    return Reply(200, result)


@api.route(
    "GET",
    "/v1/providers",
    public=True,
    summary="The public directory of ECM providers",
    query=ProviderQuery,
    answers={200: PublicDirectory},
)
async def providers(call: Call[None, Context, ProviderQuery]) -> Reply:
    """Who serves whom, where: nothing about any member."""
    asked = call.query
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
    page = listing(call, rows, lambda row: _shown_provider(orjson.loads(row["entry"])))
    return replace(page, body={**cast("Mapping[str, Any]", page.body), "note": NOTE})


@api.route("GET", "/v1/providers/{id}", public=True, summary="One provider", answers={200: ShownEntry})
async def provider(call: Call[None, Context]) -> Reply:
    """One entry of the directory."""
    row = await _entry(call, call.path["id"])
    shown = _shown_provider(row["entry"])
    return Reply(200, ShownEntry(**shown.model_dump()), etag=shown.version)


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
