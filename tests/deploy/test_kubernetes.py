"""deploy/k8s, as kustomize builds it: valid to the letter, locked down, and every promise of a stateful, scaled service."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from loopkeeper.event_log.kafka_config import KafkaConfig
from tests.deploy.manifests import Overlay, name, pod, variables, variant
from tests.deploy.places import DATABASES, DEPLOY, ROOT, SERVICES
from tests.deploy.schemas import VERSION, validate

# What an installation may choose otherwise (deploy/k8s/components), each alone and all together.
VARIANTS = [
    ("gateway",),
    ("outside",),
    ("encrypted",),
    ("gateway", "outside", "encrypted", "encrypted-gateway"),
]


def test_every_object_is_valid_to_the_letter(overlay: Overlay) -> None:
    for each in overlay.objects:
        validate(each)


@pytest.mark.parametrize("components", VARIANTS)
def test_every_variant_is_valid_to_the_letter(
    kubectl: Path, tmp_path: Path, components: Sequence[str]
) -> None:
    for each in variant(kubectl, tmp_path, *components).objects:
        validate(each)


def test_a_misspelt_key_would_be_found(production: Overlay) -> None:
    wrong = json.loads(json.dumps(production.services()[0]))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong)
    for kind, path in (
        ("ScaledObject", ("spec", "triggers", 0, "metadata", "lagTreshold")),
        ("ScaledObject", ("spec", "cooldownPeriods")),
        ("TriggerAuthentication", ("spec", "secretTargetRefs")),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0, "intervall")),
        ("PrometheusRule", ("spec", "groups", 0, "rule")),
    ):
        wrong = json.loads(json.dumps(production.of(kind)[0]))
        inner = functools.reduce(lambda found, key: found[key], path[:-1], wrong)
        inner[path[-1]] = "1"
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong)


def test_a_misspelt_key_of_the_gateway_would_be_found(kubectl: Path, tmp_path: Path) -> None:
    found = variant(kubectl, tmp_path, "gateway", "encrypted", "encrypted-gateway")
    for kind, path in (
        ("HTTPRoute", ("spec", "rules", 0, "matchs")),
        ("Gateway", ("spec", "listeners", 0, "hostnames")),
        ("BackendTLSPolicy", ("spec", "validation", "hostnames")),
    ):
        wrong = json.loads(json.dumps(found.of(kind)[0]))
        inner = functools.reduce(lambda found, key: found[key], path[:-1], wrong)
        inner[path[-1]] = "1"
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong)


def test_every_service_runs_alone_and_has_no_name_at_the_broker(overlay: Overlay) -> None:
    assert {name(each) for each in overlay.services()} == {f"loopkeeper-{service}" for service in SERVICES}
    for each in overlay.services():
        service = name(each).removeprefix("loopkeeper-")
        (container,) = pod(each)["spec"]["containers"]
        assert container["args"] == ["up", service]
        given = variables(overlay, container)
        # With one its partitions would wait for it while its pod is replaced (docs/guides/sizing.md).
        assert "LOOPKEEPER_REPLICA" not in given
        assert given["LOOPKEEPER_MIGRATE"] == "never"
        known = [key for key in given if key.endswith("_DATABASE")]
        assert known == [f"LOOPKEEPER_{service.upper()}_DATABASE"]
        assert each["spec"]["serviceName"] in {name(found) for found in overlay.of("Service")}


def test_tables_and_topic_are_made_by_jobs(overlay: Overlay) -> None:
    words = {name(job): pod(job)["spec"]["containers"][0]["args"] for job in overlay.of("Job")}
    assert words == {
        "loopkeeper-topics": ["topics", "create"],
        **{f"loopkeeper-migrate-{each}": ["migrate", each] for each in DATABASES},
    }


def test_every_pod_is_locked_down(overlay: Overlay) -> None:
    for each in overlay.workloads():
        spec = pod(each)["spec"]
        assert spec["automountServiceAccountToken"] is False, name(each)
        # Service links would add LOOPKEEPER_…_PORT and KAFKA_PORT to what programs read as their settings.
        assert spec["enableServiceLinks"] is False, name(each)
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name(each)
        assert security["runAsUser"] > 0, name(each)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name(each)
    for of, container in overlay.containers():
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, of
        assert security["capabilities"] == {"drop": ["ALL"]}, of
        # Kafka's image writes its configuration where it is; the file system of everything else is read-only.
        assert security.get("readOnlyRootFilesystem", False) is (of != "kafka"), of


def test_every_container_says_what_it_needs_and_what_it_may_take(overlay: Overlay) -> None:
    for of, container in overlay.containers():
        for figures in (container["resources"]["requests"], container["resources"]["limits"]):
            assert set(figures) == {"cpu", "memory", "ephemeral-storage"}, of


def test_what_keeps_running_is_probed(overlay: Overlay) -> None:
    for each in overlay.of("StatefulSet"):
        (container,) = pod(each)["spec"]["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), name(each)
    for each in overlay.services():
        (container,) = pod(each)["spec"]["containers"]
        ready, live = container["readinessProbe"], container["livenessProbe"]
        assert ready["httpGet"]["path"] == "/health/ready"
        assert live["httpGet"]["path"] == "/health/live", "a restart repairs neither database nor log"


def test_a_node_that_is_emptied_takes_one_replica_at_a_time(overlay: Overlay) -> None:
    budgets = {name(each): each["spec"]["maxUnavailable"] for each in overlay.of("PodDisruptionBudget")}
    assert budgets == {f"loopkeeper-{each}": 1 for each in DATABASES}


def test_a_replica_that_is_not_ready_keeps_no_node_from_being_emptied(overlay: Overlay) -> None:
    for each in overlay.of("PodDisruptionBudget"):
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", name(each)


def test_callers_reach_what_is_ready_and_the_desk_reaches_everything(overlay: Overlay) -> None:
    """The desk's `status` is typed when nothing is ready any more."""
    for service in SERVICES:
        callers, replicas = (
            overlay.named("Service", f"loopkeeper-{service}")["spec"],
            overlay.named("Service", f"loopkeeper-replicas-{service}")["spec"],
        )
        assert not callers.get("publishNotReadyAddresses")
        assert (replicas["publishNotReadyAddresses"], replicas["clusterIP"]) == (True, "None")
        for each in (callers, replicas):
            (pods,) = [w for w in overlay.services() if selects(each["selector"], labels_of(w))]
            assert name(pods) == f"loopkeeper-{service}"
        assert pods["spec"]["serviceName"] == f"loopkeeper-replicas-{service}"
        asked = json.loads(variables(overlay, desk(overlay))["LOOPKEEPER_URLS"])
        assert asked[service] == f"http://loopkeeper-replicas-{service}:8600"


def desk(overlay: Overlay) -> dict[str, Any]:
    (found,) = pod(overlay.named("Deployment", "loopkeeper-desk"))["spec"]["containers"]
    return found


def labels_of(workload: dict[str, Any]) -> dict[str, str]:
    return pod(workload)["metadata"]["labels"]


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_replicas_are_spread_over_zones_and_machines(production: Overlay) -> None:
    for each in production.services():
        spread = pod(each)["spec"]["topologySpreadConstraints"]
        assert [(s["topologyKey"], s["whenUnsatisfiable"]) for s in spread] == [
            ("topology.kubernetes.io/zone", "ScheduleAnyway"),
            ("kubernetes.io/hostname", "DoNotSchedule"),
        ]
        for each_spread in spread:
            # A node that takes no such pod would count as empty, and no replica would be placed any more.
            assert each_spread["nodeTaintsPolicy"] == "Honor"
            labels = pod(each)["metadata"]["labels"]
            assert each_spread["labelSelector"]["matchLabels"].items() <= labels.items()
            assert "app.kubernetes.io/component" in each_spread["labelSelector"]["matchLabels"]


def test_one_autoscaler_for_each_service_and_no_more(overlay: Overlay) -> None:
    targets = [
        each["spec"]["scaleTargetRef"]["name"]
        for each in overlay.of("HorizontalPodAutoscaler", "ScaledObject")
    ]
    assert sorted(targets) == sorted(name(each) for each in overlay.services())


def test_production_scales_on_unread_messages_and_on_cpu(production: Overlay) -> None:
    settings = variables(production, pod(production.services()[0])["spec"]["containers"][0])
    servers, _, topic = settings["LOOPKEEPER_BUS"].removeprefix("kafka://").partition("/")
    for each in production.of("ScaledObject"):
        kafka, cpu = each["spec"]["triggers"]
        assert (kafka["type"], cpu["type"]) == ("kafka", "cpu")
        assert kafka["metadata"]["bootstrapServers"] == servers
        assert kafka["metadata"]["topic"] == topic
        service = name(each).removeprefix("loopkeeper-")
        # A group of another name would never be behind.
        assert kafka["metadata"]["consumerGroup"] == KafkaConfig(servers, topic).group(service)
        shown = production.named("TriggerAuthentication", kafka["authenticationRef"]["name"])["spec"]
        secrets = {one["parameter"]: one["name"] for one in shown["secretTargetRef"]}
        assert {secrets["username"], secrets["password"]} == {f"loopkeeper-{service}-kafka"}
        assert each["spec"]["maxReplicaCount"] <= int(settings["LOOPKEEPER_KAFKA_PARTITIONS"])
        behavior = each["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        made = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name(each)},
            "spec": {
                "scaleTargetRef": each["spec"]["scaleTargetRef"],
                "maxReplicas": each["spec"]["maxReplicaCount"],
                "behavior": behavior,
            },
        }
        kubernetes_validate.validate(made, VERSION, strict=True)


def test_whoever_speaks_to_the_broker_is_a_user_of_its_own(production: Overlay) -> None:
    """Four services, and the job that makes topics and sets what they may do; nobody else knows the broker."""
    shown: dict[str, set[str]] = {}
    for of, container in production.containers():
        for key, value in variables(production, container).items():
            if key in ("LOOPKEEPER_KAFKA_USER", "LOOPKEEPER_KAFKA_PASSWORD"):
                shown.setdefault(of, set()).add(value["secretKeyRef"]["name"])
    parties = [f"loopkeeper-{each}" for each in (*SERVICES, "topics")]
    assert shown == {each: {f"{each}-kafka"} for each in parties}


def test_secrets_are_named_and_never_contained(overlay: Overlay) -> None:
    assert not overlay.of("Secret")
    for each in overlay.of("ConfigMap"):
        for key in each["data"]:
            assert not re.search(r"PASSWORD|MASTER_KEY|_DATABASE$|_KEY$", key), key
    for of, container in overlay.containers():
        for key, value in variables(overlay, container).items():
            if re.search(r"PASSWORD|MASTER_KEY|_DATABASE$", key):
                assert "secretKeyRef" in value, f"{of}: {key}"


def test_images_of_production_are_pinned(production: Overlay) -> None:
    for of, container in production.containers():
        # PostgreSQL's own image is an official one and has two numbers.
        wanted = (
            r"postgres:\d+\.\d+-\w+"
            if of == "loopkeeper-backup"
            else r"[\w.-]+/[\w/-]+(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})"
        )
        assert re.fullmatch(wanted, container["image"]), of


# What is called otherwise, or is elsewhere, in another installation.
DIFFERS = (
    r"example\.org",
    r"kubernetes\.io/metadata\.name: (?!loopkeeper)",
    r"k8s-app:",
    r"app\.kubernetes\.io/name: prometheus",
    r"cidr: (?!0\.0\.0\.0/0|::/0)",
    r"gatewayClassName:",
    r"release:",
    r"bootstrapServers:",
    r"LOOPKEEPER_(BUS|OTLP|KAFKA_MECHANISM|KAFKA_PARTITIONS)=",
    r"^\s+storage:",
    r"storageClassName:",
    r"image: postgres",
)


def test_whatever_differs_from_one_installation_to_the_next_is_marked() -> None:
    k8s = DEPLOY / "k8s"
    files = [
        file
        for each in ("base", "overlays/production", "components")
        for file in (k8s / each).rglob("*.yaml")
    ]
    marked = 0
    for file in files:
        for line in file.read_text().splitlines():
            # In the base the broker and the databases are those of the overlay `local`.
            if not re.search("|".join(DIFFERS), line.removeprefix("  # ").partition(" #")[0]):
                continue
            assert "CHANGE" in line, f"{file.relative_to(k8s)}: {line.strip()}"
            marked += 1
    assert marked > 25


def test_every_public_address_leads_to_the_service_that_owns_it(production: Overlay) -> None:
    backends = ingressed(production)
    owned(backends)


def test_behind_a_gateway_the_same_addresses_lead_to_the_same_services(
    kubectl: Path, tmp_path: Path, production: Overlay
) -> None:
    found = variant(kubectl, tmp_path, "gateway")
    assert not found.of("Ingress")
    backends: dict[str, str] = {}
    for rule in found.named("HTTPRoute", "loopkeeper")["spec"]["rules"]:
        (to,) = rule["backendRefs"]
        backends |= {match["path"]["value"]: to["name"] for match in rule["matches"]}
    assert backends == ingressed(production)
    owned(backends)


def test_only_files_may_be_large_and_every_caller_has_a_rate(production: Overlay) -> None:
    """By the words of the controller that is named: a minion inherits what it does not say from its master."""
    (master,) = [i for i in of_the_api(production) if annotations(i)["mergeable-ingress-type"] == "master"]
    assert annotations(master)["limit-req-key"] == "${binary_remote_addr}"
    assert annotations(master)["limit-req-rate"]
    assert not master["spec"]["rules"][0].get("http"), "a master has no path of its own"
    sizes = {
        path: annotations(each)["client-max-body-size"]
        for each in of_the_api(production)
        for path in paths(each)
    }
    assert {path for path, size in sizes.items() if size == "256m"} == {"/v1/roster", "/v1/providers:import"}
    assert {path for path, size in sizes.items() if size == "26m"} == {
        "/v1/files/decisions", "/v1/files/otf", "/v1/files/rtf", "/v1/files/referrals", "/v1/referrals:batch",
    }  # fmt: skip
    assert set(sizes.values()) == {"256m", "26m", "512k"}
    for each in production.of("Ingress"):
        assert all(key.startswith("nginx.org/") for key in each["metadata"]["annotations"])


def annotations(ingress: dict[str, Any]) -> dict[str, str]:
    return {key.partition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}


def paths(ingress: dict[str, Any]) -> dict[str, str]:
    (rule,) = ingress["spec"]["rules"]
    found = rule.get("http", {}).get("paths", [])
    return {path["path"]: path["backend"]["service"]["name"] for path in found}


def ingressed(production: Overlay) -> dict[str, str]:
    return {path: to for each in of_the_api(production) for path, to in paths(each).items()}


def of_the_api(production: Overlay) -> list[dict[str, Any]]:
    """Every ingress but the console's, which has a host name of its own."""
    return [each for each in production.of("Ingress") if name(each) != "loopkeeper-console"]


def owned(backends: dict[str, str]) -> None:
    """Each public address leads to its service, whatever order they are tried in, and no other address does."""
    for service in SERVICES:
        document = json.loads((ROOT / f"docs/reference/openapi/{service}.json").read_text())
        for address in document["paths"]:
            if address.startswith("/v1/operations/"):
                continue
            # Prefix takes whole segments: /v1/referrals takes /v1/referrals/x, and not /v1/referrals:x.
            taken = [b for p, b in backends.items() if address == p or address.startswith(f"{p}/")]
            assert taken == [f"loopkeeper-{service}"], address
    assert not any("operations" in path for path in backends)


def test_the_console_has_a_host_of_its_own_and_alone_the_key_that_signs(overlay: Overlay) -> None:
    deployment = overlay.named("Deployment", "loopkeeper-console")
    spec = pod(deployment)["spec"]
    (container,) = spec["containers"]
    given = variables(overlay, container)
    assert container["args"] == ["up", "console"]
    assert [key for key in given if key.endswith("_DATABASE")] == ["LOOPKEEPER_CONSOLE_DATABASE"]
    assert "LOOPKEEPER_MASTER_KEY" not in given
    assert deployment["spec"]["replicas"] == 2
    holders = {
        name(each)
        for each in overlay.workloads()
        for volume in pod(each)["spec"].get("volumes", [])
        if volume.get("secret", {}).get("secretName") == "loopkeeper-issuer"
    }
    assert holders == {"loopkeeper-console"}


def test_pages_are_at_the_address_that_passkeys_are_bound_to(production: Overlay) -> None:
    ingress = production.named("Ingress", "loopkeeper-console")
    (rule,) = ingress["spec"]["rules"]
    (container,) = pod(production.named("Deployment", "loopkeeper-console"))["spec"]["containers"]
    assert variables(production, container)["LOOPKEEPER_CONSOLE_URL"] == f"https://{rule['host']}"
