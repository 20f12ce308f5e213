"""Which Kafka do tests talk to? The one LOOPKEEPER_KAFKA names, or one of this run, shared by all its processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from demo.broker import Broker
from loopkeeper.event_log.kafka_config import goodbye
from loopkeeper.kernel.files import locked
from tests.certificates import Authority

PARTITIONS = 3
# Who may log in at the broker of this run.
USERS = {
    "harbor": "harbor-secret",
    "valley": "valley-secret",
    "loopkeeper-intake": "intake-secret",
    "loopkeeper-authorization": "authorization-secret",
    "loopkeeper-assignment": "assignment-secret",
    "loopkeeper-notification": "notification-secret",
    "loopkeeper-topics": "topics-secret",
    "nobody": "nobody-secret",
    "clerk": "clerk-secret",
    "scribe": "scribe-secret",
}
# Events carry the test's own time, which may be long past: nothing goes by age.
FOR_EVER: Mapping[str, str] = {"retention.ms": "-1"}
NUMBERS = itertools.count()
# Those this process started: they may have to outlive it for the others.
STARTED: list[Broker] = []
# A run that is killed ends nothing itself: its broker would stay forever.
GUARD = """
while kill -0 {owner} && kill -0 {broker}; do sleep 1; done 2>/dev/null
kill -9 {broker} 2>/dev/null
exit 0
"""
GUARDS: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Kafka:
    """A running broker. `login_servers` asks for a user, `tls_servers` for one by TLS, with a certificate that `ca`
    signed; all are empty where the broker is not ours."""

    servers: str
    login_servers: str = ""
    tls_servers: str = ""
    ca: str = ""

    async def topic(
        self, partitions: int = PARTITIONS, name: str = "", kept: Mapping[str, str] = FOR_EVER
    ) -> str:
        """A new, empty topic; its name."""
        made = name or f"loops-{os.getpid()}-{next(NUMBERS)}"
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            answer = await admin.create_topics([NewTopic(made, partitions, 1, topic_configs=dict(kept))])
            assert all(error[1] == 0 for error in answer.topic_errors), answer
        finally:
            await goodbye(admin.close(), admin)
        return made

    def login(self, user: str) -> dict[str, Any]:
        """What a client of the library is given to log in as this user."""
        assert self.login_servers, "log-ins are tested on a broker of this run: unset LOOPKEEPER_KAFKA"
        return {
            "bootstrap_servers": self.login_servers,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": user,
            "sasl_plain_password": USERS[user],
        }

    async def url(self, partitions: int = PARTITIONS) -> str:
        """The address of a new, empty topic."""
        return f"kafka://{self.servers}/{await self.topic(partitions)}"


@contextmanager
def shared_broker(folder: Path) -> Generator[Kafka]:
    """The broker of this folder: the first process starts it, the last stops it."""
    given = os.environ.get("LOOPKEEPER_KAFKA")
    if given:
        yield Kafka(given)
        return
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "broker.json"
    with locked(folder / "users"):
        found = json.loads(note.read_text()) if note.exists() else _begun(folder)
        note.write_text(json.dumps({**found, "users": found["users"] + 1}))
    yield Kafka(found["servers"], found["login_servers"], found["tls_servers"], found["ca"])
    with locked(folder / "users"):
        found = json.loads(note.read_text())
        note.write_text(json.dumps({**found, "users": found["users"] - 1}))
        if found["users"] == 1:
            note.unlink()
            with suppress(ProcessLookupError):
                os.kill(found["pid"], signal.SIGKILL)
            for broker in STARTED:
                broker.kill()
            for guard in GUARDS:
                guard.wait()


def _begun(folder: Path) -> dict[str, str | int]:
    authority = Authority(folder / "ca.pem")
    broker = Broker(
        folder / f"kafka-{os.getpid()}", USERS, authority.certificate(folder / "broker.pem", "localhost")
    )
    broker.start()
    STARTED.append(broker)
    guarded(broker)
    return {
        "servers": broker.servers,
        "login_servers": broker.login_servers,
        "tls_servers": broker.tls_servers,
        "ca": str(authority.file),
        "pid": broker.pid,
        "users": 0,
    }


def guarded(broker: Broker) -> None:
    """From now on this broker ends with the run, however that ends."""
    # Of the processes of one run the first one's parent lives longest.
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    GUARDS.append(subprocess.Popen(["sh", "-c", GUARD.format(owner=owner, broker=broker.pid)]))
