"""Who serves: the member wishes another provider, the provider can serve no longer, an offer is taken back."""

from __future__ import annotations

from collections.abc import Iterator

from console.api.models.assignment import PublicDirectory
from console.pages.record.act import Act, Known, ours
from console.pages.visit import Visit
from console.parts.basics.options import select
from console.web.forms import Form


def acts(known: Known, typed: Form, visit: Visit) -> Iterator[Act]:
    found, _ = known.found, visit.words
    who = ours(visit, found)
    if not known.served:
        return
    there = known.directory.items if isinstance(known.directory, PublicDirectory) else []
    others = [(each.id, each.name) for each in there if each.id != found.provider]
    yield Act(
        "another-provider",
        _("The provider"),
        _("The member wishes another provider"),
        _("An open offer goes to the one asked for at once. Who is served keeps the provider until the plan has another, within 30 days."),
        _("Pass the wish on"),
        f"/v1/assignments/{found.id}:request-change",
        "assignment",
        [
            select(
                _("Whom they wish"), "provider", others, typed.text("provider"), empty=_("Nobody in particular"), id="wished"
            )
        ],
        lambda form: {"provider": form.text("provider") or None},
    )  # fmt: skip
    if found.status == "assigned" and who == "plan":
        yield Act(
            "take-offer-back",
            _("The provider"),
            _("Take the offer back"),
            _("The next candidate is asked, or you are."),
            _("Take it back"),
            f"/v1/assignments/{found.id}:withdraw",
            "assignment",
            danger=True,
        )
    if found.status != "assigned" and who in ("plan", "provider"):
        yield Act(
            "no-longer",
            _("The provider"),
            _("We can serve them no longer") if who == "provider" else _("The assignment ends"),
            _("The authorization goes on: the next candidate is asked, or the plan. To end the service itself, report that services end."),
            _("End the assignment"),
            f"/v1/assignments/{found.id}:end",
            "assignment",
            danger=True,
        )  # fmt: skip
