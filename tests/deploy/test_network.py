"""The network policies allow what docs/explanation/architecture.md draws, and nothing else."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.deploy.manifests import Overlay, name, pod, selects
from tests.deploy.places import SERVICES

# From whom to whom, by the words of the picture. `log`, `database`, `traces` and `names` are outside our own pods.
PICTURE = {
    ("service", "log"),
    ("service", "database"),
    ("topics", "log"),
    ("migrate", "database"),
    ("desk", "service"),
    ("verify", "service"),
    ("backup", "database"),
    ("notification", "partners"),
    ("console", "service"),
    ("console", "database"),
    # An organization's own sign-in.
    ("console", "partners"),
}
# What production has beyond the other overlay.
ONLY_IN_PRODUCTION = {"backup"}


def who(workload: dict[str, Any]) -> str:
    """Which of the picture's parties this workload is."""
    short = name(workload).removeprefix("loopkeeper-")
    return {"kafka": "log", "postgresql": "database"}.get(short, short.partition("-")[0])


def goal(peer: dict[str, Any], port: int) -> str:
    """Which of the picture's parties this peer of an egress rule is."""
    if "ipBlock" in peer:
        return "partners"
    inside = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name")
    if inside == "loopkeeper":
        return "service"
    return {53: "names", 9092: "log", 9093: "log", 5432: "database", 4318: "traces"}[port]


def egress(overlay: Overlay) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for workload in overlay.workloads():
        labels = pod(workload)["metadata"]["labels"]
        for policy in overlay.of("NetworkPolicy"):
            if not selects(policy["spec"]["podSelector"], labels):
                continue
            for rule in policy["spec"].get("egress", []):
                assert rule.get("to"), f"{name(policy)} lets out to everybody"
                assert rule.get("ports"), f"{name(policy)} lets out to every port"
                for peer in rule["to"]:
                    found |= {(who(workload), goal(peer, port["port"])) for port in rule["ports"]}
    return found


def ingress(overlay: Overlay) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for workload in overlay.workloads():
        labels = pod(workload)["metadata"]["labels"]
        for policy in overlay.of("NetworkPolicy"):
            if not selects(policy["spec"]["podSelector"], labels):
                continue
            for rule in policy["spec"].get("ingress", []):
                assert rule.get("from"), f"{name(policy)} lets everybody in"
                for peer in rule["from"]:
                    found |= {(caller, who(workload)) for caller in callers(overlay, peer)}
    return found


def callers(overlay: Overlay, peer: dict[str, Any]) -> set[str]:
    if "namespaceSelector" in peer:
        return {peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]}
    labelled = [each for each in overlay.workloads() if selects(peer["podSelector"], labels_of(each))]
    return {who(each) for each in labelled}


def labels_of(workload: dict[str, Any]) -> dict[str, str]:
    return pod(workload)["metadata"]["labels"]


def drawn(*, traces: bool) -> set[tuple[str, str]]:
    """The picture, with each service by its name; everybody may ask for names."""
    arrows: set[tuple[str, str]] = set()
    for start, end in PICTURE | ({("service", "traces")} if traces else set()):
        for each in SERVICES if start == "service" else (start,):
            arrows.add((each, end))
    everybody = {*SERVICES, "console", "topics", "migrate", "desk", "verify", "backup"}
    if not traces:
        everybody -= ONLY_IN_PRODUCTION
        arrows = {(start, end) for start, end in arrows if start not in ONLY_IN_PRODUCTION}
    return arrows | {(each, "names") for each in everybody}


def test_everything_is_closed_first(overlay: Overlay) -> None:
    closed = overlay.named("NetworkPolicy", "nothing-else")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_out_of_a_pod_leads_only_what_the_picture_draws(production: Overlay, local: Overlay) -> None:
    assert egress(production) == drawn(traces=True)
    of_the_cluster = {("log", "log"), ("log", "names"), ("database", "names")}
    assert egress(local) == drawn(traces=False) | of_the_cluster


def test_into_a_pod_leads_only_what_the_picture_draws(production: Overlay, local: Overlay) -> None:
    outside = {
        (caller, service)
        for service in SERVICES
        for caller in ("nginx-ingress", "monitoring", "desk", "verify", "console")
    } | {("nginx-ingress", "console"), ("monitoring", "console")}
    assert ingress(production) == outside
    inside = {(service, end) for service in SERVICES for end in ("log", "database")}
    assert ingress(local) == outside | inside | {
        ("console", "database"),
        ("topics", "log"),
        ("migrate", "database"),
        ("log", "log"),
    }


def test_no_service_calls_another(overlay: Overlay) -> None:
    assert not [(a, b) for a, b in egress(overlay) if a in SERVICES and b == "service"]


PRIVATE = pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "fd00::1", "fe80::1", "::1"],
)


@PRIVATE
@pytest.mark.parametrize("policy", ["notification-to-partners", "console-calls"])
def test_neither_webhooks_nor_sign_ins_reach_a_private_address(
    production: Overlay, address: str, policy: str
) -> None:
    rule = production.named("NetworkPolicy", policy)["spec"]["egress"][-1]
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]
    for peer in rule["to"]:
        block, wanted = ip_network(peer["ipBlock"]["cidr"]), ip_address(address)
        if wanted in block:
            assert any(wanted in ip_network(each) for each in peer["ipBlock"]["except"])
