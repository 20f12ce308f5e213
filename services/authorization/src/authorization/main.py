"""Authorization, as the chassis runs it."""

from authorization import api, decision_api
from authorization.clocks import timers
from authorization.consumers import reactions
from authorization.models import columns
from authorization.request import Authorization
from authorization.rules import DECIDER
from authorization.settings import AuthorizationSettings
from authorization.surroundings import AuthorizationSurroundings
from authorization.workers import on_timer, sweep_awaiting
from loopkeeper.domain import Domain
from loopkeeper.routes import joined
from loopkeeper.service import Equipment, Service


def domain(equipment: Equipment) -> Domain[Authorization]:
    surroundings = AuthorizationSurroundings(equipment.policy, equipment.sealer)
    return Domain("authorization", DECIDER, columns, timers, surroundings)


service = Service(
    name="authorization",
    package="authorization",
    settings=AuthorizationSettings,
    domain=domain,
    api=joined(api.api, decision_api.api),
    reactions=reactions,
    on_timer=on_timer,
    workers={"awaiting": sweep_awaiting},
)
