"""The command `loopkeeper`: a client of the services, and the only writer of organizations, keys and the keyring.

Exit codes: 0 done; 1 failed or not well; 2 the call's words are off; 3 nothing answers; 4 the service refused;
5 cannot start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from loopkeeper.cli import topics
from loopkeeper.cli.client import client_add, client_list, client_revoke
from loopkeeper.cli.clock import clock_advance
from loopkeeper.cli.doctor import doctor
from loopkeeper.cli.example import example
from loopkeeper.cli.file import (
    file_fetch,
    file_members,
    file_months,
    file_release,
    file_send,
    file_status,
    file_take_back,
    file_watch,
)
from loopkeeper.cli.keys import keys_rotate, keys_rotate_issuer, keys_rotate_master
from loopkeeper.cli.listen import listen
from loopkeeper.cli.org import org_add, org_import, org_list, org_readmit, org_revoke, org_sign_in
from loopkeeper.cli.parked import parked_list, parked_replay, parked_show
from loopkeeper.cli.person import person_import, person_invite
from loopkeeper.cli.policy import policy_check
from loopkeeper.cli.profile import profile_check, profile_example, profile_guess
from loopkeeper.cli.referral import explain, trace
from loopkeeper.cli.report import report_build, report_fetch, report_figures, report_status, report_submit
from loopkeeper.cli.services import migrate, reset, up
from loopkeeper.cli.status import status, stuck
from loopkeeper.cli.verify import verify
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


# Every command by its noun; each is in the file of that noun.
GROUPS: Mapping[str, tuple[str, Mapping[str, Callable[..., None]]]] = {
    "clock": ("The movable clock of a demo or a test.", {"advance": clock_advance}),
    "parked": (
        "Facts that failed and wait, in order, to be replayed.",
        {"list": parked_list, "show": parked_show, "replay": parked_replay},
    ),
    "org": (
        "The organizations that take part.",
        {
            "add": org_add,
            "import": org_import,
            "list": org_list,
            "revoke": org_revoke,
            "readmit": org_readmit,
            "sign-in": org_sign_in,
        },
    ),
    "client": (
        "The API keys of organizations.",
        {"add": client_add, "list": client_list, "revoke": client_revoke},
    ),
    "person": (
        "The people who may enrol in the console.",
        {"invite": person_invite, "import": person_import},
    ),
    "keys": (
        "The keys under which identity is sealed, and the one that signs people's tokens.",
        {"rotate": keys_rotate, "rotate-master": keys_rotate_master, "rotate-issuer": keys_rotate_issuer},
    ),
    "policy": ("The dated rows that decisions follow.", {"check": policy_check}),
    "file": (
        "Spreadsheets that are read row by row.",
        {
            "send": file_send,
            "status": file_status,
            "fetch": file_fetch,
            "release": file_release,
            "take-back": file_take_back,
            "members": file_members,
            "months": file_months,
            "watch": file_watch,
        },
    ),
    "profile": (
        "How each plan writes its files.",
        {"check": profile_check, "guess": profile_guess, "example": profile_example},
    ),
    "report": (
        "Previews of what a plan reports to the state.",
        {
            "build": report_build,
            "status": report_status,
            "fetch": report_fetch,
            "figures": report_figures,
            "submit": report_submit,
        },
    ),
    "topics": (topics.HELP, {"create": topics.create, "check": topics.check}),
}
for single in (up, migrate, doctor, reset, example, listen, status, stuck, explain, trace, verify):
    app.command()(single)
for noun, (words, verbs) in GROUPS.items():
    group = typer.Typer(no_args_is_help=True, help=words)
    for verb, command in verbs.items():
        group.command(verb)(command)
    app.add_typer(group, name=noun)


def main() -> None:
    """The console script."""
    app()
