"""What of a provider's turn may each reader see?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from loopkeeper.security.organizations import Client, Role


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ShownAssignment(Shown):
    """One offer to a provider, and the assignment it became. Of an offer a provider sees what it needs to answer: age, area, language, needs."""

    id: str
    status: str
    answer_due_at: datetime
    updated_at: datetime
    # The day from which a planned one is live, once accepted; and whether the member has an older live one too.
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


def show(client: Client, row: Mapping[str, Any]) -> ShownAssignment:
    """The row as this reader may see it: operations ids, states and times; a provider all once it accepted."""
    mine = client.organization
    as_plan, as_provider = row["plan_id"] == mine, row["provider_id"] == mine
    shown: dict[str, Any] = {
        "id": row["id"],
        "status": row["status"],
        "answer_due_at": row["answer_due_at"],
        "updated_at": row["at"],
        "conflicted": row["conflicted"],
    }
    if as_plan or as_provider:
        shown |= {"plan": row["plan_id"], "kind": row["kind"], "reason": row["reason"] or None}
        shown |= {name: row[name] for name in ("age_band", "county", "language", "needs")}
    if as_plan or (as_provider and row["status"] == "accepted"):
        shown |= {"referral": row["referral"], "provider": row["provider_id"], "basis": row["basis"]}
        shown |= {"lead": row["lead"] or None, "accepted_at": row["accepted_at"]}
        # A start that lies ahead is a release, and tells custody: only the plan and who accepted know (loop.md 3.7).
        shown["starts_on"] = row["starts_on"]
    if Role.OPERATIONS in client.roles:
        shown |= {"referral": row["referral"], "provider": row["provider_id"]}
    return ShownAssignment(**shown)
