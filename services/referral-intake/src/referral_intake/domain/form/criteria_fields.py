"""What does the form ask about the Populations of Focus? Every answer that criteria may use, by its name on the form.

True or false, a whole number from 0 on, or words; missing, blank or null is unanswered. The wording follows ECMG26 p12-51; the
policy table `populations` lists the same names. Facts are not asked here: they follow from the rest of the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer the form takes: `asks` is the question, `says` what a yes, or the number, tells."""

    type: Literal["yes_no", "count", "words"]
    asks: str
    says: str


def _yes_no(asks: str, says: str) -> Answer:
    return Answer("yes_no", asks, says)


def _count(asks: str, says: str) -> Answer:
    return Answer("count", asks, says)


def _words(asks: str, says: str) -> Answer:
    return Answer("words", asks, says)


_HOUSING: Mapping[str, Answer] = {
    "no_regular_residence": _yes_no(
        "Does the member lack a fixed, regular and adequate place to spend the night?",
        "Lacks a fixed, regular and adequate night-time residence",
    ),
    "place_not_for_sleeping": _yes_no(
        "Does the member mostly live in a place not meant for sleeping, such as a car, park, abandoned building, "
        "station, airport or camping ground?",
        "Lives in a place not meant for sleeping",
    ),
    "in_shelter": _yes_no(
        "Does the member live in a supervised temporary shelter, transitional housing, or a hotel or motel paid for by "
        "a program or charity?",
        "Lives in a supervised temporary shelter",
    ),
    "leaving_institution_homeless": _yes_no(
        "Is the member leaving an institution into homelessness, after a stay of any length?",
        "Is leaving an institution into homelessness",
    ),
    "losing_housing_30d": _yes_no(
        "Will the member lose their housing within the next 30 days?",
        "Will lose housing within 30 days",
    ),
    "fleeing_violence": _yes_no(
        "Is the member fleeing domestic or dating violence, sexual assault, stalking, or other danger of that kind?",
        "Is fleeing violence",
    ),
    "shares_housing": _yes_no(
        "Does the child, youth or family share somebody's housing because they lost their own, or for lack of money?",
        "Shares housing for loss of housing or hardship",
    ),
    "lives_in_motel_or_campground": _yes_no(
        "Does the child, youth or family live in a motel, hotel, trailer park or campground for lack of another place?",
        "Lives in a motel, hotel, trailer park or campground for lack of another place",
    ),
    "abandoned_in_hospital": _yes_no(
        "Is the child or youth in a hospital without a safe place to go?",
        "Is in a hospital without a safe place to go",
    ),
    "family_with_under_21": _yes_no(
        "Does the member live with family, somebody of whom is under 21?",
        "Belongs to a family with a member under 21",
    ),
    "complex_need": _yes_no(
        "Does the member have a complex physical, behavioral or developmental need?",
        "Has a complex physical, behavioral or developmental need",
    ),
    "cannot_self_manage": _yes_no(
        "Is the member unable to manage this need alone?",
        "Cannot manage this need alone",
    ),
    "coordination_would_help": _yes_no(
        "Would coordinated services likely improve the member's health, or reduce the use of high-cost services?",
        "Coordinated services would likely help",
    ),
    "pregnant_or_postpartum": _yes_no(
        "Is the member pregnant, or within 12 months after a pregnancy, however it ended?",
        "Is pregnant or postpartum",
    ),
    "transitional_rent": _yes_no(
        "Is the member authorized for Transitional Rent?",
        "Is authorized for Transitional Rent",
    ),
}

_USE: Mapping[str, Answer] = {
    "avoidable_ed_visits_6m": _count(
        "How many emergency room visits in the last six months could better outpatient care or treatment adherence have "
        "avoided? A visit that became a hospital stay counts as a stay only.",
        "avoidable emergency room visits in six months",
    ),
    "avoidable_stays_6m": _count(
        "How many unplanned hospital and short-term skilled nursing stays, taken together, in the last six months could "
        "better outpatient care or treatment adherence have avoided?",
        "avoidable unplanned hospital or short-term skilled nursing stays in six months",
    ),
    "avoidable_ed_visits_12m": _count(
        "How many emergency room visits of the child or youth in the last twelve months could better outpatient care or "
        "treatment adherence have avoided? A visit that became a hospital stay counts as a stay only.",
        "avoidable emergency room visits in twelve months",
    ),
    "avoidable_stays_12m": _count(
        "How many unplanned hospital and short-term skilled nursing stays of the child or youth, taken together, in the "
        "last twelve months could better outpatient care or treatment adherence have avoided?",
        "avoidable unplanned hospital or short-term skilled nursing stays in twelve months",
    ),
}

_BEHAVIORAL: Mapping[str, Answer] = {
    "smhs_dmc_access": _yes_no(
        "Does the member get county specialty mental health or Drug Medi-Cal services, or would the member meet the "
        "criteria for them? A suspected disorder is enough; nobody need be enrolled.",
        "Gets, or meets the criteria for, county specialty mental health or Drug Medi-Cal services",
    ),
    "high_risk": _yes_no(
        "Is the member at high risk of a stay in a hospital, nursing facility, long-term care or emergency room, of an "
        "overdose, or of suicide?",
        "Is at high risk of institutionalization, overdose or suicide",
    ),
    "crisis_care_primary": _yes_no(
        "Are crisis services, emergency rooms, urgent care or hospital stays the member's primary source of care?",
        "Crisis, emergency, urgent or inpatient care is the primary source of care",
    ),
    "crisis_care_sole": _yes_no(
        "Are crisis services, emergency rooms, urgent care or hospital stays the member's sole source of care? "
        "(Asked for referrals before December 2022.)",
        "Crisis, emergency, urgent or inpatient care is the sole source of care",
    ),
    "smi_sud_ed_visits_12m": _count(
        "How many emergency room visits for mental health or substance use did the member have in the last 12 months?",
        "emergency room visits for mental health or substance use in twelve months",
    ),
    "smi_sud_hospitalizations_12m": _count(
        "How many hospital stays for mental health or substance use did the member have in the last 12 months?",
        "hospital stays for mental health or substance use in twelve months",
    ),
    "high_trauma_score": _yes_no(
        "Did a trauma screening put the child or youth in the high-risk range?",
        "Scored in the high-risk range of a trauma screening",
    ),
    "juvenile_justice": _yes_no(
        "Has the child or youth been involved with juvenile justice?",
        "Has been involved with juvenile justice",
    ),
    "sed_or_psychosis": _yes_no(
        "Does the child or youth have a serious emotional disturbance, a high risk of psychosis, or a first episode of "
        "it? (Asked for referrals before July 2023.)",
        "Has a serious emotional disturbance, a high risk of psychosis, or a first episode of it",
    ),
    "ace_score": _count(
        "How many adverse childhood experiences (ACEs) did a screening count?",
        "adverse childhood experiences",
    ),
}

# Lists of the state that name examples: another factor of the same kind counts, and a person judges it.
_FACTORS: Mapping[str, Answer] = {
    "lacks_food": _yes_no("Does the member lack access to food?", "Lacks access to food"),
    "lacks_stable_housing": _yes_no(
        "Does the member lack access to stable housing?", "Lacks access to stable housing"
    ),
    "cannot_work_or_engage": _yes_no(
        "Is the member unable to work or to take part in the community?",
        "Cannot work or take part in the community",
    ),
    "law_enforcement_contact": _yes_no(
        "Has the member had recent contact with law enforcement, related to mental health or substance use where the "
        "member is an adult?",
        "Has had recent contact with law enforcement",
    ),
    "lacks_transportation": _yes_no(
        "Does the child or youth have difficulty getting transportation?", "Lacks transportation"
    ),
    "crisis_intervention": _yes_no(
        "Did the child or youth recently need crisis intervention for mental health or substance use?",
        "Needed crisis intervention for mental health or substance use",
    ),
    "adl_help": _yes_no(
        "Does the member need help with activities of daily living?",
        "Needs help with activities of daily living",
    ),
    "communication_difficulty": _yes_no(
        "Does the member have difficulty communicating?", "Has difficulty communicating"
    ),
    "lives_alone": _yes_no("Does the member live alone?", "Lives alone"),
    "guided_decisions": _yes_no(
        "Does the member need a conservator or guidance in decisions?",
        "Needs a conservator or guidance in decisions",
    ),
    "poor_caregiving": _yes_no(
        "Is the member's caregiving poor or inadequate, for instance without anybody watching over safety?",
        "Has poor or inadequate caregiving",
    ),
    "other_social_factor": _words(
        "Which other social or environmental factor of that kind influences the member's health? Say it in words; answer "
        "false if there is none.",
        "Another social or environmental factor, in words, influences the member's health",
    ),
}

_INCARCERATION: Mapping[str, Answer] = {
    "leaving_incarceration": _yes_no(
        "Is the member leaving a prison, jail or youth correctional facility, after a stay of any length?",
        "Is leaving a correctional facility",
    ),
    "left_incarceration_12m": _yes_no(
        "Did the member leave a prison, jail or youth correctional facility within the last 12 months?",
        "Left a correctional facility within twelve months",
    ),
    "pre_release_services": _yes_no(
        "Did the member receive Medi-Cal pre-release services before leaving?",
        "Received pre-release services",
    ),
    "mental_illness": _yes_no(
        "Does the member have a mental illness, diagnosed or suspected?", "Has a mental illness"
    ),
    "substance_use_disorder": _yes_no(
        "Does the member have a substance use disorder, diagnosed or suspected?",
        "Has a substance use disorder",
    ),
    "chronic_condition": _yes_no(
        "Does the member have a chronic or significant clinical condition, such as hypertension, high cholesterol, "
        "obesity, asthma or diabetes, or a prescription of opioids or benzodiazepines?",
        "Has a chronic or significant clinical condition",
    ),
    "developmental_disability": _yes_no(
        "Does the member have an intellectual or developmental disability?",
        "Has an intellectual or developmental disability",
    ),
    "brain_injury": _yes_no("Does the member have a traumatic brain injury?", "Has a traumatic brain injury"),
    "hiv_aids": _yes_no("Does the member live with HIV or AIDS?", "Lives with HIV or AIDS"),
}

_LONG_TERM: Mapping[str, Answer] = {
    "snf_level_of_care": _yes_no(
        "Does the member, living in the community, meet the skilled nursing facility level of care? An earlier "
        "determination, such as for a waiver, may confirm it.",
        "Lives in the community and meets the skilled nursing level of care",
    ),
    "lower_acuity_nursing": _yes_no(
        "Does the member, living in the community, need time-limited or intermittent skilled nursing?",
        "Lives in the community and needs time-limited or intermittent skilled nursing",
    ),
    "able_in_community": _yes_no(
        "Can the member go on living in the community with services around them?",
        "Can go on living in the community with wraparound supports",
    ),
    "icf_or_subacute": _yes_no(
        "Is it an intermediate care facility (ICF) or a subacute facility that the member lives in or is at risk of?",
        "Lives in, or is at risk of, an intermediate care or subacute facility",
    ),
    "nf_resident": _yes_no("Does the member live in a nursing facility?", "Lives in a nursing facility"),
    "wants_to_leave_nf": _yes_no(
        "Does the member want to move out of the nursing facility?", "Wants to move out of the facility"
    ),
    "likely_to_succeed": _yes_no(
        "Is the member a likely candidate to move out of the facility successfully?",
        "Is a likely candidate to move out successfully",
    ),
    "can_reside_continuously": _yes_no(
        "Can the member live in the community continuously? Short returns to a hospital or facility do not count "
        "against it.",
        "Can live in the community continuously",
    ),
}

_CHILDREN: Mapping[str, Answer] = {
    "ccs_enrolled": _yes_no(
        "Is the child or youth enrolled in California Children's Services (CCS) or its Whole Child Model?",
        "Is enrolled in CCS or its Whole Child Model",
    ),
    "in_foster_care": _yes_no(
        "Is the child or youth in foster care in California now?", "Is in foster care in California"
    ),
    "left_foster_care_12m": _yes_no(
        "Was the child or youth in foster care, in any state, within the last 12 months?",
        "Was in foster care within twelve months",
    ),
    "former_foster_youth": _yes_no(
        "Was the member in foster care, in any state, on the 18th birthday or later?",
        "Was in foster care on the 18th birthday or later",
    ),
    "adoption_assistance": _yes_no(
        "Is the child or youth in California's Adoption Assistance Program, or eligible for it?",
        "Is in, or eligible for, the Adoption Assistance Program",
    ),
    "adoption_disability": _yes_no(
        "Does a mental or physical disability warrant that adoption assistance goes on past 18?",
        "Has a disability for which adoption assistance goes on",
    ),
    "family_maintenance": _yes_no(
        "Does the child get Family Maintenance services, or got them within the last 12 months?",
        "Gets, or got within twelve months, Family Maintenance services",
    ),
    "child_welfare_involvement": _yes_no(
        "Has the child or youth ever been involved in child welfare or foster care?",
        "Has been involved in child welfare",
    ),
}

ANSWERS: Mapping[str, Answer] = {
    **_HOUSING, **_USE, **_BEHAVIORAL, **_FACTORS, **_INCARCERATION, **_LONG_TERM, **_CHILDREN,
}  # fmt: skip

# What the rest of the form tells: nobody is asked for it under `answers`.
FACTS: Mapping[str, Answer] = {
    "age": _count("What is the member's date of birth?", "completed years of age"),
    "disparity_group": _yes_no(
        "How does the member describe their race and ethnicity, if they wish to?",
        "Belongs, by their own word, to a group that the state's maternal health data show to be worse off",
    ),
}
