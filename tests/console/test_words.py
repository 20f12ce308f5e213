"""Pages of providers and referrers are whole in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from console.words import catalog

SOURCE = Path(__file__).parents[2] / "services/console/src/console"
ENGLISH_ONLY = ("pages/plan", "pages/ops", "parts/board.py")


def said() -> Iterator[tuple[str, str]]:
    """Every sentence that the program asks a translation of, with its file."""
    for file in sorted(SOURCE.rglob("*.py")):
        name = str(file.relative_to(SOURCE))
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called not in ("_", "words", "many"):
                continue
            for part in node.args[: 2 if called == "many" else 1]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value, name


def test_no_word_of_a_provider_or_referrer_is_without_spanish() -> None:
    spanish = catalog("es")
    missing = {
        text: file for text, file in said() if not file.startswith(ENGLISH_ONLY) and text not in spanish
    }
    assert missing == {}


def test_a_translation_keeps_what_is_put_in() -> None:
    def places(text: str) -> set[str]:
        return set(re.findall(r"\{\w+\}", text))

    assert {text: found for text, found in catalog("es").items() if places(text) != places(found)} == {}
