"""The story of one referral: its state, the next actor, what happened, and, for a reason, who it is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.access.session import REASONS, Opening
from console.api.client import Away, Refused, together, unless
from console.api.models import authorization as authorization_models
from console.api.models.intake import ReferredMember, ShownEvent, ShownReferral, Timeline
from console.pages import sentences
from console.pages.record.page import door, toast
from console.pages.term import term
from console.pages.visit import Visit, see, visiting
from console.parts import member
from console.parts import timeline as lines
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import href, icon, said
from console.parts.ring import Progress, of_events, ring, steps
from console.parts.timeline import Entry
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.contract.calendar import la_date
from loopkeeper.security.organizations import Role

router = APIRouter()
Anybody = Annotated[Visit, visiting(Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.OPERATIONS)]
ID = re.compile(r"ref_[0-9a-f]{32}")


@router.get("/referrals/{id}")
async def story(id: str, visit: Anybody, after: str = "") -> Response:
    """The whole story, live."""
    return await page(id, visit, after=after)


async def page(
    id: str, visit: Visit, *, refused: h.Node = None, after: str = "", status: int = 200
) -> Response:
    """The story of this referral as this person may see it."""
    if not ID.fullmatch(id):
        raise NotHere
    _ = visit.words
    found = await unless(visit.api.get("intake", f"/v1/referrals/{id}", ShownReferral), 404)
    if found is None:
        raise NotHere
    history = next(iter(await together(visit.api.get("intake", f"/v1/referrals/{id}/timeline", Timeline))))
    events = history.items if isinstance(history, Timeline) else []
    review = next(iter(await together(_review(visit, found, events))))
    opening = await visit.people.identity(visit.signed, id)
    progress = of_events(
        {sentences.kind_of(event.type) for event in events},
        told=bool(found.closing and found.closing.told_at),
        late=times.due_state(found.next_step.due_at, visit.now) == "late",
    )
    sources = {event.source for event in events}
    return visit.page(
        f"Referral {id[-6:]}",
        blocks.back(_back(visit), _("Back")),
        toast(after, _),
        refused,
        _head(found, events, progress, visit.now, _),
        h.div(".cols")[
            h.div(".work")[
                h.div(".tlhead")[
                    h.h2[_("What happened")],
                    lines.filters({s: name for s, name in labels.SOURCE.items() if s in sources}, _),
                ],
                visit.away(history),
                lines.timeline(await _entries(events, visit), _),
            ],
            h.aside(".facts")[
                _next(found, visit.now, _),
                await _identity(found, opening, visit),
                term(review.term, visit.now, _)
                if isinstance(review, authorization_models.ShownAuthorization) and review.term
                else None,
                visit.away(review),
                _facts(found, visit),
                door(id, _) if visit.has(Role.PLAN, Role.PROVIDER, Role.REFERRER) else None,
                _populations(found, _),
            ],
        ],
        here=_here(visit),
        live=True,
        status=status,
    )


async def _review(
    visit: Visit, found: ShownReferral, events: Sequence[ShownEvent]
) -> authorization_models.ShownAuthorization | None:
    """The plan's review, where this person may see it; once it is decided, events alone name it."""
    named = [event.authorization for event in events if event.authorization]
    id = found.authorization.id or (named[-1] if named else "")
    if not id or not visit.has(Role.PLAN, Role.PROVIDER):
        return None
    path = f"/v1/authorizations/{id}"
    return await unless(
        visit.api.get("authorization", path, authorization_models.ShownAuthorization), 403, 404
    )


def _head(
    found: ShownReferral, events: Sequence[ShownEvent], progress: Progress, now: datetime, words: Words
) -> h.Element:
    _ = words
    status, _tone = (labels.of(labels.STATUS, found.status, _), "")
    closing = found.closing
    first = (
        _("Closed: {outcome}.", outcome=labels.of(labels.OUTCOME, closing.outcome, _))
        if closing
        else f"{labels.capital(status)}."
    )
    last = events[-1].at if events else found.updated_at
    days = (la_date(last) - la_date(found.received_at)).days
    more = _(
        "Received {day}, {entries} entries, {days} from first to last.",
        day=times.day(la_date(found.received_at), _, year=True),
        entries=len(events),
        days=_.many("{count} day", "{count} days", days) if days else _("one day"),
    )
    return h.div(".storyhead")[
        ring(progress, _, large=True),
        h.div[
            h.h1(tabindex="-1")[_("Referral "), h.span(".mono")[found.id[-6:]]],
            h.p(".lead")[f"{first} {more}"],
            steps(progress, _),
        ],
    ]


async def _entries(events: Sequence[ShownEvent], visit: Visit) -> list[Entry]:
    names = await visit.people.names(visit.signed, {event.person for event in events if event.person})
    return [
        Entry(
            id=event.event_id,
            at=event.at,
            type=sentences.kind_of(event.type),
            source=event.source,
            sentence=_named(_sentence(event, visit.words), visit),
            policy=event.policy or [],
            organization=visit.name(event.acted_by),
            person=names.get(
                event.person or "",
                event.person if event.person and not event.person.startswith("per_") else "",
            ),
            trace=event.trace_id or "",
        )
        for event in events
    ]


def _sentence(event: ShownEvent, words: Words) -> str:
    return sentences.happened(event.type, event.sentence, event.values, words)


def _named(sentence: str, visit: Visit) -> str:
    """The sentence with organizations by their names instead of their ids."""
    return re.sub(r"\b[a-z0-9]+(?:-[a-z0-9]+)+\b", lambda found: visit.name(found[0]), sentence)


def _next(found: ShownReferral, now: datetime, words: Words) -> h.Element:
    _ = words
    closing, step = found.closing, found.next_step
    if closing is not None:
        told = (
            h.p(".proved")[
                icon("check"),
                _("The referrer was told {day}.", day=times.day(la_date(closing.told_at), _, year=True)),
            ]
            if closing.told_at
            else h.p(".sub")[_("The referrer is not told yet; that is under way.")]
        )
        text = h.p[said(closing.text)] if closing.text and closing.outcome == "other" else None
        return h.section(".card.next")[
            h.h2[_("Next")], h.p(".big")[_("Nothing is expected of anybody.")], text, told
        ]
    return h.section(class_=["card next", times.due_state(step.due_at, now)])[
        h.h2[_("Next")],
        h.p(".big")[
            h.strong[labels.of(labels.ACTOR, step.actor, _)],
            " ",
            _("must {step}.", step=sentences.step(step.code or "", step.step, step.values or {}, _)),
        ],
        marks.when(step.due_at, now, _) if step.due_at else None,
        h.ul(".asks")[
            (
                h.li[said(sentences.question(question.id, question.asks, _))]
                for question in found.questions or ()
            )
        ]
        if found.questions
        else None,
    ]


async def _identity(found: ShownReferral, opening: Opening | None, visit: Visit) -> h.Node:
    """Sealed, or what the service opens for this person now. Operations see no card at all."""
    _ = visit.words
    here = href("/referrals/{}", found.id)
    if not visit.has(Role.PLAN, Role.REFERRER, Role.PROVIDER):
        return None
    if opening is None:
        return member.sealed(found.id, REASONS, _, again=here)
    try:
        who = await _whose(found, opening, visit)
    except (Refused, Away):
        return blocks.card(_("Who it is"), h.p(".sub")[_("It cannot be opened for you here.")])
    return [
        member.safe_contact(who.contact, _),
        member.opened(found.id, who.identity, who.contact, times.clock(opening.until, _), _, again=here),
    ]


async def _whose(found: ShownReferral, opening: Opening, visit: Visit) -> ReferredMember:
    """Opened by the service that may: intake for plan and referrer, assignment for the provider that accepted."""
    reason = opening.reason
    if visit.has(Role.PLAN) or found.referrer == visit.signed.organization.id:
        return await visit.api.get(
            "intake", f"/v1/referrals/{found.id}/member", ReferredMember, reason=reason
        )
    return await visit.api.get(
        "assignment", f"/v1/assignments/{found.id}/member", ReferredMember, reason=reason
    )


def _facts(found: ShownReferral, visit: Visit) -> h.Element:
    _ = visit.words
    return blocks.card(
        _("Facts"),
        blocks.facts(
            (
                (_("Plan"), visit.name(found.plan)),
                (_("Referred by"), visit.name(found.referrer)),
                (_("Provider"), visit.name(found.provider)),
                (_("Lead"), said(found.lead) if found.lead else None),
                (_("Form"), labels.of(labels.FORM, found.form, _)),
                (_("Urgency"), labels.of(labels.URGENCY, found.urgency, _)),
                (_("County"), labels.county(found.county)),
                (_("Language"), labels.language(found.language, _)),
                (_("Coverage"), labels.of(labels.ELIGIBILITY, found.eligibility, _)),
                (_("Release"), times.day(found.release_on, _, year=True) if found.release_on else None),
                (
                    _("Linked"),
                    h.a(href=href("/referrals/{}", found.linked.to))[
                        f"…{found.linked.to[-6:]} ({_(labels.plain(found.linked.why))})"
                    ]
                    if found.linked
                    else None,
                ),
                (_("Id"), h.code(".whole")[found.id]),
            )
        ),
    )


RESULT = {"met": "good", "unknown": "due", "unmet": ""}


def _populations(found: ShownReferral, words: Words) -> h.Node:
    if not found.populations:
        return None
    _ = words
    shown = sorted(found.populations, key=lambda each: (not each.claimed, each.result != "met"))
    near = [each for each in shown if each.claimed or each.result == "met"]
    rest = [each for each in shown if each not in near]

    def row(code: str, result: str, claimed: bool) -> h.Element:
        return h.li[
            h.span[labels.population(code, _), h.span(".sub")[f" {_('claimed')}"] if claimed else None],
            marks.chip(
                {"met": _("met"), "unmet": _("not met"), "unknown": _("answers missing")}.get(result, result),
                RESULT.get(result, ""),
            ),
        ]

    return blocks.card(
        _("Populations of Focus"),
        h.ul(".pops")[(row(each.code, each.result, each.claimed) for each in near)] if near else None,
        h.details(".rest")[
            h.summary[_.many("{count} other population", "{count} other populations", len(rest))],
            h.ul(".pops")[(row(each.code, each.result, each.claimed) for each in rest)],
        ]
        if rest
        else None,
    )


def _back(visit: Visit) -> str:
    return _here(visit) or "/"


def _here(visit: Visit) -> str:
    if visit.has(Role.OPERATIONS):
        return "/ops"
    if visit.has(Role.PLAN):
        return "/plan/loops"
    return "/care/people" if visit.has(Role.PROVIDER) else "/refer"


# ── identity ──────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/referrals/{id}/open")
async def open_identity(id: str, visit: Anybody) -> Response:
    """For ten minutes this session sees who it is; the reason is kept with the person's id."""
    form = await visit.form()
    if (
        not ID.fullmatch(id)
        or await unless(visit.api.get("intake", f"/v1/referrals/{id}", ShownReferral), 404) is None
    ):
        raise NotHere
    await visit.people.open_identity(visit.signed, id, form.text("reason"))
    return see(own(form.text("back"), id))


@router.post("/referrals/{id}/shut")
async def shut_identity(id: str, visit: Anybody) -> Response:
    """Before the ten minutes are over."""
    form = await visit.form()
    await visit.people.close_identity(visit.signed, id)
    return see(own(form.text("back"), id))


def own(back: str, id: str) -> str:
    """The page to come back to, if it is one of ours about this referral."""
    return (
        f"{back}#identity"
        if re.fullmatch(r"/(plan|care|refer|referrals)/[A-Za-z0-9_/-]{1,120}", back)
        else href("/referrals/{}", id)
    )


@router.post("/find")
async def find(visit: Anybody) -> Response:
    """The story of this id. What is typed is in no address before it is found to be one."""
    wanted = (await visit.form()).text("q").casefold()
    if ID.fullmatch(wanted) and await unless(
        visit.api.get("intake", f"/v1/referrals/{wanted}", ShownReferral), 404
    ):
        return see(href("/referrals/{}", wanted))
    _ = visit.words
    return visit.page(
        _("Find"),
        blocks.head(
            _("Nothing is found"), _("A referral's id begins with ref_ and has 32 signs more. Copy it whole.")
        ),
        h.p[h.a(".button", href="/")[_("Go to your first page")]],
        status=404,
    )
