"""What notification is given for itself."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from loopkeeper.kernel.settings import ServiceSettings


class NotificationSettings(ServiceSettings):
    """How much one organization may ask of it."""

    model_config = SettingsConfigDict(env_prefix="LOOPKEEPER_NOTIFICATION_", env_file=None, extra="ignore")

    subscriptions: int = Field(
        default=20, ge=1, description="Subscriptions an organization may have at a time"
    )
    keep_deliveries: int = Field(
        default=90, ge=7, description="Days for which attempts and delivered webhooks are kept"
    )
    keep_feed: int = Field(default=400, ge=90, description="Days for which a feed keeps its entries")
