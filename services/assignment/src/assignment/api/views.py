"""What of a provider's turn may each reader see, and what may people send about it?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.http.old import Call, Page
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class AssignmentQuery(Page):
    status: Literal["offered", "accepted", "declined", "withdrawn", "ended"] | None = None


class ShownAssignment(Shown):
    """One provider's turn. Of an offer a provider sees what it needs to answer: age, area, language, needs."""

    id: str
    status: str
    answer_due_at: datetime
    updated_at: datetime
    # The day from which a planned one is live; and whether the member has an older live one beside it.
    starts_on: date | None = None
    conflicted: bool = False
    plan: str | None = None
    kind: str | None = None
    age_band: str | None = None
    county: str | None = None
    language: str | None = None
    needs: tuple[str, ...] | None = None
    referral: str | None = None
    provider: str | None = None
    basis: str | None = None
    lead: str | None = None
    accepted_at: datetime | None = None
    reason: str | None = None


class LeadBody(BlankIsMissing):
    """The lead care manager: the provider's own id of the person, and the name the member will ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(min_length=1)
    name: str = Field(min_length=1)
    phone: str | None = Field(
        None, max_length=40, description="The number to call; missing, it is the provider's"
    )


class AcceptBody(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lead: LeadBody | None = None


class DeclineBody(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(default="", max_length=60)


class Person(BlankIsMissing):
    """The named person who decides, as the client states it."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(min_length=1)
    title: str = ""


class ByHandBody(BlankIsMissing):
    """A named person of the plan chooses the provider for a referral."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    referral: str = Field(pattern=r"^ref_[0-9a-f]{32}$")
    provider: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    acted_by: Person
    because: Literal["", "member_wish", "fits_better", "not_practicable"] = Field(
        "", description="Why not the provider that must come first for this member"
    )


class ActedBody(BlankIsMissing):
    """A named person's act."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    acted_by: Person


class LeadChangeBody(BlankIsMissing):
    """The new lead care manager, and who says so; without a name, the new one does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lead: LeadBody
    acted_by: Person | None = None


class ChangeBody(BlankIsMissing):
    """The member asks for another provider; `provider` names it, left out any other will do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str | None = Field(None, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    acted_by: Person


class OpenedMember(Shown):
    """Whom to look for and how; this opening was written down."""

    identity: Mapping[str, Any]
    contact: Mapping[str, Any]


def show(call: Call[Any, Context], row: Mapping[str, Any]) -> ShownAssignment:
    """The row as this reader may see it: operations ids, states and times; a provider all once it accepted."""
    mine = call.client.organization
    as_plan, as_provider = row["plan_id"] == mine, row["provider_id"] == mine
    shown: dict[str, Any] = {
        "id": row["id"],
        "status": row["status"],
        "answer_due_at": row["answer_due_at"],
        "updated_at": row["at"],
        "starts_on": row["starts_on"],
        "conflicted": row["conflicted"],
    }
    if as_plan or as_provider:
        shown |= {"plan": row["plan_id"], "kind": row["kind"], "reason": row["reason"] or None}
        shown |= {name: row[name] for name in ("age_band", "county", "language", "needs")}
    if as_plan or (as_provider and row["status"] == "accepted"):
        shown |= {"referral": row["referral"], "provider": row["provider_id"], "basis": row["basis"]}
        shown |= {"lead": row["lead"] or None, "accepted_at": row["accepted_at"]}
    if Role.OPERATIONS in call.client.roles:
        shown |= {"referral": row["referral"], "provider": row["provider_id"]}
    return ShownAssignment(**shown)
