"""Notification, as the chassis runs it."""

from datetime import datetime

from loopkeeper.http.app import App
from loopkeeper.runtime.files.routes import routes_of
from loopkeeper.runtime.files.worker import ahead as files_ahead
from loopkeeper.runtime.files.worker import worker_of
from loopkeeper.runtime.serve import app_of
from loopkeeper.runtime.service import Bound, Resources, RunningService, Service
from loopkeeper.store.definition import Domain
from notification.api import (
    contact,
    feed,
    mailbox,
    member_files,
    notices,
    outreach,
    partners,
    subscription_actions,
    subscriptions,
)
from notification.consumers import REACTIONS
from notification.delivery.feed_listeners import follow
from notification.delivery.forwarding import forward
from notification.delivery.lease import ahead
from notification.delivery.ssrf_guard import Allow
from notification.domain.outreach.commands import Asked
from notification.domain.outreach.deadlines import timers
from notification.domain.outreach.rules import DECIDER
from notification.domain.outreach.state import Outreach
from notification.files.reporting import KINDS
from notification.files.schedule import write_on_schedule
from notification.persistence.columns import columns
from notification.persistence.context import NotificationLoader
from notification.persistence.feed import renumber
from notification.persistence.forwarded import on_kafka
from notification.persistence.must_hold import MUST_HOLD, known_loop
from notification.persistence.projections import TellingProjection
from notification.persistence.subscriptions import BY_ORGANIZATION
from notification.settings import NotificationSettings
from notification.timers import TELLING, on_timer
from notification.workers import deliver, measure_lateness, prune, tell


def domain(equipment: Resources) -> Domain[Outreach, Asked]:
    # A bad list of allowed addresses stops the start, not the first delivery.
    Allow.parse(equipment.settings.webhook_allow)
    return Domain(
        "notification",
        DECIDER,
        columns,
        timers(equipment.policy),
        loader=NotificationLoader(equipment.policy, equipment.directory),
        projection=TellingProjection(equipment.clock, forwards=on_kafka(equipment.settings)),
        notes_all=True,
    )


async def work_ahead(context: RunningService) -> tuple[int, datetime | None]:
    """Deliveries, and files that have something to do."""
    now, following = await ahead(context)
    return now + await files_ahead(context), following


service = Service(
    name="notification",
    package="notification",
    settings=NotificationSettings,
    domain=domain,
    reactions=REACTIONS,
    routers=(
        outreach.router,
        contact.router,
        subscriptions.router,
        feed.router,
        subscription_actions.router,
        mailbox.router,
        notices.router,
        partners.router,
        member_files.router,
        routes_of("notification", KINDS),
    ),
    on_timer=on_timer,
    goes_on=TELLING,
    workers={
        "deliver": deliver,
        "tell": tell,
        "follow": follow,
        "forward": forward,
        "files": worker_of(KINDS),
        "member-files": write_on_schedule,
        "prune": prune,
        "lateness": measure_lateness,
    },
    ahead=work_ahead,
    must_hold=MUST_HOLD,
    known_loop=known_loop,
    bounds=(Bound("subscriptions", BY_ORGANIZATION, "subscriptions"),),
    on_restored=renumber,
)


def create_app() -> App:
    """Notification alone, for any ASGI server: `uvicorn --factory notification.service:create_app`."""
    return app_of({service.name: service})
