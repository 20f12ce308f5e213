"""The console as an app: its routes side by side, its files, its refusals as pages, and the guard around all."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from console import accounts
from console.pages import ROUTERS, errors
from console.running import Running, running_of
from console.web import files
from console.web.figures import Counted, Figures
from console.web.guard import Guard
from loopkeeper.postgres.connections import AWAY

# What the pages ask for themselves must not be told by a library's own telemetry.
TELEMETRY_OFF: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def app_of(running: Running) -> ASGIApp:
    """The whole app of this running console."""
    app = FastAPI(
        title="Loopkeeper console",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=TELEMETRY_OFF,
    )
    app.state.running = running
    for router in (*accounts.ROUTERS, *ROUTERS):
        app.router.routes.extend(router.routes)
    app.router.routes.append(files.route)
    app.add_api_route("/health/live", _live, include_in_schema=False)
    app.add_api_route("/health/ready", _ready, include_in_schema=False)
    app.exception_handlers.clear()
    for kind, handler in errors.HANDLERS.items():
        app.add_exception_handler(kind, handler)
    # A handler for every exception would raise it again, and the server would write its words: this one ends it.
    app.add_middleware(_Defects)
    # No page holds a secret that its address or a stranger could make it repeat, so that its length tells nothing.
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    return Guard(Counted(app, Figures()), running.site)


class _Defects:
    """The innermost layer around the routes: an unknown failure becomes a page, and its words go nowhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise ConnectionError("the answer had begun") from error
            answer = await errors.failed(Request(scope, receive), error)
            await answer(scope, receive, send)


async def _live() -> Response:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> Response:
    """Whether people can be let in: the database answers. Services that are away show on the pages themselves."""
    try:
        await running_of(request).people.access.pool.fetchval("SELECT 1")
    except AWAY as error:
        return JSONResponse({"ready": False, "database": type(error).__name__}, 503)
    return JSONResponse({"ready": True})
