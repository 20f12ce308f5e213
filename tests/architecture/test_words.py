"""The pages and texts that users read are in plain words: tools/docs/words.py has the list and its reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.docs import words


def planted(folder: Path, name: str, text: str) -> list[str]:
    """What the check says of a repository in which only this file is."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return [str(found) for found in words.findings(folder, [name])]


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("README.md", "# Loop\n\nThe referral\nis sent anew.\n", "README.md:4"),
        ("docs/guides/refer.md", "Send it; whoever refers hears.\n", "docs/guides/refer.md:1"),
        ("docs/adr/0099-x.md", "# 99. Log: mend a log\n", "docs/adr/0099-x.md:1"),
        (
            "docs/reference/commands.md",
            "| `loopkeeper doctor` | Say what to mend. |\n",
            "docs/reference/commands.md:1",
        ),
        (
            "docs/reference/asyncapi.yaml",
            "description: Kept for\n  ever.\n",
            "docs/reference/asyncapi.yaml:1",
        ),
        (
            "docs/reference/openapi/intake.json",
            json.dumps({"paths": {"/v1/referrals": {"get": {"summary": "Where it stands"}}}}),
            "docs/reference/openapi/intake.json#/paths/~1v1~1referrals/get/summary",
        ),
        (
            "services/x/src/x/domain/rules.py",
            'def rule() -> None:\n    raise Refused("closed", "The loop is over.", fix="Mend the referral.")\n',
            "services/x/src/x/domain/rules.py:2",
        ),
        ("tests/x/test_x.py", 'def test_x() -> None:\n    """What stands here."""\n', "tests/x/test_x.py:1"),
        ("demo/x.py", "# Kept for ever.\n", "demo/x.py:1"),
        ("deploy/x.yaml", "a: 1\nb: 2  # A restart mends it.\n", "deploy/x.yaml:2"),
    ],
)
def test_a_listed_word_is_refused_with_its_place_and_the_word_to_say(
    tmp_path: Path, name: str, text: str, place: str
) -> None:
    (found,) = planted(tmp_path, name, text)
    assert found.startswith(f"{place}: “")
    assert "Say: " in found


def test_facts_of_the_state_letters_and_names_of_columns_keep_their_words(tmp_path: Path) -> None:
    assert planted(tmp_path, "docs/explanation/domain.md", "The member stands beside a hearing.\n") == []
    assert planted(tmp_path, "tests/notification/snapshots/member-en.md", "Your approval stands.\n") == []
    sql = 'READ = "SELECT standing FROM roster_import"\n'
    assert planted(tmp_path, "services/x/src/x/persistence/roster.py", sql) == []


def test_a_line_of_prose_has_120_characters_at_most_and_a_table_or_code_as_many_as_it_needs(
    tmp_path: Path,
) -> None:
    long = "A sentence that goes on. " * 6
    (found,) = planted(tmp_path, "docs/guides/plan.md", f"# {long}\n\n- {long}\n")
    assert found == "docs/guides/plan.md:3: 152 characters; a line of prose has 120 at most."
    assert planted(tmp_path, "docs/guides/plan.md", f"| {long} |\n\n```sh\n{long}\n```\n") == []


def test_every_word_of_the_list_has_a_replacement_and_a_reason() -> None:
    for word in words.WORDS:
        assert word.say
        assert word.because.endswith(".")
        assert not list(words.listed(word.say)), word.pattern


def test_the_repository_has_no_listed_word() -> None:
    assert [str(found) for found in words.findings()] == []
