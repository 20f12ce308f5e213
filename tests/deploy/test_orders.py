"""Whatever a container of ours is told to do is a command of the program in it."""

from __future__ import annotations

from typing import Any

from tests.deploy.manifests import Overlay
from tests.deploy.typed import parsed


def test_whatever_a_container_of_ours_is_told_to_do_is_a_command(
    compose: dict[str, Any], local: Overlay, production: Overlay
) -> None:
    told = [each["command"] for each in compose["services"].values() if each["image"] == "loopkeeper:local"]
    for overlay in (local, production):
        told += [container["args"] for _, container in overlay.containers() if ours(container)]
    assert len(told) > 20
    for words in told:
        parsed(words)


def ours(container: dict[str, Any]) -> bool:
    """Whether it runs our program, and not a shell or somebody else's."""
    return "args" in container and "command" not in container
