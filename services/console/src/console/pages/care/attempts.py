"""Attempts to reach a person: one is recorded in three taps, and taken back where it was an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import htpy as h

from console.api.models.notification import OutreachAttemptShown, OutreachShown
from console.pages.visit import Visit
from console.parts.basics import blocks, marks, times
from console.parts.basics.html import form_to, once_field
from console.parts.basics.options import picks, select
from console.parts.entrance import field
from console.web.forms import Form
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.vocabulary.outreach import ActorKind, AttemptOutcome, Modality

PACIFIC = ZoneInfo("America/Los_Angeles")
WAYS = (Modality.IN_PERSON, Modality.PHONE, Modality.TEXT)
OUTCOMES = (
    AttemptOutcome.REACHED, AttemptOutcome.ENGAGED, AttemptOutcome.NO_ANSWER, AttemptOutcome.VOICEMAIL, AttemptOutcome.NOT_THERE,
)  # fmt: skip
RARE_OUTCOMES = (
    AttemptOutcome.CALL_BACK, AttemptOutcome.DECLINED, AttemptOutcome.THIRD_PARTY, AttemptOutcome.WRONG_NUMBER,
    AttemptOutcome.DISCONNECTED, AttemptOutcome.BUSY, AttemptOutcome.UNDELIVERED,
)  # fmt: skip
ERRORS = {
    "did_not_happen": "It did not happen",
    "another_member": "It was another member",
    "another_day": "It was another day",
    "recorded_twice": "It is here twice",
    "another_outcome": "It came out otherwise",
}


def card(found: OutreachShown, typed: Form, visit: Visit) -> h.Element:
    """How, what came of it, record: the time is now and the person who is signed in acts."""
    _ = visit.words
    return h.section(".card.attempt", id="attempt")[
        h.h2[_("Record an attempt")],
        form_to(f"/care/people/{found.referral}/attempts")[
            once_field(), fields(typed, visit), h.button(".primary.big", type="submit")[_("Record it")]
        ],
    ]


def fields(typed: Form, visit: Visit) -> list[h.Node]:
    """What is usual is a tap; what is rare unfolds."""
    _ = visit.words
    actor = typed.text("actor_kind") or (
        "lead_care_manager" if visit.signed.organization.kind == "provider" else "other_staff"
    )
    return [
        picks(
            "modality", _("How?"), [(str(code), _(Modality.label_of(code))) for code in WAYS], typed.text("modality"),
            rare=(_("Another way"), [(str(code), _(Modality.label_of(code))) for code in Modality if code not in WAYS]),
        ),
        picks(
            "outcome", _("What came of it?"), [(str(code), _(AttemptOutcome.label_of(code))) for code in OUTCOMES], typed.text("outcome"),
            rare=(_("Something else"), [(str(code), _(AttemptOutcome.label_of(code))) for code in RARE_OUTCOMES]),
        ),
        h.details(".rest", open="clock" in typed)[
            h.summary[_("When and who, if not you and now")],
            h.div(".grid2")[
                field(_("Day"), "day", typed.text("day") or la_date(visit.now).isoformat(), kind="date", needed=False),
                field(_("Time"), "clock", typed.text("clock"), kind="time", hint=_("Missing, it is now."), needed=False),
                select(_("Who tried"), "actor_kind", [(str(code), _(ActorKind.label_of(code))) for code in ActorKind], actor),
                field(
                    _("Minutes"), "minutes", typed.text("minutes"), kind="number", needed=False, min="0", max="1440",
                    inputmode="numeric",
                ),
            ],
        ],
    ]  # fmt: skip


def body_of(form: Form, now: datetime) -> Mapping[str, Any]:
    """The attempt as the service takes it."""
    body: dict[str, Any] = {
        "at": _moment(form, now).astimezone(UTC).isoformat(),
        "actor_kind": form.text("actor_kind") or "lead_care_manager",
        "modality": form.text("modality"),
        "outcome": form.text("outcome"),
    }
    return body | ({"minutes": int(form.text("minutes"))} if form.text("minutes").isdigit() else {})


def _moment(form: Form, now: datetime) -> datetime:
    """When it was tried: now, or the day and time that were typed, Pacific."""
    day, clock = form.text("day") or la_date(now).isoformat(), form.text("clock")
    if not clock and day == la_date(now).isoformat():
        return now
    try:
        typed = datetime.fromisoformat(f"{day}T{clock or '12:00'}").replace(tzinfo=PACIFIC)
    except ValueError:
        return now
    return typed if clock else min(typed, now)


def tried(found: OutreachShown, visit: Visit) -> h.Element:
    """What was tried, the last first."""
    _ = visit.words
    if not found.attempts:
        return blocks.card(_("What was tried"), h.p(".sub")[_("Nothing yet.")])
    return blocks.card(
        _("What was tried"),
        h.ol(".plainrows.tried")[(_one(each, found.referral, visit) for each in reversed(found.attempts))],
    )


def _one(each: OutreachAttemptShown, ref: str, visit: Visit) -> h.Element:
    _ = visit.words
    return h.li(class_="undone" if each.taken_back else None)[
        h.div[
            h.strong[_(Modality.label_of(each.modality))], ": ", _(AttemptOutcome.label_of(each.outcome)),
            h.p(".sub")[_(ActorKind.label_of(each.actor_kind)), " · ", times.time(each.at, times.moment(each.at, _))],
        ],
        marks.chip(_("taken back")) if each.taken_back else take_back(ref, "attempted", visit, number=each.number),
    ]  # fmt: skip


def take_back(ref: str, what: str, visit: Visit, *, number: int | None = None) -> h.Element:
    """It was recorded in error: why, and everybody who was told is told."""
    _ = visit.words
    id = f"because-{what}-{number or 0}"
    return h.details(".rest.undo")[
        h.summary[_("An error?")],
        form_to(f"/care/people/{ref}/take-back")[
            once_field(),
            h.input(type="hidden", name="what", value=what),
            h.input(type="hidden", name="number", value=str(number)) if number is not None else None,
            select(_("Why"), "because", _errors(visit), empty=_("Choose"), needed=True, id=id),
            h.button(".small", type="submit")[_("Take it back")],
        ],
    ]


def _errors(visit: Visit) -> Sequence[tuple[str, str]]:
    return [(code, visit.words(text)) for code, text in ERRORS.items()]
