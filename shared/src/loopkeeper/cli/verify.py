"""The command `loopkeeper verify`: is every promise kept, in every database and in the log?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from loopkeeper.cli.http_client import SERVICES
from loopkeeper.cli.terminal import FAILED, Json, asking, counted, say, settings, show, starting

if TYPE_CHECKING:
    from loopkeeper.runtime.verify.finding import Finding

# A place that is broken everywhere need not be told a hundred thousand times.
TOLD = 200


def verify(
    as_json: Json = False,
    databases: Annotated[
        bool, typer.Option("--databases", help="Read the databases and the log, not the services' API.")
    ] = False,
) -> None:
    """Check that journals, rows and log prove each other: nothing changed, missing or cut off. With `--databases` every
    promise is checked, between the services too, whether they run or not; it needs their settings."""
    if databases:
        _over_databases(as_json)
        return
    with asking() as client:
        proofs = {name: client.post(f"/v1/operations/{name}/journal:verify") for name in SERVICES}
    if as_json:
        show(proofs)
    else:
        for name, proof in proofs.items():
            say(f"{name}: {'sound' if proof['sound'] else 'NOT SOUND'}")
            for flaw in proof["flaws"]:
                say(f"  {flaw['stream']} row {flaw['n']}: {flaw['what']}")
    if not all(proof["sound"] for proof in proofs.values()):
        raise typer.Exit(FAILED)


def _over_databases(as_json: bool) -> None:
    with starting():
        count, told = asyncio.run(_found(as_json))
    if as_json:
        show({"sound": not count, "count": count, "findings": told})
    else:
        say("Every promise is kept." if not count else f"{counted(count, 'promise')} broken.")
    if count:
        raise typer.Exit(FAILED)


async def _found(as_json: bool) -> tuple[int, list[dict[str, str]]]:
    """How many findings, and the first of them; each is said as it is found."""
    from loopkeeper.runtime.run import at_addresses
    from loopkeeper.runtime.service import installed
    from loopkeeper.runtime.verify.opening import reconciling

    current, services = settings(), installed()
    count, told = 0, list[dict[str, str]]()
    async with (
        at_addresses(current, services) as addresses,
        reconciling(current, services, addresses) as findings,
    ):
        async for finding in findings:
            count += 1
            if count <= TOLD:
                told.append(finding.document())
                if not as_json:
                    _say(finding)
    return count, told


def _say(finding: Finding) -> None:
    say(f"{finding.invariant} {finding.service}: {finding.where} {finding.what}")
    say(f"    {finding.show}")
