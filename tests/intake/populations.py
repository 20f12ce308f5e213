"""Screen a form against one population of the packaged policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import referral_intake
from loopkeeper.policy.reading import load
from referral_intake.domain.form.screening import Screening, screen

POLICY = load([Path(referral_intake.__file__).parent / "policy"])
MARCH = date(2026, 3, 3)
Said = bool | int | str | None
Given = dict[str, "bool | int | str | None"]


def screened(
    answers: Mapping[str, Said],
    *,
    form: str = "adult",
    age: int | None = 40,
    on: date = MARCH,
    groups: Sequence[str] = (),
    claimed: Sequence[str] = (),
    exact: bool = True,
    attested: bool = True,
) -> Screening:
    return screen(
        POLICY, on=on, plan="harbor", form=form, answers=answers, claimed=claimed, age=age, groups=groups,
        exact=exact, attested=attested,
    )  # fmt: skip


def result(screening: Screening, population: str) -> str:
    return {each.code: each.result for each in screening.populations}[population]


SMI: Given = {"smhs_dmc_access": True, "lacks_food": True, "high_risk": True}
LTC: Given = {
    "snf_level_of_care": True, "lower_acuity_nursing": False, "lives_alone": True, "able_in_community": True,
    "icf_or_subacute": False,
}  # fmt: skip
NF: Given = {
    "nf_resident": True, "wants_to_leave_nf": True, "likely_to_succeed": True, "can_reside_continuously": True,
    "icf_or_subacute": False,
}  # fmt: skip
CCS: Given = {
    "ccs_enrolled": True, "lacks_food": False, "lacks_stable_housing": False, "lacks_transportation": False,
    "law_enforcement_contact": False, "crisis_intervention": False, "ace_score": 3, "other_social_factor": False,
}  # fmt: skip
