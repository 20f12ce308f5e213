"""Notification, as the chassis runs it."""

from loopkeeper.domain import Domain
from loopkeeper.routes import joined
from loopkeeper.service import Equipment, Service
from notification import (
    api,
    contact_api,
    feed_api,
    mailbox_api,
    partner_api,
    subscription_actions,
    subscription_api,
)
from notification.addresses import Allow
from notification.consumers import reactions
from notification.deliveries import ahead
from notification.feed import renumber
from notification.following import follow
from notification.forwarding import forward, on_kafka
from notification.models import columns, timers
from notification.outreach import Outreach
from notification.rules import DECIDER
from notification.settings import NotificationSettings
from notification.surroundings import NotificationSurroundings
from notification.workers import deliver, on_timer, tell


def domain(equipment: Equipment) -> Domain[Outreach]:
    # A bad list of allowed addresses stops the start, not the first delivery.
    Allow.parse(equipment.settings.webhook_allow)
    surroundings = NotificationSurroundings(
        equipment.policy, equipment.directory, forwards=on_kafka(equipment.settings)
    )
    return Domain(
        "notification", DECIDER, columns, timers(equipment.policy), surroundings=surroundings, notes_all=True
    )


service = Service(
    name="notification",
    package="notification",
    settings=NotificationSettings,
    domain=domain,
    api=joined(
        api.api,
        contact_api.api,
        subscription_api.api,
        feed_api.api,
        subscription_actions.api,
        mailbox_api.api,
        partner_api.api,
    ),
    reactions=reactions,
    on_timer=on_timer,
    workers={"deliver": deliver, "tell": tell, "follow": follow, "forward": forward},
    ahead=ahead,
    on_restored=renumber,
)
