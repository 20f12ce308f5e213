"""`/v1/organizations`: who takes part, by name and number, so that pages and partners need not show ids."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing
from loopkeeper.http.route import Operation
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Organization, OrganizationKind, Role

router = APIRouter(tags=["intake"], route_class=Operation)
Anybody = Annotated[Call, allowed(*Role)]
# Whom anybody who takes part may find; who refers and who receives data is found by its id only.
LISTED = frozenset(
    {OrganizationKind.PLAN, OrganizationKind.PROVIDER, OrganizationKind.COUNTY, OrganizationKind.HUB}
)


class ShownOrganization(BaseModel):
    """`phone`: the number to call about a referral; null where none is known."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    kind: str
    phone: str | None = None


class OrganizationQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: tuple[Annotated[str, Field(max_length=60)], ...] = Field(
        (), max_length=50, description="Only these, of any kind"
    )
    kind: OrganizationKind | None = Field(None, description="Only of this kind")


@router.get("/v1/organizations", summary="Organizations by name and number")
async def organizations(
    asked: Annotated[OrganizationQuery, Query()], call: Anybody
) -> Listing[ShownOrganization]:
    """Plans, providers, counties and hubs, by name; operations see all. With ids, those of any kind. Who was revoked
    is found by id only. One page."""
    known = call.service.directory.organizations()
    if asked.id:
        found = [known[slug] for slug in dict.fromkeys(asked.id) if slug in known]
    else:
        every = Role.OPERATIONS in call.client.roles
        own = call.client.organization
        found = [
            each
            for each in known.values()
            if not each.revoked and (every or each.kind in LISTED or each.id == own)
        ]
        found.sort(key=lambda each: (each.name.casefold(), each.id))
    items = tuple(_shown(each) for each in found if asked.kind in (None, each.kind))
    return Listing[ShownOrganization](items=items)


def _shown(found: Organization) -> ShownOrganization:
    return ShownOrganization(id=found.id, name=found.name, kind=found.kind, phone=found.phone or None)
