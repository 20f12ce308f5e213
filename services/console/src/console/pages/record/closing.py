"""How a loop is closed by hand, and how a closing is undone: contested, or a merge split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from console.pages.record.act import Act, Body, Known, ours, the_day
from console.pages.visit import Visit
from console.parts.basics import labels
from console.parts.basics.options import area, select
from console.parts.entrance import field
from console.web.forms import Form

BY_HAND = ("provider_declined", "unable_to_reach", "declined_by_member", "no_longer_eligible", "other")


def acts(known: Known, typed: Form, visit: Visit) -> Iterator[Act]:
    found, _ = known.found, visit.words
    closing = found.closing
    if closing is None:
        if ours(visit, found) == "plan":
            yield _close(known, typed, visit)
        return
    if closing.outcome == "merged":
        if ours(visit, found) == "plan":
            yield Act(
                "split",
                _("The loop"),
                _("The merge was wrong: they are two"),
                _(
                    "It goes on as a new referral, linked to this one. The other loop tells its sender no more."
                ),
                _("Split them"),
                f"/v1/referrals/{found.id}:split",
            )
        return
    yield Act(
        "contest",
        _("The loop"),
        _("The closing is wrong"),
        _(
            "Within 30 days. It goes on as a new referral with everything carried over; this one stays closed."
        ),
        _("Contest it"),
        f"/v1/referrals/{found.id}:contest",
        fields=[area(_("Why?"), "reason", typed.text("reason"), most=500)],
        body=lambda form: {"reason": form.text("reason")},
    )


def _close(known: Known, typed: Form, visit: Visit) -> Act:
    _ = visit.words
    outcomes = [(code, _(labels.OUTCOME[code])) for code in BY_HAND]
    return Act(
        "close",
        _("The loop"),
        _("Close it by hand"),
        _("Everyone concerned is told. Not reached, or declined, needs the day and how."),
        _("Close the loop"),
        f"/v1/referrals/{known.found.id}:close",
        fields=[
            select(_("Outcome"), "outcome", outcomes, typed.text("outcome"), empty=_("Choose an outcome"), needed=True),
            the_day(_("Day"), "close", typed, visit),
            field(_("How they were tried, or said no"), "how", typed.text("how"), needed=False, maxlength="200"),
            area(
                _("In words"), "text", typed.text("text"), most=500,
                hint=_("For another outcome. The referrer and the member read it as you write it: name no diagnosis."),
            ),
        ],
        body=_closed,
        danger=True,
    )  # fmt: skip


def _closed(form: Form) -> Body:
    said: dict[str, Any] = {
        name: form.text(name) for name in ("outcome", "on", "how", "text") if form.text(name)
    }
    return {"outcome": "", **said}
