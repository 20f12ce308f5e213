"""Programs next to ECM: what the packaged table (policy/programs.yaml) makes of each, read from form and roster alike
(loop.md 4.2, 4.4; ECMG26 Figure 2, p63-88)."""

from __future__ import annotations

from datetime import date

import pytest

from authorization.domain.rules import DECIDER
from authorization.domain.state import DUPLICATIVE_PROGRAM
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationReviewOpened,
    Eligibility,
    ReferralReceived,
)
from loopkeeper.contract.vocabulary.programs import Program, program_of
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import load
from loopkeeper.testing.rules import given
from tests.builders.authorization import RULES, amend, amended, deny, opened, pending, received

EXCLUDE, CHOOSE, NONE = "exclusive_program", "choice_open", ""
# Figure 2 (p63-65) and its sections, as of 2026: what a rule makes of a member who is in the program and has said
# nothing yet.
FIGURE_2: dict[Program, str] = {
    Program.HOSPICE: EXCLUDE,
    Program.PACE: EXCLUDE,
    Program.FAMILY_MOSAIC: EXCLUDE,
    Program.D_SNP: EXCLUDE,
    Program.ICF_RESIDENT: EXCLUDE,
    Program.MCWP: CHOOSE,
    Program.HCBA: CHOOSE,
    Program.ALW: CHOOSE,
    Program.HCBS_DD: CHOOSE,
    Program.MSSP: CHOOSE,
    Program.SELF_DETERMINATION: CHOOSE,
    Program.CCM: CHOOSE,
    Program.CCT: CHOOSE,
    # County case management yields to ECM (p67-70).
    Program.COUNTY_TCM: NONE,
    Program.CCS: NONE,
    Program.CCS_WCM: NONE,
    Program.GHPP: NONE,
    Program.SMHS_TCM: NONE,
    Program.SMHS_ICC: NONE,
    Program.DMC_COORDINATION: NONE,
    Program.FULL_SERVICE_PARTNERSHIP: NONE,
    Program.HCPCFC: NONE,
    Program.WRAPAROUND: NONE,
    Program.REGIONAL_CENTER: NONE,
    Program.IHSS: NONE,
    Program.CBAS: NONE,
    Program.COMMUNITY_SUPPORTS: NONE,
    Program.CHW: NONE,
    # Programs for pregnant and postpartum people, and Medicare that is no D-SNP (p64-65, 81, 86-88).
    Program.CPSP: NONE,
    Program.BLACK_INFANT_HEALTH: NONE,
    Program.PERINATAL_EQUITY: NONE,
    Program.INDIAN_HEALTH: NONE,
    Program.HOME_VISITING: NONE,
    Program.CALWORKS_HOME_VISITING: NONE,
    Program.WIC: NONE,
    Program.MEDICARE_ADVANTAGE: NONE,
    Program.MEDICARE_FFS: NONE,
    Program.APS: NONE,
    Program.HOME_SAFE: NONE,
}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(["authorization"])


def rules(policy: Policy, **changes: object) -> object:
    rows = policy.rows("program_overlap", on=date(2026, 3, 2))
    named = {
        rule: tuple(row["program"] for row in rows if row["rule"] == rule)
        for rule in ("exclusive", "member_choice")
    }
    return RULES.model_copy(
        update={"exclusive": named["exclusive"], "chosen": named["member_choice"], **changes}
    )


def in_form(program: str, *flags: str) -> ReferralReceived:
    return received(claim=None, flags=(f"program_{program}", *flags))


def on_roster(program: str, *flags: str) -> ReferralReceived:
    eligibility = Eligibility(state="confirmed", programs=(program,))
    return received(claim=None, eligibility=eligibility, flags=flags)


def needs(policy: Policy, fact: ReferralReceived, **changes: object) -> tuple[str, ...]:
    """Why a person must decide; nothing where the rule approved."""
    events = opened(fact, rules(policy, **changes))  # type: ignore[arg-type]
    (review,) = [each for each in events if isinstance(each, AuthorizationReviewOpened)]
    assert bool(review.needs_person) is not any(isinstance(e, AuthorizationApproved) for e in events)
    return review.needs_person


# The figure's own names (p63-65), and that of p88, as a plan's file may have them.
NAMES = {
    "Multipurpose Senior Services Program (MSSP)": Program.MSSP,
    "Assisted Living Waiver (ALW)": Program.ALW,
    "Home and Community-Based Alternatives Waiver (HCBA)": Program.HCBA,
    "Medi-Cal Waiver Program (formerly the HIV/AIDS Waiver)": Program.MCWP,
    "HCBS Waiver for Individuals with Developmental Disabilities (I/DD)": Program.HCBS_DD,
    "Self-Determination program for Individuals with I/DD": Program.SELF_DETERMINATION,
    "California Children’s Services (CCS)": Program.CCS,
    "County based Targeted Case Management (TCM)": Program.COUNTY_TCM,
    "Specialty Mental Health Services (SMHS) Targeted Case Management (TCM)": Program.SMHS_TCM,
    "SMHA Intensive Care Coordination for Children (ICC)": Program.SMHS_ICC,
    "Drug Medi-Cal Organized Delivery System (DMC-ODS) and Drug Medi-Cal (DMC) Care Coordination & Management Programs":
        Program.DMC_COORDINATION,
    "Full Service Partnership (FSP)": Program.FULL_SERVICE_PARTNERSHIP,
    "Health Care Program for Children in Foster Care (HCPCFC)": Program.HCPCFC,
    "In Home Supportive Services (IHSS)": Program.IHSS,
    "Genetically Handicapped Person’s Program (GHPP)": Program.GHPP,
    "CCS Whole Child Model (WCM)": Program.CCS_WCM,
    "Managed Care Plan Complex Care Management (CCM)": Program.CCM,
    "Community-Based Adult Services (CBAS)": Program.CBAS,
    "Medicare Advantage enrollees": Program.MEDICARE_ADVANTAGE,
    "FFS Medicare enrollees": Program.MEDICARE_FFS,
    "Fully Integrated Dual Eligible Special Needs Plans (FIDE-SNPs)": Program.D_SNP,
    "Program for All-Inclusive Care for the Elderly (PACE)": Program.PACE,
    "California Community Transitions (CCT) Money Follows the Person (MFTP)": Program.CCT,
    "Family Mosaic Project": Program.FAMILY_MOSAIC,
    "Hospice": Program.HOSPICE,
    "California Wrap Around": Program.WRAPAROUND,
    "Regional Center": Program.REGIONAL_CENTER,
    "Comprehensive Perinatal Services Program (CPSP)": Program.CPSP,
    "Black Infant Health (BIH) Program": Program.BLACK_INFANT_HEALTH,
    "California Perinatal Equity Initiative (PEI)": Program.PERINATAL_EQUITY,
    "Indian Health Program/American Indian Maternal Support Services (AIMSS)": Program.INDIAN_HEALTH,
    "CHPH Home visiting program (CHVP)": Program.HOME_VISITING,
    "CDSS CalWORKs Home Visiting Program (HVP)": Program.CALWORKS_HOME_VISITING,
    "Women, Infant & Children (WIC) Program": Program.WIC,
}  # fmt: skip


def test_the_table_has_every_program_of_the_figure() -> None:
    assert set(FIGURE_2) == set(Program) - {Program.ECM}


@pytest.mark.parametrize("name", NAMES)
def test_each_program_of_the_figure_is_known_by_the_figures_own_name(name: str) -> None:
    assert program_of(name) == NAMES[name]


@pytest.mark.parametrize(
    "said",
    ["", "TCM waiver for cats", "n/a", "none", "ALW (wait listed)", "PACE (no)", None, 7, True],
)
def test_what_names_no_program_names_none(said: object) -> None:
    assert program_of(said) is None


@pytest.mark.parametrize("told", [in_form, on_roster], ids=["form", "roster"])
@pytest.mark.parametrize("program", FIGURE_2)
def test_what_each_program_makes_of_an_automatic_approval(
    policy: Policy, program: Program, told: object
) -> None:
    expected = (FIGURE_2[program],) if FIGURE_2[program] else ()
    assert needs(policy, told(program.value)) == expected  # type: ignore[operator]


@pytest.mark.parametrize("told", [in_form, on_roster], ids=["form", "roster"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), ("choice_open",)),
        (("chose_ecm_over_alw",), ()),
        (("chose_alw",), ("program_chosen",)),
        # Of another program it says nothing.
        (("chose_ecm_over_ccm",), ("choice_open",)),
    ],
)
def test_no_switch_approves_before_the_members_choice(
    policy: Policy, flags: tuple[str, ...], expected: tuple[str, ...], told: object
) -> None:
    assert needs(policy, told("alw", *flags)) == expected  # type: ignore[operator]


def test_what_must_be_authorized_does_not_wait_for_a_choice_that_is_open_but_heeds_one_that_was_made(
    policy: Policy,
) -> None:
    must = {"must": {"transitional_rent": "must_authorize/transitional-rent"}}
    assert needs(policy, in_form("alw", "transitional_rent"), **must) == ()
    assert needs(policy, in_form("alw", "transitional_rent", "chose_alw"), **must) == ("program_chosen",)


def test_the_choice_of_ecm_made_later_lets_the_rule_approve(policy: Policy) -> None:
    fact = on_roster("mssp")
    state = given(DECIDER, fact, *opened(fact, rules(policy))).state  # type: ignore[arg-type]
    chose = amended(flags=("chose_ecm_over_mssp",))
    (approved,) = given(DECIDER, chose, state=state).when(amend(chose, rules(policy))).events  # type: ignore[arg-type]
    assert isinstance(approved, AuthorizationApproved)


def test_a_choice_of_the_program_made_after_the_yes_opens_the_discontinuation_4_4() -> None:
    fact = received(claim=None)
    state = given(DECIDER, fact, *opened(fact)).state
    assert state.term is not None
    chose = given(DECIDER, amended("corrected", flags=("program_alw", "chose_alw")), state=state).state
    assert chose.discontinuation is not None
    assert (chose.discontinuation.why, chose.discontinuation.code) == ("program_chosen", DUPLICATIVE_PROGRAM)
    # A person of the plan judges; the term runs until then (7.2). The same said again opens nothing again.
    assert (chose.term, chose.decision) == (state.term, state.decision)
    assert (
        given(DECIDER, amended("corrected", flags=("chose_ecm_over_alw",)), state=state).state.discontinuation
        is None
    )
    undecided = given(DECIDER, amended(flags=("chose_alw",)), state=pending()).state
    assert undecided.discontinuation is None


def test_county_case_management_never_denies_even_as_somebodys_choice(policy: Policy) -> None:
    """ECMG26 p67-70: ECM comes first."""
    chosen = tuple(
        r["program"] for r in policy.rows("program_overlap", on=date(2026, 3, 2), rule="member_choice")
    )
    state = pending(flags=("program_county_tcm", "chose_county_tcm"))
    given(DECIDER, state=state).when(deny("duplicative_program", chosen=chosen)).refused("reason-forbidden")
