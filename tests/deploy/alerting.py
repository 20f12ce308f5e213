"""Which alerts sound? Prometheus's own promtool evaluates the rules over figures that a test writes down.

Figures are given by series, as runs of values at one a minute. `normal` is an installation at work; a test changes some
of it. promtool comes with Debian's package `prometheus`: of `PROMTOOL`, or of the machine, or unpacked from that package
into .tools, which installs and starts nothing.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import yaml

from notification.delivery.lease import OUTCOMES
from referral_intake.workers import ACTORS
from tests.deploy.places import DEPLOY, ROOT, SERVICES

RULES = ("alerts.yml", "alerts-cluster.yml")
UNPACKED = ROOT / ".tools/prometheus"
HOW = "Install promtool (Debian: apt-get install prometheus), or name one: PROMTOOL=/path/to/promtool."
# promtool's clock starts at 1970; figures that are moments are told by it.
DAY, HOUR = 86_400.0, 3_600.0
REPLICAS = ("0", "1")

Values = Callable[[int], float | None]
Figures = dict[str, Values]


@functools.cache
def promtool() -> Path:
    """The program. Raises, and says how to get it, where it cannot be had."""
    for found in (os.environ.get("PROMTOOL"), shutil.which("promtool"), UNPACKED / "usr/bin/promtool"):
        if found and Path(found).exists():
            return Path(found)
    with tempfile.TemporaryDirectory() as folder:
        got = _downloaded(folder)
        if not got and os.geteuid() == 0 and shutil.which("apt-get"):
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False, timeout=240)
            got = _downloaded(folder)
        assert got, HOW
        (package,) = Path(folder).glob("prometheus_*.deb")
        subprocess.run(["dpkg", "-x", package, UNPACKED], check=True, timeout=120)
    return UNPACKED / "usr/bin/promtool"


def _downloaded(folder: str) -> bool:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return False
    words = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", "prometheus"]
    return subprocess.run(words, cwd=folder, capture_output=True, check=False, timeout=240).returncode == 0


def check() -> str:
    """Raises where a file of rules is not valid."""
    files = [DEPLOY / "prometheus" / each for each in RULES]
    return _run("check", "rules", *files)


def sounded(
    figures: Mapping[str, Values], minutes: int, folder: Path, expected: Collection[str] = (), every: int = 1
) -> set[str]:
    """The alerts that sounded at some time within these minutes, looked at every so many minutes: five at most, as long as
    a figure counts after it was told. promtool is asked whether they are those expected, and says what they are if not."""
    series = [{"series": name, "values": written(values, minutes, every)} for name, values in figures.items()]
    asked = 'group by (alertname) (last_over_time(ALERTS{alertstate="firing"}[30d]))'
    wanted = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)]
    asking = {"expr": asked, "eval_time": f"{minutes}m", "exp_samples": wanted}
    test = {"interval": f"{every}m", "input_series": series, "promql_expr_test": [asking]}
    file = folder / "test.yml"
    file.write_text(
        yaml.dump(
            {
                "rule_files": [str(DEPLOY / "prometheus" / each) for each in RULES],
                "evaluation_interval": f"{every}m",
                "tests": [test],
            }
        )
    )
    done = subprocess.run(
        [promtool(), "test", "rules", file], capture_output=True, text=True, check=False, timeout=240
    )
    return set(expected) if done.returncode == 0 else _got(done.stdout + done.stderr)


def _got(said: str) -> set[str]:
    found = said.partition("got:")[2]
    assert found, said
    return {
        piece.partition('"')[2].partition('"')[0]
        for piece in found.split("{")
        if piece.startswith("alertname=")
    }


def _run(*words: str | Path) -> str:
    done = subprocess.run([promtool(), *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def written(values: Values, minutes: int, every: int = 1) -> str:
    """The values of these minutes in promtool's words: runs of what is equal. A series that ends is marked, as Prometheus
    does at the first scrape that lacks it."""
    told = [values(minute) for minute in range(0, minutes + 1, every)]
    runs = [(value, len(list(run))) for value, run in groupby(told)]
    return " ".join(_gap(count) if value is None else f"{value:.10g}x{count - 1}" for value, count in runs)


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────


def steady(value: float) -> Values:
    return lambda minute: value


def growing(per_minute: float) -> Values:
    return lambda minute: per_minute * minute


def moment(ago: float = 0.0) -> Values:
    """A time that is always this many seconds ago."""
    return lambda minute: minute * 60 - ago


def since(start: int, then: Values, before: Values) -> Values:
    """`then` from this minute on."""
    return lambda minute: then(minute) if minute >= start else before(minute)


def within(spans: Sequence[tuple[int, int]], inside: Values, outside: Values) -> Values:
    """`inside` from the first to the last minute of each span."""
    return lambda minute: (inside if any(a <= minute <= b for a, b in spans) else outside)(minute)


def absent(_: int) -> None:
    return None


@dataclass(frozen=True)
class Replica:
    """One replica as its figures name it."""

    service: str
    number: str

    @property
    def instance(self) -> str:
        return f"{self.service}-{self.number}:8600"

    def series(self, name: str, **labels: str) -> str:
        told = {"job": "loopkeeper", "instance": self.instance, **labels}
        pairs = [f'{key}="{value}"' for key, value in told.items()]
        return f"{name}{{{', '.join(pairs)}}}"


EVERY = [Replica(service, number) for service in SERVICES for number in REPLICAS]
MIB = 1024 * 1024


def normal() -> Figures:
    """An installation at work: two replicas of each service, everything read, sent and in time."""
    found: Figures = {}
    for replica in EVERY:
        of, service = replica.series, replica.service
        found |= {
            of("up"): steady(1),
            of("process_start_time_seconds"): steady(-HOUR),
            of("process_resident_memory_bytes"): steady(150 * MIB),
            of("loopkeeper_measured_at_seconds", service=service): moment(15),
            of("loopkeeper_tasks_unwell", service=service): steady(0),
            of("loopkeeper_unread", service=service): steady(0),
            of("loopkeeper_unsent", service=service): steady(0),
            of("loopkeeper_parked_streams", service=service): steady(0),
            of("loopkeeper_timer_late_seconds", service=service): steady(0),
            of("loopkeeper_consumed_total", service=service): growing(60),
            of("loopkeeper_published_total", service=service): growing(30),
            of("loopkeeper_spans_lost_total", service=service): steady(0),
            of("loopkeeper_set_back_total", service=service): steady(0),
            of("loopkeeper_http_undeclared_total", route=route(service)): steady(0),
        }
        for partition in ("0", "1"):
            found[of("loopkeeper_partition_unread", service=service, partition=partition)] = steady(0)
            found[of("loopkeeper_partition_position", service=service, partition=partition)] = growing(30)
        for status, rate in (("2xx", 30), ("4xx", 2), ("5xx", 0)):
            named = {"method": "POST", "route": route(service), "status": status}
            found[of("loopkeeper_http_requests_total", **named)] = growing(rate)
    for replica in EVERY:
        if replica.service == "intake":
            found |= _intake(replica)
        if replica.service == "notification":
            found[replica.series("loopkeeper_webhook_late_seconds")] = steady(0)
            for outcome in OUTCOMES:
                many = {"delivered": 20, "failed": 1}.get(outcome, 0)
                found[replica.series("loopkeeper_webhooks_total", outcome=outcome)] = growing(many)
    return found | {'up{job="otel-collector", instance="otel-collector:8888"}': steady(1)} | _cluster()


def route(service: str) -> str:
    return {
        "intake": "/v1/referrals",
        "authorization": "/v1/authorizations",
        "assignment": "/v1/assignments",
        "notification": "/v1/subscriptions",
    }[service]


def _intake(replica: Replica) -> Figures:
    found: Figures = {replica.series("loopkeeper_stalled_loops"): steady(0)}
    for actor in ACTORS:
        many = 0 if actor in ("loopkeeper", "nobody") else 400
        found[replica.series("loopkeeper_open_loops", actor=actor)] = steady(many)
        found[replica.series("loopkeeper_overdue_loops", actor=actor)] = steady(many * 0.03)
    for bound, rate in (("0.05", 25), ("0.1", 29), ("1.0", 30), ("2.5", 30), ("+Inf", 30)):
        named = {"route": "/v1/referrals", "le": bound}
        found[replica.series("loopkeeper_http_request_seconds_bucket", **named)] = growing(rate)
    return found


def _cluster() -> Figures:
    found: Figures = {
        'pg_stat_activity_count{instance="postgres:9187", state="active"}': steady(20),
        'pg_stat_activity_count{instance="postgres:9187", state="idle"}': steady(60),
        'pg_settings_max_connections{instance="postgres:9187"}': steady(200),
        'kafka_server_replicamanager_underreplicatedpartitions{instance="kafka-0:9404"}': steady(0),
        'certmanager_certificate_expiration_timestamp_seconds{namespace="loopkeeper", name="loopkeeper-tls"}': steady(
            60 * DAY
        ),
        'node_timex_sync_status{instance="node-a:9100"}': steady(1),
        'node_timex_offset_seconds{instance="node-a:9100"}': steady(0.0004),
    }
    for service in SERVICES:
        named = f'namespace="loopkeeper", statefulset="loopkeeper-{service}"'
        found[f"kube_statefulset_replicas{{{named}}}"] = steady(2)
        found[f"kube_statefulset_status_replicas_ready{{{named}}}"] = steady(2)
    for job, hour in (("backup", 8), ("verify", 9)):
        named = f'namespace="loopkeeper", cronjob="loopkeeper-{job}"'
        found[f"kube_cronjob_created{{{named}}}"] = steady(-30 * DAY)
        found[f"kube_cronjob_status_last_successful_time{{{named}}}"] = nightly(hour)
    return found


def nightly(hour: int) -> Values:
    """When a job of this hour was done last."""

    def value(minute: int) -> float:
        days, rest = divmod(minute - hour * 60 - 20, 24 * 60)
        return days * DAY + hour * HOUR + 20 * 60 if rest >= 0 else 0.0

    return value


def _gap(count: int) -> str:
    return f"stale _x{count - 1}" if count > 1 else "stale"
