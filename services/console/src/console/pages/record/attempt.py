"""An attempt to reach the member before a provider has accepted: by who referred, the plan, or whom it asked (loop.md 6.1)."""

from __future__ import annotations

from collections.abc import Iterator

from console.pages.care.attempts import body_of, fields
from console.pages.record.act import Act, Known
from console.pages.visit import Visit
from console.web.forms import Form

BEFORE = ("received", "needs_information", "pending_authorization", "authorized", "assigned")


def acts(known: Known, typed: Form, visit: Visit) -> Iterator[Act]:
    found, _ = known.found, visit.words
    if known.closed or found.status not in BEFORE or known.told_dead:
        return
    yield Act(
        "attempt",
        _("The member"),
        _("We tried to reach them"),
        _("Reaching out needs no authorization. It is kept with the loop, and changes nothing of its state."),
        _("Record it"),
        f"/v1/outreach/{found.id}/attempts",
        "notification",
        fields(typed, visit),
        lambda form: body_of(form, visit.now),
    )
