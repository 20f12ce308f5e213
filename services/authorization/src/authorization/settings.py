"""What authorization is given for itself."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from loopkeeper.kernel.settings import ServiceSettings


class AuthorizationSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="LOOPKEEPER_AUTHORIZATION_", env_file=None, extra="ignore")
