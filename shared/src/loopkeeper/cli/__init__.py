"""The command `loopkeeper`: a client of the services, and the only writer of organizations, keys and the keyring.

Exit codes: 0 done; 1 failed or not well; 2 the call's words are off; 3 nothing answers; 4 the service refused;
5 cannot start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loopkeeper.cli import access, look, machine, topics
from loopkeeper.kernel.settings import use_home

app = typer.Typer(
    name="loopkeeper",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Loopkeeper keeps Enhanced Care Management referral loops closed.",
    epilog="Exit codes: 0 done, 1 failed or not well, 2 usage, 3 nothing answers, 4 refused, 5 cannot start.",
)


@app.callback()
def everywhere(
    home: Annotated[
        Path | None, typer.Option("--home", help="Data folder, as LOOPKEEPER_HOME.", show_default=False)
    ] = None,
) -> None:
    """Options every command takes."""
    if home is not None:
        use_home(home)


machine.add_to(app)
look.add_to(app)
access.add_to(app)
topics.add_to(app)


def main() -> None:
    """The console script."""
    app()
