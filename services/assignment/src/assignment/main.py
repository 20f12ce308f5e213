"""Assignment, as the chassis runs it."""

from assignment import api, directory, directory_api
from assignment.consumers import reactions
from assignment.directory import restored
from assignment.models import columns
from assignment.rules import DECIDER
from assignment.settings import AssignmentSettings
from assignment.surroundings import AssignmentSurroundings
from assignment.turns import Assignment, timers
from assignment.workers import on_timer
from loopkeeper.domain import Domain
from loopkeeper.routes import joined
from loopkeeper.service import Equipment, Service


def domain(equipment: Equipment) -> Domain[Assignment]:
    surroundings = AssignmentSurroundings(equipment.policy, equipment.clock)
    streams = frozenset({directory.TABLE})
    return Domain(
        "assignment", DECIDER, columns, timers, surroundings, reference_streams=streams, restored=restored
    )


service = Service(
    name="assignment",
    package="assignment",
    settings=AssignmentSettings,
    domain=domain,
    api=joined(directory_api.api, api.api),
    reactions=reactions,
    on_timer=on_timer,
)
