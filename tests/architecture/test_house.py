"""The laws of the house that a machine can check: where things may be, and what they may be called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tools.docs import rules

ROOT = Path(__file__).parents[2]
PRODUCT = [ROOT / "shared/src/loopkeeper", *sorted((ROOT / "services").glob("*/src/*"))]
SERVICES = {
    "intake": "referral_intake",
    "authorization": "authorization",
    "assignment": "assignment",
    "notification": "notification",
}
UTC_DAY, UTC_NOW = re.compile(r"\.date\(\)"), re.compile(r"\bnow\(\)(?: [+-] [^)\n]*\))?\.date\(\)")
SHAPE = {"domain", "api", "persistence", "migrations", "policy"}
WIRING = {"service.py", "settings.py", "consumers.py", "timers.py"}
# Words that say nothing (architecture.md §4).
EMPTY_WORDS = re.compile(r"(?:^|_)(manager|helper|utils?|common|data|info|handle|dto|impl)(?:_|$)", re.I)


# Names that a library calls.
CALLED_BY_OTHERS = {"data_received"}


def files() -> Iterator[Path]:
    for folder in PRODUCT:
        yield from sorted(folder.rglob("*.py"))


def short(file: Path) -> str:
    return str(file.relative_to(ROOT))


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def calls(file: Path) -> Iterator[str]:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_every_service_has_the_same_shape() -> None:
    for package in SERVICES.values():
        (folder,) = (ROOT / "services").glob(f"*/src/{package}")
        found = {each.name for each in folder.iterdir()}
        assert found >= SHAPE | WIRING, package
        assert found <= SHAPE | WIRING | {
            "__init__.py",
            "py.typed",
            "workers.py",
            "delivery",
            "files",
            "__pycache__",
        }, package
        assert (folder / "persistence/tables.py").exists(), package
        assert list((folder / "policy").glob("*.yaml")), package


def test_the_services_are_found_by_entry_point() -> None:
    found = {point.name: point.value for point in entry_points(group="loopkeeper.services")}
    assert found == {name: f"{package}.service:service" for name, package in SERVICES.items()}


def test_the_environment_is_read_in_settings_only() -> None:
    readers = [
        short(file)
        for file in files()
        if file.name != "settings.py"
        and any(
            isinstance(n, ast.Attribute) and n.attr in ("environ", "getenv") for n in ast.walk(tree(file))
        )
    ]
    assert readers == []


def test_the_time_is_read_from_the_clock_only() -> None:
    """Telemetry, logs and the organizations file stamp with the machine's time; no rule and no row does."""
    stamps = {"clock.py", "logs.py", "telemetry.py", "organizations.py"}
    asking = {"datetime.now", "datetime.utcnow", "date.today", "time.time"}
    readers = [
        f"{short(file)}: {call}"
        for file in files()
        if file.name not in stamps
        for call in calls(file)
        if call in asking
    ]
    assert readers == []


def test_business_sql_never_asks_the_database_for_the_time() -> None:
    asking = re.compile(r"\b(now\(\)|current_timestamp|clock_timestamp\(\))", re.I)
    found = [
        f"{short(file)}: {node.value[:60]}"
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and asking.search(node.value)
        and re.search(r"\b(select|insert|update|delete)\b", node.value, re.I)
        and "event_log" not in short(file)
    ]
    assert found == []


def test_no_exception_is_swallowed_whole() -> None:
    bare = [
        f"{short(file)}:{node.lineno}"
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []


def test_names_say_what_they_name() -> None:
    found = [
        f"{short(file)}:{node.lineno} {node.name}"
        for file in files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and EMPTY_WORDS.search(node.name)
        and node.name not in CALLED_BY_OTHERS
    ]
    assert found == []
    assert [short(file) for file in files() if EMPTY_WORDS.search(file.stem)] == []


def test_every_file_says_what_question_it_answers() -> None:
    silent = [
        short(file) for file in files() if file.read_text().strip() and not ast.get_docstring(tree(file))
    ]
    assert silent == []


def test_only_the_store_opens_a_writing_transaction() -> None:
    """Reads open read-only ones; the migrations are Alembic's; a batch opens savepoints inside the store's."""
    allowed = {"store.py", "batch.py", "row_access.py", "proof.py", "migrations.py"}
    found = [
        short(file)
        for file in files()
        if file.name not in allowed and any(call.endswith(".transaction") for call in calls(file))
    ]
    assert found == []


def test_a_day_is_a_californian_day_wherever_it_is_taken_from_a_moment() -> None:
    """`moment.date()` is the day in UTC: from the afternoon on, tomorrow (loop.md 8.2). Tests ask the house as well."""
    tests = sorted((ROOT / "tests").rglob("*.py"))
    product = [
        short(file) for file in files() if file.name != "calendar.py" and UTC_DAY.search(file.read_text())
    ]
    assert product == []
    assert [short(file) for file in tests if UTC_NOW.search(file.read_text())] == []


@pytest.mark.parametrize("library", ["sqlalchemy.orm", "fastapi.testclient", "unittest.mock"])
def test_what_we_do_without(library: str) -> None:
    found = [
        short(file)
        for file in files()
        if f"import {library}" in file.read_text() or f"from {library}" in file.read_text()
    ]
    assert found == []


def test_the_demo_imports_no_part_of_the_product() -> None:
    packages = {"loopkeeper", *SERVICES.values()}
    found = [
        f"{file.name}: {name}"
        for file in sorted((ROOT / "demo").glob("*.py"))
        for node in ast.walk(tree(file))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.partition(".")[0] in packages
    ]
    assert found == []


def test_every_rule_of_the_loop_is_proved_by_a_test_that_names_it() -> None:
    """One that begins with ³ is not built yet; every other one names its proof in docs/reference/rules.md."""
    proved = rules.proofs()
    assert [number for number in rules.built() if not proved[number]] == []
    assert {"7.7", "7.8", "8.6", "8.7"} >= set(rules.rules()) - set(rules.built())
