"""Alerts, dashboard and runbook: they ask for figures that exist, and every alert names the command to run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from fastapi.routing import APIRoute

from console.pages import ROUTERS
from loopkeeper.kernel.metrics import Metrics
from notification.delivery.webhook import Verdict
from referral_intake.workers import ACTORS
from tests.deploy import alerting
from tests.deploy.manifests import Overlay, name, pod, variables
from tests.deploy.places import DEPLOY, ROOT, SERVICES, run
from tests.deploy.typed import parsed

# What Prometheus itself adds to what it scrapes, and what its own metrics are called.
ADDED = {"job", "instance", "process", "le"}
PROMETHEUS_OWN = {"up": ADDED}
# What the cluster's exporters tell, with the labels we use, each by its own documentation.
CLUSTER = {
    "kube_statefulset_replicas": {"namespace", "statefulset"},
    "kube_statefulset_status_replicas_ready": {"namespace", "statefulset"},
    "kube_job_status_failed": {"namespace", "job_name"},
    "kube_cronjob_created": {"namespace", "cronjob"},
    "kube_cronjob_status_last_successful_time": {"namespace", "cronjob"},
    "pg_stat_activity_count": {"instance", "state"},
    "pg_settings_max_connections": {"instance"},
    "kafka_server_replicamanager_underreplicatedpartitions": {"instance"},
    "kafka_topic_partition_under_replicated_partition": {"instance", "topic", "partition"},
    "certmanager_certificate_expiration_timestamp_seconds": {"namespace", "name"},
    "probe_ssl_earliest_cert_expiry": {"instance"},
    "node_timex_sync_status": {"instance"},
    "node_timex_offset_seconds": {"instance"},
}
# What a dashboard's reader chooses, as Grafana fills it in.
CHOSEN = {"$__rate_interval": "1m", "$job": "loopkeeper", "${source}": "prometheus"}
# What an operator has at the desk.
PROGRAMS = {"loopkeeper", "kubectl", "docker", "curl", "export", "pg_dump"}
# What a reader puts something of their own for.
PLACEHOLDERS = {"REFERRAL": f"ref_{'0' * 32}"}
# The shell's own words, and what the manual's step 9 has defined.
SHELL = {"for", "done", "apply"}
CONSOLE = {route.path for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)}
RUNBOOK = (ROOT / "docs/guides/runbook.md").read_text()
# What is typed before it is typed by a test (test_manual.py).
OPERATIONS = (ROOT / "docs/guides/operations.md").read_text().partition("\n## When a job fails\n")[2]


def rules() -> list[dict[str, Any]]:
    files = [DEPLOY / "prometheus" / each for each in alerting.RULES]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> str:
    return (DEPLOY / "grafana/dashboards/loopkeeper.json").read_text()


def panels() -> list[dict[str, Any]]:
    """As a reader has chosen."""
    text = dashboard()
    for variable, value in CHOSEN.items():
        text = text.replace(variable, value)
    return json.loads(text)["panels"]


def asked() -> dict[str, str]:
    """Every expression, by where it is."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules()}
    for panel in panels():
        found |= {f"{panel['title']} {target['refId']}": target["expr"] for target in panel["targets"]}
    return found


def existing() -> dict[str, set[str]]:
    """Every sample the product exports, with its labels."""
    found = PROMETHEUS_OWN | CLUSTER
    registry = Metrics().registry
    for collector, names in registry._collector_to_names.items():
        labels = set(getattr(collector, "_labelnames", ())) | ADDED
        found |= dict.fromkeys(names, labels)
    process = [metric for metric in registry.collect() if metric.name.startswith("process_")]
    return found | {sample.name: ADDED for metric in process for sample in metric.samples}


def selectors(node: Any) -> Iterator[Any]:
    """Every vector an expression reads."""
    match node:
        case promql_parser.VectorSelector():
            yield node
        case promql_parser.MatrixSelector():
            yield node.vector_selector
        case promql_parser.Call():
            for each in node.args:
                yield from selectors(each)
        case promql_parser.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr() | promql_parser.SubqueryExpr():
            yield from selectors(node.expr)
        case _:
            assert isinstance(node, promql_parser.NumberLiteral), type(node)


@pytest.mark.parametrize("where", asked())
def test_every_figure_that_is_asked_for_exists_with_its_labels(where: str) -> None:
    expression = asked()[where]
    known = existing()
    read = list(selectors(promql_parser.parse(expression)))
    assert read, "it asks for nothing"
    for vector in read:
        assert vector.name in known, vector.name
        for matcher in vector.matchers.matchers:
            assert matcher.name in known[vector.name], f"{vector.name} has no label {matcher.name}"
            assert wanted(matcher.name, matcher.value), f"{matcher.name} is never {matcher.value}"
    groups = re.findall(r"(?:by|on) \(([^)]*)\)", expression)
    grouped = {label.strip() for group in groups for label in group.split(",") if label}
    assert grouped <= set().union(*(known[vector.name] for vector in read))


def wanted(label: str, value: str) -> bool:
    """Whether this label ever has this value, where its values are few."""
    outcomes = {str(each) for each in Verdict if each is not Verdict.RETRY} | {"failed", "exhausted"}
    few = {
        "service": set(SERVICES),
        "actor": set(ACTORS),
        "outcome": outcomes,
        "status": {"1xx", "2xx", "3xx", "4xx", "5xx", "none"},
        "job": scraped(),
    }
    return label not in few or set(value.split("|")) <= few[label]


def scraped() -> set[str]:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    return {job["job_name"] for job in config["scrape_configs"]}


def test_what_is_scraped_is_in_the_installation(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    services, console, collector = config["scrape_configs"]
    assert services["dns_sd_configs"][0]["names"] == list(SERVICES)
    assert console["dns_sd_configs"][0]["names"] == ["console"]
    hosts = {
        *SERVICES,
        "console",
        *(t.partition(":")[0] for t in collector["static_configs"][0]["targets"]),
    }
    scraper = set(compose["services"]["prometheus"]["networks"])
    for host in hosts:
        assert scraper & set(compose["services"][host]["networks"]), f"{host} cannot be reached"


def test_every_alert_has_what_an_alert_needs() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/guides/runbook.md#{rule['alert'].lower()}"
        page = rule["annotations"]["console"]
        assert page.partition("#")[0] in CONSOLE
        assert f"## {rule['alert']}\n\nIn the console: `{page}`.\n" in RUNBOOK, rule["alert"]


def test_every_concern_of_an_operator_has_an_alert() -> None:
    text = "\n".join(rule["expr"] for rule in rules())
    for concern in (
        "unread",
        "parked_streams",
        "stalled_loops",
        "timer_late_seconds",
        "overdue_loops",
        "webhooks",
        "http_requests",
    ):
        assert f"loopkeeper_{concern}" in text, concern


def test_every_alert_has_its_section_with_something_to_type_and_no_section_is_left_over() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S))
    assert list(sections) == [rule["alert"] for rule in rules()]
    for alert, text in sections.items():
        assert "```sh" in text, alert


def typed() -> list[str]:
    """Every command line the runbook and the operations page say to type."""
    pages = [RUNBOOK, OPERATIONS]
    blocks = [block for page in pages for block in re.findall(r"```sh\n(.*?)```", page, re.S)]
    inline = [line for page in pages for line in re.findall(r"`(loopkeeper [^`\n]+)`", page)]
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in [*lines, *inline] if line and not line.startswith("#")]


def ours() -> list[list[str]]:
    """The words behind each `loopkeeper` that is typed, at the desk or inside a pod."""
    words = [shlex.split(line, comments=True) for line in typed() if not line.startswith("export ")]
    inside = [each[each.index("--") + 1 :] if "--" in each else each for each in words]
    return [
        [PLACEHOLDERS.get(word, word) for word in each[1:]] for each in inside if each[:1] == ["loopkeeper"]
    ]


def test_every_command_of_ours_that_the_pages_type_exists_with_its_arguments_and_options() -> None:
    assert len(ours()) > 25
    for words in ours():
        without_where = words[: words.index(">")] if ">" in words else words
        parsed(without_where)


def test_the_other_programs_it_types_are_the_ones_an_operator_has() -> None:
    programs = {shlex.split(line, comments=True)[0] for line in typed()}
    assert programs <= PROGRAMS | SHELL


def test_what_it_names_in_the_cluster_is_there(production: Overlay) -> None:
    pods = {f"{name(each)}-{number}" for each in production.services() for number in (0, 1)}
    secrets = {
        value["secretKeyRef"]["name"]
        for _, container in production.containers()
        for value in variables(production, container).values()
        if isinstance(value, dict) and "secretKeyRef" in value
    }
    secrets |= {
        volume["secret"]["secretName"]
        for each in production.services()
        for volume in pod(each)["spec"]["volumes"]
        if "secret" in volume
    }
    known = {name(each) for each in production.objects} | pods | secrets
    known |= {
        each["spec"]["tls"][0]["secretName"] for each in production.of("Ingress") if "tls" in each["spec"]
    }
    known |= {
        volume["configMap"]["name"]
        for each in production.services()
        for volume in pod(each)["spec"]["volumes"]
        if "configMap" in volume
    }
    # Jobs that a command makes under a name of its own.
    known |= {made for line in typed() for made in re.findall(r"create job --from=\S+ (\S+)", line)}
    known |= {
        each["metadata"].get("labels", {}).get("app.kubernetes.io/name", "") for each in production.objects
    }
    named = {word for line in typed() for word in re.findall(r"loopkeeper-[a-z0-9-]+[a-z0-9]", line)}
    assert named <= known
    for key, value in re.findall(r"-l (app[^=\s]+)=([a-z-]+)", "\n".join(typed())):
        assert any(pod(each)["metadata"]["labels"].get(key) == value for each in production.workloads()), (
            value
        )


def test_the_alerts_as_the_operator_takes_them_are_those_of_the_plain_files(production: Overlay) -> None:
    (object_,) = production.of("PrometheusRule")
    assert [rule for group in object_["spec"]["groups"] for rule in group["rules"]] == rules()


def test_prometheus_takes_its_configuration_and_sends_alerts_to_somebody_in_the_installation(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    text = (DEPLOY / "prometheus/prometheus.yml").read_text()
    for file in ("alerts.yml",):
        shutil.copy(DEPLOY / "prometheus" / file, tmp_path)
        text = text.replace(f"/etc/prometheus/{file}", f"{tmp_path}/{file}")
    (tmp_path / "prometheus.yml").write_text(text)
    run(alerting.promtool(), "check", "config", tmp_path / "prometheus.yml")
    config = yaml.safe_load(text)
    (target,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    named = compose["services"][host]
    assert set(named["networks"]) & set(compose["services"]["prometheus"]["networks"])
    assert port == str(named["ports"][0]["target"])


def test_every_alert_reaches_a_receiver_and_what_silences_one_is_an_alert() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/alertmanager.yml").read_text())
    receivers = {each["name"] for each in config["receivers"]}
    assert {
        config["route"]["receiver"],
        *(each["receiver"] for each in config["route"]["routes"]),
    } <= receivers
    known = {rule["alert"] for rule in rules()}
    for each in config["inhibit_rules"]:
        for matcher in (*each["source_matchers"], *each["target_matchers"]):
            name, names = re.split(r"\s*=~?\s*", matcher)
            assert name == "alertname"
            assert set(names.strip('"').split("|")) <= known


def test_the_dashboard_is_of_no_particular_source_or_job() -> None:
    """Whatever the Prometheus there is calls them; and a rate is over as much as its scrapes allow."""
    text = dashboard()
    assert {each["name"] for each in json.loads(text)["templating"]["list"]} == {"source", "job"}
    for panel in json.loads(text)["panels"]:
        assert panel["datasource"]["uid"] == "${source}", panel["title"]
        for target in panel["targets"]:
            assert not re.search(r"\[\d", target["expr"]), panel["title"]
            vectors = re.findall(r"(?:loopkeeper|process)_\w+(?:\{[^}]*\})?", target["expr"])
            assert vectors, panel["title"]
            assert all('job=~"$job"' in each for each in vectors), panel["title"]


def test_every_panel_asks_a_source_that_is_provisioned() -> None:
    file = DEPLOY / "grafana/provisioning/datasources/datasources.yaml"
    provisioned = {
        source["uid"]: source["type"] for source in yaml.safe_load(file.read_text())["datasources"]
    }
    for panel in panels():
        assert provisioned[panel["datasource"]["uid"]] == panel["datasource"]["type"], panel["title"]


def test_the_dashboard_has_no_panel_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
