"""Authorization, as the chassis runs it."""

from datetime import datetime

from authorization.api import cases, decisions, requests
from authorization.consumers import REACTIONS
from authorization.domain.contexts import Asked
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.files.decisions import KINDS
from authorization.persistence.columns import columns
from authorization.persistence.context import AuthorizationLoader
from authorization.persistence.must_hold import known_loop
from authorization.persistence.projections import LookupProjection
from authorization.settings import AuthorizationSettings
from authorization.timers import TELLING, on_timer
from authorization.workers import sweep_awaiting
from loopkeeper.http.app import App
from loopkeeper.runtime.files.routes import routes_of
from loopkeeper.runtime.files.worker import ahead as files_ahead
from loopkeeper.runtime.files.worker import worker_of
from loopkeeper.runtime.serve import app_of
from loopkeeper.runtime.service import Resources, RunningService, Service
from loopkeeper.store.definition import Domain


def domain(equipment: Resources) -> Domain[Authorization, Asked]:
    return Domain(
        "authorization",
        DECIDER,
        columns,
        timers,
        loader=AuthorizationLoader(equipment.policy),
        projection=LookupProjection(equipment.sealer),
    )


async def work_ahead(context: RunningService) -> tuple[int, datetime | None]:
    """Files that have something to do."""
    return await files_ahead(context), None


service = Service(
    name="authorization",
    package="authorization",
    settings=AuthorizationSettings,
    domain=domain,
    reactions=REACTIONS,
    routers=(requests.router, decisions.router, cases.router, routes_of("authorization", KINDS)),
    on_timer=on_timer,
    goes_on=TELLING,
    workers={"awaiting": sweep_awaiting, "files": worker_of(KINDS)},
    ahead=work_ahead,
    known_loop=known_loop,
)


def create_app() -> App:
    """Authorization alone, for any ASGI server: `uvicorn --factory authorization.service:create_app`."""
    return app_of({service.name: service})
