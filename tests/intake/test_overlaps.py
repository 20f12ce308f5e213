"""What a member who is in another program is asked: by form and roster alike (loop.md 4.4; ECMG26 p63-88)."""

from __future__ import annotations

from typing import Any

import pytest

from loopkeeper.contract.decider import Plain
from loopkeeper.contract.events import Eligibility, Event, Question, ReferralAmended, ReferralQuestionsAsked
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, SEED, given
from referral_intake.domain.commands import AnswerQuestions, LearnCoverage
from referral_intake.domain.form.form import ReferralBody
from referral_intake.domain.form.form_standard import sentence, understand
from referral_intake.domain.form.overlaps import choice_of, choices_open, newly_chosen, with_a_choice
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from referral_intake.persistence.context import IntakeLoaded
from referral_intake.persistence.queries import KnownMembers
from tests.builders import intake
from tests.builders.intake import ACCEPTED, CLOSED, MADE, RECEIVED, SERVED

OVERLAPS = {"alw": "member_choice", "ccm": "member_choice", "pace": "exclusive", "county_tcm": "ecm_first"}
ALW = choice_of("alw")
POLICY = load(installed())


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ((), ["choice-alw"]),
        (("chose_alw",), []),
        (("chose_ecm_over_alw",), []),
        (("chose_ecm_over_ccm",), ["choice-alw"]),
    ],
)
def test_what_the_roster_knows_is_asked_unless_the_member_chose(
    flags: tuple[str, ...], asked: list[str]
) -> None:
    programs = ("alw", "pace", "county_tcm", "ihss")
    assert [each.id for each in choices_open(programs, flags, OVERLAPS)] == asked
    assert "Assisted Living Waiver" in sentence("choice-alw")


def test_nobody_chooses_a_program_that_yields_to_ecm() -> None:
    flags = ("program_county_tcm", "chose_county_tcm", "chose_alw", "chose_ecm_over_ccm", "chose_ihss")
    assert with_a_choice(flags, OVERLAPS) == ("program_county_tcm", "chose_alw", "chose_ecm_over_ccm")
    # Where no table is here nothing is known to be no choice.
    assert with_a_choice(flags, {}) == flags


def test_who_waits_for_a_place_is_not_enrolled_p66() -> None:
    member = {"first_name": "Rosa", "last_name": "Vega", "birth_date": "1950-04-01", "county": "alameda"}
    body = ReferralBody.model_validate(
        {"plan": "harbor", "member": member, "programs": {"alw": "wait_listed", "ccm": "yes"}}
    )
    reading = understand(body, referrer="clinic", on=MONDAY.date(), synthetic=True)
    assert [flag for flag in reading.flags if flag.startswith("program_")] == ["program_ccm"]


def test_form_and_roster_that_say_the_same_ask_once() -> None:
    _, asked = (
        given(DECIDER)
        .when(intake.receive(RECEIVED, questions=(ALW,), choices=(ALW, choice_of("ccm"))))
        .events
    )
    assert isinstance(asked, ReferralQuestionsAsked)
    assert [each.id for each in asked.questions] == ["choice-alw", "choice-ccm"]


def folded(*facts: Event) -> Referral:
    state = given(DECIDER, *facts).state
    assert state is not None
    return state


def learned(state: Referral, *programs: str) -> list[Any]:
    """What a new roster brings that has the member in these programs."""
    command = LearnCoverage(eligibility=Eligibility(state="confirmed", programs=programs))
    loaded = IntakeLoaded(KnownMembers(), (), POLICY, None)  # pyright: ignore[reportArgumentType]
    return list(
        DECIDER.decide(state, loaded.with_context("ref_1", state, command, Plain(at=MONDAY, seed=SEED)))
    )


@pytest.mark.parametrize(
    ("program", "asked"),
    [("alw", True), ("ccm", True), ("county_tcm", False), ("pace", False), ("wic", False)],
)
def test_a_program_that_only_a_later_roster_names_asks_the_same_choice(program: str, asked: bool) -> None:
    """loop.md 4.4: read from the roster as from the form, whenever the roster came."""
    made = learned(folded(RECEIVED), program)
    (questions,) = [each.questions for each in made if isinstance(each, ReferralQuestionsAsked)] or [()]
    assert questions == ((choice_of(program),) if asked else ())
    assert made[0].eligibility.programs == (program,)


def test_what_the_member_chose_before_is_not_asked_by_a_later_roster() -> None:
    chose = folded(RECEIVED.model_copy(update={"flags": ("chose_ecm_over_alw",)}))
    assert len(learned(chose, "alw")) == 1


def test_a_program_that_the_roster_names_no_more_leaves_no_choice_but_one_of_the_form_does() -> None:
    state = folded(RECEIVED)
    for event in learned(state, "alw"):
        state = DECIDER.evolve(state, event)
    assert state.questions == (ALW,)
    (gone,) = learned(state)
    assert DECIDER.evolve(state, gone).questions == ()
    said = state.model_copy(update={"flags": ("program_alw",)})
    (kept,) = learned(said)
    assert DECIDER.evolve(said, kept).questions == (ALW,)


def test_of_a_loop_that_is_over_the_roster_asks_nothing() -> None:
    assert len(learned(folded(RECEIVED, MADE, ACCEPTED, SERVED), "alw")) == 1


def answering(flags: tuple[str, ...], answered: tuple[str, ...] = (), **changes: Any) -> AnswerQuestions:
    revised = RECEIVED.model_copy(update={"flags": flags, "sealed": {"form": "later"}, **changes})
    return AnswerQuestions(
        based_on=RECEIVED.sealed.get("form", ""), cause="corrected", answered=answered, revised=revised,
        questions=(),
    )  # fmt: skip


def test_a_choice_that_the_roster_asked_for_stays_asked_until_it_is_made() -> None:
    state = given(DECIDER, RECEIVED, ReferralQuestionsAsked(occurred_at=MONDAY, questions=(ALW,))).state
    other = Question(id="language", pointer="/member/language_spoken")
    both = DECIDER.evolve(state, ReferralQuestionsAsked(occurred_at=MONDAY, questions=(ALW, other)))
    (amended,) = (
        given(DECIDER, state=both).when(intake.answer(answering((), ("language",)), choices=(ALW,))).events
    )
    assert isinstance(amended, ReferralAmended)
    assert amended.questions == (ALW,)
    (chosen,) = (
        given(DECIDER, state=state)
        .when(intake.answer(answering(("chose_ecm_over_alw",), ("choice-alw",))))
        .events
    )
    assert (chosen.questions, chosen.flags) == ((), ("chose_ecm_over_alw",))


def test_a_loop_that_is_over_with_the_member_served_takes_the_choice_and_nothing_else() -> None:
    """loop.md 4.4: a slot in a waiver that comes up later (ECMG26 p66)."""
    served = given(DECIDER, RECEIVED, MADE, ACCEPTED, SERVED).state
    (amended,) = given(DECIDER, state=served).when(intake.answer(answering(("chose_alw",)))).events
    assert (amended.flags, amended.questions) == (("chose_alw",), None)
    assert DECIDER.evolve(served, amended).closing == served.closing
    for wrong in (
        answering(("chose_alw",), county="fresno"),
        answering(("chose_alw", "program_alw")),
        answering(()),
    ):
        given(DECIDER, state=served).when(intake.answer(wrong)).refused("already-closed")
    given(DECIDER, RECEIVED, CLOSED).when(intake.answer(answering(("chose_alw",)))).refused("already-closed")


def test_only_what_is_chosen_over_ecm_is_newly_chosen() -> None:
    assert newly_chosen(("chose_ccm",), ("chose_ccm", "chose_alw", "chose_ecm_over_mssp")) == ("alw",)
