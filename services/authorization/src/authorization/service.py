"""Authorization, as the chassis runs it."""

from authorization.api import cases, decisions, requests
from authorization.consumers import REACTIONS
from authorization.domain.contexts import Asked
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.context import AuthorizationLoader
from authorization.persistence.must_hold import known_loop
from authorization.persistence.projections import LookupProjection
from authorization.persistence.tables import columns
from authorization.settings import AuthorizationSettings
from authorization.timers import TELLING, on_timer
from authorization.workers import sweep_awaiting
from loopkeeper.http.app import App
from loopkeeper.runtime.serve import app_of
from loopkeeper.runtime.service import Resources, Service
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


service = Service(
    name="authorization",
    package="authorization",
    settings=AuthorizationSettings,
    domain=domain,
    reactions=REACTIONS,
    routers=(requests.router, decisions.router, cases.router),
    on_timer=on_timer,
    goes_on=TELLING,
    workers={"awaiting": sweep_awaiting},
    known_loop=known_loop,
)


def create_app() -> App:
    """Authorization alone, for any ASGI server: `uvicorn --factory authorization.service:create_app`."""
    return app_of({service.name: service})
