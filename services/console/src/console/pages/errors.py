"""What is on a page where something was refused, is not there, or went wrong: in words, with what helps."""

from __future__ import annotations

import traceback
from typing import cast

import htpy as h
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console.api.client import Away, Refused
from console.pages.refused import in_words
from console.parts.shell import doorway, rehearsal
from console.running import running_of
from console.web.refusals import GoTo, NotHere, Refusal
from console.words import Words, chosen
from loopkeeper.kernel.logs import get

log = get("console")


async def went(request: Request, error: Exception) -> Response:
    """To another page of ours. What is remembered of this browser goes with it."""
    error = cast("GoTo", error)
    answer = RedirectResponse(error.path, 303)
    remembered = request.scope.get("console.entry")
    if remembered:
        running = running_of(request)
        answer.set_cookie(
            running.site.cookie("loopkeeper-entry"), remembered, max_age=900, secure=running.site.secure,
            httponly=True, samesite="lax", path="/",
        )  # fmt: skip
    return answer


async def refused(request: Request, error: Exception) -> Response:
    """Refused by the console or by a service: its words, and what helps."""
    if isinstance(error, Refused):
        what, fix = in_words(error.slug, error.title, error.fix, words_of(request))
        return _page(request, error.status, what, fix, error.trace)
    found, _ = error if isinstance(error, Refusal) else NotHere(), words_of(request)
    return _page(request, found.status, *found.in_words(_), trace_of(request))


async def not_here(request: Request, error: Exception) -> Response:
    """No such address, or not by this method."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _page(request, status, *NotHere().in_words(words_of(request)), trace_of(request))


async def away(request: Request, error: Exception) -> Response:
    """The service that this page is about does not answer."""
    error = cast("Away", error)
    _ = words_of(request)
    return _page(
        request, 503, _("{name} does not answer", name=error.name),
        _("Nothing is lost. Try again in a moment; what was sent twice is done once."), trace_of(request),
    )  # fmt: skip


async def failed(request: Request, error: Exception) -> Response:
    """A defect of ours: where it arose goes to the log, never its words, which may hold what was sent."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    log.error(
        "page failed",
        error=type(error).__name__,
        frames=[f"{frame.filename}:{frame.lineno}" for frame in frames],
        method=request.method,
        route=getattr(request.scope.get("route"), "path", ""),
        trace_id=trace_of(request),
    )
    _ = words_of(request)
    return _page(
        request,
        500,
        _("This is a defect of ours"),
        _("It was written down. Go back, and try once more."),
        trace_of(request),
    )


def trace_of(request: Request) -> str:
    return str(request.scope.get("console.trace", ""))


def words_of(request: Request) -> Words:
    return Words(chosen(request.cookies.get("language", ""), request.headers.get("accept-language", "")))


def rehearsal_of(request: Request, words: Words) -> str:
    running = running_of(request)
    return rehearsal(running.rehearsal, running.clock.now(), words)


def _page(request: Request, status: int, title: str, fix: str, trace: str) -> HTMLResponse:
    _ = words_of(request)
    page = doorway(
        _,
        title,
        h.h1[title],
        h.p(".lead")[fix] if fix else None,
        h.p[h.a(".button", href="/")[_("Go to your first page")]],
        h.p(".sub")[_("If you ask for help, give this number:"), " ", h.code[trace]] if trace else None,
        rehearsal=rehearsal_of(request, _),
    )
    return HTMLResponse(str(page), status)


HANDLERS = {
    GoTo: went,
    Refusal: refused,
    NotHere: refused,
    Refused: refused,
    Away: away,
    HTTPException: not_here,
}
