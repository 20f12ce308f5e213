"""Do tests stay apart? What two of them need is a builder or a module of its own: no test module is read by another, and no
conftest, which pytest alone reads. The chassis's tests know no service's rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
# What builders may be made of: themselves and the product.
BUILDERS = "tests.builders"
# Tests of the chassis that try it with a whole real service, and say why in their first lines.
WITH_A_SERVICE = {
    # The day by which a provider answers is the deadline they watch.
    "test_timers.py",
    # A field that an older version parks is one of authorization's rules.
    "test_parked_fields.py",
    # One command whose events all go to one stream; and two replicas that never promise one place twice.
    "test_whole_commands.py", "test_proof.py",
}  # fmt: skip
SERVICES = ("referral_intake", "authorization", "assignment", "notification")


def imported(file: Path) -> Iterator[str]:
    """The modules this file names, `from tests.shared import stores` as `tests.shared.stores` too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_pytests(name: str) -> bool:
    """Whether this names a module that pytest collects or loads, or something in one."""
    return (TESTS.parent / Path(*name.split("."))).with_suffix(".py").is_file() and (
        name.split(".")[-1].startswith("test_") or name.endswith(".conftest")
    )


def test_no_test_module_imports_another() -> None:
    found = {
        str(file.relative_to(TESTS)): [name for name in imported(file) if is_pytests(name)]
        for file in TESTS.rglob("*.py")
    }
    assert {file: names for file, names in found.items() if names} == {}


def test_builders_open_nothing_and_read_no_test() -> None:
    for file in sorted((TESTS / "builders").glob("*.py")):
        found = [name for name in imported(file) if name.startswith("tests.")]
        assert [name for name in found if not f"{name}.".startswith(f"{BUILDERS}.")] == [], file.name


def test_the_chassis_is_tried_on_its_own_example() -> None:
    for file in sorted((TESTS / "shared").glob("test_*.py")):
        if file.name not in WITH_A_SERVICE:
            assert [name for name in imported(file) if name.split(".")[0] in SERVICES] == [], file.name
