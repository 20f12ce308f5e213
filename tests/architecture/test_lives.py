"""docs/explanation/lives.md names the functions that do each step, and architecture.md §4 the words of the code: both are
read against the code here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPLANATION = ROOT / "docs/explanation"
STEP = re.compile(r"^\d+\. .*(?:\n {3,}.*)*", re.M)
# A file, and the names in it that follow up to the next file or the end of the step.
NAMED = re.compile(r"\]\((?P<file>[^)]+\.py)\)(?P<names>(?:,?\s+`[A-Za-z_.]+`)+)")
WORDS_OF_THE_CODE = ("store", "flow", "event_log")


def steps() -> list[str]:
    return STEP.findall((EXPLANATION / "lives.md").read_text())


def defined(file: Path) -> set[str]:
    """Every class and function of a module, methods with their class."""

    def within(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from within(node.body, f"{node.name}.")

    return set(within(ast.parse(file.read_text()).body))


def named(step: str) -> Iterator[tuple[Path, str]]:
    for match in NAMED.finditer(step):
        for name in re.findall(r"`([^`]+)`", match["names"]):
            yield (EXPLANATION / match["file"]).resolve(), name


def test_each_of_the_four_lives_is_told_in_about_ten_steps() -> None:
    text = (EXPLANATION / "lives.md").read_text()
    lives = re.findall(r"^## The life of an? (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert [what for what, _ in lives] == ["request", "event", "deadline", "webhook"]
    assert all(8 <= len(STEP.findall(told)) <= 11 for _, told in lives)


@pytest.mark.parametrize("step", steps(), ids=lambda step: " ".join(step.split()[1:7]))
def test_each_step_names_functions_that_are_in_the_files_it_links_to(step: str) -> None:
    found = list(named(step))
    assert found, "a step names at least one file and a function in it"
    missing = [f"{file.name}: {name}" for file, name in found if name not in defined(file)]
    assert missing == []
    # Whatever is in backticks after a link is checked above, and no link is without a name.
    assert len(re.findall(r"\]\(", step)) == len(NAMED.findall(step))


def test_the_glossary_has_a_line_for_every_public_class_of_store_flow_and_event_log() -> None:
    text = (EXPLANATION / "architecture.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", text.partition("### Words of the code")[2], re.M)
    explained = {name for words, _ in rows for name in re.findall(r"`(\w+)`", words)}
    classes = {
        name: folder
        for folder in WORDS_OF_THE_CODE
        for file in (ROOT / "shared/src/loopkeeper" / folder).glob("*.py")
        for name in defined(file)
        if "." not in name and name[0].isupper()
    }
    assert sorted(classes.keys() - explained) == [], "a class without a line"
    assert sorted(name for name in explained - classes.keys() if name[0].isupper()) == [], (
        "a line without a class"
    )


@pytest.mark.parametrize(
    "word",
    ["parked", "claim", "journal", "outbox", "timer", "stream", "generation", "lease", "gate", "fence"],
)
def test_the_glossary_explains_the_words_that_are_no_class(word: str) -> None:
    text = (EXPLANATION / "architecture.md").read_text().partition("## 4. Words")[2].partition("## 5.")[0]
    assert re.search(rf"^\| (?:[^|]*, )?{word}\b", text, re.M)
