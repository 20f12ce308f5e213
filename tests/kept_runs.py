"""The runs that are kept: a campaign with `--keep` writes its last line into docs/reference/reliability.md.

Each is between two marks, with the command that repeats it, so that nobody writes a figure there by hand.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "reliability.md"


def keep(name: str, command: str, told: Mapping[str, Any]) -> None:
    """Put this run where the page has one of this name. Raises `LookupError` where it has none."""
    page = PAGE.read_text()
    block = re.compile(f"(<!-- kept: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if block.search(page) is None:
        raise LookupError(f"{PAGE} has no place for {name}")
    text = _shown(command, told)
    PAGE.write_text(block.sub(lambda found: f"{found[1]}{text}{found[2]}", page))


def _shown(command: str, told: Mapping[str, Any]) -> str:
    day = datetime.now(UTC).date().isoformat()
    rows = "".join(f"| {_words(name)} | {_value(value)} |\n" for name, value in told.items())
    return f"\n`{command}` on {day}, {os.cpu_count()} processors:\n\n| | |\n|---|---|\n{rows}\n"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    """Parts of a figure on lines of their own; nothing is `none`."""
    if isinstance(value, Mapping):
        return "<br>".join(f"{name}: {each}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
