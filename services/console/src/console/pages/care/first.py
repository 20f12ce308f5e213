"""What a provider has to do now: offers to answer, whom to try next, terms that end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import together
from console.api.models.assignment import ListingShownAssignment, ShownAssignment
from console.api.models.authorization import ListingShownAuthorization, ShownAuthorization
from console.api.models.notification import ListingOutreachShown, OutreachShown
from console.pages.rows import PAGE, cut_short, pages
from console.pages.visit import Visit, visiting
from console.parts import loops
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import href, icon
from console.words import Words
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.vocabulary.outreach import AttemptOutcome
from loopkeeper.security.organizations import Role

router = APIRouter()
Provider = Annotated[Visit, visiting(Role.PROVIDER)]
HERE, PEOPLE = "/care", "/care/people"
ENDING_WITHIN = 45
OPEN = ("open", "waiting")
STATUS = {
    "waiting": "not tried yet",
    "open": "being reached",
    "services_started": "services started",
    "member_declined": "declined",
    "unable_to_reach": "unable to reach",
    "closed": "closed",
}


@router.get(HERE)
async def first(visit: Provider, after: str = "") -> Response:
    """Offers first, then people, then terms."""
    _ = visit.words
    offered, tried, terms = await together(
        visit.api.get("assignment", "/v1/assignments", ListingShownAssignment, status="offered", limit=PAGE),
        visit.api.get("notification", "/v1/outreach", ListingOutreachShown, status=OPEN, limit=PAGE),
        visit.api.get(
            "authorization", "/v1/authorizations", ListingShownAuthorization, status="approved", limit=PAGE
        ),
    )
    offers = (
        sorted(offered.items, key=lambda one: one.answer_due_at)
        if isinstance(offered, ListingShownAssignment)
        else []
    )
    people = tried.items if isinstance(tried, ListingOutreachShown) else []
    ending = _ending(terms.items, visit.now) if isinstance(terms, ListingShownAuthorization) else []
    over, soon = loops.due_words([one.answer_due_at for one in offers], visit.now)
    return visit.page(
        _("Care"),
        h.p(".toast", role="status")[_("The assignment ends. The plan finds another provider.")]
        if after == "no-longer"
        else None,
        blocks.head(_title(offers, people, _), _lead(over, soon, len(people), _), live(visit)),
        visit.away(offered, tried, terms),
        h.div(".cols")[
            h.div(".case")[
                _offers(offers, visit) if isinstance(offered, ListingShownAssignment) else None,
                _people(people, visit) if isinstance(tried, ListingOutreachShown) else None,
            ],
            h.aside(".facts")[
                blocks.card(
                    _("Terms that end"),
                    _terms(ending, visit)
                    if ending
                    else h.p(".sub")[_("None ends within {days} days.", days=ENDING_WITHIN)],
                ),
                blocks.card(
                    _("Your entry"),
                    h.p(".sub")[_("Places, languages, number: by them plans find you.")],
                    h.p[h.a(".button", href="/care/entry")[_("Look at it")]],
                ),
                blocks.card(
                    _("Refer somebody"),
                    h.p(".sub")[
                        _("You may refer a member yourself, and serve them where the table allows it.")
                    ],
                    h.p[h.a(".button", href="/refer/new")[icon("plus"), _("Refer")]],
                )
                if visit.has(Role.REFERRER)
                else None,
            ],
        ],
        here=HERE,
        live=True,
    )


def live(visit: Visit) -> h.Element:
    """Whether the page follows what happens, and as of when it is."""
    _ = visit.words
    return h.div(".live")[
        h.button(
            type="button", hidden=True, aria_pressed="true", data_live=_("Live"), data_paused=_("Paused")
        )[h.span(".pulse", aria_hidden="true"), h.span[_("Live")]],
        h.span(".sub")[_("as of {at}", at=times.moment(visit.now, _))],
    ]


def _title(offers: Sequence[ShownAssignment], people: Sequence[OutreachShown], words: Words) -> str:
    _ = words
    if offers:
        return _.many(
            "{count} offer waits for your answer", "{count} offers wait for your answer", len(offers)
        )
    return (
        _.many("{count} person to reach", "{count} people to reach", len(people))
        if people
        else _("Nothing waits")
    )


def _lead(late: int, soon: int, people: int, words: Words) -> h.Node:
    _ = words
    said: list[h.Node] = []
    if late:
        said.append(h.span(".n.late")[_.many("{count} is late. ", "{count} are late. ", late)])
    if soon:
        said.append(h.span(".n.soon")[_("{count} due within two days. ", count=soon)])
    if people:
        said.append(_.many("{count} person is to be reached.", "{count} people are to be reached.", people))
    return said or _("Offers come by mail too.")


def _offers(found: Sequence[ShownAssignment], visit: Visit) -> h.Element:
    _ = visit.words
    if not found:
        return blocks.card(_("Offers"), h.p(".sub")[_("Nobody is offered to you now.")])
    return loops.group(
        _("Can you take these people?"),
        len(found),
        marks.mark(times.due_state(found[0].answer_due_at, visit.now)),
        h.ul(".tiles-list")[
            (
                h.li(id=one.id, data_row=True, tabindex="-1")[
                    h.div[
                        h.a(".headline", href=href("/care/offers/{}", one.id))[said_of(one, _)],
                        h.span(".sub")[visit.name(one.plan)],
                    ],
                    marks.when(one.answer_due_at, visit.now, _),
                ]
                for one in found
            )
        ],
    )


def said_of(one: ShownAssignment, words: Words) -> str:
    """Who it is, as far as may be said before the offer is accepted."""
    parts = (
        labels.of(labels.AGE_BAND, one.age_band, words),
        labels.county(one.county),
        labels.language(one.language, words),
    )
    return labels.capital(", ".join(each for each in parts if each))


def _people(found: Sequence[OutreachShown], visit: Visit) -> h.Element:
    _ = visit.words
    if not found:
        return blocks.card(
            _("Whom to reach"), h.p(".sub")[_("Nobody now. Members you accept are here until they answer.")]
        )
    ordered = sorted(found, key=lambda one: (not late(one), len(one.attempts), one.updated_at or visit.now))
    return loops.group(
        _("Whom to try next"), len(found), None, rows(ordered[:50], visit), loops.more(PEOPLE, _("Everybody"))
    )


def rows(found: Sequence[OutreachShown], visit: Visit) -> h.Element:
    """People to reach, with what was tried."""
    _ = visit.words
    return h.ul(".tiles-list")[
        (
            h.li(id=one.referral, data_row=True, tabindex="-1")[
                h.div[
                    h.a(".headline", href=href("/care/people/{}", one.referral))[
                        _("Person "), h.span(".mono")[one.referral[-6:]]
                    ],
                    h.span(".sub")[tried(one, visit.now, _)],
                ],
                h.div(".chips")[
                    marks.chip(_("contact nobody"), "late") if one.told_dead else None,
                    marks.chip(_("contact rules"), "late") if _ruled(one) else None,
                    marks.chip(_("late"), "late") if late(one) else None,
                    marks.chip(
                        _(STATUS.get(one.status, one.status)), "info" if one.status == "waiting" else ""
                    ),
                ],
            ]
            for one in found
        )
    ]


NO_RULE = "no_fixed_address"


def _ruled(one: OutreachShown) -> bool:
    """Whether there are rules for reaching this person; that they have no address is none."""
    return any(rule != NO_RULE for rule in one.contact_rules)


def late(one: OutreachShown) -> bool:
    """Whether a clock of this outreach ran out; one that soon will is not late."""
    return any(not each.endswith("at_risk") for each in one.overdue)


def tried(one: OutreachShown, now: datetime, words: Words) -> str:
    """What was tried so far, in a line."""
    _ = words
    if not one.attempts:
        return _("nobody tried yet")
    last = one.attempts[-1]
    return (
        _.many("{count} attempt", "{count} attempts", len(one.attempts))
        + ", "
        + _(
            "last {day}: {outcome}",
            day=times.day(la_date(last.at), _),
            outcome=_(AttemptOutcome.label_of(last.outcome)).lower(),
        )
    )


def _ending(found: Sequence[ShownAuthorization], now: datetime) -> list[ShownAuthorization]:
    today = la_date(now)
    near = [one for one in found if one.term and 0 <= (one.term.through - today).days <= ENDING_WITHIN]
    return sorted(near, key=lambda one: one.term.through if one.term else today)


def _terms(found: Sequence[ShownAuthorization], visit: Visit) -> h.Element:
    _ = visit.words
    return h.ul(".plainrows")[
        (
            h.li[
                h.div[
                    h.a(href=href("/care/people/{}", one.referral))[
                        _("Person "), h.span(".mono")[one.referral[-6:]]
                    ],
                    h.p(".sub")[_("through {day}", day=times.day(one.term.through, _, year=True))]
                    if one.term
                    else None,
                ]
            ]
            for one in found[:20]
        )
    ]


@router.get(PEOPLE)
async def everybody(visit: Provider, status: str = "") -> Response:
    """Everybody this provider accepted."""
    _ = visit.words
    asked = status if status in STATUS else ""
    found = await pages(visit.api, "notification", "/v1/outreach", ListingOutreachShown, status=asked or None)
    held = [one for one in found if one.provider == visit.signed.organization.id]
    return visit.page(
        _("People"),
        blocks.head(
            _.many("{count} person", "{count} people", len(held)),
            _("Whom you accepted, and what became of it. Who they are is opened on their page."),
            live(visit),
        ),
        h.nav(".tabs", aria_label=_("Which"))[
            h.ul[
                (
                    h.li[
                        h.a(href=href(PEOPLE, status=code), aria_current="true" if code == asked else None)[
                            _(name)
                        ]
                    ]
                    for code, name in {"": "All", **STATUS}.items()
                )
            ]
        ],
        cut_short(found, visit),
        h.div(".group")[rows(list(reversed(held))[:100], visit)]
        if held
        else blocks.empty(_("Nobody here"), _("Nobody has this status. Members you accept come here.")),
        here=PEOPLE,
        live=True,
    )
