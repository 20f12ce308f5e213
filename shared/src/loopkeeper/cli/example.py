"""The command `loopkeeper example`: prints a referral that can be sent as it is."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from typing import Annotated

import typer

from loopkeeper.cli.terminal import USAGE, Json, fail


def example(
    form: Annotated[str, typer.Argument(help="adult or child")] = "adult",
    as_json: Json = False,
) -> None:
    """Print a valid body for POST /v1/referrals."""
    bodies = {point.name: point for point in entry_points(group="loopkeeper.examples")}
    if form not in bodies:
        known = (
            f"Use `loopkeeper example {' or '.join(bodies)}`." if bodies else "Install the service intake."
        )
        fail(f"There is no example {form!r}.", known, USAGE)
    typer.echo(json.dumps(bodies[form].load()(), indent=2))
