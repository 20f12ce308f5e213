"""One file: how far it is, what became of its rows, the file back with the answers in it; held, let act, taken back."""

from __future__ import annotations

from collections.abc import Mapping

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, unless
from console.api.models.notification import FileRow, FileRows, ShownFile
from console.pages.files.kinds import HERE, OPEN, Filing, Kind, counted, kind_named, state_of
from console.pages.refused import problem
from console.pages.visit import Visit, see
from console.parts.basics import blocks, marks, times
from console.parts.basics.html import form_to, href, morphing, once_field, said
from console.parts.basics.options import select
from console.web.refusals import NotHere
from loopkeeper.security.organizations import Role

router = APIRouter()
SHOWN = 100
REASONS: Mapping[str, str] = {
    "wrong_file": "It is the wrong file",
    "wrong_period": "It is about the wrong period",
    "wrong_members": "It is about the wrong members",
    "sent_by_mistake": "It was sent by mistake",
}
DONE: Mapping[str, str] = {
    "release": "The file acts now.",
    "take-back": "Your word is written down. A second person ends the file.",
}


@router.get("/files/{kind}/{id}")
async def one(kind: str, id: str, visit: Filing, after: str = "") -> Response:
    """How far it is; while it is open the page looks again by itself."""
    return await page(_kind(kind, visit), id, visit, after=after)


def _kind(name: str, visit: Visit) -> Kind:
    kind = kind_named(name, visit)
    if kind is None:
        raise NotHere
    return kind


async def page(
    kind: Kind, id: str, visit: Visit, *, after: str = "", refused: h.Node = None, status: int = 200
) -> Response:
    _ = visit.words
    found = await unless(visit.api.get(kind.service, f"{kind.path}/{id}", ShownFile), 404)
    if found is None:
        raise NotHere
    wrong: list[FileRow] = []
    if found.rows and found.state != "refused":
        rows = visit.api.get(kind.service, f"{kind.path}/{id}/rows", FileRows, result="refused", limit=SHOWN)
        answer = await unless(rows, 409)
        wrong = list(answer.items) if answer else []
    words, tone = state_of(found, _)
    own = found.organization == visit.signed.organization.id
    open_ = found.state in OPEN
    return visit.page(
        _(kind.title),
        blocks.back(HERE, _("Files")),
        h.p(".toast", role="status")[_(DONE[after])] if after in DONE else None,
        blocks.head(counted(found, _) if found.rows else words, _lead(found, visit)),
        refused,
        morphing() if open_ else None,
        h.div(".cols", data_working=open_ or None)[
            h.div(".case")[
                _progress(found, visit) if open_ else None,
                _why(found, visit),
                _wrong(found, wrong, visit) if wrong else None,
            ],
            h.aside(".facts")[
                blocks.card(
                    _("This file"),
                    blocks.facts(
                        (
                            (_("State"), marks.chip(words, tone)),
                            (_("Sent by"), visit.name(found.organization) if not own else None),
                            (_("Health plan"), visit.name(found.plan)),
                            (_("Rows"), str(found.rows) if found.rows else None),
                            (
                                _("Period"),
                                f"{found.period_from:%m/%d/%Y} – {found.period_through:%m/%d/%Y}"
                                if found.period_from and found.period_through
                                else None,
                            ),
                            (_("Received"), times.moment(found.received_at, _, year=True)),
                        )
                    ),
                    _back(kind, found, visit) if own else None,
                ),
                _release(kind, found, visit),
                _take_back(kind, found, visit),
            ],
        ],
        here=HERE,
        status=status,
    )


def _lead(found: ShownFile, visit: Visit) -> str:
    _ = visit.words
    if found.state in OPEN:
        return _("It is being worked on. You can leave this page; nothing is lost.")
    if found.dry_run:
        return _("This was a try. Send the same file without it, and the good rows act.")
    if found.counts.get("refused") and found.state == "done":
        return _("Correct the refused rows in the file that comes back, and send it again: only they act.")
    return _("Sent again, rows that were accepted change nothing.")


def _why(found: ShownFile, visit: Visit) -> h.Node:
    """Why it was refused, or what it waits for."""
    if not found.sentence or found.state == "taken_back":
        return None
    _ = visit.words
    fixes = {
        "held": _("The plan lets it act, or two persons take it back."),
        "asked-back": _("A second person says so, too, and the file is taken back."),
    }
    return blocks.problem(_(found.sentence), fixes.get(found.code or "", found.fix or ""), "", _)


def _progress(found: ShownFile, visit: Visit) -> h.Element:
    _ = visit.words
    return blocks.card(
        _("Progress"),
        h.progress(
            max=str(found.rows or 1), value=str(found.done) if found.rows else None, aria_label=_("Progress")
        ),
        h.p(".sub")[
            _("{done} of {rows} rows", done=found.done, rows=found.rows)
            if found.rows
            else _("It is being read.")
        ],
        h.p[h.a(href=href("/files/{}/{}", found.kind, found.id))[_("Look again")]],
    )


def _wrong(found: ShownFile, rows: list[FileRow], visit: Visit) -> h.Element:
    """Refused rows by the number that a spreadsheet program shows. No value of the file is here."""
    _ = visit.words
    count = found.counts.get("refused", len(rows))
    return blocks.card(
        _.many("{count} row is refused", "{count} rows are refused", count),
        h.ol(".plainrows")[
            (
                h.li[
                    h.div[
                        h.strong[_("Row {number}", number=row.row), ": ", row.column or ""],
                        h.p(".sub")[said(row.fix)],
                    ],
                    h.code[row.code or ""],
                ]
                for row in rows
            )
        ],
        h.p(".sub")[_("The first {count} are here; the file that comes back has them all.", count=len(rows))]
        if count > len(rows)
        else None,
    )


def _back(kind: Kind, found: ShownFile, visit: Visit) -> h.Node:
    if found.state in ("refused", *OPEN):
        return None
    _ = visit.words
    return h.p[
        h.a(".button.primary", href=href("/files/{}/{}/answer", kind.name, found.id), download=True)[
            _("Download it with the answers")
        ]
    ]


def _release(kind: Kind, found: ShownFile, visit: Visit) -> h.Node:
    if found.state != "held" or found.code != "held" or not visit.has(Role.PLAN) or not kind.for_a_plan:
        return None
    _ = visit.words
    return blocks.card(
        _("Let it act"),
        form_to(href("/files/{}/{}/release", kind.name, found.id))[
            once_field(),
            h.p(".sub")[
                _("More of its rows are refused than your policy lets act at once. The good ones wait.")
            ],
            h.button(".primary", type="submit")[_("Let the good rows act")],
        ],
    )


def _take_back(kind: Kind, found: ShownFile, visit: Visit) -> h.Node:
    if found.dry_run or found.state in ("receiving", "refused", "taken_back"):
        return None
    _ = visit.words
    return h.details(".card.way", open=found.code == "asked-back")[
        h.summary[_("Take the whole file back")],
        form_to(href("/files/{}/{}/take-back", kind.name, found.id))[
            once_field(),
            h.p(".sub")[
                _(
                    "Two persons take a file back. From the first one's word on no further row acts; what acted stays recorded."
                )
            ],
            select(
                _("Why"),
                "reason",
                [(code, _(text)) for code, text in REASONS.items()],
                empty=_("Choose a reason"),
                needed=True,
            ),
            h.button(".danger", type="submit")[_("Take it back")],
        ],
    ]


@router.get("/files/{kind}/{id}/answer")
async def answer(kind: str, id: str, visit: Filing) -> Response:
    """The same file with the answer of each row in it."""
    found = _kind(kind, visit)
    if not visit.signed.roles & found.senders:
        raise NotHere
    return await visit.download(found.service, f"{found.path}/{id}/returned")


@router.post("/files/{kind}/{id}/{action}")
async def act(kind: str, id: str, action: str, visit: Filing) -> Response:
    """Let a held file act, or say that it is to be taken back; the token says who that is."""
    found, form = _kind(kind, visit), await visit.form()
    if action not in DONE:
        raise NotHere
    body = {"reason": form.text("reason")} if action == "take-back" else {}
    try:
        await visit.api.act(found.service, f"{found.path}/{id}:{action}", body, once=form.once)
    except Refused as refusal:
        if refusal.status == 404:
            raise NotHere from None
        shown = problem(refusal, visit.words)
        return await page(found, id, visit, refused=shown, status=refusal.status)
    return see(href("/files/{}/{}", kind, id, after=action))
