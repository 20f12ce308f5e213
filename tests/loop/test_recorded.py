"""Two whole stories leave the same events, facts, rows and notices as when they were recorded (`tests.loop.record`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import Databases
from tests.loop.record import play, read, text
from tests.loop.stories import STORIES


@pytest.mark.parametrize("story", STORIES)
async def test_a_story_leaves_what_it_left_when_it_was_recorded(
    databases: Databases, tmp_path: Path, story: str
) -> None:
    found = await play(databases, tmp_path, story)
    await databases.drop()
    # To be read next to the record where they differ.
    (tmp_path / "found.json").write_text(text(found))
    expected = read(story)
    for service, kinds in expected.items():
        for kind, parts in kinds.items():
            for part, values in parts.items():
                assert found[service][kind][part] == values, f"{service}: {kind} of {part}"
    assert found == expected
