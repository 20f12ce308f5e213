"""Authorization, as the chassis runs it."""

from authorization.api import decisions, requests
from authorization.consumers import reactions
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.context import AuthorizationSurroundings
from authorization.persistence.must_hold import known
from authorization.persistence.tables import columns
from authorization.settings import AuthorizationSettings
from authorization.timers import on_timer
from authorization.workers import sweep_awaiting
from loopkeeper.http.route import joined
from loopkeeper.runtime.service import Equipment, Service
from loopkeeper.store.definition import Domain


def domain(equipment: Equipment) -> Domain[Authorization]:
    surroundings = AuthorizationSurroundings(equipment.policy, equipment.sealer)
    return Domain("authorization", DECIDER, columns, timers, surroundings)


service = Service(
    name="authorization",
    package="authorization",
    settings=AuthorizationSettings,
    domain=domain,
    api=joined(requests.api, decisions.api),
    reactions=reactions,
    on_timer=on_timer,
    workers={"awaiting": sweep_awaiting},
    known=known,
)
