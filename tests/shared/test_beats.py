"""When do tasks wake that nothing but their period wakes? On the beats of their process, near the time they asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from loopkeeper.kernel.beats import BEAT, after

NOW = 1_000.3


def test_what_goes_to_sleep_at_different_times_wakes_together() -> None:
    beat = after(NOW, 1.0)
    assert {after(beat + late, 1.0) for late in (0.0, 0.002, 0.1, 0.4)} == {after(beat, 1.0)}
    assert after(beat, 1.0) == pytest.approx(beat + BEAT)


@pytest.mark.parametrize("seconds", [1.0, 2.0, 5.0, 3600.0])
def test_nobody_wakes_more_than_half_a_beat_sooner_or_later_than_asked(seconds: float) -> None:
    for late in range(100):
        now = NOW + late / 100
        assert after(now, seconds) - now == pytest.approx(seconds, abs=BEAT / 2 + 1e-6)


def test_what_repeats_each_second_keeps_its_second() -> None:
    moment, wakes = after(NOW, 1.0), list[float]()
    for _ in range(20):
        wakes.append(moment)
        # What it does then takes a while.
        moment = after(moment + 0.15, 1.0)
    assert [later - sooner for sooner, later in pairwise(wakes)] == pytest.approx([1.0] * 19)


def test_what_is_sooner_than_a_beat_comes_when_it_was_asked_for() -> None:
    assert after(NOW, 0.25) == NOW + 0.25
