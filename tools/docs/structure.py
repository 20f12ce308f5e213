"""What the house looks like, computed from its imports: packages, floors, arrows, circles, the fullest folder.

A *package* is a folder directly under `loopkeeper`, or under a service. An *arrow* says that one imports another. The
*floor* of a package is one above the highest package it imports. Imports for types alone count, imports inside functions too.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
SERVICES = ("referral_intake", "authorization", "assignment", "notification", "console")
# Alembic's scripts are numbered, not arranged.
NOT_ARRANGED = frozenset({"versions", "__pycache__"})

Arrows = Mapping[str, Collection[str]]


@dataclass(frozen=True)
class House:
    """One distribution: its packages and which imports which."""

    name: str
    folder: Path
    arrows: Arrows

    @cached_property
    def circles(self) -> list[list[str]]:
        """Packages that reach themselves, together with those on the way."""
        reach = {each: _reached(self.arrows, each) for each in self.arrows}
        together = {
            frozenset(other for other in reach[each] if each in reach[other]) | {each}
            for each in self.arrows
            if each in reach[each]
        }
        return sorted(sorted(each) for each in together)

    @cached_property
    def floors(self) -> Mapping[str, int]:
        """Each package's floor, from 1. Raises `ValueError` where packages import each other in a circle."""
        if self.circles:
            raise ValueError(f"{self.name} has a circle: {self.circles[0]}")
        found: dict[str, int] = {}

        def floor(package: str) -> int:
            if package not in found:
                found[package] = 1 + max((floor(each) for each in self.arrows[package]), default=0)
            return found[package]

        return {package: floor(package) for package in sorted(self.arrows)}

    @cached_property
    def folders(self) -> Mapping[str, int]:
        """How many modules each folder holds, its `__init__` aside."""
        return {
            str(folder.relative_to(self.folder.parent)): count
            for folder in [self.folder, *sorted(self.folder.rglob("*"))]
            if folder.is_dir()
            and not NOT_ARRANGED & set(folder.parts)
            and (count := len([file for file in folder.glob("*.py") if file.name != "__init__.py"]))
        }

    @property
    def number_of_arrows(self) -> int:
        return sum(len(targets) for targets in self.arrows.values())

    @property
    def fullest(self) -> tuple[str, int]:
        """The folder with the most modules, and how many."""
        return max(self.folders.items(), key=lambda item: item[1])


def _reached(arrows: Arrows, start: str) -> set[str]:
    reached: set[str] = set()
    ahead = list(arrows[start])
    while ahead:
        package = ahead.pop()
        if package not in reached:
            reached.add(package)
            ahead.extend(arrows[package])
    return reached


def houses() -> Mapping[str, House]:
    """The chassis and the services, by name."""
    graph = grimp.build_graph("loopkeeper", *SERVICES, cache_dir=None)
    found: dict[str, House] = {}
    for name in ("loopkeeper", *SERVICES):
        packages = graph.find_children(name)
        inside = {
            each: package for package in packages for each in [package, *graph.find_descendants(package)]
        }
        arrows: dict[str, set[str]] = {package.rpartition(".")[2]: set() for package in packages}
        for module, package in inside.items():
            for target in graph.find_modules_directly_imported_by(module):
                if target in inside and inside[target] != package:
                    arrows[package.rpartition(".")[2]].add(inside[target].rpartition(".")[2])
        (folder,) = ROOT.glob(f"shared/src/{name}" if name == "loopkeeper" else f"services/*/src/{name}")
        found[name] = House(name, folder, arrows)
    return found


def document() -> str:
    """The houses as Markdown: figures, then each floor from the top with what its packages import."""
    every = houses()
    lines = [
        "# Structure\n",
        "Computed from the imports. A package imports only packages on floors below its own; `tests/architecture` holds the",
        "limits: no circle, at most 8 floors and 60 arrows in the chassis, at most 12 modules in a folder of a service.\n",
        "| | packages | floors | arrows | circles | modules a folder (median, most) | fullest folder |",
        "|---|---|---|---|---|---|---|",
    ]
    for house in every.values():
        counts, (folder, most) = list(house.folders.values()), house.fullest
        lines.append(
            f"| {house.name} | {len(house.arrows)} | {max(house.floors.values())} | {house.number_of_arrows} "
            f"| {len(house.circles)} | {statistics.median(counts):g}, {most} | `{folder}` |"
        )
    for house in every.values():
        lines += [f"\n## {house.name}\n", "| floor | package | imports |", "|---|---|---|"]
        for package, floor in sorted(house.floors.items(), key=lambda item: (-item[1], item[0])):
            lines.append(f"| {floor} | {package} | {', '.join(sorted(house.arrows[package])) or '–'} |")
    return "\n".join(lines) + "\n"
