"""What an app serves its requests with: the services that run in it, whose key is whose, and the bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from starlette.types import Scope

from loopkeeper.kernel.settings import Settings
from loopkeeper.security.organizations import Client


class Directory(Protocol):
    """Whose key it is; None where it is nobody's or revoked."""

    def authenticate(self, key: str) -> Client | None: ...


@dataclass
class Serving:
    """`services`: by name, those that have started; a route's first tag says which one it belongs to."""

    directory: Directory
    settings: Settings
    services: dict[str, Any] = field(default_factory=dict[str, Any])


def serving_of(scope: Scope) -> Serving:
    """What the app of this request serves it with."""
    return cast("Serving", scope["app"].state.serving)
