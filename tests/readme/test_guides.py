"""Does each guide work alone, when pasted on a newcomer's machine?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.readme.terminal import (
    GUIDES,
    assert_no_problem,
    of_guide,
    opened,
)


@pytest.mark.long
@pytest.mark.parametrize("guide", list(GUIDES))
def test_every_guide_works_alone(tmp_path: Path, guide: str) -> None:
    with opened(tmp_path) as found:
        printed = found.paste_second(of_guide(guide))
    assert_no_problem(printed)
    assert GUIDES[guide] in printed
