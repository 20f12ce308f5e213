"""Pages of providers and referrers are whole in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from console.api.models.form import ANSWERS
from console.pages.sentences import ABOUT, Values
from console.words import Words, catalog
from console.words.happened import CODES, SPANISH
from loopkeeper.contract import vocabulary
from loopkeeper.contract.event_values import SAYS
from loopkeeper.contract.vocabulary.codes import Code
from referral_intake.domain.form.form_standard import QUESTIONS
from referral_intake.domain.next_step import STEPS

# The lists of codes whose labels these pages show.
SHOWN: tuple[type[Code], ...] = (
    vocabulary.ActorKind, vocabulary.AttemptOutcome, vocabulary.CommunitySupport, vocabulary.ConsentHolder,
    vocabulary.DeclineReason, vocabulary.Discontinuation, vocabulary.Language, vocabulary.Modality, vocabulary.Population,
    vocabulary.Program, vocabulary.RaceEthnicity, vocabulary.ReceivedVia, vocabulary.Relationship, vocabulary.Urgency,
)  # fmt: skip
SOURCE = Path(__file__).parents[2] / "services/console/src/console"
ENGLISH_ONLY = ("pages/plan", "pages/ops", "parts/board.py")


def said() -> Iterator[tuple[str, str]]:
    """Every sentence that the program asks a translation of, with its file."""
    for file in sorted(SOURCE.rglob("*.py")):
        name = str(file.relative_to(SOURCE))
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called not in ("_", "words", "many"):
                continue
            for part in node.args[: 2 if called == "many" else 1]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value, name


def test_no_word_of_a_provider_or_referrer_is_without_spanish() -> None:
    spanish = catalog("es")
    missing = {
        text: file for text, file in said() if not file.startswith(ENGLISH_ONLY) and text not in spanish
    }
    assert missing == {}


def test_a_translation_keeps_what_is_put_in() -> None:
    def places(text: str) -> set[str]:
        return set(re.findall(r"\{\w+\}", text))

    assert {text: found for text, found in catalog("es").items() if places(text) != places(found)} == {}


# ── what the services say ─────────────────────────────────────────────────────────────────────────────────


def tables() -> Iterator[tuple[str, str]]:
    """Every sentence in a table of a page's file, which is said by its code."""
    for file in sorted((SOURCE / "pages").rglob("*.py")):
        name = str(file.relative_to(SOURCE))
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
                for value in (each for part in node.value.values for each in ast.walk(part)):
                    if (
                        isinstance(value, ast.Constant)
                        and isinstance(value.value, str)
                        and " " in value.value
                    ):
                        yield value.value, name


def test_no_sentence_of_a_table_is_without_spanish() -> None:
    spanish = catalog("es")
    missing = {
        text: file for text, file in tables() if not file.startswith(ENGLISH_ONLY) and text not in spanish
    }
    assert missing == {}


def test_every_code_step_and_question_of_the_services_has_spanish_words() -> None:
    labels = {codes.label_of(code) for codes in SHOWN for code in codes}
    asked = {text.removesuffix(" (true or false)") for text in QUESTIONS.values()}
    said = {*labels, *STEPS.values(), *asked, *ABOUT.values(), *(text for _kind, text in ANSWERS.values())}
    assert said - set(catalog("es")) == set()


def test_every_event_has_a_spanish_sentence_that_says_its_values() -> None:
    assert {event.wire for event in SAYS} - set(SPANISH) == set()
    values = {
        "provider": "harbor-street-medicine", "reminder": 1, "referrer": "eastside-clinic", "plan": "harbor-health-plan", "number": 3,
        "on": "2026-03-09", "through": "2027-03-08", "from": "2026-03-09", "due_at": "2026-03-10T07:00:00Z",
        "by": "2026-03-10T07:00:00Z", "appeal_by": "2026-05-08", "answer_due_at": "2026-03-10T07:00:00Z",
    }  # fmt: skip
    for event, named in SAYS.items():
        said = SPANISH[event.wire](
            Values({name: values[name] for name in named if name in values}, Words("es"))
        )
        for name in named:
            if name in ("provider", "on", "through", "due_at", "appeal_by", "answer_due_at"):
                held = (
                    values[name]
                    if name == "provider"
                    else " mar 2026"
                    if name in ("on", "due_at", "answer_due_at")
                    else "202"
                )
                assert str(held) in said, (event.wire, name, said)


def test_every_code_that_a_timeline_says_has_spanish_words() -> None:
    codes = (vocabulary.Modality, vocabulary.AttemptOutcome, vocabulary.DeclineReason, vocabulary.Outcome)
    assert {str(code) for each in codes for code in each} - set(CODES) == set()
