"""The command `loopkeeper doctor`: is this machine ready?"""

from __future__ import annotations

import typer

from loopkeeper.cli.terminal import FAILED, Json, say, settings, show


def doctor(as_json: Json = False) -> None:
    """Check this machine: Python, disk, port, folders, PostgreSQL, keys, policy; say what to fix."""
    from loopkeeper.cli.checks import all_checks

    checks = all_checks(settings())
    if as_json:
        show([check.__dict__ for check in checks])
    else:
        for check in checks:
            say(f"{'NO ' if not check.ok else '!! ' if check.warns else 'ok '} {check.name}: {check.found}")
            if not check.ok or check.warns:
                say(f"    {check.fix}")
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED)
