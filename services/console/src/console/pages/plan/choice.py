"""The choice of a decision: its form, what the form says as the service takes it, and what is missing from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import htpy as h

from console.api.models.authorization import (
    PopulationToDecide,
)
from console.api.models.form import ANSWERS
from console.api.models.intake import ShownReferral
from console.pages.plan.case import Case
from console.parts.basics import labels
from console.parts.basics.html import said
from console.parts.basics.options import Option, area, checks, select
from console.parts.entrance import field
from console.web.forms import Form
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.contract.vocabulary.decisions import DenialReason
from loopkeeper.contract.vocabulary.populations import Population

CHOICES = ("approve", "modify", "pend", "deny")
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


def choices(case: Case, typed: Form, words: Words) -> list[Option]:
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
                    [(code, question(code, words)) for code in each.criteria or ()],
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


def question(code: str, words: Words) -> str:
    return words(ANSWERS[code][1]) if code in ANSWERS else labels.capital(labels.plain(code))


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


def kept(form: Form) -> list[str]:
    """The names of the fields that a decision is made of."""
    own = [f"{prefix}{name}" for prefix in ("", IN_PART) for name in (CRITERION, WHY_UNMET)]
    return [*FIELDS, "in_part", *(name for name in form if name.startswith(tuple(own)))]


def sent(choice: str, body: dict[str, Any]) -> dict[str, Any]:
    return (
        {name: value for name, value in body.items() if value not in ("", [])} if choice != "pend" else body
    )


def lacking(choice: str, body: dict[str, Any], words: Words) -> tuple[str, str] | None:
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


def chosen(choice: str, body: dict[str, Any], case: Case, words: Words) -> list[tuple[str, h.Node]]:
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
        criterion = question(each["criterion"], words) if each["criterion"] else ""
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
