"""A grant as authorization publishes it."""

from __future__ import annotations

from tests.notification.house import (
    OTHER,
    PARTNER,
    PLAN,
)

GRANTED = f"""table: partner_grants
rows:
  - {{id: county-homelessness, plan: {PLAN}, partner: {PARTNER}, population: homelessness, county: alameda,
     effective_from: 2025-01-01, source: the plan's agreement of 2024-12-02, confidence: ours}}
  - {{id: county-later, plan: {PLAN}, partner: {PARTNER}, population: birth_equity,
     effective_from: 2027-01-01, source: the plan's agreement of 2024-12-02, confidence: ours}}
---
table: part2_programs
rows:
  - {{id: bayview, organization: {OTHER}, effective_from: 2022-01-01, source: its own statement, confidence: ours}}
"""
