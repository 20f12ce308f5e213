"""One person to reach: how to do it safely first, then who and where; an attempt in three taps, and what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.access.session import REASONS
from console.api.client import Away, Refused, together, unless
from console.api.models.assignment import AssignedMember, ShownAssignment
from console.api.models.intake import ListingShownSupport, ShownReferral
from console.api.models.notification import OutreachShown
from console.pages.care.first import PEOPLE, STATUS, Provider, tried
from console.pages.visit import Visit, see
from console.parts import member
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href, once_field, said
from console.parts.basics.options import area, checks, picks, select
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.vocabulary.decisions import Discontinuation
from loopkeeper.contract.vocabulary.outreach import ActorKind, AttemptOutcome, Modality
from loopkeeper.contract.vocabulary.supports import CommunitySupport

router = APIRouter()
PACIFIC = ZoneInfo("America/Los_Angeles")
# Hearing of a yes takes a tenth of a second; a page waits no longer than this.
TRIES, PAUSE = 20, 0.15
RULES = {
    "safe_contact": "There are rules for reaching this person. Open who it is and read them first.",
    "do_not_contact": "Do not contact this person.",
}
DONE = {
    "attempts": "The attempt is recorded.",
    "start-services": "Services have started. The referrer is told.",
    "member-declined": "Recorded. The loop closes, and the person may come back.",
    "unable-to-reach": "Recorded. The loop closes.",
    "end-service": "Recorded. The plan decides about the term.",
    "change-contact": "The correction is sealed and passed on.",
    "lead": "The lead is changed.",
    "supports": "Asked for.",
    "reauthorize": "Another term is asked for.",
}


@dataclass(frozen=True)
class Whole:
    """What is known of one person."""

    outreach: OutreachShown
    etag: str
    referral: ShownReferral | Away | None
    assignment: ShownAssignment | Away | None
    supports: ListingShownSupport | Away | None


async def whole_of(ref: str, visit: Visit) -> Whole:
    """The person of this referral, if the provider holds it. Raises `NotHere`."""
    got = await _outreach(ref, visit)
    referral, assignment, supports = await together(
        unless(visit.api.get("intake", f"/v1/referrals/{ref}", ShownReferral), 404),
        unless(visit.api.get("assignment", f"/v1/assignments/{ref}", ShownAssignment), 404),
        unless(visit.api.get("intake", "/v1/supports", ListingShownSupport, referral=ref), 403, 404),
    )
    return Whole(got[0], got[1], referral, assignment, supports)


async def _outreach(ref: str, visit: Visit) -> tuple[OutreachShown, str]:
    """How the outreach is. Right after a yes it is not known there yet: the service learns of it from the log, and is waited
    for. Raises `NotHere` for whom this provider does not hold."""
    for attempt in range(TRIES):
        got = await unless(
            visit.api.versioned("notification", f"/v1/outreach/{ref}", OutreachShown), 403, 404
        )
        if got is not None:
            return got
        if attempt == 0:
            held = await unless(
                visit.api.get("assignment", f"/v1/assignments/{ref}", ShownAssignment), 403, 404
            )
            if held is None or held.status != "accepted":
                raise NotHere
        await asyncio.sleep(PAUSE)
    raise Away("notification")


@router.get("/care/people/{ref}")
async def person(ref: str, visit: Provider, after: str = "") -> Response:
    """The person's page."""
    return await page(await whole_of(ref, visit), visit, after=after)


async def page(
    known: Whole,
    visit: Visit,
    *,
    typed: Form = EMPTY,
    refused: h.Node = None,
    after: str = "",
    status: int = 200,
) -> Response:
    _, found = visit.words, known.outreach
    ref = found.referral
    opening = await visit.people.identity(visit.signed, ref)
    contact: Mapping[str, Any] = {}
    identity: h.Node = member.sealed(ref, REASONS, _, chosen="serve", again=href("/care/people/{}", ref))
    if opening is not None:
        try:
            who = await visit.api.get(
                "assignment", f"/v1/assignments/{ref}/member", AssignedMember, reason=opening.reason
            )
            contact = who.contact
            identity = member.opened(
                ref,
                who.identity,
                who.contact,
                times.clock(opening.until, _),
                _,
                again=href("/care/people/{}", ref),
            )
        except (Refused, Away):
            identity = blocks.card(_("Who it is"), h.p(".sub")[_("It cannot be opened for you now.")])
    may = set(found.allowed)
    return visit.page(
        _("Person"),
        blocks.back(PEOPLE, _("People")),
        h.p(".toast", role="status")[_(DONE[after])] if after in DONE else None,
        blocks.head(
            [_("Person "), h.span(".mono")[ref[-6:]]],
            labels.capital(tried(found, visit.now, _)) + ".",
            marks.chip(
                _(STATUS.get(found.status, found.status)),
                "good" if found.status == "services_started" else "info",
            ),
        ),
        refused,
        _rules(found, contact, visit),
        h.div(".cols")[
            h.div(".case")[
                identity,
                _attempt(found, typed, visit)
                if "attempts" in may or found.status in ("open", "waiting")
                else None,
                _outcomes(found, known, typed, visit),
                _tried(found, visit),
            ],
            h.aside(".facts")[
                _facts(known, visit),
                _corrections(known, typed, visit),
                _supports(known, visit),
                visit.away(known.referral, known.assignment, known.supports),
            ],
        ],
        here=PEOPLE,
        status=status,
    )


def _rules(found: OutreachShown, contact: Mapping[str, Any], visit: Visit) -> h.Node:
    """Above everything: how this person may be reached without danger."""
    _ = visit.words
    opened = member.safe_contact(contact, _)
    if opened is not None:
        return opened
    if not found.contact_rules:
        return None
    only = [rule.partition(":")[2] for rule in found.contact_rules if ":" in rule]
    return h.section(".card.safe")[
        h.h2[_("Read this before you reach out")],
        (h.p[h.strong[_(RULES[rule])]] for rule in found.contact_rules if rule in RULES),
        h.p[_("Only by {ways}.", ways=", ".join(_(labels.plain(way)) for way in only))] if only else None,
    ]


# ── an attempt in three taps ──────────────────────────────────────────────────────────────────────────────

NEAR = (
    AttemptOutcome.REACHED, AttemptOutcome.ENGAGED, AttemptOutcome.CALL_BACK, AttemptOutcome.NO_ANSWER,
    AttemptOutcome.VOICEMAIL, AttemptOutcome.NOT_THERE, AttemptOutcome.THIRD_PARTY, AttemptOutcome.WRONG_NUMBER,
    AttemptOutcome.DECLINED, AttemptOutcome.DISCONNECTED, AttemptOutcome.BUSY, AttemptOutcome.UNDELIVERED,
)  # fmt: skip


def _attempt(found: OutreachShown, typed: Form, visit: Visit) -> h.Element:
    """How, what came of it, record: the time is now and the person who is signed in acts."""
    _ = visit.words
    return h.section(".card.attempt", id="attempt")[
        h.h2[_("Record an attempt")],
        form_to(f"/care/people/{found.referral}/attempts")[
            once_field(),
            picks(
                "modality",
                _("How?"),
                [(str(code), _(Modality.label_of(code))) for code in Modality],
                typed.text("modality"),
            ),
            picks(
                "outcome",
                _("What came of it?"),
                [(str(code), _(AttemptOutcome.label_of(code))) for code in NEAR],
                typed.text("outcome"),
            ),
            h.details(".rest")[
                h.summary[_("Now, by the lead care manager")],
                h.div(".grid2")[
                    field(
                        _("Day"),
                        "day",
                        typed.text("day") or la_date(visit.now).isoformat(),
                        kind="date",
                        needed=False,
                    ),
                    field(
                        _("Time"),
                        "clock",
                        typed.text("clock"),
                        kind="time",
                        hint=_("Missing, it is now."),
                        needed=False,
                    ),
                    select(
                        _("Who tried"),
                        "actor_kind",
                        [(str(code), _(ActorKind.label_of(code))) for code in ActorKind],
                        typed.text("actor_kind") or "lead_care_manager",
                    ),
                    field(
                        _("Minutes"),
                        "minutes",
                        typed.text("minutes"),
                        kind="number",
                        needed=False,
                        min="0",
                        max="1440",
                        inputmode="numeric",
                    ),
                ],
            ],
            h.button(".primary.big", type="submit")[_("Record it")],
        ],
    ]


@router.post("/care/people/{ref}/attempts")
async def attempt(ref: str, visit: Provider) -> Response:
    """One attempt, once."""
    form = await visit.form()
    body: dict[str, Any] = {
        "at": _moment(form, visit.now).astimezone(UTC).isoformat(),
        "actor_kind": form.text("actor_kind") or "lead_care_manager",
        "modality": form.text("modality"),
        "outcome": form.text("outcome"),
    }
    if form.text("minutes").isdigit():
        body["minutes"] = int(form.text("minutes"))
    return await _act(ref, visit, form, "attempts", body, path=f"/v1/outreach/{ref}/attempts")


def _moment(form: Form, now: datetime) -> datetime:
    """When it was tried: now, or the day and time that were typed, Pacific."""
    if not form.text("clock"):
        day = form.text("day")
        if not day or day == la_date(now).isoformat():
            return now
        return min(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=PACIFIC), now)
    day = form.text("day") or la_date(now).isoformat()
    try:
        return datetime.fromisoformat(f"{day}T{form.text('clock')}").replace(tzinfo=PACIFIC)
    except ValueError:
        return now


# ── what it came to ───────────────────────────────────────────────────────────────────────────────────────


def _outcomes(found: OutreachShown, known: Whole, typed: Form, visit: Visit) -> h.Node:
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
        if isinstance(known.referral, ShownReferral) and known.referral.authorization.id:
            one(
                "reauthorize", _("Ask for another term"), _("The term lives on until the plan decides."),
                h.input(type="hidden", name="authorization", value=known.referral.authorization.id),
                button=_("Ask the plan"),
            )  # fmt: skip
    return made


@router.post("/care/people/{ref}/{action}")
async def act(ref: str, action: str, visit: Provider) -> Response:
    """What it came to, or a correction."""
    form = await visit.form()
    on = {"on": form.text("on")} if form.text("on") else {}
    match action:
        case "start-services" | "unable-to-reach":
            return await _act(ref, visit, form, action, on)
        case "member-declined":
            return await _act(ref, visit, form, action, {**on, "how": form.text("how")})
        case "end-service":
            code = int(form.text("code")) if form.text("code").isdigit() else 0
            return await _act(ref, visit, form, action, {**on, "code": code})
        case "reauthorize":
            path = f"/v1/authorizations/{form.text('authorization')}:request-reauthorization"
            return await _act(ref, visit, form, action, {}, service="authorization", path=path)
        case "change-contact":
            return await _act(ref, visit, form, action, _contact(form), match=form.text("etag"))
        case "lead":
            name = form.text("lead")
            mine = name == visit.signed.name
            lead = {"name": name, "person": visit.signed.id if mine else "-".join(name.casefold().split())}
            return await _act(
                ref,
                visit,
                form,
                action,
                {"lead": lead},
                service="assignment",
                path=f"/v1/assignments/{ref}:change-lead",
            )
        case "supports":
            return await _act(
                ref,
                visit,
                form,
                action,
                {"code": form.text("code")},
                service="intake",
                path=f"/v1/referrals/{ref}/supports",
            )
        case "support":
            move = form.text("move")
            if move not in ("accept", "decline", "done"):
                raise NotHere
            path = f"/v1/supports/{form.text('support')}:{move}"
            return await _act(ref, visit, form, "supports", {}, service="intake", path=path)
        case _:
            raise NotHere


async def _act(
    ref: str,
    visit: Visit,
    form: Form,
    action: str,
    body: Mapping[str, Any],
    *,
    service: str = "notification",
    path: str = "",
    match: str = "",
) -> Response:
    """Send it; what is refused is said on the page, with what was typed."""
    _ = visit.words
    try:
        await visit.api.act(
            service, path or f"/v1/outreach/{ref}:{action}", body, once=form.once, match=match
        )
    except Refused as refusal:
        fields = [("", "", fix) for _pointer, fix in refusal.fields]
        shown = blocks.problem(
            refusal.title, refusal.fix or (fields[0][2] if fields else ""), refusal.trace, _
        )
        return await page(await whole_of(ref, visit), visit, typed=form, refused=shown, status=refusal.status)
    return see(href("/care/people/{}", ref, after=action))


def _tried(found: OutreachShown, visit: Visit) -> h.Element:
    _ = visit.words
    if not found.attempts:
        return blocks.card(_("What was tried"), h.p(".sub")[_("Nothing yet.")])
    return blocks.card(
        _("What was tried"),
        h.ol(".plainrows")[
            (
                h.li[
                    h.div[
                        h.strong[_(Modality.label_of(each.modality))], ": ", _(AttemptOutcome.label_of(each.outcome)),
                        h.p(".sub")[_(ActorKind.label_of(each.actor_kind))],
                    ],
                    h.span(".sub")[times.time(each.at, times.moment(each.at, _))],
                ]
                for each in reversed(found.attempts)
            )
        ],
    )  # fmt: skip


# ── what is known, and corrections ────────────────────────────────────────────────────────────────────────


def _facts(known: Whole, visit: Visit) -> h.Element:
    _ = visit.words
    referral = known.referral if isinstance(known.referral, ShownReferral) else None
    return blocks.card(
        _("Facts"),
        blocks.facts(
            (
                (_("Plan"), visit.name(referral.plan) if referral else None),
                (_("Referred by"), visit.name(referral.referrer) if referral else None),
                (_("Lead"), said(referral.lead) if referral and referral.lead else None),
                (_("Language"), labels.language(referral.language, _) if referral else None),
                (_("County"), labels.county(referral.county) if referral else None),
                (
                    _("Consent by"),
                    _(labels.plain(known.outreach.consent_holder)) if known.outreach.consent_holder else None,
                ),
                (_("Term"), _term(referral, visit)),
            )
        ),
        h.p[h.a(href=href("/referrals/{}", known.outreach.referral))[_("The whole story")]],
    )


def _term(referral: ShownReferral | None, visit: Visit) -> h.Node:
    if referral is None or referral.authorization.through is None:
        return None
    return visit.words("through {day}", day=times.day(referral.authorization.through, visit.words, year=True))


def _corrections(known: Whole, typed: Form, visit: Visit) -> h.Element:
    _, ref = visit.words, known.outreach.referral
    referral = known.referral if isinstance(known.referral, ShownReferral) else None
    ways = [
        ("phone", _("Phone")),
        ("text", _("Text message")),
        ("email", _("E-mail")),
        ("mail", _("Mail")),
        ("in_person", _("In person")),
    ]
    return h.section(".card")[
        h.h2[_("Correct what is known")],
        h.details(".rest", open=typed.text("action") == "change-contact")[
            h.summary[_("How they are reached")],
            form_to(f"/care/people/{ref}/change-contact", autocomplete="off", data_guard=True)[
                once_field(),
                h.input(type="hidden", name="action", value="change-contact"),
                h.input(type="hidden", name="etag", value=known.etag),
                h.p(".hint")[_("Only what you fill in is changed.")],
                field(_("Phone"), "phone", typed.text("phone"), kind="tel", needed=False),
                field(_("E-mail"), "email", typed.text("email"), kind="email", needed=False),
                field(_("Usual place"), "usual_place", typed.text("usual_place"), needed=False),
                checks("channels", _("Only safe by"), ways, typed.all("channels")),
                field(_("Only safe at"), "hours", typed.text("hours"), needed=False),
                area(_("Words to avoid"), "words_to_avoid", typed.text("words_to_avoid")),
                h.label(".check")[
                    h.input(type="checkbox", name="do_not_contact", value="yes"),
                    h.span[_("They must not be contacted")],
                ],
                h.button(type="submit")[_("Seal the correction")],
            ],
        ],
        h.details(".rest", open=typed.text("action") == "lead")[
            h.summary[_("The lead care manager")],
            form_to(f"/care/people/{ref}/lead")[
                once_field(),
                h.input(type="hidden", name="action", value="lead"),
                field(
                    _("Name"),
                    "lead",
                    typed.text("lead")
                    or (referral.lead if referral and referral.lead else visit.signed.name),
                ),
                h.button(type="submit")[_("Change the lead")],
            ],
        ],
    ]


def _contact(form: Form) -> dict[str, Any]:
    """Only what was filled in: an empty field changes nothing."""
    body: dict[str, Any] = {
        name: form.text(name) for name in ("phone", "email", "usual_place") if form.text(name)
    }
    safe: dict[str, Any] = {name: form.text(name) for name in ("hours", "words_to_avoid") if form.text(name)}
    if form.all("channels"):
        safe["channels"] = list(form.all("channels"))
    if "do_not_contact" in form:
        safe["do_not_contact"] = True
    return body | ({"safe_contact": safe} if safe else {})


def _supports(known: Whole, visit: Visit) -> h.Node:
    _, ref = visit.words, known.outreach.referral
    if not isinstance(known.supports, ListingShownSupport):
        return None
    moves = {"accept": _("Accepted"), "decline": _("Declined"), "done": _("Done")}
    return h.section(".card")[
        h.h2[_("Community Supports")],
        h.ul(".plainrows")[
            (
                h.li[
                    h.div[h.strong[_(each.name)], h.p(".sub")[_(each.status)]],
                    form_to(f"/care/people/{ref}/support", class_="inline")[
                        once_field(),
                        h.input(type="hidden", name="support", value=each.id),
                        (
                            h.button(type="submit", name="move", value=move)[moves[move]]
                            for move in moves
                            if _moved(move) in each.allowed
                        ),
                    ],
                ]
                for each in known.supports.items
            )
        ]
        if known.supports.items
        else h.p(".sub")[_("None is asked for yet.")],
        h.details(".rest")[
            h.summary[_("Ask for one")],
            form_to(f"/care/people/{ref}/supports")[
                once_field(),
                h.input(type="hidden", name="action", value="supports"),
                select(
                    _("Which"),
                    "code",
                    [(str(code), _(CommunitySupport.label_of(code))) for code in CommunitySupport],
                    needed=True,
                ),
                h.button(type="submit")[_("Ask for it")],
            ],
        ],
    ]


def _moved(move: str) -> str:
    return {"accept": "accepted", "decline": "declined"}.get(move, move)
