"""Who acted, as a body names them: one shape for every route on which a named person decides or records.

With a person's token it is the token that names them, and the body must not: the route class fills the field in, so
that a route reads it the same way for every caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.security.tokens import ProvedPerson

ACTED_BY = "acted_by"


class Person(BlankIsMissing):
    """Who acted, as the organization states it (loop.md 1.4). Events keep the id; the title is for the audit."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(min_length=1, description="The organization's own staff id")
    title: str = ""


def actor_of(body: type[BaseModel] | None) -> type[Person] | None:
    """How this body names who acted; None where it names nobody."""
    field = body.model_fields.get(ACTED_BY) if body is not None else None
    if field is None:
        return None
    kinds: list[Any] = [field.annotation, *get_args(field.annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Person)), None)


def stated(actor: type[Person], proved: ProvedPerson) -> Mapping[str, str]:
    """The person of a token as such a body would name them."""
    said = {"person": proved.id, "title": proved.title, "licence": proved.licence}
    return {name: text for name, text in said.items() if name in actor.model_fields}
