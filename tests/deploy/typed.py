"""Is what is typed a command of ours? The command line itself is asked, and nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from loopkeeper.cli import app

# What a page writes where an operator puts an id: the command line takes no id of another form.
PLACEHOLDERS = {"REFERRAL": "ref_" + 32 * "0"}


def parsed(words: Sequence[str]) -> list[str]:
    """The command these words call, as the command line reads them; fails where it would say how to use it."""
    command: Any = typer.main.get_command(app)
    rest, path = [PLACEHOLDERS.get(word, word) for word in words], ["loopkeeper"]
    context = command.make_context("loopkeeper", [], resilient_parsing=True)
    while hasattr(command, "commands"):
        assert rest, f"{' '.join(path)} alone does nothing"
        assert rest[0] in command.commands, f"{' '.join([*path, rest[0]])} is no command"
        path.append(rest.pop(0))
        command = command.commands[path[-1]]
    command.make_context(path[-1], rest, parent=context)
    return path
