"""One thing that may be recorded: its words, its fields, and where it is sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import htpy as h

from console.api.client import Away
from console.api.models.assignment import PublicDirectory
from console.api.models.intake import ShownReferral
from console.pages.visit import Visit
from console.parts.basics.html import form_to, once_field
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from loopkeeper.contract.calendar import la_date
from loopkeeper.security.organizations import Role

Body = Mapping[str, Any]


def nothing(_form: Form) -> Body:
    """Nothing but who acts, and that is in the token."""
    return {}


@dataclass(frozen=True)
class Known:
    """The referral that it is about, and what else decides which acts there are."""

    found: ShownReferral
    happened: Collection[str] = ()
    directory: PublicDirectory | Away | None = None

    @property
    def closed(self) -> bool:
        return self.found.closing is not None

    @property
    def served(self) -> bool:
        """Whether a provider has the member now, or is asked to."""
        if self.found.closing is not None:
            return self.found.closing.outcome == "services_received"
        return self.found.status in ("assigned", "accepted", "outreach_initiated")

    @property
    def told_dead(self) -> bool:
        """Whether the last word on a death is that there was one."""
        told = [each for each in self.happened if each.startswith("referral.death_")]
        return bool(told) and told[-1] != "referral.death_taken_back"


@dataclass(frozen=True)
class Act:
    """`name`: its address below the referral's. `about`: the heading it is under. `body`: what the service is sent."""

    name: str
    about: str
    title: str
    hint: str
    button: str
    path: str
    service: str = "intake"
    fields: Sequence[h.Node] = ()
    body: Callable[[Form], Body] = nothing
    danger: bool = False


def ours(visit: Visit, found: ShownReferral) -> str:
    """What this organization is to the referral: plan, referrer, or provider."""
    if visit.has(Role.PLAN) and found.plan == visit.signed.organization.id:
        return "plan"
    if found.provider == visit.signed.organization.id and visit.has(Role.PROVIDER):
        return "provider"
    return "referrer"


def the_day(
    label: str, act: str, typed: Form, visit: Visit, *, hint: str = "", today: bool = False
) -> h.Node:
    """A day, of which the act itself knows what a missing one means."""
    value = typed.text("on") if typed.text("act") == act else ""
    most = la_date(visit.now).isoformat()
    return field(
        label, "on", value or (most if today else ""), kind="date", hint=hint, needed=today, id=f"{act}-on", max=most
    )  # fmt: skip


def day_of(form: Form) -> Body:
    return {"on": form.text("on")} if form.text("on") else {}


def unfolded(act: Act, id: str, back: str = "", typed: Form = EMPTY, *, first: bool = False) -> h.Element:
    """The act as a card that unfolds; open where it is the first thing to do, or was refused."""
    return h.details(".card.way", id=act.name, open=first or typed.text("act") == act.name)[
        h.summary[act.title],
        form_to(f"/referrals/{id}/record/{act.name}", autocomplete="off")[
            once_field(),
            h.input(type="hidden", name="act", value=act.name),
            h.input(type="hidden", name="back", value=back) if back else None,
            h.p(".sub")[act.hint],
            act.fields,
            h.button(class_="danger" if act.danger else "primary", type="submit")[act.button],
        ],
    ]
