"""Settings: whatever a deployment passes exists, and whatever exists is passed by a deployment or left alone for a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import dockerfile
import pytest

from loopkeeper.kernel.settings import ServiceSettings, Settings
from loopkeeper.runtime.console import installed as console
from loopkeeper.runtime.service import installed
from tests.deploy.manifests import Overlay, variables
from tests.deploy.places import DEPLOY

# What no deployment here sets, and why not.
LEFT_ALONE = {
    "LOOPKEEPER_KEY_WRAPPER": "only where a key service was plugged in, in place of LOOPKEEPER_MASTER_KEY",
    "LOOPKEEPER_CONSOLE_PICKER": "only a rehearsal lets somebody invented in",
    "LOOPKEEPER_CLOCK": "only a demo or a test moves the clock",
    "LOOPKEEPER_POSTGRES_BINARIES": "only for the embedded PostgreSQL",
    "LOOPKEEPER_TRACE_FILE_BYTES": "only for spans that go to a file",
    "LOOPKEEPER_PORT": "8600 in every container",
    "LOOPKEEPER_URL": "the desk has one address for each service: LOOPKEEPER_URLS",
    "LOOPKEEPER_KEY": "the desk reads operations.key",
    "LOOPKEEPER_KAFKA_CERTIFICATE": "for brokers that ask for a certificate in place of a password",
    "LOOPKEEPER_KAFKA_CERTIFICATE_KEY": "the same",
    "LOOPKEEPER_KAFKA_PLAN_USERS": "the default holds: a plan logs in under its own id",
    "LOOPKEEPER_KAFKA_SERVICE_USERS": "the default holds: loopkeeper-intake and its siblings",
    "LOOPKEEPER_KAFKA_SESSION": "the default holds: back within it a replica keeps its partitions, later others read on",
    "LOOPKEEPER_MAX_BODY": "the default holds",
    "LOOPKEEPER_BODY_BUDGET": "the default holds for the memory that the manifests give",
    "LOOPKEEPER_CERTIFICATE": "for the component `encrypted`",
    "LOOPKEEPER_CERTIFICATE_KEY": "the same",
    "LOOPKEEPER_MAX_ROSTER": "the default holds",
    "LOOPKEEPER_CONNECTIONS": "the default holds",
    "LOOPKEEPER_CONNECTIONS_OF_ONE": "the default holds: who comes by the ingress is LOOPKEEPER_TRUSTED_PROXIES",
    "LOOPKEEPER_RATE": "the default holds",
    "LOOPKEEPER_SCAN": "the image has no scanner; `file watch` scans where one is installed",
    "LOOPKEEPER_NOTIFICATION_SUBSCRIPTIONS": "the default holds",
    "LOOPKEEPER_NOTIFICATION_KEEP_DELIVERIES": "the default holds",
    "LOOPKEEPER_NOTIFICATION_KEEP_FEED": "the default holds",
    "LOOPKEEPER_REPLICAS": "the default holds: where replicas come and go, each gives the whole rate",
    "LOOPKEEPER_QUEUE": "the default holds",
    "LOOPKEEPER_POOL": "the default holds",
    "LOOPKEEPER_LOG_LEVEL": "the default holds",
}


def existing() -> dict[str, Any]:
    """Every variable a settings class reads, with its field."""
    kinds: list[type[Settings] | type[ServiceSettings]] = [Settings]
    kinds += [service.settings for service in installed().values()]
    kinds += [pages.settings] if (pages := console()) is not None else []
    return {
        f"{kind.model_config.get('env_prefix', '')}{name.upper()}": field
        for kind in kinds
        for name, field in kind.model_fields.items()
    }


def in_image() -> dict[str, Any]:
    steps = dockerfile.parse_file(str(DEPLOY / "Dockerfile"))
    given = [step.value for step in steps if step.cmd.upper() == "ENV"]
    return {k: v for value in given for k, v in zip(value[0::2], value[1::2], strict=True)}


def passed(compose: dict[str, Any], local: Overlay, production: Overlay) -> Iterator[tuple[str, str, Any]]:
    """Where, which variable, and its value where it is a text."""
    for key, value in in_image().items():
        yield "the image", key, value
    for name, each in compose["services"].items():
        for key, value in each.get("environment", {}).items():
            yield f"compose: {name}", key, value
    for overlay, built in (("local", local), ("production", production)):
        for name, container in built.containers():
            for key, value in variables(built, container).items():
                yield f"{overlay}: {name}", key, value


Passed = list[tuple[str, str, Any]]


@pytest.fixture(scope="module")
def ours(compose: dict[str, Any], local: Overlay, production: Overlay) -> Passed:
    return [one for one in passed(compose, local, production) if one[1].startswith("LOOPKEEPER_")]


def test_every_setting_a_deployment_passes_exists(ours: Passed) -> None:
    known = existing()
    assert len({key for _, key, _ in ours}) > 15
    unknown = sorted({f"{where}: {key}" for where, key, _ in ours if key not in known})
    assert not unknown


def test_every_setting_is_passed_somewhere_or_left_alone_for_a_reason(ours: Passed) -> None:
    given = {key for _, key, _ in ours}
    forgotten = set(existing()) - given - set(LEFT_ALONE)
    assert not forgotten
    assert not given & set(LEFT_ALONE), "passed after all: take it off the list"
    assert set(LEFT_ALONE) <= set(existing()), "no longer a setting: take it off the list"


def test_every_value_a_deployment_passes_is_one_the_settings_take(
    ours: Passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in sorted({where for where, _, _ in ours}):
        with monkeypatch.context() as patch:
            for each, key, value in ours:
                if each == where and isinstance(value, str):
                    patch.setenv(key, value)
            Settings()


def test_every_container_of_ours_is_told_where_the_log_is(ours: Passed) -> None:
    logs = {where: value for where, key, value in ours if key == "LOOPKEEPER_BUS"}
    assert all(
        re.fullmatch(r"kafka://[\w.-]+:\d+(,[\w.-]+:\d+)*/referral-loops", event_log)
        for event_log in logs.values()
    )
    # The console keeps no loop and reads no log; neither does who migrates.
    without = ("migrate", "console")
    reading = {
        where
        for where, key, _ in ours
        if key.endswith("_DATABASE") and not any(each in where for each in without)
    }
    assert reading <= set(logs)
