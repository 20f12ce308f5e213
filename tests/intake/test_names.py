"""Names as they are compared, and whom number, birth date and first name tell apart (loop.md 2.7)."""

from __future__ import annotations

import pytest

from referral_intake.domain.member_keys import folded_name, found_as, has_name, keys_learned, keys_of

PLAN = "harbor-health-plan"


class Readable:
    """A blind index that hides nothing, so that a test can read it."""

    def blind_index(self, plan: str, *values: str) -> str:
        return "|".join(values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O'Brien", "O’Brien"),
        ("O`BRIEN", "oʼbrien"),
        ("Smith-Jones", "Smith–Jones"),
        ("Smith‑Jones", "SMITH JONES"),
        ("  Ana   María ", "ana maría"),
        ("Ｄａｖｉｄ", "David"),
        ("Núñez", "Nún\u0303ez"),
        ("Straße", "STRASSE"),
        ("ﬁona", "Fiona"),
        ("Kaʻahumanu", "Ka'ahumanu"),
    ],
)
def test_names_written_alike_are_one_name(one: str, other: str) -> None:
    assert folded_name(one) == folded_name(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Jose", "Josefa"), ("Ana", "Anna"), ("José", "Jose"), ("", "Ana")]
)
def test_names_that_differ_in_a_letter_are_two(one: str, other: str) -> None:
    assert folded_name(one) != folded_name(other)


def test_the_keys_of_one_person_are_the_same_however_the_name_is_typed() -> None:
    one = keys_of(Readable(), PLAN, "90000001S", "2016-09-02", ("D’Andre", "Smith–Jones"))
    other = keys_of(Readable(), PLAN, "90000001S", "2016-09-02", ("d'andre", "SMITH JONES"))
    assert one == other
    assert one.member != one.named


class Town:
    """The members known under their keys, as intake's table has them."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def meets(self, first_name: str, *, as_new: str) -> str:
        keys = keys_of(Readable(), PLAN, "90000001S", "2026-01-04", (first_name, "Reyes"))
        found = found_as(self.known, keys.member, keys.named) or as_new
        for key in keys_learned(self.known, keys.member, keys.named):
            self.known[key] = found
        return found


def test_twins_under_the_mothers_number_are_two_members() -> None:
    town = Town()
    assert town.meets("Lucia", as_new="mem_lucia") == "mem_lucia"
    assert town.meets("Mateo", as_new="mem_mateo") == "mem_mateo"
    assert town.meets("LUCIA", as_new="mem_3") == "mem_lucia"
    assert town.meets("Mateo ", as_new="mem_4") == "mem_mateo"


def test_a_referral_without_a_first_name_differs_from_none() -> None:
    town = Town()
    assert town.meets("", as_new="mem_1") == "mem_1"
    assert town.meets("Lucia", as_new="mem_2") == "mem_1"
    assert town.meets("", as_new="mem_3") == "mem_1"
    assert town.meets("Mateo", as_new="mem_4") == "mem_4"
    assert has_name(keys_of(Readable(), PLAN, "90000001S", "2026-01-04", ("", "")).member) in town.known
