"""Does the house keep its shape? Computed from the imports (docs/structure.md), held to the limits it was drawn with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.docs.structure import SERVICES, House, houses

MOST_FLOORS, MOST_ARROWS, MOST_MODULES = 8, 60, 12


@pytest.fixture(scope="module")
def every() -> Mapping[str, House]:
    return houses()


def test_no_package_imports_itself_by_way_of_others(every: Mapping[str, House]) -> None:
    assert {name: house.circles for name, house in every.items() if house.circles} == {}


def test_the_chassis_has_few_floors_and_few_arrows(every: Mapping[str, House]) -> None:
    chassis = every["loopkeeper"]
    assert max(chassis.floors.values()) <= MOST_FLOORS
    assert chassis.number_of_arrows <= MOST_ARROWS


@pytest.mark.parametrize("service", SERVICES)
def test_a_folder_of_a_service_is_taken_in_at_a_glance(every: Mapping[str, House], service: str) -> None:
    full = {folder: count for folder, count in every[service].folders.items() if count > MOST_MODULES}
    assert full == {}


def test_a_circle_is_found_and_has_no_floor() -> None:
    house = House("example", Path(), {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert house.circles == [["a", "b", "c"]]
    with pytest.raises(ValueError, match="circle"):
        _ = house.floors
