"""What a table of states shows of a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loopkeeper.contract.decider import Decider


@dataclass(frozen=True)
class Spec:
    """A service's rules with one state for each status and one command of each kind, with its context."""

    title: str
    decider: Decider[Any, Any]
    states: Mapping[str, Any]
    commands: Mapping[str, Callable[[Any], Any]]
