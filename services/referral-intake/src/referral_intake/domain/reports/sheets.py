"""The six tabs of the quarterly workbook, as far as they are known: what one referral writes into tabs 1 and 4, and what is
counted into the others. The official template is not public."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from loopkeeper.contract.vocabulary.populations import AgeBand, Population
from loopkeeper.contract.vocabulary.supports import CommunitySupport
from referral_intake.domain.reports.counting import WHOLE
from referral_intake.domain.reports.figures import Value
from referral_intake.domain.reports.history import History
from referral_intake.domain.reports.period import Period

Cell = str | int | date | None
Row = Sequence[Cell]
TABS = (
    "1 ECM Members", "2 ECM Requests", "3 ECM Capacity", "4 CS Members", "5 CS Capacity", "6 CS Requests", "Sources",
)  # fmt: skip
# The populations by the age of whom they serve. The template has sixteen flags: it tells homeless individuals and families
# apart, which the populations of a referral do not.
FLAGS = tuple(
    (population, band)
    for population in Population
    for band in (AgeBand.ADULT, AgeBand.CHILD_YOUTH)
    if not (
        population in (Population.LTC_COMMUNITY, Population.NF_TRANSITION) and band is AgeBand.CHILD_YOUTH
    )
    and not (population in (Population.CCS, Population.CHILD_WELFARE) and band is AgeBand.ADULT)
)
HEAD = ("Plan", "Plan Code", "County", "Period", "CIN", "Last Name", "First Name", "Birth Date")
HEADINGS: Mapping[int, Sequence[str]] = {
    0: (
        *HEAD,
        *(f"POF {each.number} {'Adult' if band is AgeBand.ADULT else 'Child'}" for each, band in FLAGS),
        "ECM Start", "ECM End", "Discontinuation Reason", "ECM Provider NPI", "In Person", "Telephonic or Telehealth",
        "Referral",
    ),
    1: ("County", "Requests", "Denied", "Unique Outreach Attempts Since January", "Engaged Since January"),
    2: ("NPI", "Provider", "Types", "Populations", "Counties", "Places", "Serving On The Last Day"),
    3: (
        *HEAD,
        *(f"Approved {each.label}" for each in CommunitySupport),
        *(f"Received {each.label}" for each in CommunitySupport),
        "Referral",
    ),
    4: ("NPI", "Provider", "Community Support", "Serving On The Last Day", "Able To Serve"),
    5: ("Community Support", "Requests", "Denied"),
    6: ("Figure", "Definition", "Source", "Confidence"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlanNamed:
    """The plan as its files name it."""

    name: str
    code: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A provider's directory entry as it was on a day."""

    npi: str = ""
    name: str = ""
    types: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()
    counties: tuple[str, ...] = ()
    capacity: int = 0


def member_row(
    history: History, who: Mapping[str, Any], plan: PlanNamed, period: Period, npi: str
) -> Row | None:
    """The member's row of tab 1; None for one who received no ECM in the quarter. An end after it is left empty."""
    if not history.enrolled(period.first, period.last):
        return None
    ended = history.ended(period.last)
    turn = history.served_by(period.last)
    in_person, remote = history.met(turn, period.months) if turn is not None else (0, 0)
    flags = (
        int(each.value in history.populations and history.age_band == band.value) for each, band in FLAGS
    )
    return (
        *_head(history, who, plan, period),
        *flags,
        history.enrolled_from(period.last),
        ended[0] if ended is not None else None,
        ended[1] if ended is not None else None,
        npi,
        in_person,
        remote,
        history.referral,
    )


def names_member(history: History, period: Period) -> bool:
    """Whether a row of tab 1 or 4 is about the member."""
    by_then = any(
        on <= period.last
        for each in history.supports.values()
        for status, on in each.moved.items()
        if status in ("accepted", "done")
    )
    return by_then or history.enrolled(period.first, period.last)


def support_row(history: History, who: Mapping[str, Any], plan: PlanNamed, period: Period) -> Row | None:
    """The member's row of tab 4: of each service whether it was approved, and whether it was received, by the last day."""

    def flags(status: str) -> Iterator[int]:
        had = {
            each.code
            for each in history.supports.values()
            if (on := each.moved.get(status)) is not None and on <= period.last
        }
        return (int(each.value in had) for each in CommunitySupport)

    approved, received = tuple(flags("accepted")), tuple(flags("done"))
    if not any(approved) and not any(received):
        return None
    return (*_head(history, who, plan, period), *approved, *received, history.referral)


def _head(history: History, who: Mapping[str, Any], plan: PlanNamed, period: Period) -> Row:
    named = (who.get("cin"), who.get("last_name"), who.get("first_name"), who.get("birth_date"))
    return (plan.name, plan.code, history.county, period.name, *(each or "" for each in named))


# ── what is counted ───────────────────────────────────────────────────────────────────────────────────────


def counted_tabs(
    values: Sequence[Value], directory: Mapping[str, Entry], contracted: Sequence[str]
) -> Mapping[int, Sequence[Row]]:
    """Tabs 2, 3, 5 and 6. `contracted`: the providers of the plan on the last day, though they serve nobody."""
    counts = {each.cell: each.value for each in values}

    def by(figure: str, name: str, of: str) -> int:
        return counts.get((figure, name, of), 0)

    requested = ("requests", "denied", "attempts", "engaged")
    counties = sorted({of for figure, name, of in counts if figure in requested and name == "county"})
    serving = {of for figure, name, of in counts if (figure, name) == ("serving", "provider")}
    supports = [
        cell[0].split(":")[1:] for cell in counts if cell[0].startswith("cs_serving:") and not cell[1]
    ]
    return {
        1: [
            *((county, *(by(figure, "county", county) for figure in requested)) for county in counties),
            ("All", *(by(figure, *WHOLE) for figure in requested)),
        ],
        2: [
            _capacity(directory.get(each, Entry(name=each)), by("serving", "provider", each))
            for each in sorted(serving | set(contracted))
            if each != "none"
        ],
        4: [
            (directory.get(who, Entry()).npi, directory.get(who, Entry(name=who)).name, code, by(f"cs_serving:{code}:{who}", *WHOLE), "")
            for code, who in sorted(supports)
        ],
        5: [
            (each.value, by(f"cs_requests:{each.value}", *WHOLE), by(f"cs_denied:{each.value}", *WHOLE))
            for each in CommunitySupport
        ],
    }  # fmt: skip


def _capacity(entry: Entry, serving: int) -> Row:
    lists = (entry.types, entry.populations, entry.counties)
    return (entry.npi, entry.name, *(", ".join(each) for each in lists), entry.capacity, serving)
