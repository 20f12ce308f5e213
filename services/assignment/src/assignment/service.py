"""Assignment, as the chassis runs it."""

from assignment.api import assignment_actions, assignments, providers
from assignment.consumers import REACTIONS
from assignment.domain.contexts import Asked
from assignment.domain.deadlines import timers
from assignment.domain.rules import DECIDER
from assignment.domain.state import Assignment
from assignment.persistence import directory
from assignment.persistence.columns import columns
from assignment.persistence.directory import restored
from assignment.persistence.loader import AssignmentLoader
from assignment.persistence.must_hold import MUST_HOLD, known_loop
from assignment.persistence.projections import AssignmentProjection
from assignment.settings import AssignmentSettings
from assignment.timers import TELLING, on_timer
from assignment.workers import sweep_left
from loopkeeper.http.app import App
from loopkeeper.runtime.serve import app_of
from loopkeeper.runtime.service import Resources, Service
from loopkeeper.store.definition import Domain


def domain(equipment: Resources) -> Domain[Assignment, Asked]:
    return Domain(
        "assignment",
        DECIDER,
        columns,
        timers,
        loader=AssignmentLoader(equipment.policy, equipment.clock),
        projection=AssignmentProjection(),
        reference_streams=frozenset({directory.TABLE}),
        restored=restored,
    )


service = Service(
    name="assignment",
    package="assignment",
    settings=AssignmentSettings,
    domain=domain,
    reactions=REACTIONS,
    routers=(providers.router, assignments.router, assignment_actions.router),
    on_timer=on_timer,
    goes_on=TELLING,
    workers={"left": sweep_left},
    must_hold=MUST_HOLD,
    known_loop=known_loop,
)


def create_app() -> App:
    """Assignment alone, for any ASGI server: `uvicorn --factory assignment.service:create_app`."""
    return app_of({service.name: service})
