"""Writes the console's models of what the services answer, from their OpenAPI documents: nothing of a service is imported.

Only what an answer is made of is taken, without titles and descriptions, which are the reference's.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.policy import Policy
from loopkeeper.policy.conditions import leaves
from referral_intake.domain.form.criteria_fields import ANSWERS

FORMS = ("adult", "child_youth")
HEAD = '"""What {service} answers: written by `make docs` from its OpenAPI document; change the service instead."""\n\n'
KEPT = {"title", "description", "examples", "example"}


def models(service: str, document: Mapping[str, Any]) -> str:
    """The module with a model for each shape that answers of this service have."""
    # The generator takes half a second to import, and only this needs it.
    from datamodel_code_generator import generate
    from datamodel_code_generator.enums import DataModelType, InputFileType, OpenAPIScope
    from datamodel_code_generator.format import Formatter, PythonVersion
    from datamodel_code_generator.parser import LiteralType

    pruned = {**document, "paths": {}, "components": {"schemas": dict(_answers(document))}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = generate(
            json.dumps(pruned),
            input_file_type=InputFileType.OpenAPI,
            openapi_scopes=[OpenAPIScope.Schemas],
            output_model_type=DataModelType.PydanticV2BaseModel,
            target_python_version=PythonVersion.PY_311,
            enum_field_as_literal=LiteralType.All,
            collapse_root_models=True,
            strict_nullable=True,
            use_standard_collections=True,
            use_union_operator=True,
            disable_timestamp=True,
            formatters=[Formatter.RUFF_FORMAT],
        )
    text = cast("str", made)
    return HEAD.format(service=service) + text[text.index("from __future__") :]


def _answers(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every schema that an answer is made of, by name, and those it names itself."""
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    wanted = sorted(
        {
            name
            for operations in document["paths"].values()
            for operation in operations.values()
            for status, response in operation["responses"].items()
            if status.startswith("2")
            for name in _named(response)
        }
    )
    seen: set[str] = set()
    while wanted:
        name = wanted.pop(0)
        if name not in seen:
            seen.add(name)
            yield name, _plain(schemas[name])
            wanted += sorted(_named(schemas[name]))


def _named(part: Any) -> set[str]:
    if isinstance(part, dict):
        found = cast("dict[str, Any]", part)
        own = {str(found["$ref"]).rpartition("/")[2]} if "$ref" in found else set[str]()
        return own.union(*(_named(value) for value in found.values()))
    return (
        set[str]().union(*(_named(each) for each in cast("list[Any]", part)))
        if isinstance(part, list)
        else set()
    )


def _plain(part: Any) -> Any:
    """A schema without its words. A field may be called as one of them: then it is a schema itself."""
    if isinstance(part, dict):
        found = cast("dict[str, Any]", part)
        return {
            name: _plain(value)
            for name, value in found.items()
            if name not in KEPT or not isinstance(value, str | list)
        }
    return [_plain(each) for each in cast("list[Any]", part)] if isinstance(part, list) else part


FORM_HEAD = '''"""What the referral form asks about each Population of Focus: written by `make docs` from intake's form and policy rows."""

from collections.abc import Mapping

'''


def form(policy: Policy) -> str:
    """The module with every answer's kind and question, and which of them each population reads on either form."""
    used: dict[str, dict[str, list[str]]] = {name: {} for name in FORMS}
    for row in policy.all_rows:
        if row.table != "populations" or row.effective_to is not None:
            continue
        conditions = (row[column] for column in ("condition", "doubt", "raised_by"))
        keys = [leaf.key for each in conditions if each is not None for leaf in leaves(each)]
        known = used[row["form"]].setdefault(row["population"], [])
        known += [key for key in dict.fromkeys(keys) if key in ANSWERS and key not in known]
    lines = [
        "# Of each answer: yes_no, count or words, and its question.",
        "ANSWERS: Mapping[str, tuple[str, str]] = {",
    ]
    lines += [f"    {code!r}: ({each.type!r}, {each.asks!r})," for code, each in ANSWERS.items()]
    lines += [
        "}",
        "# By form and population, in the order of the criteria.",
        "ASKED: Mapping[str, Mapping[str, tuple[str, ...]]] = {",
    ]
    for name, populations in used.items():
        lines.append(f"    {name!r}: {{")
        ordered = [code.value for code in Population if code.value in populations]
        lines += [f"        {code!r}: {tuple(populations[code])!r}," for code in ordered]
        lines.append("    },")
    return FORM_HEAD + "\n".join([*lines, "}"]) + "\n"
