"""Faults of every kind in a town at work, on each log: nothing that was answered is lost, nothing is doubled, all goes on.

A longer one: `make chaos ARGS="--log kafka --faults 1000 --seed 7"`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.campaign import KINDS_OF, campaign
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives

FAULTS = 60
SEED = 2026


# A minute on two idle cores; a machine that others share may take many times that.
@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("log", ["postgres", "kafka"])
async def test_after_faults_of_every_kind_every_promise_is_kept(
    lives: Lives, cluster: Cluster, tmp_path: Path, log: str
) -> None:
    made, seconds = await campaign(lives, cluster, tmp_path, log, FAULTS, SEED)
    told = made.told(seconds)
    assert made.broken == []
    assert (told["lost"], told["doubled"], told["stalled"], told["starved"]) == (0, 0, 0, 0)
    assert told["faults"] >= FAULTS
    assert told["referrals"] > FAULTS
    # A campaign that leaves a kind out proves nothing of it.
    assert set(told["kinds"]) == KINDS_OF[log]
