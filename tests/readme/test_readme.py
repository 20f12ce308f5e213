"""Do the README's lines and those of the guides work when pasted, in another order than they were written in?"""

from __future__ import annotations

import re

import pytest

from tests.readme.terminal import (
    FIRST_COMMAND,
    GUIDES,
    ROOT,
    Terminal,
    assert_no_problem,
    blocks,
    of_guide,
)


def test_the_first_two_commands_are_the_two_of_the_makefile() -> None:
    first, second, *_ = blocks("README.md")
    assert (first.strip(), second.strip()) == ("make demo", "make test")


@pytest.mark.parametrize("guide", list(reversed(GUIDES)))
def test_every_line_of_the_guides_works_when_pasted_also_in_another_order(
    terminal: Terminal, guide: str
) -> None:
    printed = terminal.paste_second(of_guide(guide))
    assert_no_problem(printed)
    assert GUIDES[guide] in printed


def test_every_door_of_the_readme_ends_in_a_command_that_works(terminal: Terminal) -> None:
    doors = FIRST_COMMAND.findall((ROOT / "README.md").read_text())
    assert [guide for _, guide, _ in doors] == list(GUIDES)
    for _, guide, command in doors:
        # An integrator listens until somebody refers: a few seconds of that are enough to see it begin.
        waits = guide == "integrate"
        printed = terminal.paste_second(f"timeout -s INT 6 {command} 2>&1 || true" if waits else command)
        assert "listening on" in printed if waits else '"slug"' not in printed


def test_every_page_the_documents_point_to_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    pages += [*(ROOT / "docs/adr").glob("*.md"), *(ROOT / "docs/guides").glob("*.md")]
    dead = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []
