"""The command `loopkeeper listen`: receives an organization's events and prints or forwards them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from loopkeeper.cli.http_client import BadKey, good_key
from loopkeeper.cli.terminal import KEY_FIX, USAGE, Json, fail, settings


def listen(
    key: Annotated[str, typer.Option(help="Key of the organization that listens.", envvar="LOOPKEEPER_KEY")],
    port: Annotated[int, typer.Option(help="Local port; 0 takes a free one.")] = 0,
    count: Annotated[int | None, typer.Option(help="Leave after so many deliveries.")] = None,
    forward: Annotated[
        str | None,
        typer.Option(
            help="Read the feed instead, and post each event, signed, to this URL; goes on where it was."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Be a local partner: subscribe, verify each delivery's signature and print it until Ctrl-C."""
    from loopkeeper.cli.forward import forward_until_stopped
    from loopkeeper.cli.partner import listen_until_stopped

    try:
        good_key(key, "The key (--key or LOOPKEEPER_KEY)")
    except BadKey as error:
        fail(str(error), KEY_FIX, USAGE)
    if forward is not None:
        sys.exit(forward_until_stopped(settings(), key, url=forward, count=count, as_json=as_json))
    sys.exit(listen_until_stopped(settings(), key, port=port, count=count, as_json=as_json))
