"""How soon does a consumer read again? At once where a poll brought much or nothing, else once others had their turn."""

from __future__ import annotations

import pytest

from loopkeeper.flow.pace import LONGEST, MUCH, pause


@pytest.mark.parametrize("received", [MUCH, 256])
def test_who_is_behind_reads_on_at_once(received: int) -> None:
    assert pause(received, took=0.02) == 0


def test_a_poll_that_brought_nothing_has_waited_already() -> None:
    assert pause(0, took=0.02) == 0


@pytest.mark.parametrize("received", [1, MUCH - 1])
def test_who_was_brought_little_leaves_the_store_to_others_for_as_long_as_that_took(received: int) -> None:
    assert pause(received, took=0.004) == 0.004


def test_no_fact_waits_long_for_the_one_before_it_however_long_that_took() -> None:
    assert pause(1, took=15.0) == LONGEST
