"""When each open loop is due and the next actor: a lane for each actor, a mark for each loop; next to it the same as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import htpy as h

from console.parts.basics import labels, marks, times
from console.parts.basics.times import DueState
from console.words import Words
from loopkeeper.contract.calendar import la_date

BEFORE, AFTER = 21, 14
LEFT, RIGHT, WIDTH = 92, 84, 960
TOP, MARK, GAP = 30, 9.2, 10.4
# Above so many marks in one day a column says its number and no longer draws each.
MOST_DRAWN = 60
ORDER: tuple[DueState, ...] = ("late", "soon", "ok", "none")
Lanes = Mapping[str, Sequence["Due"]]


@dataclass(frozen=True, slots=True)
class Due:
    """One open loop on the board."""

    id: str
    at: datetime | None


def board(lanes: Lanes, now: datetime, words: Words) -> h.Element:
    """The chart for a wide page, bars for a phone, and the table for everybody."""
    _ = words
    return h.section(".card.boardcard")[
        h.div(".chead")[h.h2[_("When each is due, and its next actor")], marks.legend(_)],
        h.div(".bigchart")[_chart(lanes, now, _)],
        h.div(".smallchart")[_bars(lanes, now, _)],
        h.details(".rest")[h.summary[_("The same as a table")], _table(lanes, now, _)],
    ]


def lane_card(lanes: Mapping[str, Mapping[str, int]], words: Words) -> h.Element:
    """The board of an installation with more open loops than one can draw: a bar for each actor, and the same as a
    table. `lanes`: for each actor how many, by the state of the deadline."""
    _ = words
    counted = {
        actor: {state: due.get(code, 0) for state, code in COUNTED.items()} for actor, due in lanes.items()
    }
    most = max((sum(due.values()) for due in counted.values()), default=1) or 1
    return h.section(".card.boardcard")[
        h.div(".chead")[h.h2[_("When each is due, and its next actor")], marks.legend(_)],
        h.ul(".lanebars")[(h.li[_counted_bar(actor, due, most, _)] for actor, due in counted.items())],
        h.details(".rest")[h.summary[_("The same as a table")], _counted_table(counted, _)],
    ]


# What a service calls the states of a deadline.
COUNTED: Mapping[DueState, str] = {"late": "late", "soon": "soon", "ok": "on_time", "none": "none"}


def _columns(due: Sequence[Due], first: date, last: date) -> tuple[dict[date, list[Due]], list[Due]]:
    """By day, what lies before or after the board at its edge; and what has no deadline."""
    days: dict[date, list[Due]] = defaultdict(list)
    none: list[Due] = []
    for each in due:
        if each.at is None:
            none.append(each)
            continue
        days[max(first, min(last, times.last_day(each.at)))].append(each)
    return days, none


def _chart(lanes: Lanes, now: datetime, words: Words) -> h.Element:
    _, today = words, la_date(now)
    first, last = today - timedelta(days=BEFORE), today + timedelta(days=AFTER)
    count = (last - first).days + 1
    step = (WIDTH - LEFT - RIGHT) / count
    drawn: list[h.Node] = []
    y = float(TOP)
    for actor, due in lanes.items():
        days, none = _columns(due, first, last)
        per_row = max(1, int(step // GAP))
        tallest = max(
            [_height(len(column), per_row) for column in days.values()] + [_height(len(none), 6), 34.0]
        )
        floor = y + tallest + 18
        drawn.append(_lane(actor, due, days, none, first, step, per_row, floor, now, _))
        drawn.append(h.line(".rule", x1="0", x2=str(WIDTH), y1=f"{floor + 4:.1f}", y2=f"{floor + 4:.1f}"))
        y = floor + 12
    height = y + 2
    return h.svg(
        ".deadlines",
        viewBox=f"0 0 {WIDTH} {height:.0f}",
        role="img",
        aria_label=_("Open loops by day and by next actor; the table below says the same."),
    )[
        (
            h.rect(
                ".weekend",
                x=f"{LEFT + at * step:.1f}",
                y=str(TOP - 8),
                width=f"{step:.1f}",
                height=f"{height - TOP + 6:.0f}",
            )
            for at in range(count)
            if (first + timedelta(days=at)).weekday() >= 5
        ),
        h.rect(
            ".now",
            x=f"{LEFT + BEFORE * step:.1f}",
            y=str(TOP - 8),
            width=f"{step:.1f}",
            height=f"{height - TOP + 6:.0f}",
        ),
        (
            h.text(x=f"{LEFT + at * step + step / 2:.1f}", y="14", text_anchor="middle")[
                times.day(first + timedelta(days=at), _, weekday=False)
            ]
            for at in range(count)
            if (first + timedelta(days=at)).weekday() == 0 and abs(at - BEFORE) > 2
        ),
        h.text(".today", x=f"{LEFT + BEFORE * step + step / 2:.1f}", y="14", text_anchor="middle")[
            _("today")
        ],
        h.text(x=f"{WIDTH - RIGHT / 2:.0f}", y="14", text_anchor="middle")[_("no day")],
        drawn,
    ]


def _height(count: int, per_row: int) -> float:
    return (min(count, MOST_DRAWN) + per_row - 1) // per_row * GAP + 12


def _lane(
    actor: str, due: Sequence[Due], days: Mapping[date, Sequence[Due]], none: Sequence[Due], first: date, step: float, per_row: int,
    floor: float, now: datetime, words: Words,
) -> h.Node:  # fmt: skip
    _ = words
    nodes: list[h.Node] = [
        h.text(".lane", x="0", y=f"{floor - 16:.1f}")[labels.of(labels.ACTOR, actor, _)],
        h.text(".count", x="0", y=f"{floor - 3:.1f}")[_("{count} open", count=len(due))],
    ]
    for day, column in sorted(days.items()):
        x = LEFT + (day - first).days * step + step / 2
        nodes += _stack(sorted(column, key=lambda each: each.at or now), x, floor, per_row, now)
    nodes += _stack(none, WIDTH - RIGHT / 2, floor, 6, now)
    return nodes


def _stack(column: Sequence[Due], x: float, floor: float, per_row: int, now: datetime) -> list[h.Node]:
    """Marks from the lane's floor upwards, each a link to its loop; the number above where there are many."""
    drawn: list[h.Node] = []
    wide = min(per_row, len(column))
    for at, each in enumerate(column[:MOST_DRAWN]):
        left = x - wide * GAP / 2 + at % per_row * GAP
        drawn.append(_mark(each, left, floor - (at // per_row + 1) * GAP, now))
    if len(column) > 9:
        top = floor - ((min(len(column), MOST_DRAWN) + per_row - 1) // per_row) * GAP - 5
        drawn.append(h.text(".sum", x=f"{x:.1f}", y=f"{top:.1f}", text_anchor="middle")[str(len(column))])
    return drawn


def _mark(each: Due, x: float, y: float, now: datetime) -> h.Node:
    state = times.due_state(each.at, now)
    shape: dict[DueState, h.Node] = {
        "late": h.path(d="M4.600 0 9.200 4.600 4.600 9.200 0 4.600Z"),
        "soon": h.rect(x=".6", y=".6", width="8", height="8"),
        "ok": h.circle(cx="4.600", cy="4.600", r="4"),
        "none": h.circle(".hollow", cx="4.600", cy="4.600", r="3.600"),
    }
    return h.g(class_=f"dot {state}", transform=f"translate({x:.1f} {y:.1f})")[shape[state]]


def _bars(lanes: Lanes, now: datetime, words: Words) -> h.Element:
    _ = words
    most = max((len(due) for due in lanes.values()), default=1) or 1
    return h.ul(".lanebars")[(h.li[_lane_bar(actor, due, most, now, _)] for actor, due in lanes.items())]


def _lane_bar(actor: str, due: Sequence[Due], most: int, now: datetime, words: Words) -> h.Node:
    _ = words
    return _counted_bar(actor, Counter(times.due_state(each.at, now) for each in due), most, _)


def _counted_bar(actor: str, counted: Mapping[str, int], most: int, words: Words) -> h.Node:
    _ = words
    x = 0.0
    parts: list[h.Node] = []
    for state in ORDER:
        width = counted.get(state, 0) / most * 100
        if width:
            parts.append(
                h.rect(class_=state, x=f"{x:.1f}", width=f"{max(width - 0.6, 0.6):.1f}", height="10", rx="1")
            )
            x += width
    said = ", ".join(f"{counted[each]} {_(marks.SAID[each])}" for each in ORDER if counted.get(each))
    return [
        h.div(".lb-head")[h.strong[labels.of(labels.ACTOR, actor, _)], h.span[said]],
        h.svg(viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")[parts],
    ]


def _table(lanes: Lanes, now: datetime, words: Words) -> h.Element:
    counted = {actor: Counter(times.due_state(one.at, now) for one in due) for actor, due in lanes.items()}
    return _counted_table(counted, words)


def _counted_table(counted: Mapping[str, Mapping[str, int]], words: Words) -> h.Element:
    _ = words
    return h.div(".scroll")[
        h.table(".figures")[
            h.thead[
                h.tr[
                    h.th(scope="col")[_("Next actor")],
                    (h.th(scope="col")[_(marks.SAID[each])] for each in ORDER),
                    h.th(scope="col")[_("open")],
                ]
            ],
            h.tbody[
                (
                    h.tr[
                        h.th(scope="row")[labels.of(labels.ACTOR, actor, _)],
                        (h.td[str(due.get(each, 0))] for each in ORDER),
                        h.td[str(sum(due.values()))],
                    ]
                    for actor, due in counted.items()
                )
            ],
        ]
    ]
