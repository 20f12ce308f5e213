"""Each alert sounds where its cause is staged, no other does, and in a normal week none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import alerting
from tests.deploy.alerting import (
    DAY,
    EVERY,
    HOUR,
    MIB,
    Figures,
    Replica,
    Values,
    absent,
    growing,
    normal,
    since,
    steady,
    within,
)
from tests.deploy.manifests import Overlay, pod
from tests.deploy.places import DEPLOY, SERVICES

# When something begins to go wrong, and for how long it is watched.
BEGINS, WATCHED = 40, 180
INTAKE, SIBLING = Replica("intake", "0"), Replica("intake", "1")


def rules() -> list[dict[str, Any]]:
    files = [DEPLOY / "prometheus" / each for each in alerting.RULES]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@dataclass(frozen=True)
class Cause:
    """What goes wrong, and which alerts must sound."""

    alerts: frozenset[str]
    stage: Callable[[Figures], None]
    minutes: int = WATCHED


CAUSES: dict[str, Cause] = {}


def causes(*alerts: str, minutes: int = WATCHED) -> Callable[[Callable[[Figures], None]], None]:
    def add(stage: Callable[[Figures], None]) -> None:
        CAUSES[stage.__name__] = Cause(frozenset(alerts), stage, minutes)

    return add


def change(figures: Figures, name: str, then: Values, start: int = BEGINS) -> None:
    """From this minute on the series has these values."""
    assert name in figures, name
    figures[name] = since(start, then, figures[name])


def of(figures: Figures, replica: Replica) -> list[str]:
    """All series of this replica."""
    return [name for name in figures if f'instance="{replica.instance}"' in name]


def stuck_at(figures: Figures, name: str) -> None:
    """It stays what it was."""
    last = figures[name](BEGINS)
    assert last is not None
    change(figures, name, steady(last))


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────


@causes("ServiceAway")
def no_pod_of_a_service_is_left(figures: Figures) -> None:
    for replica in (INTAKE, SIBLING):
        for name in of(figures, replica):
            change(figures, name, absent)


@causes("ServiceAway", "ReplicaSilent", "ReplicaMissing")
def both_replicas_of_a_service_die(figures: Figures) -> None:
    for replica in (INTAKE, SIBLING):
        for name in of(figures, replica):
            change(figures, name, steady(0) if name.startswith("up") else absent)
    change(figures, ready("intake"), steady(0))


@causes("ReplicaSilent", "ReplicaMissing")
def one_replica_of_two_dies(figures: Figures) -> None:
    for name in of(figures, INTAKE):
        change(figures, name, steady(0) if name.startswith("up") else absent)
    change(figures, ready("intake"), steady(1))


@causes("ReplicaMissing")
def one_replica_of_two_finds_no_node(figures: Figures) -> None:
    for name in of(figures, INTAKE):
        change(figures, name, absent)
    change(figures, ready("intake"), steady(1))


@causes("KeepsRestarting")
def a_pod_is_killed_for_its_memory_every_ten_minutes(figures: Figures) -> None:
    name = INTAKE.series("process_start_time_seconds")
    change(figures, name, lambda minute: minute // 10 * 600.0)


@causes("MemoryHigh")
def a_replica_grows_to_nine_tenths_of_its_limit(figures: Figures) -> None:
    change(figures, INTAKE.series("process_resident_memory_bytes"), steady(0.9 * 384 * MIB))


@causes("DatabaseOrLogAway")
def a_services_database_is_away(figures: Figures) -> None:
    for replica in (INTAKE, SIBLING):
        stuck_at(figures, replica.series("loopkeeper_measured_at_seconds", service="intake"))


@causes("DatabaseOrLogAway")
def one_replica_of_two_is_cut_off_from_its_database(figures: Figures) -> None:
    stuck_at(figures, INTAKE.series("loopkeeper_measured_at_seconds", service="intake"))


@causes("TaskUnwell")
def a_task_of_one_replica_fails_again_and_again(figures: Figures) -> None:
    change(figures, INTAKE.series("loopkeeper_tasks_unwell", service="intake"), steady(1))


@causes("SetBack")
def a_lagging_standby_of_one_service_is_promoted(figures: Figures) -> None:
    for replica in (INTAKE, SIBLING):
        change(figures, replica.series("loopkeeper_set_back_total", service="intake"), steady(1))


@causes("Behind")
def a_service_reads_slower_than_others_write(figures: Figures) -> None:
    for replica in (INTAKE, SIBLING):
        change(figures, replica.series("loopkeeper_unread", service="intake"), growing(500))
        for partition in ("0", "1"):
            name = replica.series("loopkeeper_partition_unread", service="intake", partition=partition)
            change(figures, name, growing(250))


def stand_still(figures: Figures, *partitions: str) -> None:
    """Both replicas tell of it: they look at the same rows."""
    for replica in (INTAKE, SIBLING):
        change(figures, replica.series("loopkeeper_unread", service="intake"), steady(40))
        for partition in partitions:
            labels = {"service": "intake", "partition": partition}
            change(figures, replica.series("loopkeeper_partition_unread", **labels), steady(20))
            stuck_at(figures, replica.series("loopkeeper_partition_position", **labels))


@causes("StandsStill")
def nothing_is_read(figures: Figures) -> None:
    stand_still(figures, "0", "1")
    for replica in (INTAKE, SIBLING):
        stuck_at(figures, replica.series("loopkeeper_consumed_total", service="intake"))


@causes("StandsStill")
def one_replica_of_two_reads_nothing_and_the_other_goes_on(figures: Figures) -> None:
    stand_still(figures, "0")
    stuck_at(figures, INTAKE.series("loopkeeper_consumed_total", service="intake"))


@causes("Unsent")
def the_relay_does_not_reach_the_log(figures: Figures) -> None:
    for replica in (INTAKE, SIBLING):
        change(figures, replica.series("loopkeeper_unsent", service="intake"), growing(30))
        stuck_at(figures, replica.series("loopkeeper_published_total", service="intake"))


@causes("Unsent")
def the_relay_of_a_new_installation_has_never_reached_the_log(figures: Figures) -> None:
    for replica in (INTAKE, SIBLING):
        figures[replica.series("loopkeeper_unsent", service="intake")] = steady(3)
        figures[replica.series("loopkeeper_published_total", service="intake")] = steady(0)


@causes("ReferralParked")
def a_referral_is_parked_and_not_replayed(figures: Figures) -> None:
    change(figures, INTAKE.series("loopkeeper_parked_streams", service="intake"), steady(1))


@causes("LoopStalled")
def an_open_loop_waits_for_us_and_we_do_not_move_it(figures: Figures) -> None:
    change(figures, INTAKE.series("loopkeeper_stalled_loops"), steady(1))


@causes("DeadlinesDoNotFire")
def a_deadline_was_due_and_did_not_fire(figures: Figures) -> None:
    change(figures, INTAKE.series("loopkeeper_timer_late_seconds", service="intake"), growing(60))


@causes("LoopsOverdue")
def a_plan_answers_nobody_any_more(figures: Figures) -> None:
    for replica in (INTAKE, SIBLING):
        change(figures, replica.series("loopkeeper_overdue_loops", actor="plan"), steady(80))


@causes("DeliveriesFail")
def a_large_partner_is_down(figures: Figures) -> None:
    start = Replica("notification", "0").series("loopkeeper_webhooks_total", outcome="failed")
    change(figures, start, growing(100))


@causes("WebhooksLate")
def a_plan_hears_more_and_more_late(figures: Figures) -> None:
    change(figures, Replica("notification", "1").series("loopkeeper_webhook_late_seconds"), growing(20))


@causes("DeliveryGivenUp")
def the_first_delivery_ever_is_given_up(figures: Figures) -> None:
    name = Replica("notification", "0").series("loopkeeper_webhooks_total", outcome="exhausted")
    change(figures, name, steady(1))


@causes("AnswersFail")
def three_answers_in_a_hundred_are_errors_of_ours(figures: Figures) -> None:
    named = {"method": "POST", "route": "/v1/referrals", "status": "5xx"}
    change(figures, INTAKE.series("loopkeeper_http_requests_total", **named), growing(8))


@causes("AnswersSlow")
def one_referral_in_ten_waits_for_two_seconds(figures: Figures) -> None:
    for bound, rate in (("0.05", 20), ("0.1", 25), ("1.0", 27), ("2.5", 30), ("+Inf", 30)):
        named = {"route": "/v1/referrals", "le": bound}
        name = INTAKE.series("loopkeeper_http_request_seconds_bucket", **named)
        before = figures[name](BEGINS)
        assert before is not None
        change(figures, name, lambda minute, rate=rate, before=before: before + rate * (minute - BEGINS))
        figures[SIBLING.series("loopkeeper_http_request_seconds_bucket", **named)] = figures[name]


@causes("AnswerUndeclared")
def an_address_answers_what_its_document_does_not_know_for_the_first_time(figures: Figures) -> None:
    change(figures, INTAKE.series("loopkeeper_http_undeclared_total", route="/v1/referrals"), steady(1))


@causes("TracesLost")
def the_collector_takes_no_spans_and_answers_prometheus(figures: Figures) -> None:
    change(figures, INTAKE.series("loopkeeper_spans_lost_total", service="intake"), growing(20))


@causes("TracesLost")
def the_collector_is_down(figures: Figures) -> None:
    change(figures, 'up{job="otel-collector", instance="otel-collector:8888"}', steady(0))


@causes("TracesLost")
def nobody_looks_at_the_collector(figures: Figures) -> None:
    change(figures, 'up{job="otel-collector", instance="otel-collector:8888"}', absent)


@causes("JobFailed")
def a_migration_fails(figures: Figures) -> None:
    figures['kube_job_status_failed{namespace="loopkeeper", job_name="loopkeeper-migrate-intake"}'] = since(
        BEGINS, steady(1), steady(0)
    )


@causes("JobFailed", "BackupOld", minutes=2 * 24 * 60)
def a_backup_fails_and_the_next_too(figures: Figures) -> None:
    failed = 'kube_job_status_failed{namespace="loopkeeper", job_name="loopkeeper-backup-29500"}'
    figures[failed] = since(24 * 60, steady(1), absent)
    figures[done_last("backup")] = steady(-12 * HOUR)


@causes("BackupOld", minutes=2 * 24 * 60)
def a_backup_is_never_begun_any_more(figures: Figures) -> None:
    figures[done_last("backup")] = steady(-12 * HOUR)


@causes("BackupOld", minutes=2 * 24 * 60)
def a_backup_was_never_made(figures: Figures) -> None:
    del figures[done_last("backup")]


@causes("BackupOld")
def there_is_no_backup_at_all(figures: Figures) -> None:
    del figures[done_last("backup")]
    del figures['kube_cronjob_created{namespace="loopkeeper", cronjob="loopkeeper-backup"}']


@causes("VerifyFailed")
def a_journal_does_not_prove_its_rows(figures: Figures) -> None:
    name = 'kube_job_status_failed{namespace="loopkeeper", job_name="loopkeeper-verify-29500"}'
    figures[name] = since(BEGINS, steady(1), absent)


@causes("VerifyFailed", minutes=2 * 24 * 60)
def nobody_verifies_any_more(figures: Figures) -> None:
    figures[done_last("verify")] = steady(-12 * HOUR)


@causes("CertificateEnds")
def the_public_certificate_is_not_renewed(figures: Figures) -> None:
    (name,) = [each for each in figures if each.startswith("certmanager")]
    figures[name] = steady(10 * DAY)


@causes("CertificateEnds")
def a_certificate_that_is_looked_at_from_outside_ends(figures: Figures) -> None:
    figures['probe_ssl_earliest_cert_expiry{instance="https://loopkeeper.example.org"}'] = steady(10 * DAY)


@causes("UnderReplicated")
def a_broker_is_gone(figures: Figures) -> None:
    (name,) = [each for each in figures if each.startswith("kafka")]
    change(figures, name, steady(24))


@causes("ConnectionsUsedUp")
def sessions_pile_up_at_the_database(figures: Figures) -> None:
    change(figures, 'pg_stat_activity_count{instance="postgres:9187", state="idle"}', steady(150))


@causes("ClockOff")
def a_node_loses_its_time_server(figures: Figures) -> None:
    change(figures, 'node_timex_sync_status{instance="node-a:9100"}', steady(0))


@causes("FiguresMissing")
def an_exporter_is_gone(figures: Figures) -> None:
    for name in [each for each in figures if each.startswith("pg_")]:
        change(figures, name, absent)


def ready(service: str) -> str:
    named = f'namespace="loopkeeper", statefulset="loopkeeper-{service}"'
    return f"kube_statefulset_status_replicas_ready{{{named}}}"


def done_last(job: str) -> str:
    named = f'namespace="loopkeeper", cronjob="loopkeeper-{job}"'
    return f"kube_cronjob_status_last_successful_time{{{named}}}"


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_rules_are_valid() -> None:
    assert alerting.check().count("SUCCESS") == len(alerting.RULES)


# Each look costs promtool all rules: at every run it looks every second minute.
@pytest.mark.parametrize("apart", [2, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("cause", CAUSES)
def test_an_alert_sounds_where_its_cause_is_staged_and_no_other_does(
    cause: str, apart: int, tmp_path: Path
) -> None:
    staged = CAUSES[cause]
    figures = normal()
    staged.stage(figures)
    # What takes days is looked at more seldom.
    every = apart if staged.minutes == WATCHED else 5
    assert alerting.sounded(figures, staged.minutes, tmp_path, staged.alerts, every) == staged.alerts


def test_every_alert_has_a_cause_that_is_staged() -> None:
    assert {rule["alert"] for rule in rules()} == {alert for each in CAUSES.values() for alert in each.alerts}


# To Wednesday's switch-over and its night, at every run; promtool takes as long as the days are many.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("days", [3, pytest.param(7, marks=pytest.mark.long)])
def test_in_a_normal_week_nothing_sounds(tmp_path: Path, days: int) -> None:
    """Every night a job reads and a node is replaced; on Monday a plan uploads its roster; on Tuesday a version is
    rolled out, and on Wednesday PostgreSQL is switched over; now and then a partner is down, a request fails, somebody
    is late, and spans are lost."""
    figures = normal()
    week = days * 24 * 60
    roster, rollout, switched = 9 * 60, 34 * 60, 58 * 60
    for replica in EVERY:
        number = int(replica.number)
        away = [(rollout + 4 * number, rollout + 4 * number + 2)]
        away += [(day * 1440 + 120 + 30 * number, day * 1440 + 121 + 30 * number) for day in range(7)]
        for name in of(figures, replica):
            gone = steady(0) if name.startswith("up") else absent
            figures[name] = within(away, gone, figures[name])
        labels = {"service": replica.service}
        unread = replica.series("loopkeeper_unread", **labels)
        figures[unread] = within([(roster, roster + 3)], steady(6000), figures[unread])
        measured = replica.series("loopkeeper_measured_at_seconds", **labels)
        figures[measured] = within([(switched, switched + 2)], steady(switched * 60 - 15), figures[measured])
        unsent = replica.series("loopkeeper_unsent", **labels)
        figures[unsent] = within([(switched, switched + 2)], steady(40), figures[unsent])
        start = replica.series("process_start_time_seconds")
        figures[start] = since(rollout + 4 * number + 3, steady(rollout * 60.0), figures[start])
    for service in SERVICES:
        figures[ready(service)] = within([(rollout, rollout + 8)], steady(1), figures[ready(service)])
    failing = {"method": "POST", "route": "/v1/referrals", "status": "5xx"}
    figures[INTAKE.series("loopkeeper_http_requests_total", **failing)] = lambda minute: (
        minute // 360 + (4 if minute > switched else 0)
    )
    figures[Replica("notification", "0").series("loopkeeper_webhooks_total", outcome="failed")] = within(
        [(3000, 3100)], growing(1.2), growing(1)
    )
    figures[INTAKE.series("loopkeeper_spans_lost_total", service="intake")] = lambda minute: (
        20.0 * (minute > rollout)
    )
    figures[INTAKE.series("loopkeeper_parked_streams", service="intake")] = within(
        [(5000, 5008)], steady(1), steady(0)
    )
    assert alerting.sounded(figures, week, tmp_path, every=2) == set()


def test_the_memory_that_sounds_an_alert_is_what_the_manifests_give(
    production: Overlay, compose: Mapping[str, Any]
) -> None:
    (expression,) = [rule["expr"] for rule in rules() if rule["alert"] == "MemoryHigh"]
    (limit,) = {
        pod(each)["spec"]["containers"][0]["resources"]["limits"]["memory"] for each in production.services()
    }
    assert f"0.85 * {limit.removesuffix('Mi')} * 1024 * 1024" in expression
    given = {compose["services"][each]["deploy"]["resources"]["limits"]["memory"] for each in SERVICES}
    assert given == {str(int(limit.removesuffix("Mi")) * MIB)}
