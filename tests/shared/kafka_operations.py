"""Kafka's numbers of the operations that access rules allow."""

from __future__ import annotations

# What an operator's user needs before anything else exists (docs/guides/operations.md): to make topics and set rules, and for
# `check` to see their settings.
CLUSTER, CREATE, DESCRIBE_CONFIGS = 4, 5, 10
