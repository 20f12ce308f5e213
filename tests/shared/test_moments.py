"""May a day or a moment be sent as a number? It would be read as seconds since 1970, and nobody would notice."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from loopkeeper.contract.field_types import Day, Instant

DAY: TypeAdapter[Any] = TypeAdapter(Day)
INSTANT: TypeAdapter[Any] = TypeAdapter(Instant)


@pytest.mark.parametrize(
    "sent", [0, 1, 20260302, 1772409600, -1, 1.5, True, "0", "20260302", "1772409600", "1e9", ""]
)
def test_a_number_is_neither_a_day_nor_a_moment(sent: object) -> None:
    for kind in (DAY, INSTANT):
        with pytest.raises(ValidationError):
            kind.validate_python(sent)


def test_what_is_written_out_is_what_it_says() -> None:
    assert DAY.validate_python("2026-03-02") == date(2026, 3, 2)
    assert DAY.validate_json('"2099-12-31"') == date(2099, 12, 31)
    assert INSTANT.validate_python("2026-03-02T09:00:00-08:00") == datetime(2026, 3, 2, 17, tzinfo=UTC)


@pytest.mark.parametrize("sent", ["2026-03-02T17:00:00", "9999-12-31T23:00:00-08:00", "0001-01-01T00:00:00Z"])
def test_a_moment_needs_its_zone_and_room_for_a_term_behind_it(sent: str) -> None:
    with pytest.raises(ValidationError):
        INSTANT.validate_python(sent)
