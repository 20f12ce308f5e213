"""A real Keycloak for the tests, from Maven: one server, its realm read from a file, its database in memory.

It runs as in production, but without TLS. Keycloak compiles its settings into itself: that is done once, when it is
fetched.

    python -m tests.console.keycloak
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.broker import java_version
from demo.ports import free_ports

VERSION = "26.7.3"
HERE = Path(__file__).parents[2] / ".tools" / f"keycloak-{VERSION}"
SERVER = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
OLDEST_JAVA = 17
HOW = (
    f"Install Java {OLDEST_JAVA} or newer and Maven (as root: apt-get install -y openjdk-17-jre-headless maven), "
    "then run `python -m tests.console.keycloak`."
)
# Small and quick to start: compiled once, collected by one thread. The rest is what Keycloak's own script gives Java.
JAVA = (
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms64m", "-Xmx512m",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
)  # fmt: skip
COMPILED = ("--db=dev-mem", "--cache=local")
STARTS_WITHIN = 240.0
STOPS_WITHIN = 20.0


class KeycloakError(Exception):
    """No Keycloak can be had; the text says how."""


def prepare() -> Path:
    """The server's folder, fetched and compiled once. Raises `KeycloakError`."""
    if (HERE / "complete").exists():
        return HERE
    if java_version() < OLDEST_JAVA or shutil.which("mvn") is None:
        raise KeycloakError(f"There is no Java {OLDEST_JAVA} or no Maven. {HOW}")
    fresh = HERE.with_name(f"keycloak-{os.getpid()}")
    # Unpacked here: the plugin keeps a note of what it ever unpacked, and does nothing where the folder has gone since.
    _run("mvn", "-B", "-q", "--strict-checksums", COPY, f"-Dartifact={SERVER}", f"-DoutputDirectory={fresh}")
    (archive,) = fresh.glob("*.zip")
    shutil.unpack_archive(archive, fresh)
    archive.unlink()
    (server,) = (each for each in fresh.iterdir() if each.is_dir())
    _run(*_program(server), "build", *COMPILED)
    (server / "complete").touch()
    shutil.rmtree(HERE, ignore_errors=True)
    server.rename(HERE)
    shutil.rmtree(fresh)
    return HERE


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise KeycloakError(f"{words[0]} could not make Keycloak ready: {''.join(said)} {HOW}")


def _program(home: Path) -> Sequence[str]:
    start = "io.quarkus.bootstrap.runner.QuarkusEntryPoint"
    return ("java", *JAVA, f"-Dkc.home.dir={home}", "-cp", f"{home / 'lib' / 'quarkus-run.jar'}", start)


class Keycloak:
    """One server with its files in this folder, which holds one realm."""

    def __init__(self, folder: Path, realm: Mapping[str, Any]) -> None:
        self.folder = folder
        self.realm = realm
        self.port, self._management = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        """Another site than the console's `localhost`, so that neither's cookies are the other's."""
        return f"http://127.0.0.1:{self.port}/realms/{self.realm['realm']}"

    def start(self) -> None:
        """Returns when the realm answers. Raises `KeycloakError`."""
        server = prepare()
        imported = self.folder / "data" / "import"
        imported.mkdir(parents=True)
        (imported / f"{self.realm['realm']}.json").write_text(json.dumps(self.realm))
        for shared in ("lib", "conf", "providers", "themes"):
            (self.folder / shared).symlink_to(server / shared)
        words = (
            "start", "--optimized", "--import-realm", "--http-enabled=true", "--http-host=127.0.0.1",
            f"--http-port={self.port}", f"--http-management-port={self._management}",
            f"--hostname=http://127.0.0.1:{self.port}",
        )  # fmt: skip
        log = self.folder / "keycloak.log"
        with log.open("ab") as said:
            # A session of its own: Ctrl-C in a terminal is the test's to take.
            self._process = subprocess.Popen(
                [*_program(self.folder), *words], stdout=said, stderr=said, start_new_session=True
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise KeycloakError(f"Keycloak did not start: {log.read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            asked.request("GET", f"/realms/{self.realm['realm']}/.well-known/openid-configuration")
            return asked.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asked.close()


# ── a realm ───────────────────────────────────────────────────────────────────────────────────────────────


def realm_of(
    name: str, console: str, organization: str, groups: Sequence[str], users: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """What an organization's Keycloak needs for our console at this address: a public client that must use PKCE, the scopes
    we ask for (`groups` is none of Keycloak's own), and where to tell that somebody signed out."""
    client = {
        "clientId": "loopkeeper",
        "name": "Loopkeeper",
        "publicClient": True,
        "standardFlowEnabled": True,
        "directAccessGrantsEnabled": False,
        "redirectUris": [f"{console}/signin/{organization}/callback"],
        "defaultClientScopes": ["basic"],
        "optionalClientScopes": ["profile", "email", "groups"],
        "attributes": {
            "pkce.code.challenge.method": "S256",
            "backchannel.logout.url": f"{console}/signin/logout-token",
            "backchannel.logout.session.required": "true",
        },
    }
    email = {"user.attribute": "email", "claim.name": "email", "jsonType.label": "String"}
    return {
        "realm": name,
        "enabled": True,
        "groups": [{"name": group} for group in groups],
        "users": list(users),
        "clients": [client],
        "clientScopes": [
            _scope("basic", "oidc-sub-mapper"),
            _scope("profile", "oidc-full-name-mapper"),
            _scope("email", "oidc-usermodel-attribute-mapper", email),
            _scope("groups", "oidc-group-membership-mapper", {"claim.name": "groups", "full.path": "false"}),
        ],
    }


def _scope(name: str, mapper: str, more: Mapping[str, str] | None = None) -> Mapping[str, Any]:
    """A scope, and what it puts into the token and into the answer about a person."""
    told = {
        "id.token.claim": "true",
        "access.token.claim": "true",
        "userinfo.token.claim": "true",
        **(more or {}),
    }
    mapped = {"name": name, "protocol": "openid-connect", "protocolMapper": mapper, "config": told}
    return {"name": name, "protocol": "openid-connect", "protocolMappers": [mapped]}


if __name__ == "__main__":
    try:
        prepare()
    except KeycloakError as error:
        sys.exit(str(error))
