"""When does the sweep look? What a process knows of its deadlines, without asking the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from loopkeeper.kernel.wake import woken_by
from loopkeeper.store.deadlines import Deadlines

NOW = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def looked(following: datetime | None = NOW + DAY, *, withheld: bool = False) -> Deadlines:
    """After a look that found this."""
    deadlines = Deadlines()
    deadlines.begin_look()
    deadlines.looked(following, withheld=withheld)
    return deadlines


def test_a_commit_wakes_the_sweep_only_where_its_deadline_comes_before_all_others() -> None:
    deadlines = looked()
    wake = woken_by(deadlines)
    deadlines.wrote(NOW + 2 * DAY)
    assert not wake.is_set()
    deadlines.wrote(NOW + DAY / 2)
    assert wake.is_set()
    assert deadlines.earliest == NOW + DAY / 2


def test_a_deadline_that_is_written_during_a_look_is_not_forgotten() -> None:
    deadlines = looked()
    deadlines.begin_look()
    deadlines.wrote(NOW)
    deadlines.looked(NOW + DAY, withheld=False)
    assert deadlines.earliest == NOW


def test_what_happens_during_a_look_that_only_the_tables_know_has_it_looked_again() -> None:
    deadlines = looked()
    deadlines.begin_look()
    deadlines.look()
    deadlines.looked(NOW + DAY, withheld=False)
    assert deadlines.earliest is None


def test_reading_on_wakes_the_sweep_only_for_a_deadline_that_waits_for_it() -> None:
    idle, waiting = looked(), looked(withheld=True)
    idle.read_on()
    waiting.read_on()
    assert idle.earliest == NOW + DAY
    assert waiting.earliest is None
