"""What a log line may hold: a constant text, allowed keys, and of an exception its type and place."""

from __future__ import annotations

import ast
import json
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from loopkeeper.kernel import logs

CANARY = "Zebediah-Quillfeather"


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    chosen = structlog.get_config()
    logs.configure("intake", "INFO")
    yield
    root.handlers[:], (root.level, sys.excepthook, threading.excepthook) = before[0], before[1:]
    structlog.configure(**chosen)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    assert CANARY not in err
    return [json.loads(line) for line in err.splitlines()]


def test_a_line_is_json_with_a_constant_text_and_its_values_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.get("timers").info("timer fired", referral="ref_1", kind="respond", seconds=timedelta(minutes=2))
    (line,) = written(capsys)
    assert datetime.fromisoformat(line.pop("at")).tzinfo == UTC
    assert line == {
        "level": "info",
        "message": "timer fired",
        "service": "intake",
        "module": "timers",
        "referral": "ref_1",
        "kind": "respond",
        "seconds": 120.0,
    }


def test_a_key_that_is_not_allowed_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    logs.get("routes").warning("referral refused", member=CANARY, phone=CANARY, slug="not-identifiable")
    (line,) = written(capsys)
    assert line["slug"] == "not-identifiable"
    assert not {"member", "phone"} & line.keys()


def test_an_object_under_an_allowed_key_tells_its_type_only(capsys: pytest.CaptureFixture[str]) -> None:
    logs.get("routes").warning("odd", error=ValueError(CANARY), reason={"name": CANARY}, where=[object()])
    (line,) = written(capsys)
    assert (line["error"], line["reason"], line["where"]) == ("ValueError", "dict", ["object"])


def test_a_long_value_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    logs.get("routes").warning("odd", reason="x" * 5_000)
    assert len(written(capsys)[0]["reason"]) == logs.LONGEST


def test_an_exception_tells_its_type_and_place_and_never_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        try:
            int(CANARY)
        except ValueError as error:
            raise LookupError(f"no member {CANARY}") from error
    except LookupError:
        logs.get("store").exception("command failed")
    (line,) = written(capsys)
    assert (line["level"], line["error"], line["cause"]) == ("error", "LookupError", "ValueError")
    assert line["frames"][-1].startswith("test_logs.py:")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.get("routes").debug("seen")
    assert written(capsys) == []


def test_a_library_gives_its_template_and_never_what_was_filled_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger("aiokafka.client").warning("cannot send %r", {"name": CANARY})
    (line,) = written(capsys)
    assert (line["message"], line["module"]) == ("cannot send %r", "aiokafka.client")
    assert line["where"].startswith("test_logs.py:")


def test_a_library_text_that_was_filled_in_before_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("somebody").error(f"cannot send {CANARY}")
    assert written(capsys)[0]["message"] == "a library spoke"


def test_the_loop_tells_of_a_lost_exception_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{CANARY}')>"
    logging.getLogger("asyncio").error(text, exc_info=ValueError(CANARY))
    (line,) = written(capsys)
    assert (line["message"], line["error"]) == ("Task exception was never retrieved", "ValueError")


def test_the_server_says_what_fails_and_leaves_its_own_start_to_us(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 12)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert [line["message"] for line in written(capsys)] == ["Invalid HTTP request received."]


def test_a_program_or_a_thread_that_dies_does_not_print_what_it_held(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sys.excepthook(ValueError, ValueError(CANARY), None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, ValueError(CANARY), None, None)))
    assert [line["error"] for line in written(capsys)] == ["ValueError", "ValueError"]


def test_without_configuration_the_same_list_holds_from_warnings_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    structlog.reset_defaults()
    log = logs.get("cli")
    log.info("unseen")
    log.warning("seen", member=CANARY)
    assert [line["message"] for line in written(capsys)] == ["seen"]


def test_every_key_logged_in_the_code_is_allowed() -> None:
    """A key that the list drops would be a value nobody ever sees."""
    sources = [*Path("shared/src").rglob("*.py"), *Path("services").glob("*/src/**/*.py")]
    used = {key: path for path in sources for key in keys_in(path)}
    assert {key: str(path) for key, path in used.items() if key not in logs.ALLOWED} == {}
    assert "referral" in used


def keys_in(path: Path) -> Iterator[str]:
    """The keywords of every `log.<level>(…)`; `exc_info` asks for the exception's type and place."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            if isinstance(of, ast.Name) and of.id == "log":
                yield from (word.arg for word in node.keywords if word.arg and word.arg != "exc_info")


def test_a_library_that_meets_the_same_trouble_again_and_again_is_heard_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    away = logging.getLogger("aiokafka.conn")
    for number in range(1000):
        away.error("Unable connect to node with id %s", number)
    (line,) = written(capsys)
    assert line["message"] == "Unable connect to node with id %s"
