"""The id of a person whom a file names."""

from __future__ import annotations

from loopkeeper.plan_files.person import person_id


def test_a_persons_id_is_the_same_however_the_name_is_written() -> None:
    assert person_id("Núñez,  María") == person_id("NUNEZ Maria") == "nunez-maria"
