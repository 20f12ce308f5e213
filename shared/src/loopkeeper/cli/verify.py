"""The command `loopkeeper verify`: does every journal prove itself?"""

from __future__ import annotations

import typer

from loopkeeper.cli.http_client import SERVICES
from loopkeeper.cli.terminal import FAILED, Json, asking, say, show


def verify(as_json: Json = False) -> None:
    """Check that journals, rows and log prove each other: nothing changed, missing or cut off."""
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
