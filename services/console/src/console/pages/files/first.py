"""The page of files: send one, with its progress; those that came, and a plan's member files."""

from __future__ import annotations

from collections.abc import Sequence

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away, Refused, together
from console.api.models.notification import MemberFile, ShownFile
from console.pages.files.kinds import (
    HERE,
    KINDS,
    Filing,
    Kind,
    counted,
    files_of,
    member_files,
    seen_by,
    sent_by,
    state_of,
)
from console.pages.refused import problem
from console.pages.visit import Visit, see
from console.parts import loops
from console.parts.basics import blocks, marks, times
from console.parts.basics.html import form_to, href, morphing, once_field
from console.parts.basics.options import select
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from console.web.uploads import uploaded
from loopkeeper.security.organizations import OrganizationKind, Role

router = APIRouter()
SHOWN = 50
CHOSEN = "file"
ENDINGS = ".csv,.txt,.tsv,.xlsx,.xlsm,.xls,.ods"


@router.get(HERE)
async def first(visit: Filing) -> Response:
    """Send a spreadsheet; below it what came, newest first."""
    return await page(visit)


async def page(visit: Visit, *, typed: Form = EMPTY, refused: h.Node = None, status: int = 200) -> Response:
    _, kinds = visit.words, seen_by(visit)
    told = visit.has(Role.PROVIDER, Role.PLAN)
    asked = [files_of(visit.api, kind) for kind in kinds]
    found = await together(*asked, *([member_files(visit.api)] if told else []))
    listed = found[: len(kinds)]
    members: Sequence[MemberFile] = found[-1] if told and not isinstance(found[-1], Away) else ()
    files = {kind: each for kind, each in zip(kinds, listed, strict=True) if not isinstance(each, Away)}
    held = sum(one.state == "held" for each in files.values() for one in each)
    return visit.page(
        _("Files"),
        blocks.head(
            _.many("{count} file is held", "{count} files are held", held) if held else _("Files"),
            _("A spreadsheet is read as it is: good rows act, each refused row says what to do."),
        ),
        refused,
        morphing(),
        h.div(".cols")[
            h.div(".work")[
                (_sent(kind, each, visit) for kind, each in files.items() if each),
                blocks.empty(_("Nothing was sent yet"), _("What you send is here, and what became of it."))
                if not any(files.values())
                else None,
                visit.away(*found),
            ],
            h.aside(".facts")[_send(visit, typed), _members(visit, members) if told else None],
        ],
        here=HERE,
        status=status,
    )


def _send(visit: Visit, typed: Form) -> h.Node:
    """The form: a browser without script sends it whole; with it, it shows how far it is."""
    _, kinds = visit.words, sent_by(visit)
    if not kinds:
        return None
    own = visit.signed.organization.id
    plans = [(each.id, each.name) for each in visit.people.organizations(OrganizationKind.PLAN)]
    if not visit.has(Role.PROVIDER, Role.REFERRER):
        plans = [each for each in plans if each[0] == own]
    return blocks.card(
        _("Send a file"),
        form_to("/files", enctype="multipart/form-data", data_upload=True)[
            once_field(),
            select(
                _("What it is"),
                "kind",
                [(kind.name, _(kind.about)) for kind in kinds],
                typed.text("kind") or kinds[0].name,
                needed=True,
            ),
            select(
                _("Health plan"),
                "plan",
                plans,
                typed.text("plan") or (plans[0][0] if len(plans) == 1 else ""),
                empty=_("Each row names it"),
                hint=_("A sheet of referrals may be for several plans; every other file is for one."),
            ),
            h.div(".field")[
                h.label(for_=CHOSEN)[_("The file")],
                h.p(".hint", id="file-hint")[_("Excel, OpenDocument or text, up to 25 megabytes.")],
                h.input(
                    id=CHOSEN,
                    name=CHOSEN,
                    type="file",
                    required=True,
                    accept=ENDINGS,
                    aria_describedby="file-hint",
                ),
            ],
            h.label(".check")[
                h.input(type="checkbox", name="try", value="yes", checked="try" in typed),
                h.span[_("Only try it: judge every row, and let none act")],
            ],
            h.progress(".upload", max="100", value="0", hidden=True, aria_label=_("How much is sent")),
            h.button(".primary", type="submit")[_("Send the file")],
        ],
    )


def _sent(kind: Kind, found: Sequence[ShownFile], visit: Visit) -> h.Element:
    _ = visit.words
    return loops.group(
        _(kind.title),
        len(found),
        None,
        h.ul(".tiles-list")[(_row(kind, one, visit) for one in found[:SHOWN])],
    )


def _row(kind: Kind, one: ShownFile, visit: Visit) -> h.Element:
    _ = visit.words
    words, tone = state_of(one, _)
    who = (
        visit.name(one.organization)
        if one.organization != visit.signed.organization.id
        else visit.name(one.plan)
    )
    return h.li(id=one.id, data_row=True, tabindex="-1")[
        h.div[
            h.a(".headline", href=href("/files/{}/{}", kind.name, one.id))[
                times.moment(one.received_at, _, year=True)
            ],
            h.span(".sub")[who, " · " if who else None, counted(one, _)],
        ],
        marks.chip(words, tone),
    ]


def _members(visit: Visit, found: Sequence[MemberFile]) -> h.Element:
    """Member files: whom a provider is to serve. Fetching the whole of one tells its provider."""
    _, as_plan = visit.words, visit.has(Role.PLAN)
    others = visit.people.organizations(OrganizationKind.PROVIDER if as_plan else OrganizationKind.PLAN)
    name = "provider" if as_plan else "plan"
    return blocks.card(
        _("Member files"),
        h.p(".sub")[
            _(
                "Whom a provider serves, as the plan writes it. It counts as told once its provider has the whole file."
            )
        ],
        h.ul(".plainrows")[
            (
                h.li[
                    h.div[
                        h.a(href=href("/files/mif/{}/content", one.id), download=True)[
                            _.many("{count} member", "{count} members", one.rows)
                        ],
                        h.p(".sub")[
                            visit.name(one.provider if as_plan else one.plan),
                            " · ",
                            times.moment(one.written_at, _),
                        ],
                    ],
                    marks.chip(_("fetched"), "good")
                    if one.fetched_at
                    else marks.chip(_("not fetched"), "late" if one.at_risk else "due"),
                ]
                for one in found[:SHOWN]
                if one.forgotten_at is None
            )
        ]
        if found
        else None,
        form_to("/files/mif")[
            once_field(),
            select(
                _("Provider") if as_plan else _("Health plan"),
                name,
                [(each.id, each.name) for each in others],
                empty=_("Choose"),
                needed=True,
                id="mif-party",
            ),
            h.button(type="submit")[_("Write one now")],
        ],
    )


@router.post(HERE)
async def send(visit: Filing) -> Response:
    """Take the file on to the service that reads it."""
    sent = await uploaded(visit.request)
    form, kind = sent.form, next((each for each in KINDS if each.name == sent.form.text("kind")), None)
    if kind is None or kind not in sent_by(visit):
        raise NotHere
    _ = visit.words
    if not sent.content:
        shown = blocks.problem(
            _("No file was chosen."), _("Choose the spreadsheet, and send it again."), "", _
        )
        return await page(visit, typed=form, refused=shown, status=422)
    query = {
        "plan": form.text("plan") if kind.for_a_plan else "",
        "name": sent.name[:200],
        "dry_run": "true" if "try" in form else "",
    }
    try:
        answer = await visit.api.send(kind.service, kind.path, sent.content, once=form.once, query=query)
    except Refused as refusal:
        shown = problem(refusal, _)
        return await page(visit, typed=form, refused=shown, status=refusal.status)
    return see(href("/files/{}/{}", kind.name, answer.text("id")))


@router.post("/files/mif")
async def write(visit: Filing) -> Response:
    """Have a member file written now."""
    if not visit.has(Role.PROVIDER, Role.PLAN):
        raise NotHere
    form = await visit.form()
    query = {name: form.text(name) for name in ("plan", "provider")}
    try:
        await visit.api.ask("notification", "POST", "/v1/files/mif:write", query=query, once=form.once)
    except Refused as refusal:
        shown = problem(refusal, visit.words)
        return await page(visit, refused=shown, status=refusal.status)
    return see(HERE)


@router.get("/files/mif/{id}/content")
async def content(id: str, visit: Filing) -> Response:
    """The member file itself."""
    if not visit.has(Role.PROVIDER, Role.PLAN):
        raise NotHere
    return await visit.download("notification", f"/v1/files/mif/{id}/content")
