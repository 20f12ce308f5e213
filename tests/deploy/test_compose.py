"""docker-compose.yml, as docker compose reads it: everything is there, watched, bounded, and reaches no more than it must."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.places import ROOT, SERVICES

OURS = (*SERVICES, "console", "migrate", "topics", "desk")
JOBS = ("migrate", "topics", "desk")
# Its image holds one program and no shell: nothing inside could ask how it is (Prometheus does, from outside).
WITHOUT_A_SHELL = {"otel-collector"}

Compose = dict[str, Any]


def test_the_whole_installation_is_there(compose: Compose) -> None:
    foreign = {"kafka", "postgres", "otel-collector", "jaeger", "prometheus", "alertmanager", "grafana"}
    assert set(compose["services"]) == {*OURS, *foreign}


def test_every_container_has_a_limit_and_a_bounded_log(compose: Compose) -> None:
    for name, each in compose["services"].items():
        limits = each["deploy"]["resources"]["limits"]
        assert limits["memory"], name
        assert limits["cpus"], name
        assert each["logging"]["options"]["max-size"], name


def test_whatever_keeps_running_is_asked_how_it_is(compose: Compose) -> None:
    unwatched = {name for name, each in compose["services"].items() if "healthcheck" not in each}
    assert unwatched == {*JOBS, *WITHOUT_A_SHELL}
    for name in SERVICES:
        assert "/health/ready" in " ".join(compose["services"][name]["healthcheck"]["test"])


def test_a_service_starts_after_its_tables_and_its_topic_are_there(compose: Compose) -> None:
    for name in SERVICES:
        after = compose["services"][name]["depends_on"]
        assert {each: how["condition"] for each, how in after.items()} == dict.fromkeys(
            ("migrate", "topics"), "service_completed_successfully"
        )
        assert compose["services"][name]["environment"]["LOOPKEEPER_MIGRATE"] == "never"


def test_each_service_is_a_process_of_its_own_and_knows_its_own_database_only(compose: Compose) -> None:
    for name in SERVICES:
        each = compose["services"][name]
        assert each["command"] == ["up", name]
        known = [key for key in each["environment"] if key.endswith("_DATABASE")]
        assert known == [f"LOOPKEEPER_{name.upper()}_DATABASE"]


def test_the_console_alone_signs_and_reaches_nothing_of_the_services_but_their_addresses(
    compose: Compose,
) -> None:
    each = compose["services"]["console"]
    assert each["command"] == ["up", "console"]
    assert [key for key in each["environment"] if key.endswith("_DATABASE")] == [
        "LOOPKEEPER_CONSOLE_DATABASE"
    ]
    assert "LOOPKEEPER_BUS" not in each["environment"]
    assert set(each["networks"]) == {"database", "front"}
    signing = {
        name
        for name, one in compose["services"].items()
        if any(volume.get("source") == "issuer" for volume in one.get("volumes", []))
    }
    assert signing == {"console", "desk"}, "the desk changes the key"


def test_our_containers_are_locked_down(compose: Compose) -> None:
    for name in OURS:
        each = compose["services"][name]
        assert each["read_only"], name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert "user" not in each, "the image says as whom it runs"


@pytest.mark.parametrize("behind", ["log", "database"])
def test_the_log_and_the_databases_cannot_be_reached_from_outside(compose: Compose, behind: str) -> None:
    assert compose["networks"][behind]["internal"]
    published = [name for name in ("kafka", "postgres") if compose["services"][name].get("ports")]
    assert not published


def test_what_is_published_is_published_to_this_machine_only(compose: Compose) -> None:
    ports = [port for each in compose["services"].values() for port in each.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


def test_every_image_is_pinned(compose: Compose) -> None:
    for name, each in compose["services"].items():
        wanted = r"loopkeeper:local" if name in OURS else r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?"
        assert re.fullmatch(wanted, each["image"]), name


def test_what_is_mounted_is_in_the_repository(compose: Compose) -> None:
    for name, each in compose["services"].items():
        for volume in each.get("volumes", []):
            if volume["type"] == "bind":
                assert volume["source"].startswith(str(ROOT)), name
                assert ROOT.joinpath(volume["source"]).exists(), volume["source"]
                assert volume["read_only"], name
