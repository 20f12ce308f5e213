"""Who speaks for the member: a minor's consent holder, an adult's conservator or representative (loop.md 6.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from console.pages.record.act import Act, Body, Known
from console.pages.visit import Visit
from console.parts.basics.options import select
from console.parts.entrance import field
from console.web.forms import Form
from loopkeeper.contract.vocabulary.people import ConsentHolder


def acts(known: Known, typed: Form, visit: Visit) -> Iterator[Act]:
    found, _ = known.found, visit.words
    if known.closed:
        return
    minor = found.form == "child_youth"
    holders = [
        (
            str(code),
            _("They speak for themselves") if code is ConsentHolder.SELF else _(ConsentHolder.label_of(code)),
        )
        for code in ConsentHolder
        if minor or code.of_adults
    ]
    yield Act(
        "consent",
        _("The member"),
        _("Who may consent, or speak for them, changes"),
        _("It counts at once: who spoke for them before hears nothing more."),
        _("Record it"),
        f"/v1/referrals/{found.id}:answer",
        fields=[
            select(_("Who"), "holder", holders, typed.text("holder") or found.consent_holder or "", empty=_("Choose"), needed=True),
            field(_("Their name"), "holder_name", typed.text("holder_name"), needed=False),
            field(_("What they are to the member"), "holder_is", typed.text("holder_is"), needed=False),
            field(_("Their phone"), "holder_phone", typed.text("holder_phone"), kind="tel", needed=False),
        ],
        body=_changed,
    )  # fmt: skip


def _changed(form: Form) -> Body:
    corrections: dict[str, Any] = {"/member/consent_holder": form.text("holder")}
    person = {
        name: form.text(typed)
        for name, typed in (("name", "holder_name"), ("relationship", "holder_is"), ("phone", "holder_phone"))
        if form.text(typed)
    }
    return {"corrections": corrections | ({"/member/caregiver": person} if person else {})}
