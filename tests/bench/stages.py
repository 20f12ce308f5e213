"""What a referral's stages cost, as figures: medians of many referrals, and how they are told to a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench.counting import Written
from tests.bench.paced import said

STAGES = ("offer told", "acceptance", "attempt", "start and closing")


@dataclass
class Stage:
    """One stage of one referral."""

    statements: Counter[tuple[str, str]]
    written: Written
    webhooks: int
    milliseconds: float


@dataclass
class Figures:
    """By stage, of each referral; and what an idle second and a referral nobody looks at cost."""

    stages: dict[str, list[Stage]] = field(default_factory=lambda: {name: list[Stage]() for name in STAGES})
    idle: dict[str, float] = field(default_factory=dict[str, float])
    processor: dict[str, float] = field(default_factory=dict[str, float])
    saturated: dict[str, float] = field(default_factory=dict[str, float])
    to_offers: dict[str, float] = field(default_factory=dict[str, float])
    paced: dict[str, dict[str, float]] = field(default_factory=dict[str, "dict[str, float]"])


def spent_of(stage: str) -> str:
    """Under which name it is told what the processor spends on this stage."""
    return f"{stage}, ms a loop"


def middle(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure its median over the rounds."""
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


def summary(found: Figures) -> dict[str, Any]:
    """Medians by stage, and of whole loops."""
    stages: dict[str, Any] = {}
    for name, each in found.stages.items():
        stages[name] = _medians(each)
    whole = [
        Stage(
            sum((stage.statements for stage in one), Counter[tuple[str, str]]()),
            _together([stage.written for stage in one]),
            sum(stage.webhooks for stage in one),
            sum(stage.milliseconds for stage in one),
        )
        for one in zip(*found.stages.values(), strict=True)
    ]
    return {
        "stages": stages,
        "loop": _medians(whole),
        "alone": found.processor,
        "saturated": found.saturated,
        "to offers": found.to_offers,
        "paced": found.paced,
        "idle": found.idle,
    }


def _together(written: Sequence[Written]) -> Written:
    whole = Written()
    for each in written:
        whole.rows += each.rows
        whole.locked += each.locked
        whole.commits += each.commits
        whole.bytes += each.bytes
    return whole


def _medians(stages: Sequence[Stage]) -> dict[str, Any]:
    by_service = [_of_services(stage.statements) for stage in stages]
    rows = [stage.written.of_services() for stage in stages]
    services = sorted({name for each in (*by_service, *rows) for name in each})
    return {
        "statements": median(each.total() for each in by_service),
        "statements by service": {name: median(each[name] for each in by_service) for name in services},
        "rows written": median(sum(each.values()) for each in rows),
        "rows by service": {name: median(each.get(name, 0) for each in rows) for name in services},
        "rows locked": median(stage.written.locked for stage in stages),
        "commits": median(stage.written.commits for stage in stages),
        "WAL bytes": median(stage.written.bytes for stage in stages),
        "webhooks": median(stage.webhooks for stage in stages),
        "ms": round(median(stage.milliseconds for stage in stages), 1),
    }


def _of_services(statements: Mapping[tuple[str, str], int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (service, _), n in statements.items():
        found[service] += n
    return found


def table(found: Mapping[str, Any]) -> str:
    """The same for a person."""
    columns = {**found["stages"], "whole loop": found["loop"]}
    names = ("statements", "rows written", "rows locked", "commits", "WAL bytes", "webhooks", "ms")
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [
        f"| {name} | {' | '.join(f'{each[name]:.0f}' for each in columns.values())} |" for name in names
    ]
    for kind in ("statements", "rows"):
        for service in found["loop"][f"{kind} by service"]:
            values = (each[f"{kind} by service"].get(service, 0) for each in columns.values())
            lines.append(f"| {kind}, {service} | {' | '.join(f'{value:.0f}' for value in values)} |")
    for title in ("alone", "saturated", "to offers", "idle"):
        lines += ["", *(f"{title}: {name} {value:.1f}" for name, value in found[title].items())]
    lines += [
        "",
        *(f"POST to first webhook, {rate}: {said(waits)}" for rate, waits in found["paced"].items()),
    ]
    return "\n".join(lines)


def texts(title: str, statements: Counter[tuple[str, str]], of: float) -> str:
    """Which statements these were, most first."""
    rows = [f"{n / of:8.2f} {service:<14} {text[:130]}" for (service, text), n in statements.most_common()]
    return "\n".join([title, *rows])
