"""Where does a real Kafka come from on a machine without containers? From Maven, started here: one KRaft node.

`python -m demo.broker` fetches what it needs (Java, Maven, the broker's jars); the demo and the tests then start it in
a folder of their own on free ports. It listens twice: to everybody on this machine as the cluster's master, and to
a client that shows a user and a password, who may do only what was granted. With a certificate it listens to these a third
time, by TLS, as a broker in production does.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.ports import free_ports

HERE = Path(__file__).parent / "kafka"
JARS = Path(__file__).parents[1] / ".tools" / "kafka"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
OLDEST_JAVA = 17
# Small and quick to start: compiled once, collected by one thread.
JAVA = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms64m", "-Xmx320m")
STARTS_WITHIN = 90.0
STOPS_WITHIN = 20.0
HOW = (
    f"Install Java {OLDEST_JAVA} or newer and Maven (as root: apt-get install -y openjdk-17-jre-headless maven), "
    "then run `python -m demo.broker`; or name a running broker: LOOPKEEPER_KAFKA=host:port."
)

# A killed broker may come back at once, a group forms without waiting, and everything exists once.
SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,"
    "SASL_SSL:SASL_SSL",
    "sasl.enabled.mechanisms": "PLAIN",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "250",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "log.cleaner.enable": "false",
}


# Where a certificate is given, users log in there by every mechanism our settings know.
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
LOGIN = "org.apache.kafka.common.security"


class BrokerError(Exception):
    """No broker can be had; the text says how."""


def prepare(*, install: bool = False) -> Path:
    """The folder of the broker's jars, fetched once. `install`: as root, Java and Maven too. Raises `BrokerError`."""
    java = java_version() >= OLDEST_JAVA
    if (JARS / "complete").exists() and java:
        return JARS
    if not java or shutil.which("mvn") is None:
        if not (install and os.geteuid() == 0 and shutil.which("apt-get")):
            raise BrokerError(f"There is no Java {OLDEST_JAVA} or no Maven. {HOW}")
        _run("apt-get", "update", "-q")
        _run("apt-get", "install", "-qy", "--no-install-recommends", "openjdk-17-jre-headless", "maven")
    fresh = JARS.with_name(f"kafka-{os.getpid()}")
    _run(
        "mvn",
        "-B",
        "-q",
        "-f",
        str(HERE / "pom.xml"),
        COPY,
        "-DincludeScope=runtime",
        f"-DoutputDirectory={fresh}",
    )
    (fresh / "complete").touch()
    shutil.rmtree(JARS, ignore_errors=True)
    fresh.rename(JARS)
    return JARS


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise BrokerError(f"{' '.join(words[:2])} failed: {''.join(said)} {HOW}")


def java_version() -> int:
    """The version of the Java on the path; 0 for none."""
    try:
        said = subprocess.run(["java", "-version"], check=False, capture_output=True, text=True).stderr
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


class Broker:
    """One broker with its data in this folder. `users`: who may log in, with which password. `certificate`: a PEM file
    with its key and what proves that it is `localhost`."""

    def __init__(
        self, folder: Path, users: Mapping[str, str] | None = None, certificate: Path | None = None
    ) -> None:
        self.folder = folder
        self.port, self.login_port, self.tls_port, self._controller = free_ports(4)
        self._users = users or {}
        self._certificate = certificate
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def login_servers(self) -> str:
        return f"127.0.0.1:{self.login_port}"

    @property
    def tls_servers(self) -> str:
        """By the name that is in the certificate; empty without one."""
        return f"localhost:{self.tls_port}" if self._certificate else ""

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start, or start again with the same data; returns when it takes connections. Raises `BrokerError`."""
        jars = prepare()
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()))
        java = ["java", *JAVA, f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}", "-cp", f"{jars}/*"]
        with (self.folder / "broker.log").open("ab") as log:
            if not (self.folder / "data" / "meta.properties").exists():
                name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
                # One word: a name may begin with a dash.
                words = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={name}", "-c", str(file)]
                subprocess.run([*words, *self._known()], check=True, stdout=log, stderr=log)
            # A session of its own: Ctrl-C in a terminal is the demo's to take.
            self._process = subprocess.Popen(
                [*java, "kafka.Kafka", str(file)], stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(f"Kafka did not start: see {self.folder / 'broker.log'}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill -9; `start` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()

    def _known(self) -> Sequence[str]:
        """SCRAM keeps its users in the cluster itself, from its first moment on."""
        users = self._users.items() if self._certificate else ()
        return [f"--add-scram={each}=[name={name},password={word}]" for name, word in users for each in SCRAM]

    def _settings(self) -> Mapping[str, str]:
        controller = f"CONTROLLER://127.0.0.1:{self._controller}"
        clients = f"PLAINTEXT://127.0.0.1:{self.port},SASL_PLAINTEXT://127.0.0.1:{self.login_port}"
        users = "".join(f' user_{name}="{password}"' for name, password in self._users.items())
        plain = f"{LOGIN}.plain.PlainLoginModule required{users};"
        tls = {
            "listeners": f"{clients},SASL_SSL://127.0.0.1:{self.tls_port},{controller}",
            "advertised.listeners": f"{clients},SASL_SSL://{self.tls_servers}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._certificate),
            "listener.name.sasl_ssl.sasl.enabled.mechanisms": ",".join(("PLAIN", *SCRAM)),
            "listener.name.sasl_ssl.plain.sasl.jaas.config": plain,
            **{
                f"listener.name.sasl_ssl.{each.lower()}.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;"
                for each in SCRAM
            },
        }
        return {
            **SETTINGS,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "listeners": f"{clients},{controller}",
            "advertised.listeners": clients,
            "log.dirs": str(self.folder / "data"),
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": plain,
            **(tls if self._certificate else {}),
        }


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    try:
        prepare(install=True)
    except BrokerError as error:
        sys.exit(str(error))
