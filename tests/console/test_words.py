"""Pages of providers and referrers are whole in both languages."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from console.access.oidc import ERRORS, OTHER_ERROR
from console.access.people import MISSING, TOO_LONG
from console.api.models.form import ANSWERS
from console.pages.refused import field_fix, in_words
from console.pages.sentences import ABOUT, Values
from console.words import Words, catalog
from console.words.happened import CODES, SPANISH
from console.words.refusals import FIELD_NAMES, FIELDS, LACKING, REFUSED
from loopkeeper.contract import vocabulary
from loopkeeper.contract.event_values import SAYS
from loopkeeper.contract.vocabulary.codes import Code
from referral_intake.domain.form.form_standard import QUESTIONS
from referral_intake.domain.next_step import STEPS

# The lists of codes whose labels these pages show.
SHOWN: tuple[type[Code], ...] = (
    vocabulary.ActorKind, vocabulary.AttemptOutcome, vocabulary.CommunitySupport, vocabulary.ConsentHolder,
    vocabulary.DeclineReason, vocabulary.Discontinuation, vocabulary.Language, vocabulary.Modality, vocabulary.Population,
    vocabulary.Program, vocabulary.ProviderType, vocabulary.RaceEthnicity, vocabulary.ReceivedVia, vocabulary.Relationship, vocabulary.Urgency,
)  # fmt: skip
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "services/console/src/console"
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


def test_nothing_is_translated_twice() -> None:
    ids = re.findall(r'^msgid "(.+)"$', (SOURCE / "words/es.po").read_text(), re.MULTILINE)
    assert {text for text, count in Counter(ids).items() if count > 1} == set()


def test_a_translation_keeps_what_is_put_in() -> None:
    def places(text: str) -> set[str]:
        return set(re.findall(r"\{\w+\}", text))

    assert {text: found for text, found in catalog("es").items() if places(text) != places(found)} == {}


# One Spanish word for each word of ECM, so that nobody asks whether two are the same.
TERMS = {
    r"(?<!-)\bterms?\b": "período", r"\broster": "registro", r"\blead care manager": "encargado principal", r"\bloops?\b": "ciclo",
    r"\bCommunity Supports?\b": "Apoyos Comunitarios", r"\bmailbox": "buzón", r"\bmember": "miembro", r"\bpasskey": "llave",
}  # fmt: skip


def test_a_word_of_ecm_is_the_same_word_in_every_sentence() -> None:
    for english, spanish in TERMS.items():
        other = {
            text: found
            for text, found in catalog("es").items()
            if re.search(english, text, re.IGNORECASE) and spanish.casefold() not in found.casefold()
        }
        assert other == {}, english


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


# ── what they refuse ──────────────────────────────────────────────────────────────────────────────────────

# What a service says when it cannot answer at all becomes a card of its own: it "does not answer".
AWAY = frozenset({"busy", "catching-up", "key-missing"})
# A browser reads no part of a file by itself.
NEVER_ASKED = frozenset({"range-unknown"})


def operations() -> Iterator[tuple[str, Sequence[str]]]:
    """Each path of the services with what a POST to it may be refused for."""
    for file in sorted((ROOT / "docs/reference/openapi").glob("*.json")):
        for path, methods in json.loads(file.read_text())["paths"].items():
            for method in {"post", "put"} & set(methods):
                answers = methods[method]["responses"].values()
                yield (
                    re.sub(r"\{\w+\}", "x", path),
                    [slug for one in answers for slug in one.get("x-slugs", ())],
                )


def asked_by_pages() -> Iterator[str]:
    """A pattern for each address of the services that a page of a provider or referrer has; what is put in is anything."""
    for file in sorted((SOURCE / "pages").rglob("*.py")):
        if str(file.relative_to(SOURCE)).startswith(ENGLISH_ONLY):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(
                re.escape(part.value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
                else "[^/:]+"
                for part in parts
            )
            if text.startswith("/v1/"):
                yield text
    yield "/v1/files/[^/]+(/x)?(:[a-z-]+)?"


def test_whatever_a_service_may_refuse_on_these_pages_has_spanish_words() -> None:
    patterns = [re.compile(pattern) for pattern in asked_by_pages()]
    slugs = {
        slug
        for path, found in operations()
        if any(each.fullmatch(path) for each in patterns)
        for slug in found
    }
    assert len(slugs) > 50
    assert slugs - set(REFUSED) - AWAY - NEVER_ASKED == set()
    said = {text for known in REFUSED.values() for each in known for text in (each.what, each.fix)}
    assert {*said, *FIELDS.values(), *LACKING, *FIELD_NAMES.values()} - {""} - set(catalog("es")) == set()


def test_what_the_console_refuses_itself_has_spanish_words() -> None:
    found: dict[str, str] = {}
    # What `service.py` refuses is said by the command line, in English.
    for file in sorted({*SOURCE.rglob("*.py")} - {SOURCE / "service.py"}):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal":
                assert not any(isinstance(part, ast.JoinedStr) for part in node.args), (
                    f"{file}: a value belongs in `values`"
                )
                found |= {
                    part.value: file.name
                    for part in node.args
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    found |= dict.fromkeys((*ERRORS.values(), OTHER_ERROR, *MISSING.values(), *TOO_LONG.values()), "tables")
    assert {text: file for text, file in found.items() if text not in catalog("es")} == {}


def test_a_refusal_keeps_the_services_own_sentence_and_its_values() -> None:
    es = Words("es")
    lacking = "Before a member counts as unreachable there must be: 5 attempts (recorded: 2); 3 days since the first attempt (so far: 1)."
    assert in_words("attempts-missing", lacking, "", Words()) == (
        lacking,
        "Record the attempts that were made, or go on reaching out.",
    )
    what, _fix = in_words("attempts-missing", lacking, "", es)
    assert "5 intentos (registrados: 2); 3 días desde el primer intento (hasta ahora: 1)" in what
    what, fix = in_words("term-ended", "The term ended with 2026-03-08.", "Refer the member again.", es)
    assert what == "El período terminó el 8 mar 2026."
    assert fix == "Refiera al miembro de nuevo."
    what, _fix = in_words("not-offered", "This offer is withdrawn.", "Read it again.", es)
    assert what == "Esta oferta ya no está abierta."
    assert (
        in_words("not-offered", "This offer is withdrawn.", "Read it again.", Words())[0]
        == "This offer is withdrawn."
    )
    assert in_words("unheard-of", "It is so.", "Do so.", es) == ("It is so.", "Do so."), (
        "what is not known stays English"
    )
    assert field_fix("Send at least 2 characters.", es) == "Use al menos 2 letras."


def written(node: ast.AST) -> str:
    """A sentence in a program, `{}` where a value is put in; empty for what is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return ""


def test_each_sentence_of_a_refusal_is_one_that_a_service_says() -> None:
    """All but the last of each slug: those are what is said of it in general."""
    files = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("shared/src/**/*.py")]
    said = {
        written(node)
        for file in files
        if SOURCE not in file.parents
        for node in ast.walk(ast.parse(file.read_text()))
    }
    particular = {each.what for known in REFUSED.values() for each in known[:-1]}
    assert {each for each in particular if re.sub(r"\{\w+\}", "{}", each) not in said} == set()
