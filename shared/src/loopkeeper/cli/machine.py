"""What runs: start the services, bring databases up to date, check the machine, move a demo's clock, listen."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import sys
import time
from datetime import datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from loopkeeper.cli.client import SERVICES, Client
from loopkeeper.cli.terminal import FAILED, USAGE, Json, asking, err, fail, say, settings, show, starting
from loopkeeper.kernel.settings import Settings

Services = Annotated[list[str] | None, typer.Argument(help="Services to take; none: all that are installed.")]
# A moved clock must find every service quiet within this, or something is stuck.
QUIET_WITHIN = 60.0


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    app.command()(up)
    app.command()(migrate)
    app.command()(doctor)
    app.command()(reset)
    app.command()(example)
    app.command()(listen)
    clock = typer.Typer(no_args_is_help=True, help="The movable clock of a demo or a test.")
    clock.command("advance")(clock_advance)
    app.add_typer(clock, name="clock")


def up(
    services: Services = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the services until Ctrl-C: all on one port, or the ones named."""
    from loopkeeper.cli.access import operator_key
    from loopkeeper.runtime import service
    from loopkeeper.runtime.run import folders, serve

    current = settings().model_copy(
        update={k: v for k, v in {"host": host, "port": port}.items() if v is not None}
    )
    with starting():
        taken = service.chosen(services or [])
        _port_free(current)
        operator_key(current)
        _banner(current, list(taken), {name: str(path) for name, path in folders(current).items()})
        runner = asyncio.Runner(loop_factory=_loop())
        with runner:
            code = runner.run(serve(current, taken, lambda line: err.print(f"· {line}", markup=False)))
    raise typer.Exit(code)


def _loop() -> Any:
    import uvloop

    return uvloop.new_event_loop


def _port_free(current: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((current.host, current.port))
        except OSError:
            fail(
                f"Port {current.port} on {current.host} is taken.",
                f"Stop what listens there, or use `loopkeeper up --port {current.port + 1}`.",
                5,
            )


def _banner(current: Settings, names: list[str], folders: dict[str, str]) -> None:
    base = current.base_url(names[0])
    lines = [
        f"Loopkeeper: {', '.join(names)} on {base}",
        f"  API reference   {base}/docs",
        f"  health          {base}/health/ready",
        f"  data            {folders['data']}",
        f"  operations key  {current.key_file}",
        "  stop            Ctrl-C",
    ]
    for line in lines:
        err.print(line, markup=False)


def migrate(services: Services = None, as_json: Json = False) -> None:
    """Bring the databases of these services to their newest revision."""
    from loopkeeper.runtime import service
    from loopkeeper.runtime.run import at_addresses, migrate_all, silent

    async def work() -> None:
        taken = service.chosen(services or [])
        tell = silent if as_json else say
        async with at_addresses(settings(), taken, tell) as addresses:
            await migrate_all(addresses, taken, tell)

    with starting():
        asyncio.run(work())
        names = list(service.chosen(services or []))
    show({"migrated": names}) if as_json else say("The databases are up to date.")


def doctor(as_json: Json = False) -> None:
    """Check this machine: Python, disk, port, folders, PostgreSQL, keys, policy; say what to mend."""
    from loopkeeper.cli.checks import all_checks

    checks = all_checks(settings())
    if as_json:
        show([check.__dict__ for check in checks])
    else:
        for check in checks:
            say(f"{'ok ' if check.ok else 'NO '} {check.name}: {check.found}")
            if not check.ok:
                say(f"    {check.fix}")
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED)


def reset(
    sure: Annotated[bool, typer.Option("--yes", help="Do it; without it, say what would go.")] = False,
    home: Annotated[Path | None, typer.Option("--home", help="Data folder.")] = None,
    as_json: Json = False,
) -> None:
    """Stop the embedded PostgreSQL of this home and remove everything it keeps: referrals, keys, spans."""
    from loopkeeper.postgres import embedded

    folder = home.absolute() if home else settings().home
    there = folder.exists()
    if there and sure:
        embedded.remove(folder / "postgres")
        shutil.rmtree(folder)
    if as_json:
        show({"home": folder, "removed": there and sure})
    elif not there:
        say(f"There is nothing in {folder}.")
    elif sure:
        say(f"Removed {folder}.")
    else:
        say(
            f"This would remove {folder} with all its referrals and keys. Do it with `loopkeeper reset --yes`."
        )


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


# ── clock ────────────────────────────────────────────────────────────────────────────────────────────────


def clock_advance(
    by: Annotated[str, typer.Argument(help="How far, such as 5d, 36h, 90m.")], as_json: Json = False
) -> None:
    """Move the clock from due deadline to due deadline, letting everything settle at each."""
    span = _span(by)
    with asking() as client:
        target = _settled(client) + span
        steps = 0
        while True:
            now, next_at = _quiet(client)
            if now >= target:
                break
            goal = min(target, next_at) if next_at is not None and next_at > now else target
            client.post(
                f"/v1/operations/{SERVICES[0]}/clock:advance",
                {"seconds": max((goal - now).total_seconds(), 0.001)},
            )
            steps += 1
        now, _ = _quiet(client)
    show({"now": now.isoformat(), "steps": steps}) if as_json else say(f"It is now {now:%Y-%m-%d %H:%M} UTC.")


def _span(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([dhms])", text)
    if match is None:
        fail(f"{text!r} is no span of time.", "Say 5d, 36h, 90m or 30s.", USAGE)
    return timedelta(seconds=float(match[1]) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[match[2]])


def _settled(client: Client) -> datetime:
    return _quiet(client)[0]


def _quiet(client: Client) -> tuple[datetime, datetime | None]:
    """Wait until outboxes are empty, nothing is unread or due; the time then, and the next deadline."""
    deadline = time.monotonic() + QUIET_WITHIN
    calm = 0
    while time.monotonic() < deadline:
        standing = [client.get(f"/v1/operations/{name}/status") for name in SERVICES]
        busy = any(s["outbox"] or s["lag"] or s["timers_due"] or s["working"] for s in standing)
        # Between two looks an event may be between two services; twice calm in a row it is not.
        calm = 0 if busy else calm + 1
        if calm == 2:
            due = [datetime.fromisoformat(s["next_timer_at"]) for s in standing if s["next_timer_at"]]
            return datetime.fromisoformat(standing[0]["now"]), min(due, default=None)
        time.sleep(0.02)
    fail("The services did not come to rest.", "`loopkeeper status` shows where something waits.")


# ── listen ───────────────────────────────────────────────────────────────────────────────────────────────


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

    if forward is not None:
        sys.exit(forward_until_stopped(settings(), key, url=forward, count=count, as_json=as_json))
    sys.exit(listen_until_stopped(settings(), key, port=port, count=count, as_json=as_json))
