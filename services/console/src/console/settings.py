"""What the console is told for itself: its database, and what is on only in a demo or for operations. Its address and the
folder of its signing key are the chassis's settings, since services know them too."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from loopkeeper.kernel.settings import ServiceSettings


class ConsoleSettings(ServiceSettings):
    """The console's own settings; each begins with `LOOPKEEPER_CONSOLE_`."""

    model_config = SettingsConfigDict(env_prefix="LOOPKEEPER_CONSOLE_")

    operations: Literal["off", "on"] = Field(
        default="off", description="Whether the pages of operations are served here"
    )
    picker: Literal["off", "on"] = Field(
        default="off",
        description="Sign in as a named invented person without proof: only in a demo, with synthetic members on and on a "
        "loopback address",
    )
