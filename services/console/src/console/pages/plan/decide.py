"""One decision: the clock, why a person must decide, what the answers say, who it is; choose, look at what follows, send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.access.session import REASONS
from console.api.client import Away, Refused, together, unless
from console.api.models.authorization import (
    DecisionExplanation,
    MemberToDecide,
    PopulationToDecide,
    ShownAuthorization,
)
from console.api.models.form import ANSWERS
from console.api.models.intake import OpenedForm, ShownReferral
from console.pages.plan.queue import HERE, Plan, pending, title_of
from console.pages.visit import Visit, see
from console.parts import account, member
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href, once_field, said
from console.parts.basics.options import Option, area, checks, options, select, submit
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.vocabulary.decisions import DenialReason
from loopkeeper.contract.vocabulary.populations import Population

router = APIRouter()
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
CHOICES = ("approve", "modify", "pend", "deny")
DONE = {"approve": "Approved.", "modify": "Approved in part.", "pend": "Asked.", "deny": "Denied."}
FIELDS = (
    "choice",
    "populations",
    "asks",
    "reason",
    "in_part_reason",
    "citation",
    "external_number",
    "provider_told",
)
# What of each population is not met, and why, next to a reason: names of fields, before the population's code.
CRITERION, WHY_UNMET = "criterion-", "unmet-"
IN_PART = "in-part-"
NOT_MET = str(DenialReason.CRITERIA_NOT_MET)
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


@router.get("/plan/decide/{id}")
async def decide(id: str, visit: Plan, after: str = "") -> Response:
    """The page of a decision."""
    return await page(await case_of(id, visit), visit, after=after)


async def page(
    case: Case,
    visit: Visit,
    *,
    typed: Form = EMPTY,
    refused: h.Node = None,
    after: str = "",
    status: int = 200,
) -> Response:
    _, found = visit.words, case.found
    waiting = (await pending(visit)).items
    here = next((at for at, each in enumerate(waiting) if each.id == found.id), None)
    referral = case.referral if isinstance(case.referral, ShownReferral) else None
    return visit.page(
        _("Decide"),
        h.p(".toast", role="status")[_(DONE[after])] if after in DONE else None,
        _bar([each.id for each in waiting], here, visit.words),
        blocks.head(
            title_of(found, _),
            _(
                "Referred {day} by {who}.",
                day=times.day(la_date(referral.received_at), _),
                who=visit.name(referral.referrer),
            )
            + " "
            + " · ".join(
                each
                for each in (
                    labels.county(referral.county),
                    labels.language(referral.language, _),
                    labels.of(labels.URGENCY, found.urgency, _),
                )
                if each
            )
            if referral
            else labels.of(labels.URGENCY, found.urgency, _),
        ),
        refused,
        _clock(found, visit),
        h.div(".cols.decide")[
            h.div(".case")[
                _why(case, visit),
                _answers(found, referral, visit.words),
                _missing(referral, visit.words),
                await _member(found, visit),
                await _form(found, visit),
                visit.away(case.explanation, case.referral),
            ],
            h.aside[await _decision(case, typed, visit)],
        ],
        here=HERE,
        status=status,
    )


def _bar(ids: Sequence[str], here: int | None, words: Words) -> h.Element:
    _ = words
    count = len(ids)
    before = ids[here - 1] if here else None
    following = ids[here + 1] if here is not None and here + 1 < count else None
    return h.nav(".queuebar", aria_label=_("Queue"))[
        h.a(href=HERE, data_up=True)[_("All {count} to decide", count=count)],
        h.span[_("{at} of {count}, earliest due first", at=here + 1, count=count)]
        if here is not None
        else None,
        h.span(".pn")[
            h.a(href=href("/plan/decide/{}", before), data_previous=True)[
                _("Previous"), h.kbd(aria_hidden="true")["k"]
            ]
            if before
            else None,
            h.a(href=href("/plan/decide/{}", following), data_next=True)[
                _("Next"), h.kbd(aria_hidden="true")["j"]
            ]
            if following
            else None,
        ],
    ]


def _clock(found: ShownAuthorization, visit: Visit) -> h.Node:
    _ = visit.words
    if found.due is None:
        return None
    due_at, now = found.due.due_at, visit.now
    stands = times.standing(due_at, now)
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
    return blocks.timer(times.distance(due_at, now, _), words + more, spent, stands, marks.mark(stands))


def _why(case: Case, visit: Visit) -> h.Element:
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


def _answers(found: ShownAuthorization, referral: ShownReferral | None, words: Words) -> h.Element:
    _ = words
    shown = found.populations or []
    near = [each for each in shown if each.claimed or each.result == "met"]
    rest = [each for each in shown if each not in near]
    tone = {"met": "good", "unknown": "due"}
    result = {"met": _("met"), "unmet": _("not met"), "unknown": _("answers missing")}

    def row(code: str, claimed: bool, stands: str, met_by: str | None) -> h.Element:
        return h.li[
            h.span(".pname")[
                labels.population(code, _),
                h.span(".sub")[
                    _("claimed by the referrer") if claimed else _("met, not claimed"),
                    f", {_('by another factor in words')}" if met_by else "",
                ],
            ],
            marks.chip(result.get(stands, stands), tone.get(stands, "")),
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


def _missing(referral: ShownReferral | None, words: Words) -> h.Node:
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


async def _member(found: ShownAuthorization, visit: Visit) -> h.Element:
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


async def _form(found: ShownAuthorization, visit: Visit) -> h.Node:
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


async def _decision(case: Case, typed: Form, visit: Visit) -> h.Element:
    _, found = visit.words, case.found
    if found.status not in ("pending", "started") and found.waits_for != "decision":
        return _decided(found, visit)
    mine = found.claim is not None and found.claim.person == visit.signed.id
    return h.section(".card.decision")[
        form_to(f"/plan/decide/{found.id}/review", id="decision", data_guard=True)[
            options(
                "choice", h.h2[_("Your decision")], _options(case, typed, visit.words), typed.text("choice")
            ),
            h.p(".as")[
                _("You decide as "),
                h.strong[visit.signed.name],
                f", {visit.signed.title}" if visit.signed.title else "",
                _(", licence {number}", number=visit.signed.licence) if visit.signed.licence else None,
                _(". That is kept with the decision."),
            ],
            submit(_("Review before sending"), _),
        ],
        h.div(".hold")[
            h.p(".sub")[_("You work on this.") if mine else _("{name} works on this.", name=case.holder)],
            account.action("/plan/queue/give-back", _("Give it back"), tone="small", id=found.id),
        ]
        if found.claim
        else None,
    ]


def _options(case: Case, typed: Form, words: Words) -> list[Option]:
    _ = words
    found = case.found
    asked = [each for each in found.populations or () if each.claimed or each.result == "met"]
    names = [(each.code, labels.population(each.code, _)) for each in asked]
    referral = case.referral if isinstance(case.referral, ShownReferral) else None
    questions = [(each.id, each.asks) for each in (referral.questions if referral else None) or ()]
    reasons = [(str(code), _(DenialReason.label_of(code))) for code in DenialReason]
    number = field(
        _("Number in your own system"), "external_number", typed.text("external_number"), needed=False
    )
    made = [
        Option(
            "approve",
            _("Approve"),
            _("A term begins, and the search for a provider starts at once."),
            "a",
            [
                checks(
                    "populations",
                    _("For"),
                    names,
                    typed.all("populations") or [code for code, _name in names],
                )
                if len(names) > 1
                else None,
                number,
            ],
        ),
        Option(
            "pend",
            _("Ask for what is missing"),
            _("The clock is paused, the cap is not."),
            "s",
            checks("asks", _("What do you ask the referrer for?"), questions, typed.all("asks"))
            if questions
            else h.p(".hint")[_("Nothing of the standard is missing, and nothing else may be asked for.")],
        ),
        Option(
            "deny",
            _("Deny"),
            _("The member and the referrer get a notice with the reason and the way to appeal."),
            "d",
            [
                select(
                    _("Reason"),
                    "reason",
                    reasons,
                    typed.text("reason"),
                    empty=_("Choose a reason"),
                    hint=_("There is no other reason: a denial says why."),
                    id="deny-reason",
                ),
                _unmet_fields(asked or found.populations or (), "", typed, words),
                area(
                    _("Citation, in place of the standard one"), "citation", typed.text("citation"), most=500
                ),
            ],
        ),
    ]
    if len(names) > 1:
        in_part = Option(
            "modify",
            _("Approve in part"),
            _("What you leave out is denied, with its own notice."),
            "p",
            [
                checks("in_part", _("Approve"), names, typed.all("in_part")),
                select(
                    _("Why not the rest?"),
                    "in_part_reason",
                    reasons,
                    typed.text("in_part_reason"),
                    empty=_("Choose a reason"),
                ),
                _unmet_fields(asked, IN_PART, typed, words),
            ],
        )
        made.insert(1, in_part)
    may = found.allowed
    return [each for each in made if may is None or each.value in may]


def _unmet_fields(asked: Sequence[PopulationToDecide], prefix: str, typed: Form, words: Words) -> h.Element:
    """Of the reason that criteria are not met: which of each population's own, and why, in words the member reads."""
    _ = words
    return h.details(".rest", open=any(name.startswith(f"{prefix}{CRITERION}") for name in typed))[
        h.summary[_("Where criteria are not met: which, and why")],
        [
            [
                select(
                    labels.population(each.code, _),
                    f"{prefix}{CRITERION}{each.code}",
                    [(code, _question(code, words)) for code in each.criteria or ()],
                    typed.text(f"{prefix}{CRITERION}{each.code}"),
                    empty=_("Choose a criterion"),
                ),
                area(
                    _("Why it is not met"),
                    f"{prefix}{WHY_UNMET}{each.code}",
                    typed.text(f"{prefix}{WHY_UNMET}{each.code}"),
                    hint=_("The member reads this in the notice. Name nobody."),
                    most=500,
                ),
            ]
            for each in asked
        ],
    ]


def _question(code: str, words: Words) -> str:
    return words(ANSWERS[code][1]) if code in ANSWERS else labels.capital(labels.plain(code))


def _decided(found: ShownAuthorization, visit: Visit) -> h.Element:
    _, decision = visit.words, found.decision
    return h.section(".card.next")[
        h.h2[_("It is decided")],
        h.p(".big")[labels.capital(_(labels.plain(decision.kind)))]
        if decision
        else h.p[_("Nothing waits here.")],
        blocks.facts(
            (
                (_("Number"), h.code[decision.number] if decision.number else None),
                (_("When"), times.moment(decision.at, _, year=True)),
                (_("Reason"), _(labels.plain(decision.reason)) if decision.reason else None),
                (_("Appeal by"), times.day(decision.appeal_by, _, year=True) if decision.appeal_by else None),
            )
        )
        if decision
        else None,
        h.p[h.a(href=href("/referrals/{}", found.referral))[_("The whole story")]],
    ]


# ── look at what follows, then send ───────────────────────────────────────────────────────────────────────


def body_of(form: Form) -> tuple[str, dict[str, Any]]:
    """The action and its body, as the service takes it; who acts is in the token."""
    choice = form.text("choice")
    match choice:
        case "approve":
            body: dict[str, Any] = {"populations": list(form.all("populations"))}
        case "modify":
            approved = form.all("in_part")
            body = {"populations": list(approved), "reason": form.text("in_part_reason")}
            body |= _unmet_of(form, body["reason"], IN_PART, approved)
        case "pend":
            return choice, {"asks": list(form.all("asks"))}
        case "deny":
            body = {"reason": form.text("reason"), "citation": form.text("citation")}
            body |= _unmet_of(form, body["reason"], "", ())
        case _:
            raise NotHere
    return choice, body | {"external_number": form.text("external_number")}


def _unmet_of(form: Form, reason: str, prefix: str, approved: Sequence[str]) -> dict[str, Any]:
    """What was said of each population that is not approved; nothing under another reason."""
    if reason != NOT_MET:
        return {}
    said = [
        {
            "population": code,
            "criterion": form.text(f"{prefix}{CRITERION}{code}"),
            "why": form.text(f"{prefix}{WHY_UNMET}{code}"),
        }
        for code in Population.codes()
        if code not in approved
    ]
    return {"unmet": [each for each in said if each["criterion"] or each["why"]]}


def _kept(form: Form) -> list[str]:
    """The names of the fields that a decision is made of."""
    own = [f"{prefix}{name}" for prefix in ("", IN_PART) for name in (CRITERION, WHY_UNMET)]
    return [*FIELDS, "in_part", *(name for name in form if name.startswith(tuple(own)))]


@router.post("/plan/decide/{id}/review")
async def review(id: str, visit: Plan) -> Response:
    """What follows from the choice. Nothing is sent yet."""
    _, form, case = visit.words, await visit.form(), await case_of(id, visit)
    choice, body = body_of(form)
    lacking = _lacking(choice, body, _)
    if lacking:
        return await page(case, visit, typed=form, refused=blocks.problem(*lacking, "", _), status=422)
    try:
        dry = await visit.api.post(
            "authorization", f"/v1/authorizations/{id}:{choice}", _sent(choice, body) | {"dry_run": True},
            ShownAuthorization, once=f"{form.once}-dry",
        )  # fmt: skip
    except Refused as refusal:
        shown = blocks.problem(refusal.title, refusal.fix, refusal.trace, _)
        return await page(case, visit, typed=form, refused=shown, status=refusal.status)
    return visit.page(
        _("Review"),
        h.section(".card.review")[
            h.h1(tabindex="-1")[_(HEADINGS[choice])],
            h.p(".lead")[title_of(case.found, _)],
            blocks.facts(_chosen(choice, body, case, _)),
            h.h2[_("What follows")],
            h.ul(".why")[
                (h.li[each] for each in _follows(dry, visit)), (h.li[_(each)] for each in FOLLOWS[choice])
            ],
            h.p(".as")[_("You decide as {who}.", who=visit.signed.said)],
            form_to(f"/plan/decide/{id}/send")[
                once_field(),
                h.input(type="hidden", name="etag", value=case.etag),
                (
                    h.input(type="hidden", name=name, value=value)
                    for name in _kept(form)
                    for value in form.all(name)
                ),
                submit(_(SENDS[choice]), _, href("/plan/decide/{}", id)),
            ],
        ],
        here=HERE,
    )


def _sent(choice: str, body: dict[str, Any]) -> dict[str, Any]:
    return (
        {name: value for name, value in body.items() if value not in ("", [])} if choice != "pend" else body
    )


def _follows(dry: ShownAuthorization, visit: Visit) -> list[str]:
    """What the service says would be: days and rights, of a decision that nothing kept."""
    _, decision = visit.words, dry.decision
    said: list[str] = []
    if decision is not None and decision.from_ and decision.through:
        said.append(
            _(
                "A term from {from_} through {through}.",
                from_=times.day(decision.from_, _, year=True),
                through=times.day(decision.through, _, year=True),
            )
        )
    if decision is not None and decision.notice_due_at:
        said.append(
            _("The notice is due by {day}.", day=times.deadline(decision.notice_due_at, _, now=visit.now))
        )
    if decision is not None and decision.appeal_by:
        said.append(
            _("An appeal is possible through {day}.", day=times.day(decision.appeal_by, _, year=True))
        )
    if dry.pause is not None:
        said.append(_("The referrer has until {day}.", day=times.deadline(dry.pause.by, _, now=visit.now)))
    return said


HEADINGS = {
    "approve": "Approve this?",
    "modify": "Approve this in part?",
    "pend": "Ask for this?",
    "deny": "Deny this?",
}
SENDS = {"approve": "Approve", "modify": "Approve in part", "pend": "Ask", "deny": "Deny"}
FOLLOWS = {
    "approve": (
        "The search for a provider starts at once.",
        "The referrer and, by you, the member are told.",
    ),
    "modify": (
        "A term begins for what is approved, and the search for a provider starts.",
        "For the rest the member gets a notice with the reason and the way to appeal.",
        "The referrer is told.",
    ),
    "pend": (
        "The referrer is asked now, and reminded.",
        "The decision's clock is paused; the legal cap is not.",
        "Any answer lets the clock run on.",
    ),
    "deny": (
        "The loop closes: not authorized.",
        "The member must get a notice with the reason, the citation and the way to appeal.",
        "The referrer is told, without the reason where it would say too much.",
        "An appeal or a hearing may overturn it; you record that on the term's page.",
    ),
}


def _lacking(choice: str, body: dict[str, Any], words: Words) -> tuple[str, str] | None:
    _ = words
    if choice == "pend" and not body["asks"]:
        return _("Nothing is asked for"), _("Tick what the referrer is to answer.")
    if choice in ("deny", "modify") and not body["reason"]:
        return _("The reason is missing"), _("Choose one of the list; a denial says why.")
    if body.get("reason") == NOT_MET and not body.get("unmet"):
        return _("Which criterion is not met is missing"), _(
            "Choose it, and say why in words for the member."
        )
    if choice == "modify" and not body["populations"]:
        return _("Nothing is approved"), _("Tick what you approve, or deny instead.")
    return None


def _chosen(choice: str, body: dict[str, Any], case: Case, words: Words) -> list[tuple[str, h.Node]]:
    _ = words
    referral = case.referral if isinstance(case.referral, ShownReferral) else None
    asks = {each.id: each.asks for each in (referral.questions if referral else None) or ()}
    rows: list[tuple[str, h.Node]] = []
    if body.get("populations"):
        rows.append((_("For"), ", ".join(labels.population(code, _) for code in body["populations"])))
    if body.get("reason"):
        rows.append((_("Reason"), _(DenialReason.label_of(body["reason"]))))
    for each in body.get("unmet") or ():
        population = labels.population(each["population"], _)
        criterion = _question(each["criterion"], words) if each["criterion"] else ""
        rows.append(
            (_("Not met of {population}", population=population), [criterion, h.br, said(each["why"])])
        )
    if body.get("citation"):
        rows.append((_("Citation"), said(body["citation"])))
    if choice == "pend":
        rows.append((_("Asked"), h.ol(".asks")[(h.li[said(asks.get(id) or id)] for id in body["asks"])]))
    if body.get("external_number"):
        rows.append((_("Your number"), said(body["external_number"])))
    return rows


@router.post("/plan/decide/{id}/send")
async def send(id: str, visit: Plan) -> Response:
    """The decision, once; then the next case."""
    _, form = visit.words, await visit.form()
    choice, body = body_of(form)
    before = [each.id for each in (await pending(visit)).items]
    sent = (
        {name: value for name, value in body.items() if value not in ("", [])} if choice != "pend" else body
    )
    try:
        await visit.api.act(
            "authorization",
            f"/v1/authorizations/{id}:{choice}",
            sent,
            once=form.once,
            match=form.text("etag"),
        )
    except Refused as refusal:
        shown = blocks.problem(refusal.title, refusal.fix, refusal.trace, _)
        return await page(await case_of(id, visit), visit, typed=form, refused=shown, status=refusal.status)
    await unless(
        visit.api.act("authorization", f"/v1/authorizations/{id}:release", {}, once=f"{form.once}-free"),
        404,
        409,
    )
    at = before.index(id) if id in before else -1
    following = (
        before[at + 1] if 0 <= at < len(before) - 1 else before[0] if before and before[0] != id else ""
    )
    return see(href("/plan/decide/{}", following, after=choice) if following else href(HERE))
