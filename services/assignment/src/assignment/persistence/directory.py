"""The provider directory: who serves whom, where, under which contracts. Each writes the part that is theirs.

Operations write types and populations, since a self-declared type would grant itself; a plan its own contracts; a
provider its contact, languages, capacity and how it answers (loop.md 1.8). Every change publishes the whole entry.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.decider import Command, Refused
from loopkeeper.contract.events import Event, ProviderRecorded
from loopkeeper.contract.field_types import AnyCounty, AnyLanguage, NotAYes, TermDay, TermEnd, YesNo
from loopkeeper.contract.vocabulary.identifiers import npi_valid
from loopkeeper.contract.vocabulary.populations import AgeBand, Population
from loopkeeper.contract.vocabulary.providers import ProviderType
from loopkeeper.kernel.errors import Problem
from loopkeeper.security.keyring import SYSTEM
from loopkeeper.security.organizations import Client, Role
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Recorded, Reference, as_fact

TABLE = "provider"
NPI_PART = "npi"
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]

# Which fields of an entry each role may write; a plan writes contracts of its own only.
PARTS: Mapping[Role, frozenset[str]] = {
    Role.OPERATIONS: frozenset(
        {
            "active", "name", "npi", "phone", "types", "populations", "age_bands", "counties", "languages",
            "capacity", "answers_by", "contracts",
        }
    ),
    Role.PLAN: frozenset({"contracts"}),
    Role.PROVIDER: frozenset({"phone", "languages", "capacity", "answers_by"}),
}  # fmt: skip


def _right_way_round(contract: ContractBody) -> ContractBody:
    if contract.through is not None and contract.through < contract.from_:
        raise PydanticCustomError("ends_before_it_begins", "Send a last day that is not before the first.")
    return contract


class ContractBody(BlankIsMissing):
    """A plan's contract for these populations, in force from `from` through `through`; the hub's, where one is named."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    plan: Slug
    populations: tuple[Population, ...] = Field(min_length=1, max_length=9)
    # The hub that holds the contract, where the provider acts through one (loop.md 1.3).
    hub: Slug | None = None
    from_: TermDay = Field(alias="from")
    through: TermEnd = None


class ProviderBody(BlankIsMissing):
    """The fields to write; the others stay as they are."""

    verbatim = frozenset({"name"})

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=200)

    active: YesNo | None = None
    name: str | None = Field(None, min_length=1)
    npi: str | None = Field(None, max_length=10)
    phone: str | None = Field(None, max_length=40)
    types: tuple[ProviderType, ...] | None = Field(None, max_length=12)
    populations: tuple[Population, ...] | None = Field(None, max_length=9)
    age_bands: tuple[AgeBand, ...] | None = Field(None, max_length=3)
    counties: tuple[AnyCounty, ...] | None = Field(None, max_length=58)
    languages: tuple[AnyLanguage, ...] | None = Field(None, max_length=26)
    capacity: Annotated[int, Field(ge=0, le=100_000), NotAYes] | None = None
    answers_by: Literal["api", "file"] | None = None
    contracts: tuple[Annotated[ContractBody, AfterValidator(_right_way_round)], ...] | None = Field(
        None, max_length=100
    )

    @property
    def given(self) -> frozenset[str]:
        return frozenset(name for name, value in self if value is not None)


def parts_of(client: Client, provider: str) -> frozenset[str]:
    """What this client may write of this provider's entry."""
    mine: set[str] = set()
    for role in client.roles:
        if role is not Role.PROVIDER or client.organization == provider:
            mine |= PARTS.get(role, frozenset())
    return frozenset(mine)


def check_parts(client: Client, provider: str, body: ProviderBody) -> None:
    """Raises 409 `part-not-yours` naming the fields that are not, and 422 `npi-invalid`."""
    foreign = body.given - parts_of(client, provider)
    own_only = Role.OPERATIONS not in client.roles
    if body.contracts is not None and own_only and any(c.plan != client.organization for c in body.contracts):
        foreign |= {"contracts"}
    if foreign:
        raise Problem(
            409,
            "part-not-yours",
            "Some of these fields are another's to write.",
            fix="Operations write types and populations, each plan its own contracts, a provider its contact, "
            "languages, capacity and answers_by.",
            errors=[
                {"pointer": f"/{name}", "rule": "part-not-yours", "fix": "Leave this field out."}
                for name in sorted(foreign)
            ],
        )
    if body.npi and not npi_valid(body.npi):
        raise Problem(
            422,
            "npi-invalid",
            "The NPI does not check out.",
            fix="Send the ten digits of the NPI.",
            errors=[{"pointer": "/npi", "rule": "npi-invalid", "fix": "Send the ten digits of the NPI."}],
        )


def check_hubs(body: ProviderBody, is_hub: Callable[[str], bool]) -> None:
    """Raises 422 for a contract through what is no hub known here."""
    errors = [
        {
            "pointer": f"/contracts/{place}/hub",
            "rule": "unknown-hub",
            "fix": "Send the id of a hub known here.",
        }
        for place, contract in enumerate(body.contracts or ())
        if contract.hub is not None and not is_hub(contract.hub)
    ]
    if errors:
        raise Problem(
            422, "field-invalid", "The hub named is not known here.", fix=errors[0]["fix"], errors=errors
        )


def retiring(client: Client, provider: str, match: int | None) -> Reference:
    """The entry taken out of the directory; what is out already stays as it is."""
    change = recording(client, provider, ProviderBody.model_validate({"active": False}), match).change

    def retire(row: Mapping[str, Any] | None, at: datetime) -> Recorded | None:
        if row is None:
            raise Refused("not-found", "There is nothing here that this key may see.", status=404)
        recorded = change(row, at)
        return recorded if row["active"] else None

    return Reference(TABLE, provider, retire)


def sealed_npi(sealer: Sealer, provider: str, npi: str | None) -> Mapping[str, str]:
    """The NPI as the entry publishes it: for services alone."""
    return {NPI_PART: sealer.seal(SYSTEM, provider, NPI_PART, {NPI_PART: npi})} if npi else {}


def recording(
    client: Client,
    provider: str,
    body: ProviderBody,
    match: int | None,
    sealed: Mapping[str, str] | None = None,
) -> Reference:
    """The change of this entry. Its version rises by one; only operations make a new one. `sealed`: its NPI."""

    def change(row: Mapping[str, Any] | None, at: datetime) -> Recorded | None:
        if row is None and Role.OPERATIONS not in client.roles:
            raise Refused("not-found", "There is nothing here that this key may see.", status=404)
        if match is not None and (row["version"] if row else 0) != match:
            raise Refused("stale", "This was changed since it was read.", fix="Read it again.", status=412)
        version = (row["version"] if row else 0) + 1
        before: Mapping[str, Any] = row["entry"] if row else {"provider": provider, "age_bands": ["adult"]}
        fields = _merged(client, before, body)
        npi = body.npi if body.npi is not None else (row["npi"] if row else "")
        if body.npi is not None:
            fields["sealed"] = sealed or {}
        verified = at if Role.OPERATIONS in client.roles else before.get("verified_at")
        event = ProviderRecorded.model_validate(
            {**fields, "occurred_at": at, "provider": provider, "version": version, "verified_at": verified}
        )
        kept = {
            "version": version,
            "active": event.active,
            "npi": npi,
            "entry": event.model_dump(mode="json", by_alias=True),
            "at": at.isoformat(),
        }
        return Recorded(kept, event)

    return Reference(TABLE, provider, change)


def restored(event: Event, stream: str, state: object) -> Command | Reference:
    """What an own event says when it is read again after a restore. The NPI is published sealed: the row's stays what it was."""
    if not isinstance(event, ProviderRecorded):
        return as_fact(event, stream, state)

    def change(row: Mapping[str, Any] | None, at: datetime) -> Recorded:
        kept = {
            "version": event.version,
            "active": event.active,
            "npi": row["npi"] if row else "",
            "entry": event.model_dump(mode="json", by_alias=True),
            "at": at.isoformat(),
        }
        return Recorded(kept)

    return Reference(TABLE, stream, change)


def _merged(client: Client, before: Mapping[str, Any], body: ProviderBody) -> dict[str, Any]:
    written = body.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"npi", "contracts"})
    fields = {**before, **written}
    if body.contracts is not None:
        fresh = [contract.model_dump(mode="json", by_alias=True) for contract in body.contracts]
        theirs: Collection[Any] = () if Role.OPERATIONS in client.roles else before.get("contracts", ())
        kept = [contract for contract in theirs if contract["plan"] != client.organization]
        fields["contracts"] = [*kept, *fresh]
    return fields
