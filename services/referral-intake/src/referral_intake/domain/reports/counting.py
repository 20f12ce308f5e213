"""In which figures does one referral count, and how often? A figure is a dated row of the policy table `report_figures`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from referral_intake.domain.reports.history import History, Support
from referral_intake.domain.reports.period import Period

Kind = Literal["measures", "qimr", "monthly"]
KINDS: tuple[Kind, ...] = ("measures", "qimr", "monthly")
# By what figures are told apart; the total is by nothing.
BY = ("population", "county", "provider", "referrer", "age_band")
NOBODY = "none"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, as its row says. `counts` names what is counted; the rest narrows it."""

    name: str
    counts: str
    report: Kind
    reason: str = ""
    # Of what is open its age in days, of what is to be closed the days within which.
    from_days: int = 0
    through_days: int | None = None
    # Parts of one whole are hidden together; a share is shown of the figure named.
    part_of: str = ""
    share_of: str = ""
    definition: str = ""
    source: str = ""
    confidence: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one referral adds to a report: how often to each figure, and under which names. `days`: to its closing."""

    referral: str
    figures: Mapping[str, int]
    names: Mapping[str, tuple[str, ...]]
    days: int | None = None


def counted(history: History, period: Period, figures: Sequence[Figure]) -> Counted | None:
    """What this referral adds to these figures; None where it adds nothing."""
    if not history.counts:
        return None
    found: dict[str, int] = {}
    for figure in figures:
        if amount := COUNTS[figure.counts](history, period, figure):
            found[figure.name] = int(amount)
        if figure.counts in SUPPORTS:
            for name in each_support(history, period, figure):
                found[name] = found.get(name, 0) + 1
    if not found:
        return None
    days = None
    if period.has(history.closed_on) and history.received_on is not None and history.closed_on is not None:
        days = (history.closed_on - history.received_on).days
    return Counted(history.referral, found, names(history, period), days)


def names(history: History, period: Period) -> Mapping[str, tuple[str, ...]]:
    """By what the figures of this referral are told apart, as it was on the last day of the period."""
    turn = history.served_by(period.last)
    return {
        "population": history.populations or (NOBODY,),
        "county": (history.county or NOBODY,),
        "provider": (turn.provider if turn is not None else NOBODY,),
        "referrer": (history.referrer or NOBODY,),
        "age_band": (history.age_band or NOBODY,),
    }


# ── what is counted ───────────────────────────────────────────────────────────────────────────────────────


def _received(history: History, period: Period, figure: Figure) -> int:
    return period.has(history.received_on)


def _authorized(history: History, period: Period, figure: Figure) -> int:
    return period.has(history.approved_on)


def _denied(history: History, period: Period, figure: Figure) -> int:
    return period.has(history.denied_on)


def _closed(history: History, period: Period, figure: Figure) -> int:
    return period.has(history.closed_on) and figure.reason in ("", history.clr_reason)


def _closed_after_yes(history: History, period: Period, figure: Figure) -> int:
    """Loops that closed in the period and that the plan had authorized by then."""
    on = history.closed_on
    authorized = on is not None and history.authorized(on)
    return authorized and _closed(history, period, figure)


def _came_of_age(history: History, period: Period, figure: Figure) -> int:
    """Referrals whose so many-th day after reception is in the period."""
    days = timedelta(days=figure.through_days or 0)
    return history.received_on is not None and period.has(history.received_on + days)


def _closed_within(history: History, period: Period, figure: Figure) -> int:
    """Of those, the ones that were closed by that day."""
    if not _came_of_age(history, period, figure) or history.received_on is None:
        return 0
    return history.closed(history.received_on + timedelta(days=figure.through_days or 0))


def _open(history: History, period: Period, figure: Figure) -> int:
    """Loops open on the last day, of so many days of age."""
    if not history.open(period.last) or history.received_on is None:
        return 0
    age = (period.last - history.received_on).days
    return figure.from_days <= age and (figure.through_days is None or age <= figure.through_days)


def _attempts_this_year(history: History, period: Period, figure: Figure) -> int:
    """Attempts from January to the last day, before the first service."""
    return sum(_for_initiation(history, period))


def _engaged_this_year(history: History, period: Period, figure: Figure) -> int:
    """Members tried since January whose first service followed by the last day."""
    started = history.enrolled_from(period.last)
    return started is not None and started >= period.january and any(_for_initiation(history, period))


def _for_initiation(history: History, period: Period) -> Iterator[bool]:
    started = history.enrolled_from(period.last)
    for each in history.tried_by(period.last):
        yield period.january <= each.on and (started is None or each.on <= started)


def _enrolled(history: History, period: Period, figure: Figure) -> int:
    return history.enrolled(period.first, period.last)


def _serving(history: History, period: Period, figure: Figure) -> int:
    """Members whom a provider served on the last day."""
    ended = history.ended(period.last)
    over = ended is not None and ended[0] < period.last
    live = history.turn(period.last)
    return live is not None and live.served(period.last) and not over


def _listed(history: History, period: Period, figure: Figure) -> int:
    """Referrals of which the month has something to say."""
    told = history.open(period.last) or period.has(history.closed_on) or _enrolled(history, period, figure)
    return history.received_on is not None and history.received_on <= period.last and told


def _moved(status: str) -> Callable[[Support, Period], bool]:
    return lambda support, period: period.has(support.moved.get(status))


def under_way(support: Support, period: Period) -> bool:
    """Whether it was accepted by the last day, and not given yet."""
    accepted, done = support.moved.get("accepted"), support.moved.get("done")
    return accepted is not None and accepted <= period.last and (done is None or done > period.last)


# Community Supports are counted each by itself, and by their service; those under way by who gives them, too.
SUPPORTS: Mapping[str, Callable[[Support, Period], bool]] = {
    "supports_asked": _moved("asked"),
    "supports_declined": _moved("declined"),
    "supports_under_way": under_way,
}


def _supports(history: History, period: Period, figure: Figure) -> int:
    return sum(SUPPORTS[figure.counts](each, period) for each in history.supports.values())


def each_support(history: History, period: Period, figure: Figure) -> Iterator[str]:
    """The names of the figures in which the supports of this referral count, too."""
    for each in history.supports.values():
        if SUPPORTS[figure.counts](each, period):
            by = f":{each.provider or NOBODY}" if figure.counts == "supports_under_way" else ""
            yield f"{figure.name}:{each.code}{by}"


COUNTS: Mapping[str, Callable[[History, Period, Figure], int]] = {
    "received": _received,
    "authorized": _authorized,
    "denied": _denied,
    "closed": _closed,
    "closed_after_yes": _closed_after_yes,
    "came_of_age": _came_of_age,
    "closed_within": _closed_within,
    "open": _open,
    "attempts_this_year": _attempts_this_year,
    "engaged_this_year": _engaged_this_year,
    "enrolled": _enrolled,
    "serving": _serving,
    "listed": _listed,
    **dict.fromkeys(SUPPORTS, _supports),
}

# ── summed up ─────────────────────────────────────────────────────────────────────────────────────────────

# A figure, by what, and of which name; the total is by "" and of "".
Cell = tuple[str, str, str]
DAYS = "days_to_closure"
WHOLE = ("", "")


class Tally:
    """The figures of a report while its referrals come in, one by one; it grows with the names there are, and not with the
    referrals."""

    def __init__(self) -> None:
        self.cells: dict[Cell, int] = {}
        # How many loops took how many days, by cell of the closing they are counted in.
        self.days: dict[Cell, dict[int, int]] = {}

    def add(self, one: Counted) -> None:
        places = [WHOLE, *((by, name) for by, named in one.names.items() for name in named)]
        for figure, amount in one.figures.items():
            for by, name in places:
                cell = (figure, by, name)
                self.cells[cell] = self.cells.get(cell, 0) + amount
        if one.days is None:
            return
        for figure in one.figures:
            if figure == "closed" or figure.startswith("closed_as_"):
                for by, name in places if figure == "closed" else [WHOLE]:
                    taken = self.days.setdefault((figure, by, name), {})
                    taken[one.days] = taken.get(one.days, 0) + 1


def at_rank(taken: Mapping[int, int], percent: int) -> int:
    """The nearest rank: the least number of days within which at least this percentage closed."""
    needed = -(-sum(taken.values()) * percent // 100)
    reached = 0
    for days in sorted(taken):
        reached += taken[days]
        if reached >= needed:
            return days
    raise ValueError("there is no rank among none")


def in_order(cells: Iterable[Cell], figures: Sequence[Figure]) -> list[Cell]:
    """Cells as they are shown: the figures in the order of their rows, each total first."""
    places = {figure.name: place for place, figure in enumerate(figures)}
    return sorted(cells, key=lambda cell: (places[cell[0].partition(":")[0]], *cell))
