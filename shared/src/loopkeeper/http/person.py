"""Who acted, as a body names them: one shape for every route on which a named person decides or records."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing


class Person(BlankIsMissing):
    """Who acted, as the organization states it (loop.md 1.4). Events keep the id; the title is for the audit."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(min_length=1, description="The organization's own staff id")
    title: str = ""
