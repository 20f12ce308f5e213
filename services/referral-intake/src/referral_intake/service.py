"""Intake, as the chassis runs it."""

from datetime import datetime

from loopkeeper.http.app import App
from loopkeeper.runtime.files.routes import routes_of
from loopkeeper.runtime.files.worker import ahead as files_ahead
from loopkeeper.runtime.files.worker import worker_of
from loopkeeper.runtime.serve import app_of
from loopkeeper.runtime.service import Resources, RunningService, Service
from loopkeeper.store.definition import Domain
from referral_intake.api import (
    casework,
    changes,
    opened,
    organizations,
    plan_actions,
    referrals,
    roster,
    supports,
)
from referral_intake.api.many import referral_batch
from referral_intake.api.many.referral_sheets import KINDS
from referral_intake.api.reports import routes as reports
from referral_intake.consumers import REACTIONS, read_again
from referral_intake.domain.contexts import Asked
from referral_intake.domain.deadlines import timers
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from referral_intake.files.reports import ahead as reports_ahead
from referral_intake.files.reports import build_reports
from referral_intake.persistence.changes import watch
from referral_intake.persistence.columns import columns
from referral_intake.persistence.context import IntakeLoader
from referral_intake.persistence.must_hold import MUST_HOLD, known_loop
from referral_intake.persistence.projections import IntakeProjection
from referral_intake.settings import IntakeSettings
from referral_intake.timers import TELLING, on_timer
from referral_intake.workers import compare_rosters, count_loops


def domain(equipment: Resources) -> Domain[Referral, Asked]:
    return Domain(
        "intake",
        DECIDER,
        columns,
        timers,
        loader=IntakeLoader(equipment.policy, equipment.sealer),
        projection=IntakeProjection(),
        notes_all=True,
        restored=read_again(equipment.sealer),
    )


async def work_ahead(context: RunningService) -> tuple[int, datetime | None]:
    """Sheets that have something to do, and reports that are to be built."""
    return await files_ahead(context) + await reports_ahead(context), None


service = Service(
    name="intake",
    package="referral_intake",
    settings=IntakeSettings,
    domain=domain,
    reactions=REACTIONS,
    routers=(
        referrals.lean,
        referrals.router,
        referral_batch.router,
        casework.router,
        plan_actions.router,
        opened.router,
        changes.router,
        supports.router,
        roster.router,
        reports.router,
        organizations.router,
        routes_of("intake", KINDS),
    ),
    on_timer=on_timer,
    goes_on=TELLING,
    workers={
        "loops": count_loops,
        "rosters": compare_rosters,
        "changes": watch,
        "files": worker_of(KINDS),
        "reports": build_reports,
    },
    ahead=work_ahead,
    must_hold=MUST_HOLD,
    known_loop=known_loop,
)


def create_app() -> App:
    """Intake alone, for any ASGI server: `uvicorn --factory referral_intake.service:create_app`."""
    return app_of({service.name: service})
