"""What tests of the deployment share: the installation as docker compose and kustomize understand it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy import places
from tests.deploy.manifests import Overlay, built


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml, read by docker compose."""
    return places.compose()


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return places.kubectl(tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="session")
def local(kubectl: Path) -> Overlay:
    return built(kubectl, "local")


@pytest.fixture(scope="session")
def production(kubectl: Path) -> Overlay:
    return built(kubectl, "production")


@pytest.fixture(params=["local", "production"])
def overlay(request: pytest.FixtureRequest) -> Overlay:
    """Each of the two in turn, for what holds in both."""
    return request.getfixturevalue(request.param)
