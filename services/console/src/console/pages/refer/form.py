"""Refer somebody: one page, either form. Nothing is stored before it is sent; sent early, what is missing is asked later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused
from console.api.models.form import ANSWERS, ASKED
from console.api.models.intake import Receipt
from console.pages.refer.body import PLACES, body_of
from console.pages.refused import field_fix, named, problem
from console.pages.visit import Visit, see, visiting
from console.parts.basics import blocks, labels
from console.parts.basics.html import form_to, href, once_field
from console.parts.basics.options import area, checks, picks, select, submit
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.contract.vocabulary.languages import Language
from loopkeeper.contract.vocabulary.people import ConsentHolder, RaceEthnicity
from loopkeeper.contract.vocabulary.places import County
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.contract.vocabulary.programs import Program
from loopkeeper.contract.vocabulary.referring import ContactMethod, ReceivedVia, Relationship, Urgency
from loopkeeper.security.organizations import OrganizationKind, Role

router = APIRouter()
Referring = Annotated[Visit, visiting(Role.REFERRER, Role.PROVIDER, Role.PLAN)]
FORMS = {"adult": "An adult, 21 or older", "child_youth": "A child or youth, under 21"}


@router.get("/refer/new")
async def which(visit: Referring) -> Response:
    """Which of the two forms."""
    _ = visit.words
    return visit.page(
        _("Refer"),
        blocks.head(
            _("Whom do you refer?"),
            _(
                "Send it early: what you do not know is asked later. Only a person nobody could find is refused."
            ),
        ),
        h.ul(".choices")[
            (
                h.li[
                    h.a(".card.choice", href=href("/refer/new/{}", form))[
                        h.strong[_(name)], h.span(".sub")[_("One page, about five minutes")]
                    ]
                ]
                for form, name in FORMS.items()
            )
        ],
        here="/refer/new",
    )


@router.get("/refer/new/{form}")
async def new(form: str, visit: Referring) -> Response:
    """The form."""
    return page(form, visit)


def page(
    form: str,
    visit: Visit,
    *,
    typed: Form = EMPTY,
    refused: h.Node = None,
    status: int = 200,
    wrong: Mapping[str, str] | None = None,
) -> Response:
    if form not in FORMS:
        raise NotHere
    _ = visit.words
    return visit.page(
        _("Refer"),
        blocks.back("/refer/new", _("The other form")),
        blocks.head(
            _(FORMS[form]),
            _(
                "Fill in what you know, and send. The plan must decide within days; a screening here is a help, never a gate."
            ),
        ),
        refused,
        h.div(".cols.form")[
            form_to(f"/refer/new/{form}", class_="refer", autocomplete="off", data_guard=True)[
                once_field(typed.text("once")),
                _who(form, typed, visit, wrong or {}),
                _reached(form, typed, _, wrong or {}),
                _populations(form, typed, _),
                _programs(typed, _),
                _you(typed, visit, wrong or {}),
                submit(_("Send the referral"), _),
            ],
            h.aside(".facts")[_tasks(_)],
        ],
        here="/refer/new",
        status=status,
    )


def _tasks(words: Words) -> h.Element:
    _ = words
    parts = (
        ("who", _("Who it is")),
        ("reached", _("How they are reached")),
        ("populations", _("Why ECM")),
        ("programs", _("Other programs")),
        ("you", _("You, and your word")),
    )
    return h.nav(".card.tasks", aria_label=_("Parts of this page"))[
        h.h2[_("Five parts")],
        h.ol[(h.li[h.a(href=f"#{id}")[name]] for id, name in parts)],
        h.p(".sub")[
            _(
                "To be found, a member needs a CIN; or a name and birth date; or a name, an age and a usual place."
            )
        ],
    ]


def part(id: str, title: str, *content: h.Node) -> h.Element:
    """One part of the form."""
    return h.section(".card", id=id, aria_labelledby=f"{id}-title")[h.h2(id=f"{id}-title")[title], content]


def _who(form: str, typed: Form, visit: Visit, wrong: Mapping[str, str]) -> h.Element:
    _ = visit.words
    plans = [(each.id, each.name) for each in visit.people.organizations(OrganizationKind.PLAN)]
    own = (
        [each for each in plans if each[0] == visit.signed.organization.id] if visit.has(Role.PLAN) else plans
    )
    counties = [(str(code), County.label_of(code)) for code in County]

    def one(name: str, label: str, **more: Any) -> h.Element:
        return field(label, name, typed.text(name), needed=False, wrong=wrong.get(name, ""), **more)

    return part(
        "who",
        _("Who it is"),
        select(_("Health plan"), "plan", own, typed.text("plan") or (own[0][0] if len(own) == 1 else ""), empty=_("Choose the plan"), needed=True),
        h.div(".grid2")[one("first_name", _("First name")), one("last_name", _("Last name"))],
        h.div(".grid2")[
            one("cin", _("CIN"), hint=_("On the Medi-Cal card: 8 digits and a letter.")),
            one("birth_date", _("Birth date"), kind="date"),
        ],
        h.div(".grid2")[
            one("approximate_age", _("Or about how old"), kind="number", min="0", max="120", inputmode="numeric"),
            one("preferred_name", _("Called"), hint=_("If it is another name.")),
        ],
        h.div(".grid2")[
            select(_("County"), "county", counties, typed.text("county"), empty=_("Not known")),
            select(_("Language spoken"), "language_spoken", [(str(code), _(Language.label_of(code))) for code in Language], typed.text("language_spoken"), empty=_("Not known")),
        ],
        select(
            _("Who may consent"), "consent_holder", [(str(code), _(ConsentHolder.label_of(code))) for code in ConsentHolder],
            typed.text("consent_holder"), empty=_("Not known"),
        )
        if form == "child_youth"
        else None,
        h.details(".rest", open=bool(typed.all("race_ethnicity")))[
            h.summary[_("Race and ethnicity, in their own word")],
            checks("race_ethnicity", _("Only as they say it themselves."), [(str(code), _(RaceEthnicity.label_of(code))) for code in RaceEthnicity], typed.all("race_ethnicity")),
        ],
    )  # fmt: skip


def _reached(form: str, typed: Form, words: Words, wrong: Mapping[str, str]) -> h.Element:
    _ = words

    def one(name: str, label: str, **more: Any) -> h.Element:
        return field(label, name, typed.text(name), needed=False, wrong=wrong.get(name, ""), **more)

    return part(
        "reached",
        _("How they are reached"),
        h.div(".grid2")[one("phone", _("Phone"), kind="tel"), one("email", _("E-mail"), kind="email")],
        one("usual_place", _("Usual place"), hint=_("Where somebody would look for them.")),
        h.label(".check")[
            h.input(
                type="checkbox", name="no_fixed_address", value="yes", checked="no_fixed_address" in typed
            ),
            h.span[_("No fixed address")],
        ],
        h.div(".grid2")[
            select(
                _("Best reached by"),
                "best_contact",
                [(str(code), _(ContactMethod.label_of(code))) for code in ContactMethod],
                typed.text("best_contact"),
                empty=_("Not known"),
            ),
            h.div,
        ],
        [
            h.div(".grid2")[
                one("caregiver", _("Caregiver's name")), one("caregiver_relationship", _("Relationship"))
            ],
            one("caregiver_phone", _("Caregiver's phone"), kind="tel"),
        ]
        if form == "child_youth"
        else None,
        h.details(".rest.safe-part", open=bool(typed.all("channels") or typed.text("hours")))[
            h.summary[_("There is danger: how they may be reached")],
            h.p(".sub")[_("These rules beat every other way, in every letter and call.")],
            checks(
                "channels",
                _("Only by"),
                [(str(code), _(ContactMethod.label_of(code))) for code in ContactMethod],
                typed.all("channels"),
            ),
            h.div(".grid2")[one("hours", _("Only at")), one("designated_address", _("Only to this address"))],
            area(_("Words to avoid"), "words_to_avoid", typed.text("words_to_avoid")),
            h.label(".check")[
                h.input(
                    type="checkbox", name="do_not_contact", value="yes", checked="do_not_contact" in typed
                ),
                h.span[_("They must not be contacted")],
            ],
        ],
    )


def _populations(form: str, typed: Form, words: Words) -> h.Element:
    """Each population unfolds its questions when it is ticked: by style alone."""
    _ = words
    asked = ASKED[form]
    claimed = typed.all("populations")
    seen: set[str] = set()

    def questions(codes: tuple[str, ...]) -> Iterator[h.Node]:
        for code in codes:
            again = code in seen
            seen.add(code)
            if not again:
                yield _question(code, typed, _)

    return part(
        "populations",
        _("Why ECM"),
        h.p(".sub")[_("Tick every reason that holds. Its questions unfold; answer what you know.")],
        (
            h.div(".opt.population")[
                h.input(
                    type="checkbox", name="populations", value=code, id=f"pop-{code}", checked=code in claimed
                ),
                h.label(for_=f"pop-{code}")[h.span[h.strong[labels.population(code, _)]]],
                h.div(".inner")[list(questions(codes))],
            ]
            for code, codes in (
                (code, asked[code]) for code in (str(each) for each in Population) if code in asked
            )
        ),
        field(
            _("Day of release, if they leave custody"),
            "release_on",
            typed.text("release_on"),
            kind="date",
            needed=False,
        ),
    )


def _question(code: str, typed: Form, words: Words) -> h.Node:
    _ = words
    kind, asks = ANSWERS[code]
    name, value = f"answer-{code}", typed.text(f"answer-{code}")
    if kind == "yes_no":
        return h.fieldset(".yesno")[
            h.legend[_(asks)],
            (
                h.label[h.input(type="radio", name=name, value=each, checked=value == each), h.span[_(text)]]
                for each, text in (("yes", "Yes"), ("no", "No"), ("", "Not known"))
            ),
        ]
    if kind == "count":
        return field(
            _(asks), name, value, kind="number", min="0", max="200", inputmode="numeric", needed=False
        )
    return field(_(asks), name, value, needed=False)


def _programs(typed: Form, words: Words) -> h.Element:
    _ = words
    return part(
        "programs",
        _("Other programs"),
        h.p(".sub")[_("A program ticked here denies nothing; a person looks at it.")],
        h.details(".rest", open=bool(typed.all("programs")))[
            h.summary[_("They are in one of these")],
            checks(
                "programs",
                _("In"),
                [(str(code), _(Program.label_of(code))) for code in Program],
                typed.all("programs"),
            ),
        ],
    )


def _you(typed: Form, visit: Visit, wrong: Mapping[str, str]) -> h.Element:
    _ = visit.words
    signed = visit.signed
    ways = [
        (str(code), _(ReceivedVia.label_of(code)))
        for code in (ReceivedVia.FORM, ReceivedVia.TELEPHONE, ReceivedVia.IN_PERSON, ReceivedVia.FAX)
    ]
    return part(
        "you",
        _("You, and your word"),
        h.div(".grid2")[
            field(_("Who fills this in"), "ref_name", typed.text("ref_name") or signed.name, needed=False),
            field(_("Title"), "ref_title", typed.text("ref_title") or signed.title, needed=False),
        ],
        h.div(".grid2")[
            field(
                _("Your phone"),
                "ref_phone",
                typed.text("ref_phone"),
                kind="tel",
                needed=False,
                wrong=wrong.get("ref_phone", ""),
            ),
            select(
                _("You are"),
                "ref_relationship",
                [(str(code), _(Relationship.label_of(code))) for code in Relationship],
                typed.text("ref_relationship"),
                empty=_("Choose"),
            ),
        ],
        select(
            _("How it came to you"),
            "received_via",
            ways,
            typed.text("received_via") or "form",
            hint=_("For a family or a caller choose Telephone or In person: they refer through you."),
        ),
        picks(
            "urgency",
            _("How fast?"),
            [(str(code), _(Urgency.label_of(code))) for code in Urgency],
            typed.text("urgency") or "routine",
        ),
        h.label(".check")[
            h.input(type="checkbox", name="can_find_member", value="yes", checked="can_find_member" in typed),
            h.span[_("I can find them")],
        ],
        h.label(".check")[
            h.input(type="checkbox", name="wants_to_serve", value="yes", checked="wants_to_serve" in typed),
            h.span[_("We want to serve them ourselves")],
        ]
        if visit.has(Role.PROVIDER)
        else None,
        h.label(".check")[
            h.input(type="checkbox", name="member_agrees", value="yes", checked="member_agrees" in typed),
            h.span[_("They agree to this referral")],
        ],
        area(_("Anything else the plan should know"), "comments", typed.text("comments")),
        h.label(".check.word")[
            h.input(type="checkbox", name="attested", value="yes", checked="attested" in typed),
            h.span[_("What I say here is true as far as I know. It takes the place of documents.")],
        ],
    )


# ── sent ──────────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/refer/new/{form}")
async def send(form: str, visit: Referring) -> Response:
    """Sent once under its key. What is refused keeps what was typed."""
    _, typed = visit.words, await visit.form()
    if form not in FORMS:
        raise NotHere
    try:
        made = await visit.api.post("intake", "/v1/referrals", body_of(form, typed), Receipt, once=typed.once)
    except Refused as refusal:
        said = [(pointer, field_fix(fix, _)) for pointer, fix in refusal.fields]
        wrong = {PLACES[pointer]: fix for pointer, fix in said if pointer in PLACES}
        fields = [(PLACES.get(pointer, ""), named(pointer, _), fix) for pointer, fix in said]
        shown = problem(refusal, _, fields)
        return page(form, visit, typed=typed, refused=shown, status=refusal.status, wrong=wrong)
    return see(href("/refer/{}/receipt", made.id))
