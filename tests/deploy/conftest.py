"""What tests of the deployment share: the installation as docker compose and kustomize understand it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import places
from tests.deploy.manifests import Overlay


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml, read by docker compose."""
    return places.compose()


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return places.kubectl(tmp_path_factory.mktemp("kubectl"))


def built(kubectl: Path, overlay: str) -> Overlay:
    return Overlay(places.run(kubectl, "kustomize", places.DEPLOY / "k8s/overlays" / overlay))


def variant(kubectl: Path, folder: Path, *components: str) -> Overlay:
    """Production, with these components chosen as well."""
    k8s = os.path.relpath(places.DEPLOY / "k8s", folder)
    chosen = [f"- {k8s}/components/{each}" for each in components]
    text = "\n".join(["resources:", f"- {k8s}/overlays/production", "components:", *chosen])
    (folder / "kustomization.yaml").write_text(text)
    return Overlay(places.run(kubectl, "kustomize", folder))


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
