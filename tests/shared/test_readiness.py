"""Readiness is about requests: the database and the start decide it; the log and the tasks are only named."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from loopkeeper.http.health import Health, readiness

WELL = Health(ok=True)


async def is_ready(**found: Health) -> bool:
    async def probe() -> Mapping[str, Health]:
        return {"database": WELL, "log": WELL, "relay": WELL} | found

    answer = await readiness({"intake": probe})
    assert answer.services["intake"].items() >= found.items(), (
        "what is not well is named, whatever it decides"
    )
    return answer.ready


@pytest.mark.parametrize(
    ("what", "detail"),
    [
        ("log", "the log cannot be reached: KafkaConnectionError"),
        ("relay", "waiting: the log cannot be reached"),
        ("consumer", "stopped: TooManyParked"),
    ],
)
async def test_a_log_that_is_away_or_an_ailing_task_is_named_and_takes_nobody_off_the_network(
    what: str, detail: str
) -> None:
    assert await is_ready(**{what: Health(ok=False, detail=detail)})


@pytest.mark.parametrize(
    ("what", "detail"),
    [
        ("database", "CannotConnectNowError"),
        ("migrations", "the tables are not there yet: run `loopkeeper migrate intake`"),
        ("start", "reading the log, 12 of what was there at the start unread"),
    ],
)
async def test_without_its_database_its_tables_or_the_end_of_its_start_nobody_is_sent_to_it(
    what: str, detail: str
) -> None:
    assert not await is_ready(**{what: Health(ok=False, detail=detail)})


async def test_a_probe_that_fails_is_not_ready() -> None:
    async def probe() -> Mapping[str, Health]:
        raise ConnectionRefusedError

    answer = await readiness({"intake": probe})
    assert not answer.ready
    assert answer.services["intake"]["health"].detail == "ConnectionRefusedError"
