"""What reaching somebody came to: services started, a no, nobody found, an end; and what of it was an error."""

from __future__ import annotations

import htpy as h

from console.api.models.notification import OutreachShown
from console.pages.care.attempts import take_back
from console.pages.care.whole import Whole
from console.pages.visit import Visit
from console.parts.basics.html import form_to, once_field
from console.parts.basics.options import picks, select
from console.parts.entrance import field
from console.web.forms import Form
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.vocabulary.decisions import Discontinuation
from loopkeeper.contract.vocabulary.outreach import Modality

ENDED = {
    "services_started": "services_started",
    "member_declined": "member_declined",
    "unable_to_reach": "unable_to_reach",
}


def ways(found: OutreachShown, known: Whole, typed: Form, visit: Visit) -> h.Node:
    """Everything that it may come to now; the service refuses what may not be, in words."""
    _, ref = visit.words, found.referral
    today = la_date(visit.now).isoformat()
    may = set(found.allowed)
    made: list[h.Node] = []

    def one(action: str, title: str, hint: str, *inner: h.Node, button: str) -> None:
        made.append(
            h.details(".card.way", open=typed.text("action") == action)[
                h.summary[title],
                form_to(f"/care/people/{ref}/{action}")[
                    once_field(),
                    h.input(type="hidden", name="action", value=action),
                    h.p(".sub")[hint],
                    inner,
                    h.button(".primary", type="submit")[button],
                ],
            ]
        )

    if found.status in ("open", "waiting"):
        one(
            "start-services", _("Services started"), _("The first ECM service closes the loop; you go on serving."),
            field(_("Day of the first service"), "on", typed.text("on") or today, kind="date", id="start-on"), button=_("Record the start"),
        )  # fmt: skip
        one(
            "member-declined", _("They declined"), _("The loop closes. They may come back by a new referral."),
            field(_("Day"), "on", typed.text("on") or today, kind="date", id="declined-on"),
            picks("how", _("How did they say so?"), [(str(code), _(Modality.label_of(code))) for code in Modality], typed.text("how")),
            button=_("Record it"),
        )  # fmt: skip
        one(
            "unable-to-reach", _("Unable to reach"),
            _("The plan's rules say how many attempts, in how many ways, must come first. If some are missing, you are told."),
            field(_("Day you gave up"), "on", typed.text("on") or today, kind="date", id="gave-up-on"), button=_("Close as unable to reach"),
        )  # fmt: skip
    if found.status == "services_started" or "end-service" in may:
        reasons = [(str(code), _(Discontinuation.label_of(code))) for code in Discontinuation]
        one(
            "end-service", _("Services end"), _("The plan decides about the term, and gives the person notice first."),
            field(_("Last day of service"), "on", typed.text("on") or today, kind="date", id="end-on"),
            select(_("Why"), "code", reasons, typed.text("code"), empty=_("Choose a reason"), needed=True), button=_("Report it"),
        )  # fmt: skip
        if known.authorization:
            one(
                "reauthorize", _("Ask for another term"), _("The term lives on until the plan decides."),
                h.input(type="hidden", name="authorization", value=known.authorization),
                button=_("Ask the plan"),
            )  # fmt: skip
    if found.status in ENDED:
        made.append(
            h.section(".card.error")[
                h.h2[_("Is that an error?")],
                h.p(".sub")[
                    _("Everyone who was told is told. A loop that it closed stays closed; contest that.")
                ],
                take_back(ref, ENDED[found.status], visit),
            ]
        )
    return made
