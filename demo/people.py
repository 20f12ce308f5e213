"""Who is referred in the story: members invented from a seed, and the form somebody fills in for each."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from demo.providers import HARBOR, PLANS, VALLEY

COUNTIES = {HARBOR: ("alameda", "contra-costa"), VALLEY: ("fresno",)}
LANGUAGES = {"en": 8, "es": 5, "vi": 2, "yue": 2, "hmn": 1}
FIRST = tuple(
    [
        "Amara",
        "Benny",
        "Carmen",
        "Dao",
        "Elias",
        "Fatima",
        "Gus",
        "Hien",
        "Inez",
        "Jamal",
        "Kao",
        "Lupe",
        "Marco",
        "Nia",
        "Omar",
        "Pilar",
    ]
)
LAST = tuple(
    [
        "Aguilar",
        "Brooks",
        "Chan",
        "Duarte",
        "Ellis",
        "Flores",
        "Green",
        "Her",
        "Ibarra",
        "Jones",
        "Keo",
        "Lopez",
        "Moua",
        "Nguyen",
        "Ochoa",
    ]
)
PLACES = (
    "under the 7th Street overpass",
    "in a car by the marina",
    "at the bus depot",
    "in the park on Alder",
    "behind the library",
)
ADULTS = (23, 80)
CHILDREN = (2, 17)


@dataclass(frozen=True, slots=True)
class Need:
    """A Population of Focus as somebody sees it: the answers that meet it, those that leave it open, and the ages."""

    population: str
    met: dict[str, Any]
    open: dict[str, Any]
    ages: tuple[int, int] = ADULTS
    share: int = 1


NEEDS = (
    Need("homelessness", {"place_not_for_sleeping": True, "complex_need": True, "cannot_self_manage": True,
                          "coordination_would_help": True}, {"place_not_for_sleeping": True}, share=7),
    Need("avoidable_utilization", {"avoidable_ed_visits_6m": 7}, {}, share=4),
    Need("smi_sud", {"smhs_dmc_access": True, "lacks_food": True, "high_risk": True}, {"smhs_dmc_access": True}, share=3),
    Need("incarceration", {"left_incarceration_12m": True, "chronic_condition": True}, {"left_incarceration_12m": True}),
    Need("ltc_community", {"snf_level_of_care": True, "lives_alone": True, "able_in_community": True,
                           "icf_or_subacute": False}, {"snf_level_of_care": True}),
    Need("nf_transition", {"nf_resident": True, "wants_to_leave_nf": True, "likely_to_succeed": True,
                           "can_reside_continuously": True, "icf_or_subacute": False}, {"nf_resident": True}),
    Need("birth_equity", {"pregnant_or_postpartum": True}, {}, ages=(23, 40)),
    Need("ccs", {"ccs_enrolled": True, "lacks_transportation": True}, {"ccs_enrolled": True}, CHILDREN),
    Need("child_welfare", {"in_foster_care": True}, {}, CHILDREN),
    Need("avoidable_utilization", {"avoidable_ed_visits_12m": 4}, {}, CHILDREN),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """One invented member of a plan, and what they need."""

    plan: str
    need: Need
    member: dict[str, Any]

    @property
    def child(self) -> bool:
        return self.need.ages == CHILDREN


class Crowd:
    """Members from a seed: the same seed gives the same people. None of them exists."""

    def __init__(self, seed: int, today: date) -> None:
        self._random = random.Random(seed)
        self._today = today
        self._number = 100

    def person(self, plan: str) -> Person:
        """Somebody known well enough to be on the plan's roster. One in four has neither address nor phone."""
        self._number += 1
        chance = self._random
        (need,) = chance.choices(NEEDS, [each.share for each in NEEDS])
        born = self._today - timedelta(days=chance.randint(need.ages[0] * 366, need.ages[1] * 365))
        member: dict[str, Any] = {
            "first_name": chance.choice(FIRST),
            "last_name": chance.choice(LAST),
            "cin": f"9{self._number:07d}S",
            "birth_date": born.isoformat(),
            "county": chance.choice(COUNTIES[plan]),
            "language_spoken": chance.choices(list(LANGUAGES), list(LANGUAGES.values()))[0],
            "race_ethnicity": ["black"] if need.population == "birth_equity" else [],
        }
        if chance.random() < 0.3:
            member |= {"no_fixed_address": True, "usual_place": chance.choice(PLACES)}
        else:
            member["address"] = {"street": f"{chance.randint(100, 999)} Alder Street", "city": "Harbor"}
            member["phone"] = f"555-01{chance.randint(50, 99)}"
        if need.ages == CHILDREN:
            member["caregiver"] = {"name": "Robin Vale", "relationship": "guardian", "phone": "555-0198"}
            member["consent_holder"] = "guardian"
        return Person(plan, need, member)

    def referral(self, person: Person) -> dict[str, Any]:
        """A form as somebody would fill it in: mostly whole, some of it left open."""
        sure = self._random.random() < 0.85
        return {
            "plan": person.plan,
            "form": "child_youth" if person.child else "adult",
            "member": person.member,
            # What the desk is to the member is left open, as so often; a plan that must know asks.
            "referrer": {"name": "The desk", "email": "desk@example.org"},
            "populations": [person.need.population],
            "answers": person.need.met if sure else person.need.open,
            "programs": {"hospice": "no", "pace": "no"},
            "attestation": {"attested": True, "name": "The desk"},
        }


def members(seed: int, count: int, today: date) -> list[Person]:
    """Invented members, two thirds of them Harbor's."""
    crowd = Crowd(seed, today)
    return [crowd.person(PLANS[0] if number % 3 else PLANS[1]) for number in range(count)]


def roster_row(member: dict[str, Any]) -> dict[str, Any]:
    """What the plan's roster says of a member."""
    return {
        "cin": member["cin"],
        "birth_date": member["birth_date"],
        "county": member["county"],
        "covered_from": "2025-01-01",
        "pcp": "",
        "programs": [],
    }
