"""The universal form: who is identified by it, under which standard it is read, what is asked, what stays sealed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from loopkeeper.contract.decider import Refused
from referral_intake.domain.form.examples import example_adult, example_child
from referral_intake.domain.form.form import ReferralBody
from referral_intake.domain.form.form_standard import (
    sealed_parts,
    sentence,
    treating_until,
    understand,
)
from tests.builders.standard_forms import MARCH, asked, body, read


@pytest.mark.parametrize("example", [example_adult(), example_child()], ids=["adult", "child"])
def test_both_examples_are_whole_and_ask_nothing(example: dict[str, Any]) -> None:
    assert asked(body(example)) == {}


# ── the ages (loop.md 2.3) ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("born", "standard"), [("2005-03-03", "adult"), ("2005-03-04", "child_youth"), (None, "child_youth")]
)
def test_the_standard_follows_the_age_on_the_day_not_the_form(born: str | None, standard: str) -> None:
    form = body(example_child(), member={"birth_date": born})
    assert read(form).standard == standard


def test_an_adult_form_for_a_child_is_read_as_a_childs_and_the_difference_is_asked() -> None:
    changes = {"populations": ["ccs"], "answers": {"ccs_enrolled": True}}
    open_ones = asked(body(example_adult(), member={"birth_date": "2010-05-01"}, **changes))
    assert open_ones["age-group"].pointer == "/member/birth_date"
    assert {"consent-holder", "caregiver", "answer-lacks_transportation"} <= set(open_ones)


def test_a_childs_form_for_an_adult_is_read_as_an_adults() -> None:
    open_ones = asked(body(example_child(), member={"birth_date": "1990-05-01"}))
    assert "age-group-adult" in open_ones
    assert "consent-holder" not in open_ones


# ── minors (loop.md 6.6) ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ({}, set()),
        ({"consent_holder": None}, {"consent-holder"}),
        ({"caregiver": None}, {"caregiver"}),
        ({"caregiver": None, "consent_holder": "self"}, set()),
        ({"caregiver": None, "consent_holder": None, "birth_date": "2008-03-03"}, set()),
        ({"caregiver": None, "consent_holder": None, "birth_date": "2008-03-04"}, {"consent-holder", "caregiver"}),
    ],
)  # fmt: skip
def test_who_holds_consent_is_asked_for_a_minor_only(member: dict[str, Any], expected: set[str]) -> None:
    open_ones = asked(body(example_child(), member=member))
    assert {"consent-holder", "caregiver"} & set(open_ones) == expected


# ── race and ethnicity (loop.md 6.7) ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        (["Black or African American"], ("black",)),
        (["black", "WHITE"], ("black", "white")),
        (["Native Hawaiian or Pacific Islander"], ("pacific_islander",)),
        (["black", "Blasian"], ()),
        ([], ()),
    ],
)
def test_the_members_own_words_become_codes_and_an_unknown_word_is_no_answer(
    said: list[str], codes: tuple[str, ...]
) -> None:
    assert read(body(example_adult(), member={"race_ethnicity": said})).groups == codes


# loop.md 6.7
def test_race_and_ethnicity_stand_in_the_sealed_form_only() -> None:
    form = body(example_adult(), member={"race_ethnicity": ["Samoan"]})
    parts = sealed_parts(form, read(form))
    assert "Samoan" in str(parts["form"])
    assert "Samoan" not in str({name: part for name, part in parts.items() if name != "form"})
    assert "Samoan" not in repr(read(form))


# ── other questions ───────────────────────────────────────────────────────────────────────────────────────


def test_a_release_without_its_day_is_asked_where_services_came_before_it() -> None:
    answers = {"leaving_incarceration": True, "pre_release_services": True}
    form = body(example_adult(), populations=["incarceration"], answers=answers)
    assert asked(form)["release-date"].pointer == "/release_on"
    assert "release-date" not in asked(body(example_adult(), populations=[], answers={"hiv_aids": True}))


def test_only_a_form_of_which_no_population_can_be_seen_waits_for_an_answer() -> None:
    open_ones = asked(body(example_adult(), populations=[], answers={}, member={"cin": "", "phone": ""}))
    assert [each.id for each in open_ones.values() if each.blocking] == ["populations"]


def test_every_question_has_words_and_a_pointer_into_the_form() -> None:
    bare = body(
        {"plan": "harbor-health-plan", "member": {"cin": "90000001S"}, "referrer": {}},
        referrer={"npi": "1234567898"},
        referral_date="2026-03-04",
        populations=["ccs"],
        presumptive={"population": "homelessness", "from": "2026-03-02"},
    )
    for each in asked(bare).values():
        assert sentence(each.id).endswith("?") or sentence(each.id)
        assert each.pointer.startswith("/")


# loop.md 2.1
@pytest.mark.parametrize(
    "given", [{}, {"first_name": "David"}, {"approximate_age": 60, "usual_place": "5th and Alder"}]
)
def test_a_person_nobody_could_find_is_refused(given: dict[str, Any]) -> None:
    form = ReferralBody.model_validate({"plan": "harbor-health-plan", "member": given})
    with pytest.raises(Refused) as refused:
        read(form)
    assert refused.value.slug == "not-identifiable"


def test_what_a_plan_collects_beyond_the_standard_says_what_for_and_is_never_asked() -> None:
    """loop.md 2.15: an extra field carries its purpose; a form without it asks nothing."""
    extra = {"name": "pet", "value": "a small dog", "purpose": "shelter that takes pets"}
    assert asked(body(example_adult(), extra=[extra])) == {}
    with pytest.raises(ValidationError):
        body(example_adult(), extra=[{"name": "icd_10", "value": "E11.9"}])


@pytest.mark.parametrize("asked_for", ["icd_10", "tar", "checklist", "homelessness_proof", "diagnosis_code"])
def test_the_form_has_no_place_for_what_no_plan_may_ask(asked_for: str) -> None:
    with pytest.raises(ValidationError):
        body(example_adult(), **{asked_for: "x"})


# loop.md 8.5
def test_an_invented_number_identifies_nobody_where_invented_members_are_not_let_in() -> None:
    form = body(example_adult(), member={"first_name": "", "last_name": "", "cin": "90000001S"})
    assert understand(form, referrer="eastside-clinic", on=MARCH, synthetic=True).cin == "90000001S"
    with pytest.raises(Refused) as refused:
        understand(form, referrer="eastside-clinic", on=MARCH, synthetic=False)
    assert refused.value.slug == "not-identifiable"


# loop.md 2.6
@pytest.mark.parametrize(
    ("given", "is_asked"),
    [
        ({"fax": "555-0199"}, True),
        ({}, True),
        ({"fax": "555-0199", "email": "rosa@harborstreet.example"}, False),
        ({"fax": "555-0199", "phone": "555-0142"}, False),
    ],
)
def test_only_a_fax_is_a_question_and_never_a_refusal(given: dict[str, str], is_asked: bool) -> None:
    """loop.md 7.4: a fax is not electronic."""
    form = body(example_adult(), referrer={"email": "", "phone": "", **given})
    assert read(form).cin
    found = asked(form)
    assert ("referrer-contact" in found) is is_asked
    assert not any(each.blocking for each in found.values())


def test_who_treats_the_member_now_says_until_when_and_who_treats_nobody_is_not_believed() -> None:
    """loop.md 2.11."""
    until = {"treating_until": "2026-03-06"}
    assert treating_until(body(example_adult(), referrer={"relationship": "hospital", **until})) == date(
        2026, 3, 6
    )
    assert treating_until(body(example_adult(), referrer={"relationship": "legal_aid", **until})) is None
    assert treating_until(body(example_adult(), referrer={"relationship": "hospital"})) is None


@pytest.mark.parametrize("way", ["api", "form", "telephone", "fax", "in_person", "file"])
def test_whoever_has_no_key_refers_through_a_call_centre_that_says_how_and_by_whom(way: str) -> None:
    form = body(example_adult(), received_via=way, entered_by="call centre, desk 4")
    assert (form.received_via, form.entered_by) == (way, "call centre, desk 4")
    assert asked(form) == {}
