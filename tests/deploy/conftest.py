"""What tests of the deployment share: the installation as docker compose and kustomize understand it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy import places


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml, read by docker compose."""
    return places.compose()
