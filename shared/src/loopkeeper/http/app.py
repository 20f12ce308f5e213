"""The app of one service or of several: FastAPI with their routes, ours of the program itself, and one way to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.http import health, middleware, openapi
from loopkeeper.http.health import Program, Ready
from loopkeeper.http.serving import AppState
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.observability.exchange import Observe

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
# Ours are the traces and figures, by an allow-list; FastAPI's own would tell what requests hold, and could be switched
# on from outside.
TELEMETRY_OFF: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


class App(FastAPI):
    """FastAPI with the routes of these routers, side by side: a router included into another costs each request."""

    def __init__(
        self,
        routers: Mapping[str, Sequence[APIRouter]],
        serving: AppState,
        *,
        ready: Mapping[str, Ready],
        registry: CollectorRegistry,
        observe: Observe | None = None,
        lifespan: Lifespan | None = None,
    ) -> None:
        """`routers`: of each service by its name. `ready`: the probe of each; what is asked is what is there when
        somebody asks. `observe` is called once a request, when it is over, and must not raise."""
        super().__init__(
            title=f"Loopkeeper: {next(iter(routers))}" if len(routers) == 1 else "Loopkeeper",
            version=openapi.VERSION,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
            telemetry=TELEMETRY_OFF,
        )
        self.state.serving = serving
        self._own = {
            name: [route for each in found for route in each.routes] for name, found in routers.items()
        }
        serving.services["program"] = Program(ready, registry, self.document)
        self.router.routes.extend(self._checked())
        self.router.default = _nothing_here
        # The middleware answers whatever goes wrong. A handler for every exception would raise it again, and the
        # server would write its words.
        self.exception_handlers.clear()
        self.add_exception_handler(HTTPException, _refused)
        self.add_middleware(middleware.EdgeMiddleware, observe=observe)

    def openapi(self) -> dict[str, Any]:
        """The document of everything served here."""
        if not self.openapi_schema:
            self.openapi_schema = self.document(None)
        return self.openapi_schema

    def document(self, service: str | None) -> dict[str, Any]:
        """The document of one service, or of everything. Raises `LookupError` for a service that is not here."""
        if service is None:
            return openapi.document(self.routes, self.title)
        if service not in self._own:
            raise LookupError(service)
        return openapi.document(self._own[service], f"Loopkeeper: {service}")

    def templates(self) -> Iterable[tuple[str, str]]:
        """Method and path, as declared, of every route of the services."""
        for route in (route for found in self._own.values() for route in found):
            for method in getattr(route, "methods", None) or ():
                yield method, getattr(route, "path_format", "")

    def _checked(self) -> Iterable[BaseRoute]:
        """All routes, those that are asked most first. Raises where an address is declared twice."""
        seen: set[tuple[str, str]] = set()
        own = [route for found in self._own.values() for route in found]
        for route in [*own, *health.router.routes]:
            for method in getattr(route, "methods", None) or ():
                if (method, (path := getattr(route, "path", ""))) in seen:
                    raise InvariantBroken(f"{method} {path} is declared twice")
                seen.add((method, path))
            yield route


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise not_found()


async def _refused(request: Request, error: Exception) -> Response:
    """Starlette's own refusal: of a method, since whatever else it refuses is a path that names nothing."""
    if not isinstance(error, HTTPException) or error.status_code != 405:
        raise not_found()
    path: str = request.scope["path"]
    taken = {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.path_regex.match(path)
        for method in route.methods or ()
    }
    allow = ", ".join(sorted(taken | ({"HEAD"} if "GET" in taken else set())))
    raise Problem(
        405,
        "method-not-allowed",
        f"This address takes {allow}.",
        fix="Use one of these methods.",
        headers={"Allow": allow},
    )
