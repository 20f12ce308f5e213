"""Assignment, as the chassis runs it."""

from assignment.api import assignments, providers
from assignment.consumers import reactions
from assignment.domain.deadlines import timers
from assignment.domain.rules import DECIDER
from assignment.domain.state import Assignment
from assignment.persistence import directory
from assignment.persistence.context import AssignmentSurroundings
from assignment.persistence.directory import restored
from assignment.persistence.must_hold import MUST_HOLD, known
from assignment.persistence.tables import columns
from assignment.settings import AssignmentSettings
from assignment.timers import on_timer
from loopkeeper.http.route import joined
from loopkeeper.runtime.service import Equipment, Service
from loopkeeper.store.definition import Domain


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
    api=joined(providers.api, assignments.api),
    reactions=reactions,
    on_timer=on_timer,
    must_hold=MUST_HOLD,
    known=known,
)
