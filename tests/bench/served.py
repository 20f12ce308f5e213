"""The app of four services over what a bench puts in their place."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from loopkeeper.http.app import App
from loopkeeper.http.openings import openings_of
from loopkeeper.http.serving import AppState
from loopkeeper.runtime.operations import operations_of
from loopkeeper.runtime.policy_rows import policy_of
from loopkeeper.runtime.service import installed


def app_with(contexts: dict[str, Any], directory: Any, settings: Any) -> App:
    services = installed()
    return App(
        {
            name: (*service.routers, operations_of(name), openings_of(name), policy_of(name))
            for name, service in services.items()
        },
        AppState(directory, settings, dict(contexts)),
        ready={},
        registry=CollectorRegistry(),
    )
