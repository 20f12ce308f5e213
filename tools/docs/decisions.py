"""The index of architecture decisions, made from their first lines."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "adr"
TITLE = re.compile(r"# (\d+)\. ([^:\n]+): (.+)\n")
# It may go over several lines, to the end of its paragraph.
STATUS = re.compile(r"^Status: (.+?)\n\n", re.M | re.S)


def index() -> str:
    """Every decision by number: its component, its title, whether it still holds. Raises `ValueError` on another form."""
    lines = [
        "# Architecture decisions\n",
        "Each page says what was decided, why, and what was rejected. A decision that no longer holds names its "
        "successor.\n",
        "| | component | decision | status |",
        "|---|---|---|---|",
    ]
    for file in sorted(FOLDER.glob("[0-9]*.md")):
        text = file.read_text()
        title, status = TITLE.match(text), STATUS.search(text)
        if title is None or status is None:
            raise ValueError(f"{file.name} does not begin with `# N. Component: decision` and a status")
        lines.append(
            f"| {title[1]} | {title[2]} | [{title[3]}]({file.name}) | {' '.join(status[1].split())} |"
        )
    return "\n".join(lines) + "\n"
