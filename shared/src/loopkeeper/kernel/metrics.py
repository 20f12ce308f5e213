"""How much, how fast, how often? The figures of one process, every label from a small fixed set, none of a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

# A commit takes milliseconds; above ten seconds it has timed out.
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A request waits for one or two batches; a webhook's partner gets up to fifteen seconds.
ANSWER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Metrics:
    """All figures of one process on a registry of their own. Times are seconds.

    Labels: `service` is a service's name; `command` a command's class; `outcome` a fixed word; `actor` the next actor
    next (`plan`, `provider`, `referrer`, `loopkeeper`, or `nobody`); `partition` a partition of the log; `method`,
    `route` (the template as declared, or `unmatched`) and `status` (`2xx`, `4xx`, …, `none` if the caller left) for HTTP.

    Prometheus counts what a series grew by since it first saw it, so the first event of a series that was not there
    before is no event at all. `expect_service` and `expect_requests` make every series an alert asks for begin at 0.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"loopkeeper_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"loopkeeper_{name}", text, labels, buckets=buckets, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"loopkeeper_{name}", text, labels, registry=registry)

        self.queue_depth = gauge("queue_depth", "Requests waiting for the store", "service")
        self.commands = counter(
            "commands", "Commands by what became of them", "service", "command", "outcome"
        )
        self.commit_seconds = histogram("commit_seconds", "Time of one batch", COMMIT_BUCKETS, "service")
        self.batch_size = histogram("batch_size", "Commands in one batch", BATCH_BUCKETS, "service")
        self.published = counter("published", "Events brought to the log", "service")
        self.consumed = counter("consumed", "Events read from the log", "service")
        self.parked = counter("parked", "Facts parked because their rule failed", "service")
        self.set_back = counter(
            "set_back", "Times the database was an earlier one and was rebuilt", "service"
        )
        self.void = counter("void", "Records of an old primary that count for nobody", "service")
        self.timers_fired = counter("timers_fired", "Deadlines whose command was applied", "service")
        self.webhooks = counter("webhooks", "Deliveries tried, by outcome", "outcome")
        self.webhook_seconds = histogram("webhook_seconds", "Time of one delivery", ANSWER_BUCKETS)
        self.requests = counter("http_requests", "Requests answered", "method", "route", "status")
        self.request_seconds = histogram(
            "http_request_seconds", "Time of one request", ANSWER_BUCKETS, "route"
        )
        self.undeclared = counter("http_undeclared", "Answers that the API's document does not know", "route")
        self.spans_lost = counter("spans_lost", "Spans that the collector did not take", "service")
        # What waits, counted now and then (runtime/backlog.py); every replica of a service counts the same.
        self.unread = gauge("unread", "Messages of the log not read yet", "service")
        self.partition_unread = gauge(
            "partition_unread", "Messages of one partition not read yet", "service", "partition"
        )
        self.partition_position = gauge(
            "partition_position", "Where one partition is read on, as committed", "service", "partition"
        )
        self.unsent = gauge("unsent", "Own events not brought to the log yet", "service")
        self.parked_streams = gauge("parked_streams", "Referrals with parked facts", "service")
        self.timers_due = gauge("timers_due", "Deadlines due and not fired yet", "service")
        self.timer_late_seconds = gauge(
            "timer_late_seconds", "How long the oldest due deadline has waited", "service"
        )
        self.webhook_late_seconds = gauge(
            "webhook_late_seconds", "How long the oldest due delivery has waited whose endpoint is well"
        )
        self.dead_rows = gauge(
            "dead_rows",
            "Rows that an old snapshot, or a vacuum that is behind, keeps in the busiest tables",
            "service",
            "table",
        )
        self.tasks_unwell = gauge("tasks_unwell", "Tasks stopped, restarting or silent", "service")
        self.measured_at = gauge("measured_at_seconds", "When what waits was last counted", "service")
        self.open_loops = gauge("open_loops", "Open loops, by next actor", "actor")
        self.overdue_loops = gauge("overdue_loops", "Open loops whose next step is overdue", "actor")
        self.due_soon_loops = gauge("due_soon_loops", "Open loops whose next step is due in a day", "actor")
        self.stalled_loops = gauge("stalled_loops", "Open loops that nobody but us could move, and we do not")

    def expect_service(self, service: str) -> None:
        """Begin this service's counters at 0."""
        for counter in (self.published, self.consumed, self.parked, self.timers_fired, self.spans_lost):
            counter.labels(service)
        for histogram in (self.commit_seconds, self.batch_size):
            histogram.labels(service)

    def expect_requests(self, method: str, route: str) -> None:
        """Begin the counters of one declared route at 0."""
        for status in ("2xx", "4xx", "5xx"):
            self.requests.labels(method, route, status)
        self.undeclared.labels(route)
