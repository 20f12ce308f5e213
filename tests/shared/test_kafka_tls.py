"""Does the log go by TLS, with a user who logs in? On a broker that asks for both; and what is said where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from loopkeeper.event_log import kafka_access, kafka_topics
from loopkeeper.event_log.kafka import KafkaLog
from loopkeeper.event_log.kafka_access import ALL, LITERAL, PREFIXED, AccessRule
from loopkeeper.event_log.kafka_config import kafka_config
from loopkeeper.event_log.port import LogRefused, LogUnavailable
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings
from tests.certificates import Authority
from tests.kafka import PARTITIONS, USERS, Kafka
from tests.shared.event_log_contract import Offsets, by_key, message, read

USER = "scribe"
WRONG_PASSWORD = "not-the-one"


@pytest.fixture
def url(kafka: Kafka) -> str:
    assert kafka.tls_servers, "TLS is tested on a broker of this run: unset LOOPKEEPER_KAFKA"
    return f"kafka://{kafka.tls_servers}"


def settings(kafka: Kafka, **changed: Any) -> Settings:
    """As an installation has them whose broker is reached by TLS only."""
    right = {
        "kafka_tls": "on",
        "kafka_ca": Path(kafka.ca),
        "kafka_mechanism": "PLAIN",
        "kafka_user": USER,
        "kafka_password": USERS[USER],
        "kafka_partitions": PARTITIONS,
    }
    return Settings(**{**right, **changed})


async def granted_topic(kafka: Kafka) -> str:
    """A new topic that the user may do everything with."""
    topic = await kafka.topic()
    line = kafka_config(f"kafka://{kafka.servers}/{topic}", Settings(kafka_partitions=PARTITIONS))
    user = f"User:{USER}"
    grants = [
        AccessRule(kafka_access.TOPIC, topic, LITERAL, user, ALL),
        AccessRule(kafka_access.GROUP, f"{topic}.", PREFIXED, user, ALL),
    ]
    await kafka_access.grant(line, grants)
    return topic


@asynccontextmanager
async def bus_at(url: str, found: Settings) -> AsyncGenerator[KafkaLog]:
    event_log = KafkaLog(kafka_config(url, found), session=1.5)
    try:
        yield event_log
    finally:
        await event_log.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_events_are_published_and_read_by_tls_with_every_mechanism_there_is_a_setting_for(
    kafka: Kafka, url: str, mechanism: str
) -> None:
    topic = await granted_topic(kafka)
    async with bus_at(f"{url}/{topic}", settings(kafka, kafka_mechanism=mechanism)) as event_log:
        assert await event_log.publish([message("ref_1", n) for n in range(3)]) == 3
        member = await event_log.join("intake", Offsets())
        received = await read(member, 3)
        assert by_key(received) == {"ref_1": [0, 1, 2]}
        shown = {one.partition: one.offset + 1 for one in received}
        await member.acknowledge(shown)
        assert await event_log.positions("intake") == shown


# ── what is not right is named, and nothing secret with it ────────────────────────────────────────────────


async def refusal(url: str, found: Settings) -> LogUnavailable:
    """What a publisher, a reader and a probe are told, which is the same."""
    async with bus_at(f"{url}/loops", found) as event_log:
        member = await event_log.join("intake", Offsets())
        said = await asyncio.gather(
            event_log.publish([message("ref_1", 1)]), member.poll(), event_log.ends(), return_exceptions=True
        )
    assert len({(type(one), str(one)) for one in said}) == 1, said
    assert isinstance(said[0], LogUnavailable)
    return said[0]


async def refused_everywhere(
    kafka: Kafka, wrong: Settings, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The services, an operator's command and the log say this sentence, and none of them a password."""
    url = f"kafka://{kafka.tls_servers}"
    refused = await refusal(url, wrong)
    assert (type(refused), str(refused)) == (LogRefused, sentence)
    with pytest.raises(StartError) as told:
        await kafka_topics.flaws(kafka_config(f"{url}/loops", wrong), 1)
    assert told.value.sentence == f"Kafka at {kafka.tls_servers} refuses: {sentence}."
    written = "".join(capsys.readouterr())
    assert sentence in written
    for secret in (USERS[USER], WRONG_PASSWORD):
        assert secret not in f"{written}{refused!r}{told.value}{kafka_config(url, wrong)!r}{wrong!r}"


async def test_a_broker_that_no_known_authority_vouches_for_is_not_spoken_to(
    kafka: Kafka, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "SSLCertVerificationError: the authorities in LOOPKEEPER_KAFKA_CA do not vouch for the broker"
    stranger = Authority(tmp_path / "stranger.pem").file
    for authorities in (stranger, None):
        await refused_everywhere(kafka, settings(kafka, kafka_ca=authorities), sentence, capsys)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_told_as_such_and_shown_to_nobody(
    kafka: Kafka, url: str, capsys: pytest.CaptureFixture[str], mechanism: str
) -> None:
    wrong = settings(kafka, kafka_password=WRONG_PASSWORD, kafka_mechanism=mechanism)
    sentence = "SaslAuthenticationFailed: correct LOOPKEEPER_KAFKA_USER and LOOPKEEPER_KAFKA_PASSWORD"
    await refused_everywhere(kafka, wrong, sentence, capsys)


async def test_a_broker_whose_certificate_has_another_name_is_not_spoken_to(kafka: Kafka, url: str) -> None:
    refused = await refusal(url.replace("localhost", "127.0.0.1"), settings(kafka))
    assert (type(refused), str(refused)) == (
        LogRefused,
        "SSLCertVerificationError: the broker's certificate is another host's: "
        "name it in LOOPKEEPER_BUS as its certificate does",
    )


@pytest.mark.parametrize("without", ["TLS", "a user", "either"])
async def test_a_port_that_wants_tls_or_a_user_is_told_from_a_broker_that_is_away(
    kafka: Kafka, url: str, without: str
) -> None:
    """It closes the line and says nothing, as a broker does that stops: so it is waited for, with a hint."""
    changed = {
        "TLS": {"kafka_tls": "off"},
        "a user": {"kafka_user": ""},
        "either": {"kafka_tls": "off", "kafka_user": ""},
    }[without]
    closed = await refusal(url, settings(kafka, **changed))
    assert not isinstance(closed, LogRefused)
    assert "LOOPKEEPER_KAFKA_TLS, LOOPKEEPER_KAFKA_USER and the port in LOOPKEEPER_BUS" in str(closed)
    away = await refusal("kafka://localhost:1", settings(kafka, **changed))
    assert str(away) in ("ConnectionRefusedError", "OSError")


async def test_tls_to_a_port_without_it_and_a_mechanism_the_broker_does_not_have_are_named(
    kafka: Kafka,
) -> None:
    plain = f"kafka://{kafka.login_servers}"
    assert "LOOPKEEPER_KAFKA_TLS" in str(await refusal(plain, settings(kafka)))
    other = settings(kafka, kafka_tls="off", kafka_mechanism="SCRAM-SHA-512")
    assert str(await refusal(plain, other)) == (
        "UnsupportedSaslMechanismError: correct LOOPKEEPER_KAFKA_MECHANISM"
    )


async def test_a_ca_file_that_is_no_certificate_stops_the_start(
    kafka: Kafka, url: str, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(StartError, match="Check LOOPKEEPER_KAFKA_CA"):
        kafka_config(url, settings(kafka, kafka_ca=tmp_path / "ca.pem"))
