"""A grant as authorization publishes it."""

from __future__ import annotations

from tests.builders.organizations import HARBOR, OTHER, PARTNER

GRANTED = f"""table: partner_grants
rows:
  - {{id: county-homelessness, plan: {HARBOR}, partner: {PARTNER}, population: homelessness, county: alameda,
     effective_from: 2025-01-01, source: the plan's agreement of 2024-12-02, confidence: ours}}
  - {{id: county-later, plan: {HARBOR}, partner: {PARTNER}, population: birth_equity,
     effective_from: 2027-01-01, source: the plan's agreement of 2024-12-02, confidence: ours}}
---
table: part2_programs
rows:
  - {{id: bayview, organization: {OTHER}, effective_from: 2022-01-01, source: its own statement, confidence: ours}}
"""
