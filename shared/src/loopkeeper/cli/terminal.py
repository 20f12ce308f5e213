"""How the command line speaks: one place for words, JSON, errors that name their fix, and exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from loopkeeper.cli.http_client import Answered, BadKey, Client, Unreachable, good_key
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings, read

# Documented in `loopkeeper --help` and docs/reference/commands.md; programs may rely on them.
FAILED, USAGE, UNREACHABLE, REFUSED, CANNOT_START = 1, 2, 3, 4, 5

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def _referral_id(text: str) -> str:
    """An id goes into an address: what is none is refused before anybody is asked."""
    if not re.fullmatch(r"ref_[0-9a-f]{32}", text):
        raise typer.BadParameter(
            "A referral's id is ref_ and 32 digits from 0 to f, as `loopkeeper stuck` shows it."
        )
    return text


Referral = Annotated[str, typer.Argument(help="A referral's id, ref_…", metavar="REF", callback=_referral_id)]

# Where nobody watches, a table's cells are not broken for the width of a terminal that is not there.
WIDE = 240


def _console(*, stderr: bool = False) -> Console:
    found = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, soft_wrap=True, width=WIDE)


out, err = _console(), _console(stderr=True)


def settings() -> Settings:
    """The settings of this call: environment and defaults. One that cannot be read ends the command."""
    with starting():
        return read(Settings)


def counted(number: int, noun: str) -> str:
    """`1 plan`, `2 plans`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def say(text: str) -> None:
    out.print(text, markup=False)


def show(document: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(document, default=str, indent=None))


def table(*columns: str) -> Table:
    """A plain table that reads well in a narrow terminal and without colour."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def fail(sentence: str, fix: str = "", code: int = FAILED) -> NoReturn:
    """Say what failed and what fixes it, and leave with this exit code."""
    err.print(sentence, style="bold", markup=False)
    if fix:
        err.print(fix, markup=False)
    raise typer.Exit(code)


KEY_FIX = "Give the key as `loopkeeper client add` printed it: lk_ and one word."


def whose(current: Settings) -> str:
    """In which home this command looked: an empty one is often the wrong one."""
    empty = "" if current.config_folder.exists() else ", where nothing was ever kept"
    return f"The home is {current.home}{empty}; --home or LOOPKEEPER_HOME names another."


@contextmanager
def asking(key: str | None = None) -> Generator[Client]:
    """A client for the services, with this key or the one that is set; its failures end the command with a sentence."""
    current = settings()
    try:
        yield Client(current, good_key(key, "--key") if key is not None else None)
    except BadKey as error:
        fail(str(error), KEY_FIX, CANNOT_START)
    except Unreachable as error:
        fail(
            f"Nothing answers at {error}.",
            f"Start it with `loopkeeper up`, or set LOOPKEEPER_URL. {whose(current)}",
            UNREACHABLE,
        )
    except Answered as error:
        problem = error.problem
        fix = str(problem.get("fix") or "")
        if error.status == 401:
            fix = (
                f"Set LOOPKEEPER_KEY, or use the home whose {current.key_file} belongs to this server. "
                f"{whose(current)}"
            )
        fail(f"{problem.get('slug', error.status)}: {error}", fix, REFUSED)


@contextmanager
def starting() -> Generator[None]:
    """What cannot start says why and how to fix it."""
    try:
        yield
    except StartError as error:
        fail(error.sentence, error.fix, CANNOT_START)


def each(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Callable[[Mapping[str, Any]], str]]
) -> None:
    """Print rows as a table of these columns."""
    made = table(*columns)
    for row in rows:
        made.add_row(*(cell(row) for cell in columns.values()))
    out.print(made)
