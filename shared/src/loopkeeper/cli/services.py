"""The commands that run services: `loopkeeper up`, `migrate` and `reset`."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from loopkeeper.cli.terminal import CANNOT_START, Json, err, fail, say, settings, show, starting
from loopkeeper.kernel import garbage
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.logs import configure, get
from loopkeeper.kernel.settings import Settings

log = get("up")
Services = Annotated[list[str] | None, typer.Argument(help="Services to take; none: all that are installed.")]


def up(
    services: Services = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the services until Ctrl-C: all on one port, or the ones named."""
    try:
        code = _run(services or [], host, port)
    except StartError as error:
        if err.is_terminal:
            fail(error.sentence, error.fix, CANNOT_START)
        log.error(error.sentence, fix=error.fix)
        code = CANNOT_START
    raise typer.Exit(code)


def _run(services: list[str], host: str | None, port: int | None) -> int:
    with garbage.unlooked():
        from loopkeeper.cli.client import operator_key
        from loopkeeper.runtime import console, service
        from loopkeeper.runtime.run import folders
        from loopkeeper.runtime.serve import serve
        from loopkeeper.security import issuer

        current = settings().model_copy(
            update={k: v for k, v in {"host": host, "port": port}.items() if v is not None}
        )
        pages, others = console.chosen(services)
        taken = service.chosen(others) if others or not services else {}
    names = [*taken, *([pages.name] if pages else [])]
    configure("+".join(names), current.log_level)
    _port_free(current)
    if taken:
        operator_key(current)
    if pages is not None:
        issuer.made_at_first_start(current)
    _banner(current, names, {name: str(path) for name, path in folders(current).items()})
    with asyncio.Runner(loop_factory=_loop()) as runner:
        return runner.run(serve(current, taken, _progress, pages))


def _progress(line: str) -> None:
    """For a person at a terminal; where nobody is, a line of the log like every other."""
    if err.is_terminal:
        err.print(f"· {line}", markup=False)
    else:
        log.info(line)


def _loop() -> Any:
    import uvloop

    return uvloop.new_event_loop


def _port_free(current: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((current.host, current.port))
        except OSError:
            raise StartError(
                f"Port {current.port} on {current.host} is taken.",
                f"Stop what listens there, or use `loopkeeper up --port {current.port + 1}`.",
            ) from None


def _banner(current: Settings, names: list[str], folders: dict[str, str]) -> None:
    if not err.is_terminal:
        log.info("starting", port=current.port, where=folders["data"])
        return
    base = current.base_url(names[0])
    lines = [
        f"Loopkeeper: {', '.join(names)} on {base}",
        *([f"  pages           {current.issuer_url}"] if "console" in names else []),
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
    from loopkeeper.runtime import console, service
    from loopkeeper.runtime.run import WithDatabase, at_addresses, migrate_all, silent

    pages, others = console.chosen(services or [])
    taken: dict[str, WithDatabase] = {}

    async def work() -> None:
        taken.update(service.chosen(others) if others or not services else {})
        taken.update({pages.name: pages} if pages else {})
        tell = silent if as_json else say
        async with at_addresses(settings(), taken, tell) as addresses:
            await migrate_all(addresses, taken, tell)

    with starting():
        asyncio.run(work())
        names = list(taken)
    show({"migrated": names}) if as_json else say("The databases are up to date.")


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


# ── clock ────────────────────────────────────────────────────────────────────────────────────────────────


# ── listen ───────────────────────────────────────────────────────────────────────────────────────────────
