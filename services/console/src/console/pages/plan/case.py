"""What a decision is made from: the clock, why a person must decide, what the answers and the form say, who it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import htpy as h

from console.access.session import REASONS
from console.api.client import Away, Refused, together, unless
from console.api.models.authorization import (
    DecisionExplanation,
    MemberToDecide,
    ShownAuthorization,
)
from console.api.models.intake import OpenedForm, ShownReferral
from console.pages.plan.queue import HERE
from console.pages.visit import Visit
from console.parts import member
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import href, said
from console.web.refusals import NotHere
from console.words import Words

WHY: dict[str, str] = {
    "other_factor": "The criteria are met only by another factor, given in words",
    "criteria_open": "No population's criteria are all answered and met",
    "switch_off": "Your plan has not turned on approval by rule for this population",
    "not_attested": "The form is not attested",
    "eligibility_unconfirmed": "The plan's roster does not confirm the member's coverage",
    "exclusive_program": "The member may be in a program that excludes ECM",
    "already_authorized": "The member has an open authorization",
    "term_over": "A term from the first service claimed would be over already",
    "back_dating_unchosen": "Your plan has not chosen from which day a term after a grant runs",
    "sample": "It was drawn for the sample that a person reviews",
}
SHOWN_ASKS = 6


@dataclass(frozen=True)
class Case:
    """Everything a decision is made from."""

    found: ShownAuthorization
    etag: str
    explanation: DecisionExplanation | Away
    referral: ShownReferral | Away | None
    holder: str


async def case_of(id: str, visit: Visit) -> Case:
    """The case, or `NotHere`."""
    got = await unless(
        visit.api.versioned("authorization", f"/v1/authorizations/{id}", ShownAuthorization), 404
    )
    if got is None:
        raise NotHere
    found, etag = got
    explanation, referral = await together(
        visit.api.get("authorization", f"/v1/authorizations/{id}/explanation", DecisionExplanation),
        unless(visit.api.get("intake", f"/v1/referrals/{found.referral}", ShownReferral), 404),
    )
    names = await visit.people.names(visit.signed, {found.claim.person} if found.claim else ())
    return Case(found, etag, explanation, referral, next(iter(names.values()), ""))


def bar(ids: Sequence[str], here: int | None, count: int, words: Words) -> h.Element:
    """Where in the queue this case is, and the ways to its neighbours."""
    _ = words
    before = ids[here - 1] if here else None
    following = ids[here + 1] if here is not None and here + 1 < len(ids) else None
    return h.nav(".queuebar", aria_label=_("Queue"))[
        h.a(href=HERE, data_up=True)[_("All {count} to decide", count=count)],
        h.span[_("{at} of {count}, earliest due first", at=here + 1, count=count)]
        if here is not None
        else None,
        h.span(".pn")[
            h.a(href=href("/plan/decide/{}", before), data_previous=True)[
                _("Previous"), " ", h.kbd(aria_hidden="true")["k"]
            ]
            if before
            else None,
            h.a(href=href("/plan/decide/{}", following), data_next=True)[
                _("Next"), " ", h.kbd(aria_hidden="true")["j"]
            ]
            if following
            else None,
        ],
    ]


def clock(found: ShownAuthorization, visit: Visit) -> h.Node:
    _ = visit.words
    if found.due is None:
        return None
    due_at, now = found.due.due_at, visit.now
    state = times.due_state(due_at, now)
    cap = found.cap_at
    words = _(
        "Decide by {day} ({clock} clock).",
        day=times.deadline(due_at, _, now=now),
        clock=_(labels.of(labels.URGENCY, found.urgency, _)),
    )
    if cap is not None and times.last_day(cap) == times.last_day(due_at):
        more = _(" That day is the legal cap too: a request undecided then counts as a denial.")
    elif cap is not None:
        more = _(
            " The legal cap is {day}: undecided then, it counts as a denial.",
            day=times.deadline(cap, _, now=now),
        )
    else:
        more = ""
    whole = timedelta(days=5) if found.urgency != "expedited" else timedelta(days=3)
    spent = 1 - max((due_at - now) / whole, 0.0)
    return blocks.timer(times.distance(due_at, now, _), words + more, spent, state, marks.mark(state))


def why(case: Case, visit: Visit) -> h.Element:
    _, found = visit.words, case.found
    policy = case.explanation.policy if isinstance(case.explanation, DecisionExplanation) else []
    lines = case.explanation.lines if isinstance(case.explanation, DecisionExplanation) else []
    return blocks.card(
        _("Why a person must decide"),
        h.ul(".why")[(h.li[_(WHY.get(code, labels.plain(code)))] for code in found.needs_person or ())]
        if found.needs_person
        else h.p[_("Nothing prevents a rule; a person may decide all the same.")],
        h.p(".sub")[
            _(
                "Asked of the referrer {day}; the clock is paused, the cap is not.",
                day=times.moment(found.pause.since, _),
            )
        ]
        if found.pause
        else None,
        h.details(".rest")[
            h.summary[
                _.many(
                    "Its state, and {count} policy row",
                    "Its state, and {count} policy rows",
                    len(policy),
                )
            ],
            h.ul(".plainlist")[(h.li[line] for line in lines)],
            h.ul(".plainlist.sub")[(h.li[h.code[row]] for row in policy)],
        ]
        if lines or policy
        else None,
    )


def answers(found: ShownAuthorization, referral: ShownReferral | None, words: Words) -> h.Element:
    _ = words
    shown = found.populations or []
    near = [each for each in shown if each.claimed or each.result == "met"]
    rest = [each for each in shown if each not in near]
    tone = {"met": "good", "unknown": "due"}
    result = {"met": _("met"), "unmet": _("not met"), "unknown": _("answers missing")}

    def row(code: str, claimed: bool, state: str, met_by: str | None) -> h.Element:
        return h.li[
            h.span(".pname")[
                labels.population(code, _),
                h.span(".sub")[
                    _("claimed by the referrer") if claimed else _("met, not claimed"),
                    f", {_('by another factor in words')}" if met_by else "",
                ],
            ],
            marks.chip(result.get(state, state), tone.get(state, "")),
        ]

    return blocks.card(
        _("What the answers say"),
        h.ul(".pops.wide")[(row(each.code, each.claimed, each.result, each.met_by) for each in near)]
        if near
        else h.p(".sub")[_("No population is claimed, and none is met.")],
        h.details(".rest")[
            h.summary[_.many("{count} other population", "{count} other populations", len(rest))],
            h.ul(".pops")[
                (
                    h.li[
                        labels.population(each.code, _),
                        marks.chip(result.get(each.result, each.result), tone.get(each.result, "")),
                    ]
                    for each in rest
                )
            ],
        ]
        if rest
        else None,
    )


def missing(referral: ShownReferral | None, words: Words) -> h.Node:
    _ = words
    asked = referral.questions if referral else None
    if not asked:
        return None
    return blocks.card(
        _.many("{count} answer is missing", "{count} answers are missing", len(asked)),
        h.ol(".asks")[(h.li[said(each.asks)] for each in asked[:SHOWN_ASKS])],
        h.details(".rest")[
            h.summary[_("{count} more", count=len(asked) - SHOWN_ASKS)],
            h.ol(".asks", start=str(SHOWN_ASKS + 1))[(h.li[said(each.asks)] for each in asked[SHOWN_ASKS:])],
        ]
        if len(asked) > SHOWN_ASKS
        else None,
    )


async def whose(found: ShownAuthorization, visit: Visit) -> h.Element:
    _ = visit.words
    here = href("/plan/decide/{}", found.id)
    opening = await visit.people.identity(visit.signed, found.referral)
    if opening is None:
        return member.sealed(found.referral, REASONS, _, chosen="decide", again=here)
    try:
        who = await visit.api.get(
            "authorization",
            f"/v1/authorizations/{found.id}/member",
            MemberToDecide,
            reason=opening.reason,
        )
    except (Refused, Away):
        return blocks.card(_("Who it is"), h.p(".sub")[_("It cannot be opened for you here.")])
    identity = {name: value for name, value in who.model_dump().items() if value not in (None, "")}
    return member.opened(found.referral, identity, {}, times.clock(opening.until, _), _, again=here)


async def form_says(found: ShownAuthorization, visit: Visit) -> h.Node:
    """What the form says, criterion by criterion, while this session has the identity open: reading it is written down too."""
    _ = visit.words
    if await visit.people.identity(visit.signed, found.referral) is None:
        return None
    form = await unless(
        visit.api.get("intake", f"/v1/referrals/{found.referral}/form", OpenedForm, reason="read_form"),
        403,
        404,
    )
    if form is None:
        return None
    tone = {"met": "good", "unknown": "due"}
    near = [each for each in form.screening if each.claimed or each.suggested or each.result == "met"]
    return blocks.card(
        _("What the form says"),
        [
            [
                h.h3[labels.population(each.code, _)],
                h.ul(".pops")[
                    (
                        h.li[
                            h.span[said(one.asks)],
                            marks.chip(
                                _(
                                    {"met": "yes", "unmet": "no", "unknown": "not answered"}.get(
                                        one.result, one.result
                                    )
                                ),
                                tone.get(one.result, ""),
                            ),
                        ]
                        for one in each.criteria
                    )
                ],
            ]
            for each in near
        ],
        h.p[h.strong[_("Comments: ")], said(form.comments)] if form.comments else None,
        h.p[h.strong[_("Safety: ")], said(form.safety_notes)] if form.safety_notes else None,
        h.p(".sub")[
            _("Attested by {name}.", name=str(form.attestation.get("name") or _("the referrer")))
            if form.attestation.get("attested")
            else _("Not attested.")
        ],
    )
