"""Faults of every kind in a town at work, on each log: nothing that was answered is lost, nothing is doubled, all goes on.

Each kind once, and a few again, on one log at every change; `make test-long` does more on both, and
`make chaos ARGS="--log kafka --faults 1000 --seed 7"` as many as are asked for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.campaign import campaign, kinds_of
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives

SEED = 2026
FEW, MANY = 16, 60


# A minute on two idle cores; a machine that others share may take many times that.
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("log", "faults"),
    [
        ("postgres", FEW),
        pytest.param("postgres", MANY, marks=pytest.mark.chaos),
        pytest.param("kafka", MANY, marks=pytest.mark.chaos),
    ],
)
async def test_after_faults_of_every_kind_every_promise_is_kept(
    lives: Lives, own_disk: Cluster, tmp_path: Path, log: str, faults: int
) -> None:
    made, seconds = await campaign(lives, own_disk, tmp_path, log, faults, SEED)
    await own_disk.empty()
    told = made.told(seconds)
    assert made.broken == [], made.story
    assert (told["lost"], told["doubled"], told["stalled"], told["starved"]) == (0, 0, 0, 0), made.story
    assert told["faults"] >= faults
    assert told["referrals"] > faults
    # A campaign that leaves a kind out proves nothing of it.
    assert set(told["kinds"]) == kinds_of(log, own_disk=own_disk.on_own_disk)
