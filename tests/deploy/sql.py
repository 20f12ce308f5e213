"""Run the installation's SQL as an operator does: by psql."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from loopkeeper.postgres.embedded import Server

PASSWORD = "it's-for-a-test"


def programs(server: Server) -> Path:
    """The folder of the programs that belong to this server."""
    return Path(os.readlink(f"/proc/{server.pid}/exe")).parent


def typed(server: Server, file: Path, target: str, **passwords: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [programs(server) / "psql", "--no-psqlrc", "--quiet", "--file=-", target],
        input=file.read_text(),
        env={**os.environ, **passwords},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def run_with_psql(server: Server, file: Path) -> None:
    psql = typed(server, file, server.admin(), DATABASE_PASSWORD=PASSWORD)
    assert psql.returncode == 0, psql.stderr


def url(server: Server, role: str, database: str) -> str:
    password = PASSWORD.replace("'", "%27")
    return server.admin(database).replace(f"postgres:{server.passwords['postgres']}@", f"{role}:{password}@")
