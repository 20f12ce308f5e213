"""Blank means missing, in every body: `""` in any optional field, "unknown" or "N/A" in any but a name; and true is no
number (loop.md 2.1: whatever is missing is a question, never a refusal)."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.vocabulary.languages import Language, language_of
from loopkeeper.contract.vocabulary.places import County, county_of
from loopkeeper.runtime.service import installed
from referral_intake.domain.form.criteria_fields import ANSWERS
from referral_intake.domain.form.examples import example_adult, example_child
from referral_intake.domain.form.form import ReferralBody
from tests.builders.standard_forms import asked

DOCUMENTS = Path(__file__).parents[2] / "docs" / "reference" / "openapi"
WORDS = ("unknown", "Unknown", "N/A", "n/a", " N/A ", "NA")
EMPTY = ("", "   ", "\t")
NAMES = {"first_name", "middle_name", "last_name", "suffix", "preferred_name", "name", "organization"}


# ── the form ──────────────────────────────────────────────────────────────────────────────────────────────

Position = tuple[str, ...]


def optional_fields(model: type[BaseModel], at: Position = ()) -> Iterator[Position]:
    """Every field of the form that may be missing, the parts' own fields with it."""
    for name, field in model.model_fields.items():
        if not field.is_required():
            yield (*at, field.alias or name)
        for part in parts(field.annotation):
            yield from optional_fields(part, (*at, field.alias or name))


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    if "Mapping" in str(annotation) or "tuple" in str(annotation):
        return
    for inner in getattr(annotation, "__args__", ()):
        yield from parts(inner)


WHOLE = {
    "member": {"first_name": "David", "last_name": "Okafor", "address": {"city": "Oakland", "zip": "94601"},
               "caregiver": {"phone": "555-0143", "relationship": "mother"}, "safe_contact": {"hours": "after six", "words_to_avoid": "clinic"}},
    "referrer": {"email": "rosa@harborstreet.example"},
    "recommended": {"note": "knows him", "provider": "harbor-street"},
    "preference": {"note": "speaks Igbo", "gender": "a woman"},
    "presumptive": {"population": "homelessness", "from": "2026-03-02"},
    "attestation": {"attested": True, "name": "Rosa Delgado"},
    "plan_change": {"how": "member"},
}  # fmt: skip


def form_with(place: Position, value: Any) -> dict[str, Any]:
    body: dict[str, Any] = deepcopy(example_adult())
    for name, part in WHOLE.items():
        body[name] = {**body.get(name, {}), **deepcopy(part)}
    inside = body
    for name in place[:-1]:
        inside = inside.setdefault(name, {})
    inside.pop(place[-1], None)
    if value is not ...:
        inside[place[-1]] = value
    return body


@pytest.mark.parametrize("place", sorted(set(optional_fields(ReferralBody))), ids=".".join)
def test_a_blank_in_any_optional_field_of_the_form_is_as_if_it_were_missing(place: Position) -> None:
    missing = ReferralBody.model_validate_json(json.dumps(form_with(place, ...)))
    words = EMPTY if place[-1] in NAMES or place == ("member", "medicare") else (*EMPTY, *WORDS)
    for blank in words:
        assert ReferralBody.model_validate_json(json.dumps(form_with(place, blank))) == missing, blank


@pytest.mark.parametrize(
    "place", [p for p in sorted(set(optional_fields(ReferralBody))) if p[-1] in NAMES], ids=".".join
)
def test_somebody_is_called_unknown(place: Position) -> None:
    for name in ("Unknown", "NA"):
        form = ReferralBody.model_validate_json(json.dumps(form_with(place, name)))
        found: Any = form
        for part in place:
            found = getattr(found, part)
        assert found == name


def test_blanks_of_lists_objects_and_answers_are_missing_too() -> None:
    body = example_adult() | {
        "populations": ["", "homelessness"],
        "answers": {code: blank for code, blank in zip(ANSWERS, (*EMPTY, *WORDS) * 20, strict=False)},
        "programs": {"hospice": "", "pace": "unknown"},
        "confirmed_programs": {"pace": ""},
        "member_choices": {"ccm": "N/A"},
        "program_providers": {"ccs": "unknown"},
        "presumptive": {"population": "", "from": "", "provider_type": ""},
        "extra": [{"name": "", "value": "", "purpose": ""}],
        "attachments": [""],
    }
    form = ReferralBody.model_validate_json(json.dumps(body))
    assert [each.value for each in form.populations] == ["homelessness"]
    assert set(form.answers.values()) == {None}
    assert dict(form.programs) == {"pace": "unknown"}
    assert (form.confirmed_programs, form.member_choices, form.program_providers) == ({}, {}, {})
    assert (form.presumptive, form.extra, form.attachments) == (None, (), ())


@pytest.mark.parametrize("example", [example_adult(), example_child()], ids=["adult", "child"])
@pytest.mark.parametrize(
    ("place", "question"),
    [
        (("member", "county"), "county"),
        (("member", "language_spoken"), "language"),
        (("member", "birth_date"), "birth-date"),
        (("member", "cin"), "cin"),
        (("referrer", "relationship"), "relationship"),
        (("referrer", "email"), "referrer-contact"),
        (("attestation", "attested"), "attestation"),
    ],
)
@pytest.mark.parametrize("blank", ["", "unknown", "N/A"])
def test_a_blank_is_a_question(example: dict[str, Any], place: Position, question: str, blank: str) -> None:
    body = deepcopy(example)
    body[place[0]][place[1]] = blank
    assert question in asked(ReferralBody.model_validate_json(json.dumps(body)))


# ── every other body ──────────────────────────────────────────────────────────────────────────────────────


def bodies() -> Mapping[str, type[BlankIsMissing]]:
    """Every body that the services take, by name."""
    for service in installed().values():
        package = importlib.import_module(service.package)
        for module in pkgutil.walk_packages(package.__path__, f"{service.package}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)
    found: list[type[BlankIsMissing]] = []
    waiting = list(BlankIsMissing.__subclasses__())
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return {f"{kind.__module__}.{kind.__name__}": kind for kind in found}


BODIES = bodies()


def refused(kind: type[BaseModel], sent: Mapping[str, Any]) -> set[str]:
    try:
        kind.model_validate_json(json.dumps(sent))
    except ValidationError as error:
        return {str(each["loc"][0]) for each in error.errors() if each["loc"]}
    return set()


@pytest.mark.parametrize("name", sorted(BODIES))
def test_in_every_body_an_empty_text_in_an_optional_field_is_no_fault(name: str) -> None:
    kind = BODIES[name]
    for field_name, field in kind.model_fields.items():
        sent = field.alias or field_name
        if not field.is_required():
            for blank in EMPTY:
                assert sent not in refused(kind, {sent: blank}), (sent, blank)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_the_reference_forbids_spaces_alone_where_a_body_refuses_them(name: str) -> None:
    kind = BODIES[name]
    schema = kind.model_json_schema()
    for field_name, field in schema.get("properties", {}).items():
        for space in (" ", "\n", "\x85", "\xa0", "\u2028"):
            if field.get("type") == "string" and field_name in refused(kind, {field_name: space}):
                assert "enum" in field or not re.search(field["pattern"], space), (field_name, space)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_true_is_no_number_in_any_body(name: str) -> None:
    kind = BODIES[name]
    schema = kind.model_json_schema()
    for field_name, field in schema.get("properties", {}).items():
        types = {each.get("type") for each in (field, *field.get("anyOf", ()))}
        if types & {"integer", "number"}:
            assert field_name in refused(kind, {field_name: True}), field_name


def test_every_body_of_the_documents_treats_blanks_as_missing() -> None:
    known = {kind.__name__ for kind in BODIES.values()}
    for service in installed():
        document = json.loads((DOCUMENTS / f"{service}.json").read_text())
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for media in operation.get("requestBody", {}).get("content", {}).values():
                    body = str(media.get("schema", {}).get("$ref", "")).rpartition("/")[2]
                    if not body or service not in ("intake", "authorization", "assignment", "notification"):
                        continue
                    optional = set(document["components"]["schemas"][body].get("properties", {})) - set(
                        document["components"]["schemas"][body].get("required", ())
                    )
                    if optional and not path.startswith("/v1/operations"):
                        assert body in known, f"{method} {path}: {body}"


# ── counties, languages, numbers ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("number", "county"), list(enumerate(County, 1)))
def test_a_county_is_known_by_name_state_code_and_fips(number: int, county: County) -> None:
    ways: list[str | int] = [
        county.value, county.label, county.label.upper(), f" {county.label} County ", f"county of {county.label}",
        county.value.replace("-", "_"), f"{number:02d}", str(number), number, f"06{2 * number - 1:03d}",
    ]  # fmt: skip
    for way in ways:
        assert county_of(way) is county, way


@pytest.mark.parametrize(
    "said",
    ["00", "59", 59, 0, -1, "06000", "06002", "06117", "07001", "6001x", "Clark", "", True, None, 1.0, "²"],
)
def test_what_names_no_county_of_california_names_none(said: object) -> None:
    assert county_of(said) is None


def test_accents_do_not_hide_a_county() -> None:
    assert county_of("Los Ángeles") is County.LOS_ANGELES
    assert county_of("San Joaquín") is County.SAN_JOAQUIN


@pytest.mark.parametrize("language", list(Language))
def test_a_language_is_known_by_code_and_name(language: Language) -> None:
    for way in (
        language.value,
        language.value.upper(),
        language.label,
        language.label.upper(),
        f" {language.label} ",
    ):
        assert language_of(way) is language, way


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("Español", Language.SPANISH), ("ESPANOL", Language.SPANISH), ("spa", Language.SPANISH),
        ("es-MX", Language.SPANISH), ("es_419", None), ("en-US", Language.ENGLISH), ("Filipino", Language.TAGALOG),
        ("Persian", Language.FARSI), ("zh-Hant", Language.CHINESE_TRADITIONAL), ("zh-TW", Language.CHINESE_TRADITIONAL),
        ("Mandarin Chinese", Language.MANDARIN), ("ASL", Language.AMERICAN_SIGN), ("Klingon", None), (7, None),
        (True, None), ("", None),
    ],
)  # fmt: skip
def test_languages_by_other_names(said: object, language: Language | None) -> None:
    assert language_of(said) is language


@pytest.mark.parametrize("code", sorted(ANSWERS))
@pytest.mark.parametrize("example", [example_adult(), example_child()], ids=["adult", "child"])
def test_an_answer_that_does_not_fit_is_refused_at_its_own_code(example: dict[str, Any], code: str) -> None:
    wrong: dict[str, list[Any]] = {
        "yes_no": ["perhaps", 1, 0, 7, [], {}],
        "count": [True, False, -1, 201, 1.5, "many", []],
        "words": [7, [], {}, "x" * 501],
    }
    for value in wrong[ANSWERS[code].type]:
        with pytest.raises(ValidationError) as caught:
            ReferralBody.model_validate_json(json.dumps(example | {"answers": {code: value}}))
        assert {each["loc"][:2] for each in caught.value.errors()} == {("answers", code)}
