"""What assignment is given for itself."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from loopkeeper.kernel.settings import ServiceSettings


class AssignmentSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="LOOPKEEPER_ASSIGNMENT_", env_file=None, extra="ignore")
