"""The answers of a form by code: one schema a code, so that a refusal points at `/answers/<code>` and the OpenAPI document
lists every code with its question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import PydanticKnownError, core_schema

from loopkeeper.contract.blanks import is_blank
from referral_intake.domain.form.criteria_fields import ANSWERS, Answer

Value = bool | int | str | None
# More visits or stays than half a year has days are a slip of the keyboard.
MOST_COUNTED = 200
MOST_WORDS = 500
YES, NO = frozenset({"yes", "true"}), frozenset({"no", "false"})


def _yes_or_no(sent: object) -> object:
    if not isinstance(sent, str):
        return sent
    word = sent.strip().casefold()
    return True if word in YES else False if word in NO else sent


def _number(sent: object) -> object:
    """Pydantic would read true as 1."""
    if isinstance(sent, bool):
        raise PydanticKnownError("int_type")
    return sent


def _nothing_if_blank(sent: object) -> object:
    return None if is_blank(sent) else sent


def _schema(answer: Answer) -> core_schema.CoreSchema:
    yes_no = core_schema.no_info_before_validator_function(_yes_or_no, core_schema.bool_schema(strict=True))
    match answer.type:
        case "yes_no":
            inner: core_schema.CoreSchema = yes_no
        case "count":
            counted = core_schema.int_schema(ge=0, le=MOST_COUNTED)
            inner = core_schema.no_info_before_validator_function(_number, counted)
        case "words":
            words = core_schema.str_schema(strip_whitespace=True, min_length=1, max_length=MOST_WORDS)
            inner = core_schema.union_schema([yes_no, words], mode="left_to_right")
    return core_schema.no_info_before_validator_function(
        _nothing_if_blank, core_schema.nullable_schema(inner)
    )


class _ByCode:
    """The schema of `answers`: an object with exactly the codes the form knows, none of them required."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        fields = {
            code: core_schema.typed_dict_field(
                _schema(answer),
                required=False,
                metadata={"pydantic_js_updates": {"title": code, "description": answer.asks}},
            )
            for code, answer in ANSWERS.items()
        }
        return core_schema.typed_dict_schema(fields, extra_behavior="forbid")


# Answers by code, as sent and as kept; a code that nobody sent is not there.
AnswersByCode = Annotated[Mapping[str, Value], _ByCode]
