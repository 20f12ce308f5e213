"""Which tests prove which rule of the loop? Read from the tests' own words: a docstring or comment that names `loop.md 5.7`,
or a name that ends with it (`…_5_7`)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULE = re.compile(r"^- (\d\.\d+) (.*(?:\n  .*)*)$", re.M)
# "loop.md 5.7", "loop.md 2.9, 2.10 and 5.3"
NAMED = re.compile(r"loop\.md ((?:\d\.\d+(?:, | and |/)?)+)")
ENDS = re.compile(r"_(\d)_(\d+)$")
SHOWN = 90
# What follows this mark in a rule is not built yet; a rule that begins with it is not built at all.
UNBUILT = "³"


def rules() -> Mapping[str, str]:
    """Every rule of docs/explanation/loop.md by its number."""
    found = RULE.findall((ROOT / "docs/explanation/loop.md").read_text())
    return {number: " ".join(text.split()) for number, text in found}


def built() -> tuple[str, ...]:
    """The rules of which something is built, so that a test must name them."""
    return tuple(number for number, text in rules().items() if not text.startswith(UNBUILT))


def proofs() -> Mapping[str, list[str]]:
    """The tests that name each rule, as file::test; a file whose first lines name it counts for all its tests."""
    found: dict[str, list[str]] = {number: [] for number in rules()}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for where, text in _texts(file):
            for number in _numbers(where, text):
                if number in found and where not in found[number]:
                    found[number].append(where)
    return found


def table() -> str:
    """Rule by rule: its first words, and where it is proved."""
    proved = proofs()
    lines = [
        "# The rules of the loop and their tests\n",
        "A test names the rule it proves; [loop.md](../explanation/loop.md) has the whole text. ³ marks what is not\nbuilt yet.\n",
        "| rule | says | proved by |",
        "|---|---|---|",
    ]
    for number, text in rules().items():
        words = re.sub(r"[*|`]", "", text)
        short = words if len(words) <= SHOWN else words[:SHOWN].rsplit(" ", 1)[0] + " …"
        mark = UNBUILT if UNBUILT in text and UNBUILT not in short else ""
        where = "<br>".join(f"`{each}`" for each in proved[number]) or "–"
        lines.append(f"| {number} | {short}{mark} | {where} |")
    return "\n".join(lines) + "\n"


def _numbers(where: str, text: str) -> Iterator[str]:
    if (ends := ENDS.search(where)) is not None:
        yield f"{ends[1]}.{ends[2]}"
    for match in NAMED.findall(text):
        yield from re.findall(r"\d\.\d+", match)


def _texts(file: Path) -> Iterator[tuple[str, str]]:
    source = file.read_text()
    tree = ast.parse(source)
    name = str(file.relative_to(ROOT / "tests"))
    yield name, ast.get_docstring(tree) or ""
    lines = source.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            # The comment just above a test speaks of it too, decorators between them or not.
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)]) - 1
            while first > 0 and lines[first - 1].startswith("#"):
                first -= 1
            yield f"{name}::{node.name}", "\n".join(lines[first : node.end_lineno])
