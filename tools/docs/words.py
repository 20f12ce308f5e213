"""Checks the language of every page, text, docstring and comment, and the length of prose lines.

    python -m tools.docs.words

The measure is plain present active English: a reader who learned English from manuals understands each sentence at the
first reading. `WORDS` lists what the pages do not say, each with its replacement and its reason. The list is data: a word
that confuses a reader belongs here, with a reason, and the check finds it everywhere from then on.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import check_output
from typing import Any

ROOT = Path(__file__).parents[2]
LONGEST = 120

# Pages whose words are not ours to choose: facts quoted from the state's guide, letters as members get them, and files of
# other projects.
OTHERS = ("docs/explanation/domain.md", "tests/notification/snapshots/", "tests/deploy/vendored/")
# Lines that no editor wraps: table rows, headings, HTML comments, reference links, images.
UNWRAPPED = re.compile(r"\s*(\||#|<|\[[^\]]+\]:|!\[)")
FENCE = re.compile(r"\s*(```|~~~)")
TEXTS_OF_A_DOCUMENT = ("description", "summary", "title")
# A text for a database is no sentence: columns keep the names they have.
SQL = re.compile(r"\s*(select|insert|update|delete|alter|create|with|set)\b", re.I)
SOURCES = ("shared/src/loopkeeper/", "services/")
# Where the listed words themselves are written.
LISTS = ("tools/docs/words.py", "tests/architecture/test_words.py")
COMMENTED = (".yaml", ".yml", ".toml", "Makefile", "Dockerfile", ".sh")


@dataclass(frozen=True)
class Word:
    pattern: str
    say: str
    because: str


OLD = "Dictionaries mark it as archaic or literary; a second language rarely has it."
PICTURE = "A picture instead of a fact: a reader must guess which of its meanings is meant."
CLAUSE = "A clause as a subject hides who acts; name the person, the service or the role."
WORDS: Sequence[Word] = (
    Word("anew", "again", OLD),
    Word("betimes|ere|heretofore|hither|lest|naught|nought|thither|whosoever", "a word of today", OLD),
    Word("for ever", "forever, permanently", OLD),
    Word("hence|thence|whence", "therefore, so, from there", OLD),
    Word("in earnest", "with --yes, in production, for real", OLD),
    Word("in vain", "without success", OLD),
    Word("thereby|therein|thereof|wherein", "say what it refers to", OLD),
    Word("besides?", "next to, with, in addition to, in the same folder", PICTURE),
    Word("falls? away|fell away|passes away", "ends, is dropped", PICTURE),
    Word("mend(?:s|ed|ing)?", "fix, correct, repair, restore", "The field's word is fix."),
    Word(
        "stands?|standing|stood",
        "is, exists, applies, is paused",
        "It says `is` in seven ways: where something is, that it holds, that a clock is paused, what it replaces.",
    ),
    Word("is begun", "starts, was started", "The field's word is start."),
    Word("leaves? (?:it )?away", "omit", "The field's word is omit."),
    Word("not yet here", "unavailable, has not arrived", PICTURE),
    Word(
        "what to type|nothing (?:else |more )?to type",
        "the command to run",
        "Not every reader has a keyboard.",
    ),
    Word("who must", "the next actor, the person who acts next", CLAUSE),
    Word("whoever|whosever|whomever", "the person, the service or the role by name", CLAUSE),
)
# Almost every word of a text is none of these: its first letter tells, without a try of each.
FIRST = {each[0] for word in WORDS for each in word.pattern.split("|")}
LISTED = re.compile(
    rf"\b(?=[{''.join(sorted(FIRST))}])(?:"
    + "|".join(rf"(?P<w{n}>(?:{word.pattern})\b)" for n, word in enumerate(WORDS))
    + ")",
    re.I,
)


@dataclass(frozen=True)
class Finding:
    """One place to correct."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def listed(text: str) -> Iterator[tuple[str, Word]]:
    """Every listed word in the text, as it is written there."""
    for match in LISTED.finditer(" ".join(text.split())):
        number = next(n for n in range(len(WORDS)) if match[f"w{n}"])
        yield match[0], WORDS[number]


def refused(place: str, text: str) -> Iterator[Finding]:
    for found, word in listed(text):
        yield Finding(place, f"“{found}”. Say: {word.say}. {word.because}")


def page(place: str, text: str) -> Iterator[Finding]:
    """A page of Markdown or YAML: its words line by line, since a finding names its line."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        # A phrase may go over the end of a line; it is found on the line where it begins.
        following = (
            lines[number].split(maxsplit=1)[0] if number < len(lines) and lines[number].strip() else ""
        )
        for finding in refused(f"{place}:{number}", f"{line} {following}"):
            if following == "" or finding not in list(refused(f"{place}:{number}", following)):
                yield finding


def too_long(place: str, text: str) -> Iterator[Finding]:
    """Lines of prose beyond `LONGEST` characters. Tables, code, headings and lines of one unbreakable word stay."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced and len(line) > LONGEST and not UNWRAPPED.match(line) and " " in line.strip(" -*>"):
            yield Finding(
                f"{place}:{number}", f"{len(line)} characters; a line of prose has {LONGEST} at most."
            )


def document(place: str, node: Any, pointer: str = "") -> Iterator[Finding]:
    """The texts of an OpenAPI document, each by its JSON pointer."""
    if isinstance(node, dict):
        for key, value in node.items():
            below = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key in TEXTS_OF_A_DOCUMENT and isinstance(value, str):
                yield from refused(f"{place}#{below}", value)
            yield from document(place, value, below)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from document(place, value, f"{pointer}/{number}")


def sentences(place: str, source: str) -> Iterator[Finding]:
    """The texts of a module that reach a person: refusals and their fixes, command line, sentences, descriptions."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        if " " in node.value.strip() and not SQL.match(node.value):
            yield from refused(f"{place}:{node.lineno}", node.value)


def remarks(place: str, source: str) -> Iterator[Finding]:
    """The docstrings and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            line = 1 if isinstance(node, ast.Module) else node.lineno
            yield from refused(f"{place}:{line}", ast.get_docstring(node) or "")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from refused(f"{place}:{token.start[0]}", token.string)


def findings(root: Path = ROOT, files: Sequence[str] | None = None) -> list[Finding]:
    """Every finding in the files, which are those under version control unless they are named."""
    if files is None:
        tracked = ["git", "ls-files", "-co", "--exclude-standard"]
        files = check_output(tracked, cwd=root, text=True).splitlines()  # noqa: S603 our own command
    found: list[Finding] = []
    for name in sorted(set(files)):
        if name.startswith(OTHERS) or not (root / name).is_file():
            continue
        if name.endswith(".md"):
            text = (root / name).read_text()
            found += [*page(name, text), *too_long(name, text)]
        elif name.startswith("docs/reference/openapi/"):
            found += document(name, json.loads((root / name).read_text()))
        elif name == "docs/reference/asyncapi.yaml":
            found += page(name, (root / name).read_text())
        elif name.endswith(".py") and not name.startswith(LISTS):
            text = (root / name).read_text()
            # To parse every file would take ten times as long.
            if LISTED.search(" ".join(text.split())):
                found += [*remarks(name, text), *(sentences(name, text) if name.startswith(SOURCES) else ())]
        elif name.endswith(COMMENTED):
            for number, line in enumerate((root / name).read_text().splitlines(), 1):
                found += refused(f"{name}:{number}", line.partition("#")[2])
    return found


def main() -> None:
    found = findings()
    for each in found:
        print(each)
    if found:
        print(f"{len(found)} to fix. The list and its reasons: tools/docs/words.py")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
