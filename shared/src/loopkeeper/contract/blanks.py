"""What a form's empty field sends: `""`, and words such as "unknown" or "N/A". A blank is a missing field, never a value.

A name is not blank for these words: somebody is called Unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from annotated_types import MaxLen
from pydantic import BaseModel, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

BLANK_WORDS = frozenset({"", "unknown", "n/a", "na", "n.a."})
LONGEST = max(map(len, BLANK_WORDS))
# How a reference says that a field may be sent empty, and that it may be sent as one of the words.
EMPTY: JsonSchemaValue = {
    "title": "Empty",
    "description": "Nothing: counts as a missing field",
    "type": "string",
    "pattern": r"^\s*$",
}
SAYS_SOMETHING = r"[^\sunaUNA]"
# Of a text that is trimmed before it is measured. (\s of some languages leaves the next-line character out.)
NOT_ONLY_SPACE = r"[^\s\u0085]"
BLANK: JsonSchemaValue = {
    "title": "Blank",
    "description": "Nothing, or a word for it (unknown, N/A): counts as a missing field",
    "type": "string",
    "pattern": r"^\s*([uU][nN][kK][nN][oO][wW][nN]|[nN]/?[aA]|[nN]\.[aA]\.)?\s*$",
}


def is_empty(sent: object) -> bool:
    """Whether this is a text with nothing in it."""
    return isinstance(sent, str) and (not sent or sent.isspace())


def is_blank(sent: object) -> bool:
    """Whether this is a text that says nothing: an empty one, or a word for a missing value."""
    if not isinstance(sent, str):
        return False
    word = sent.strip()
    return len(word) <= LONGEST and word.casefold() in BLANK_WORDS


def without_empty(sent: object) -> object:
    """An object without the entries that are empty texts: what a form sends for a row nobody filled in."""
    if not isinstance(sent, Mapping):
        return sent
    entries = cast("Mapping[object, object]", sent)
    return {name: value for name, value in entries.items() if not is_empty(value)}


def without_blank(sent: object) -> object:
    """The same, words for a missing value included."""
    if not isinstance(sent, Mapping):
        return sent
    entries = cast("Mapping[object, object]", sent)
    return {name: value for name, value in entries.items() if not is_blank(value)}


class BlankIsMissing(BaseModel):
    """A body in which a blank counts as a missing field wherever a field may be missing. `verbatim` names the fields
    in which a word for a missing value is meant as it is written: names, and choices that have the word. With
    `empty_is_null` an empty text is a null instead, where null empties a field."""

    verbatim: ClassVar[frozenset[str]] = frozenset()
    empty_is_null: ClassVar[bool] = False
    _optional: ClassVar[frozenset[str]] = frozenset()
    _nullable: ClassVar[frozenset[str]] = frozenset()
    _longest: ClassVar[Mapping[str, int]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        free = {name: field for name, field in cls.model_fields.items() if not field.is_required()}
        aliases = {field.alias for field in free.values() if field.alias}
        cls._optional = frozenset({*free, *aliases})
        cls._longest = {
            name: bound.max_length
            for own, field in cls.model_fields.items()
            for bound in field.metadata
            if isinstance(bound, MaxLen)
            for name in (own, field.alias or own)
        }
        cls._nullable = frozenset(name for name, field in free.items() if field.get_default() is None)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The model's own, with what is taken for a missing field where a field may be missing, or is one of a list; and
        where texts are trimmed, one that must not be empty is not of spaces alone either."""
        made = handler(core_schema)
        fields: dict[str, JsonSchemaValue] = handler.resolve_ref_schema(made).get("properties", {})
        trims = cls.model_config.get("str_strip_whitespace", False)
        for name, schema in fields.items():
            blank = EMPTY if name in cls.verbatim else BLANK
            for each in [schema, *schema.get("anyOf", ())]:
                if each.get("type") == "array" and "items" in each:
                    each["items"] = _entry(each, blank)
                if trims and "minLength" in each:
                    each.setdefault("pattern", NOT_ONLY_SPACE)
            if name in cls._optional:
                fields[name] = _or(schema, blank)
        return made

    @model_validator(mode="before")
    @classmethod
    def _blank_is_missing(cls, sent: object) -> object:
        if not isinstance(sent, dict):
            return sent
        fields = cast("dict[str, object]", sent)
        kept: dict[str, object] = {}
        for name, value in fields.items():
            empty = is_empty if name in cls.verbatim else is_blank
            if name not in cls._optional or not (empty(value) or _says_nothing(value)):
                kept[name] = _filled(value, empty, cls._longest.get(name))
            elif cls.empty_is_null and name in cls._nullable and is_empty(value):
                kept[name] = None
        return kept


def _takes_any_text(schema: JsonSchemaValue) -> bool:
    bounds = {"pattern", "minLength", "format", "enum", "const"}
    return (schema.get("type") == "string" and not schema.keys() & bounds) or any(
        map(_takes_any_text, schema.get("anyOf", ()))
    )


def _entry(entries: JsonSchemaValue, blank: JsonSchemaValue) -> JsonSchemaValue:
    """An entry of a list, or a blank; where some must be there, a blank is none of them."""
    entry: JsonSchemaValue = entries["items"]
    if "minItems" not in entries:
        return _or(entry, blank)
    return {**entry, "pattern": SAYS_SOMETHING} if _takes_any_text(entry) else entry


def _or(schema: JsonSchemaValue, blank: JsonSchemaValue) -> JsonSchemaValue:
    """What this schema takes, or a blank."""
    if not schema.keys() & {"type", "$ref", "anyOf", "enum", "const"} or _takes_any_text(schema):
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], blank]}
    said = {key: schema[key] for key in ("title", "description", "default") if key in schema}
    return {"anyOf": [{key: each for key, each in schema.items() if key not in said}, blank], **said}


def _says_nothing(value: object) -> bool:
    """Whether this is an object with nothing in it but empty texts: a part of a form that nobody filled in."""
    if not isinstance(value, dict):
        return False
    entries = cast("dict[str, object]", value)
    return bool(entries) and all(
        entry is None or is_empty(entry) or _says_nothing(entry) for entry in entries.values()
    )


def _filled(value: object, empty: Callable[[object], bool], longest: int | None) -> object:
    """A list without the entries that say nothing, but one over its bound, which is refused whatever its entries are; any
    other value as it is."""
    if not isinstance(value, list):
        return value
    entries = cast("list[object]", value)
    if longest is not None and len(entries) > longest:
        return entries
    return [entry for entry in entries if not (empty(entry) or _says_nothing(entry))]
