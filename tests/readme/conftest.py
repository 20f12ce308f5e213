"""One newcomer's machine for all guides in turn."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.readme.terminal import Terminal, opened


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Generator[Terminal]:
    with opened(tmp_path_factory.mktemp("newcomer")) as found:
        yield found
