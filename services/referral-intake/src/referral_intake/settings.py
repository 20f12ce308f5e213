"""What intake is given for itself."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from loopkeeper.kernel.settings import ServiceSettings


class IntakeSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="LOOPKEEPER_INTAKE_", env_file=None, extra="ignore")
