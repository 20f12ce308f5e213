"""What must hold of a request's query string: each parameter known, sent once unless it is a list, in UTF-8.

FastAPI validates the values; it takes the last of a parameter sent twice, and one that nobody declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_origin
from urllib.parse import parse_qsl

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from loopkeeper.http.problems import from_errors, unknown
from loopkeeper.kernel.errors import FieldError, Problem, field_invalid

MOST_PARAMETERS = 50

Values = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query parameters a route declares: one model, or single ones."""

    model: type[BaseModel] | None
    names: frozenset[str]
    repeatable: frozenset[str]

    def check(self, text: bytes) -> None:
        """Raise 422 `field-invalid` for what no declared parameter takes."""
        if not text:
            return
        strange = [name for name in parameters(text, self.names, self.repeatable) if name not in self.names]
        if strange:
            raise field_invalid(
                *(
                    FieldError(pointer="query", rule="extra-forbidden", fix=unknown(name, self.names))
                    for name in strange
                )
            )

    def invalid(self, error: RequestValidationError, text: bytes) -> Problem:
        """FastAPI's complaint about a query, without the values."""
        errors = cast("Sequence[Mapping[str, Any]]", error.errors())
        found = [each | {"loc": tuple(each["loc"])[1:]} for each in map(dict, errors)]
        sent = parameters(text, self.names, self.repeatable)
        return from_errors(found, sent, self.names, prefix="query")


def declared(dependant: Dependant) -> Parameters:
    """Those of a route, from its signature."""
    model: type[BaseModel] | None = None
    kinds: dict[str, Any] = {}
    for field in dependant.query_params:
        annotation: Any = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
            kinds |= {name: each.annotation for name, each in annotation.model_fields.items()}
        else:
            kinds[field.alias] = annotation
    repeatable = frozenset(name for name, kind in kinds.items() if get_origin(kind) in (tuple, list))
    return Parameters(model, frozenset(kinds), repeatable)


def parameters(text: bytes, known: frozenset[str], repeatable: frozenset[str]) -> Values:
    """The parameters by name; one that is not `repeatable` may come once. Raises 422 `field-invalid`, which names only
    what is `known`."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict"
        )
    except ValueError:
        raise field_invalid(
            FieldError(pointer="query", rule="malformed", fix="Send percent-encoded UTF-8 parameters.")
        ) from None
    values: dict[str, str | list[str]] = {}
    for name, value in pairs:
        if "\0" in value or "\0" in name:
            raise field_invalid(
                FieldError(pointer=_pointer(name, known), rule="no-nul", fix="Remove the character U+0000.")
            )
        if name in repeatable:
            cast("list[str]", values.setdefault(name, [])).append(value)
        elif name in values:
            raise field_invalid(
                FieldError(pointer=_pointer(name, known), rule="once", fix="Send this parameter once.")
            )
        else:
            values[name] = value
    return values


def _pointer(name: str, known: frozenset[str]) -> str:
    """Where the parameter is; what nobody declared may be anything, and is not repeated."""
    return f"query/{name}" if name in known else "query"
