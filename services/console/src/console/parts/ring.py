"""The ring of a loop: seven arcs from received to told, whole only when the referrer was told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import cos, pi, sin
from typing import Literal

import htpy as h

from console.words import Words

Stage = Literal["received", "decided", "offered", "accepted", "reached", "closed", "told"]
STAGES: Mapping[Stage, str] = {
    "received": "Received",
    "decided": "Decided",
    "offered": "Offered",
    "accepted": "Accepted",
    "reached": "Reached out",
    "closed": "Closed",
    "told": "Told",
}
ORDER: tuple[Stage, ...] = tuple(STAGES)
OPEN: Mapping[str, int] = {
    "received": 1,
    "needs_information": 1,
    "pending_authorization": 1,
    "authorized": 2,
    "assigned": 3,
    "accepted": 4,
    "outreach_initiated": 5,
}
GAP = 0.11
MIDDLE, RADIUS = 12, 10


@dataclass(frozen=True, slots=True)
class Progress:
    """Which arcs are done, which one is worked on now, and whether that one is late."""

    done: frozenset[Stage]
    now: Stage | None = None
    late: bool = False
    closed: bool = False

    @property
    def whole(self) -> bool:
        return "told" in self.done

    def of(self, stage: Stage) -> str:
        if stage in self.done:
            return "done"
        if stage == self.now:
            return "now"
        return "skip" if self.closed and stage != "told" else ""


def progress(
    status: str, *, decided: bool, told: bool, outcome: str = "", served: bool = False, late: bool = False
) -> Progress:
    """How far a loop is, by what its referral says."""
    if status != "closed":
        reached = OPEN.get(status, 1)
        done: set[Stage] = {
            stage for stage in ORDER[:reached] if stage != "decided" or decided or reached > 2
        }
        ahead: Stage = next(stage for stage in ORDER if stage not in done)
        return Progress(frozenset(done), ahead, late)
    done: set[Stage] = {"received", "closed"}
    if decided or served:
        done.add("decided")
    if served or outcome in ("services_received", "unable_to_reach", "declined_by_member"):
        done |= {"offered", "accepted", "reached"}
    if told:
        done.add("told")
    return Progress(
        frozenset(stage for stage in ORDER if stage in done), None if told else "told", late, True
    )


def of_events(kinds: Collection[str], *, told: bool, late: bool) -> Progress:
    """How far a loop is, by everything that happened in it."""
    means: Mapping[Stage, tuple[str, ...]] = {
        "received": ("referral.received",),
        "decided": ("authorization.approved", "authorization.denied", "authorization.presumptive_granted"),
        "offered": ("assignment.made", "assignment.accepted"),
        "accepted": ("assignment.accepted",),
        "reached": ("outreach.attempted", "outreach.services_started", "outreach.member_declined"),
        "closed": ("referral.closed",),
    }
    done: set[Stage] = {stage for stage, names in means.items() if any(name in kinds for name in names)}
    if told:
        done.add("told")
    closed = "closed" in done
    ahead: Stage | None = next((stage for stage in ORDER if stage not in done), None)
    if closed:
        ahead = None if told else "told"
    return Progress(frozenset(done), ahead, late, closed)


def ring(found: Progress, words: Words, *, large: bool = False) -> h.Element:
    """The ring as a picture with its words."""
    size = "large" if large else "small"
    said = ", ".join(words(STAGES[stage]).lower() for stage in ORDER if stage in found.done)
    return h.svg(
        class_=["ring", size],
        viewBox="0 0 24 24",
        role="img",
        aria_label=words("Done: {stages}", stages=said),
    )[
        (
            h.path(
                class_=f"seg {found.of(stage)} {'late' if found.late and stage == found.now else ''}".strip(),
                d=_arc(at),
            )
            for at, stage in enumerate(ORDER)
        ),
        h.path(".tick", d="m8.3 12.3 2.6 2.6 5-5.6") if found.whole and large else None,
    ]


def steps(found: Progress, words: Words) -> h.Element:
    """The same in words, a step each."""
    return h.ol(".steps", aria_label=words("Steps"))[
        (
            h.li(class_=found.of(stage) or None)[
                words(STAGES[stage]), h.span(".sr")[words(" (done)")] if stage in found.done else None
            ]
            for stage in ORDER
        )
    ]


def _arc(at: int) -> str:
    each = 2 * pi / len(ORDER)
    begin, end = at * each + GAP - pi / 2, (at + 1) * each - GAP - pi / 2

    def point(angle: float) -> str:
        return f"{MIDDLE + RADIUS * cos(angle):.2f} {MIDDLE + RADIUS * sin(angle):.2f}"

    return f"M{point(begin)}A{RADIUS} {RADIUS} 0 0 1 {point(end)}"
