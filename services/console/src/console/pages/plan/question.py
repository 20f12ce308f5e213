"""One loop that asks the plan: who was ranked and passed over, why; name a provider, do what its step asks, or judge duplicates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away, Refused, together, unless
from console.api.models.assignment import PublicDirectory, RankingExplanation
from console.api.models.intake import ShownReferral
from console.pages.plan.asked import HERE
from console.pages.plan.queue import Plan
from console.pages.record.page import door, known_of, some_of, toast
from console.pages.refused import problem
from console.pages.visit import Visit, see
from console.parts.basics import blocks, labels, marks
from console.parts.basics.html import form_to, href, once_field
from console.parts.basics.options import select, submit
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from console.words import Words

router = APIRouter()
BECAUSE = {
    "": "No provider must come first",
    "member_wish": "The member wishes it",
    "fits_better": "It fits better",
    "not_practicable": "The other is not practicable",
}
WHY_NOT = {
    "inactive": "is not active",
    "no_contract": "has no contract for these populations",
    "outside_area": "does not serve the county",
    "age": "does not serve this age",
    "declined": "declined before",
    "plan_staff": "is your own staff",
    "not_in_network": "has no contract with you",
    "member_objects": "is not wanted by the member",
    "no_answer": "did not answer in time",
    "taken_back": "had its offer taken back",
    "ended": "ended this member's assignment",
    "member_wish": "yielded to the member's wish",
    "fits_better": "yielded to one that fits better",
    "not_practicable": "could not be followed",
    "full": "has no free place",
}


# What each step asks of the plan next to naming a provider, the likeliest first.
ACTS: Mapping[str, Sequence[str]] = {
    "death_told": ("death-confirmed", "death-not-so"),
    "start_open": ("release", "close"),
    "authorization_ended": ("close",),
    "start_without_form": ("close",),
    "coverage_ended": ("close",),
    "reported_provider_declined": ("close",),
    "reported_no_longer_eligible": ("close",),
    "reported_unable_to_reach": ("close",),
    "reported_other": ("close",),
    "none_left": ("close",),
    "no_answer": ("take-offer-back",),
    "member_already_assigned": ("close",),
    "conflicted": ("no-longer", "close"),
}


# Where naming a provider is the answer most often.
NAMED_FIRST = frozenset(
    {"none_left", "no_answer", "reported_provider_declined", "provider_left", "change_requested"}
)


@dataclass(frozen=True)
class Question:
    """One loop that asks, with whom there is to choose from."""

    found: ShownReferral
    explanation: RankingExplanation | Away | None
    directory: PublicDirectory | Away | None


async def question_of(id: str, visit: Visit) -> Question:
    found = await unless(visit.api.get("intake", f"/v1/referrals/{id}", ShownReferral), 404)
    if found is None:
        raise NotHere
    explanation, directory = await together(
        unless(visit.api.get("assignment", f"/v1/assignments/{id}/explanation", RankingExplanation), 404),
        visit.api.get(
            "assignment",
            "/v1/providers",
            PublicDirectory,
            plan=visit.signed.organization.id,
            county=found.county,
            limit=200,
        ),
    )
    return Question(found, explanation, directory)


@router.get("/plan/asked/{id}")
async def one(id: str, visit: Plan, after: str = "") -> Response:
    """One loop: who was ranked, who was passed over and why; name one, or do what else the step asks."""
    return await page(await question_of(id, visit), visit, after=after)


async def page(
    known: Question,
    visit: Visit,
    *,
    typed: Form = EMPTY,
    refused: h.Node = None,
    after: str = "",
    status: int = 200,
) -> Response:
    _, found = visit.words, known.found
    step, beside = found.next_step, await known_of(found.id, visit)
    named_first = step.code in NAMED_FIRST
    back = href("/plan/asked/{}", found.id)
    others = some_of(ACTS.get(step.code or "", ()), beside, typed, visit, back, first=not named_first)
    return visit.page(
        _("Asked of us"),
        blocks.back(HERE, _("Asked of us")),
        toast(after, _),
        blocks.head(
            labels.capital(_(step.step)) if step.actor == "plan" else _("Two referrals, perhaps one member"),
            [
                _("Referral "),
                h.span(".mono")[found.id[-6:]],
                f", {labels.county(found.county)}, {labels.language(found.language, _)}",
            ],
            marks.when(step.due_at, visit.now, _) if step.due_at else None,
        ),
        refused,
        h.div(".cols")[
            h.div(".case")[
                None if named_first else others,
                _name(known, typed, visit),
                others if named_first else None,
                _duplicate(found, visit.words),
                _passed_over(known, visit),
                visit.away(known.explanation, known.directory),
            ],
            h.aside(".facts")[
                blocks.card(
                    _("Facts"),
                    blocks.facts(
                        (
                            (_("Now with"), visit.name(found.provider)),
                            (
                                _("For"),
                                ", ".join(
                                    labels.population(each.code, _)
                                    for each in found.populations or ()
                                    if each.result == "met"
                                ),
                            ),
                            (_("County"), labels.county(found.county)),
                            (_("Language"), labels.language(found.language, _)),
                            (
                                _("Authorization"),
                                h.code[found.authorization.number] if found.authorization.number else None,
                            ),
                        )
                    ),
                    h.p[h.a(href=href("/referrals/{}", found.id))[_("The whole story")]],
                ),
                door(found.id, _),
            ],
        ],
        here=HERE,
        status=status,
    )


def _name(known: Question, typed: Form, visit: Visit) -> h.Node:
    _, found = visit.words, known.found
    dead = found.next_step.code == "death_told"
    if dead or found.status not in ("authorized", "assigned", "accepted", "outreach_initiated"):
        return None
    ranked = known.explanation.ranked if isinstance(known.explanation, RankingExplanation) else []
    skipped = {
        each.provider: each.reason
        for each in (known.explanation.skipped if isinstance(known.explanation, RankingExplanation) else [])
    }
    entries = known.directory.items if isinstance(known.directory, PublicDirectory) else []
    order = [each.provider for each in ranked] + [
        each.id for each in entries if each.id not in {one.provider for one in ranked}
    ]
    free = {each.id: each for each in entries}
    return h.section(".card.decision.flat")[
        h.h2[_("Name a provider")],
        form_to(f"/plan/asked/{found.id}/name")[
            once_field(),
            h.fieldset(".candidates")[
                h.legend(".sub")[_("In the order of the ranking; who was passed over says why.")],
                (
                    h.label(".candidate")[
                        h.input(
                            type="radio",
                            name="provider",
                            value=slug,
                            required=True,
                            checked=typed.text("provider") == slug,
                        ),
                        h.span[
                            h.strong[visit.name(slug)],
                            h.span(".sub")[_(WHY_NOT.get(skipped[slug], labels.plain(skipped[slug])))]
                            if slug in skipped
                            else h.span(".sub")[_("may be asked")],
                        ],
                        marks.chip(_("passed over"), "due")
                        if slug in skipped
                        else marks.chip(_("fits"), "good")
                        if slug in free
                        else None,
                    ]
                    for slug in order[:40]
                ),
            ]
            if order
            else h.p(".sub")[_("The directory names nobody for this county.")],
            select(
                _("Why this one?"),
                "because",
                [(code, _(name)) for code, name in BECAUSE.items()],
                typed.text("because"),
            ),
            submit(_("Offer it to them"), _),
        ],
    ]


def _passed_over(known: Question, visit: Visit) -> h.Node:
    _ = visit.words
    if not isinstance(known.explanation, RankingExplanation) or not known.explanation.lines:
        return None
    lines = [_named(line, visit) for line in known.explanation.lines]
    return blocks.card(
        _("How it came to this"),
        h.p[lines[0]],
        h.details(".rest")[
            h.summary[_("{count} more reasons", count=len(lines) - 1)],
            h.ul(".plainlist")[(h.li[line] for line in lines[1:])],
        ]
        if len(lines) > 1
        else None,
    )


def _named(line: str, visit: Visit) -> str:
    return re.sub(r"\b[a-z0-9]+(?:-[a-z0-9]+)+\b", lambda found: visit.name(found[0]), line)


def _duplicate(found: ShownReferral, words: Words) -> h.Node:
    _ = words
    other = found.possible_duplicate_of
    if other is None:
        return None
    return h.section(".card")[
        h.h2[_("Perhaps the same member")],
        h.p[
            _("Compare it with "),
            h.a(href=href("/referrals/{}", other))[_("referral "), h.span(".mono")[other[-6:]]],
            _(
                ". If they are one, this one closes and the other goes on; its sender hears the other's notices."
            ),
        ],
        form_to(f"/plan/asked/{found.id}/merge")[
            once_field(),
            h.input(type="hidden", name="into", value=other),
            h.button(type="submit")[_("They are one: merge")],
        ],
    ]


@router.post("/plan/asked/{id}/name")
async def name(id: str, visit: Plan) -> Response:
    """A named person of the plan offers it to this provider."""
    form = await visit.form()
    body = {"referral": id, "provider": form.text("provider"), "because": form.text("because")}
    try:
        await visit.api.act("assignment", "/v1/assignments", body, once=form.once)
    except Refused as refusal:
        return await _again(id, visit, form, refusal)
    return see(HERE)


@router.post("/plan/asked/{id}/merge")
async def merge(id: str, visit: Plan) -> Response:
    """Two referrals are one member's."""
    form = await visit.form()
    try:
        await visit.api.act(
            "intake", f"/v1/referrals/{id}:merge", {"into": form.text("into")}, once=form.once
        )
    except Refused as refusal:
        return await _again(id, visit, form, refusal)
    return see(href("/referrals/{}", form.text("into")))


@router.post("/plan/asked/{id}/split")
async def split(id: str, visit: Plan) -> Response:
    """A merge was wrong: it goes on by itself."""
    form = await visit.form()
    try:
        made = await visit.api.act("intake", f"/v1/referrals/{id}:split", {}, once=form.once)
    except Refused as refusal:
        return await _again(id, visit, form, refusal)
    return see(href("/referrals/{}", made.text("id") or id))


async def _again(id: str, visit: Visit, form: Form, refusal: Refused) -> Response:
    shown = problem(refusal, visit.words)
    return await page(await question_of(id, visit), visit, typed=form, refused=shown, status=refusal.status)
