"""A death: told by anybody concerned, confirmed or taken back by a named person of the plan (loop.md 7.7)."""

from __future__ import annotations

from collections.abc import Iterator

from console.pages.record.act import Act, Known, day_of, ours, the_day
from console.pages.visit import Visit
from console.web.forms import Form


def acts(known: Known, typed: Form, visit: Visit) -> Iterator[Act]:
    _, id = visit.words, known.found.id
    if ours(visit, known.found) != "plan":
        if not known.told_dead:
            yield Act(
                "death",
                _("The member"),
                _("They have died"),
                _("All contact with them stops at once. A person of the plan confirms it, or takes it back."),
                _("Tell the plan"),
                f"/v1/referrals/{id}:tell-death",
                fields=[the_day(_("Day of the death, if you know it"), "death", typed, visit)],
                body=day_of,
                danger=True,
            )
        return
    if known.happened and [each for each in known.happened if "death" in each][-1:] == [
        "referral.death_confirmed"
    ]:
        confirmed = True
    else:
        confirmed = False
        yield Act(
            "death-confirmed",
            _("The member"),
            _("Confirm that they have died") if known.told_dead else _("They have died"),
            _("An open loop closes as no longer eligible. A term that runs is ended on its own page."),
            _("Confirm it"),
            f"/v1/referrals/{id}:confirm-death",
            fields=[the_day(_("Day of the death, if you know it"), "death-confirmed", typed, visit)],
            body=day_of,
            danger=True,
        )
    if known.told_dead or confirmed:
        yield Act(
            "death-not-so",
            _("The member"),
            _("It is not so: they are alive"),
            _("Contact goes on as before. A loop that closed for it stays closed; contest that."),
            _("Take it back"),
            f"/v1/referrals/{id}:take-back-death",
        )
