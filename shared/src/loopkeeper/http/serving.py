"""What an app serves its requests with: the services that run in it, whose key is whose, and the bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from starlette.types import Scope

from loopkeeper.http.body_budget import BodyBudget
from loopkeeper.http.rates import Rates
from loopkeeper.http.slices import Slices
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.organizations import Client


class Authenticator(Protocol):
    """Whose key or token it is; None where it is nobody's, over or revoked."""

    def authenticate(self, credential: str) -> Client | None: ...


@dataclass
class AppState:
    """`services`: by name, those that have started; a route's first tag says which one it belongs to. `bodies`: what all
    requests may hold of their bodies at once. `rates`: how much each client may ask. `slices`: whose long answer is made next."""

    directory: Authenticator
    settings: Settings
    services: dict[str, Any] = field(default_factory=dict[str, Any])
    bodies: BodyBudget = field(init=False)
    rates: Rates = field(init=False)
    slices: Slices = field(init=False)

    def __post_init__(self) -> None:
        self.bodies = BodyBudget(self.settings.body_budget)
        self.slices = Slices()
        self.rates = Rates(self.settings.rate / self.settings.replicas, slices=self.slices)


def app_state_of(scope: Scope) -> AppState:
    """What the app of this request serves it with."""
    return cast("AppState", scope["app"].state.serving)
