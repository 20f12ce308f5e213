"""The alerts as the Prometheus Operator takes them: the plain files of deploy/prometheus, in one object of its own kind."""

from __future__ import annotations

from pathlib import Path

PLAIN = Path(__file__).parents[2] / "deploy" / "prometheus"
FILES = ("alerts.yml", "alerts-cluster.yml")
HEAD = """\
# Written by `make docs` from deploy/prometheus/alerts.yml and alerts-cluster.yml; change those instead.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: loopkeeper
  labels:
    release: prometheus # CHANGE to what this Prometheus selects its rules by
spec:
  groups:
"""


def prometheus_rule() -> str:
    """Every group of both files, with its comments."""
    groups = [(PLAIN / file).read_text().partition("\ngroups:\n")[2] for file in FILES]
    return HEAD + "\n".join(
        "".join(f"  {line}".rstrip() + "\n" for line in group.splitlines()) for group in groups
    )
