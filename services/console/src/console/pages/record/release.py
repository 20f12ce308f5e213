"""Release and custody: the day a member leaves a facility, which may move; and being inside again (loop.md 3.7)."""

from __future__ import annotations

from collections.abc import Iterator

from console.pages.record.act import Act, Known, day_of, ours, the_day
from console.pages.visit import Visit
from console.parts.entrance import field
from console.web.forms import Form

INSIDE = "incarceration"


def acts(known: Known, typed: Form, visit: Visit) -> Iterator[Act]:
    """For those who may know of custody, and only where there is any."""
    found, _ = known.found, visit.words
    who = ours(visit, found)
    near = any(
        each.code == INSIDE and (each.claimed or each.result == "met") for each in found.populations or ()
    )
    if found.release_on is None and not (near and who in ("plan", "provider")):
        return
    if not known.closed:
        value = typed.text("release_on") or (found.release_on.isoformat() if found.release_on else "")
        yield Act(
            "release",
            _("The member"),
            _("The day of release moves") if found.release_on else _("They are released on a day"),
            _("It may move, or come early. Provider and plan go by the new day."),
            _("Record the day"),
            f"/v1/referrals/{found.id}:record-release-date",
            fields=[field(_("Day of release"), "release_on", value, kind="date", id="release-day")],
            body=lambda form: {"release_on": form.text("release_on")},
        )
    yield Act(
        "custody",
        _("The member"),
        _("They are in custody again"),
        _("The start is taken back and outreach waits, until a new day of release is recorded."),
        _("Record it"),
        f"/v1/referrals/{found.id}:record-custody",
        fields=[the_day(_("Since which day"), "custody", typed, visit, today=True)],
        body=day_of,
    )
