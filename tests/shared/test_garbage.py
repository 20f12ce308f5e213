"""How is Python's collector set in a program that has started?"""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

from loopkeeper.kernel import garbage


@pytest.fixture
def as_it_was() -> Generator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("as_it_was")
def test_what_is_there_is_not_looked_at_again_and_what_comes_less_often() -> None:
    garbage.settle()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == garbage.YOUNG
    assert gc.isenabled()
