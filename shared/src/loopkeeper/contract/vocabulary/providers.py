"""What kinds of ECM provider does the state's table name, and why may a provider decline an offer?"""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class ProviderType(Code):
    """Every type of Figure 5 (ECMG26 p106–108), then those that have no row there."""

    STREET_MEDICINE = "street_medicine", "Street medicine"
    HOUSING_TRANSITION_NAVIGATION = (
        "housing_transition_navigation",
        "Housing Transition Navigation (Housing Trio)",
    )
    HOUSING_DEPOSITS = "housing_deposits", "Housing Deposits (Housing Trio)"
    HOUSING_TENANCY = "housing_tenancy", "Housing Tenancy and Sustaining (Housing Trio)"
    SPECIALTY_BH_OPERATED = "specialty_bh_county_operated", "Specialty behavioral health, county-operated"
    SPECIALTY_BH_CONTRACTED = (
        "specialty_bh_county_contracted",
        "Specialty behavioral health, county-contracted",
    )
    FQHC = "fqhc", "Federally Qualified Health Center"
    PRIMARY_CARE_COUNTY = "primary_care_county", "Primary care, county-operated"
    PRIMARY_CARE = "primary_care", "Primary care practice"
    CCT_LEAD = "cct_lead", "California Community Transitions lead organization"
    NF_TRANSITION_DIVERSION = (
        "nf_transition_diversion",
        "Nursing facility transition or diversion to assisted living",
    )
    COMMUNITY_TRANSITION = "community_transition_services", "Community Transition Services"
    CCS_PANELED = "ccs_paneled", "CCS-paneled provider"
    CCS_LOCAL_HEALTH = "ccs_local_health_department", "Local health department CCS program"
    WRAPAROUND = "high_fidelity_wraparound", "High Fidelity Wraparound"
    HCPCFC = "hcpcfc", "Health Care Program for Children in Foster Care"
    DSS_OFFICE = "dss_office", "Department of Social Services office"
    FOSTER_FAMILY_AGENCY = "foster_family_agency", "Foster Family Agency"
    FOSTER_YOUTH_HOUSING = "foster_youth_transitional_housing", "Transitional housing for foster youth"
    CHILDRENS_CRISIS = "childrens_crisis_residential", "Children's Crisis Residential Program"
    OB_GYN = "ob_gyn", "OB/GYN practice"
    MIDWIFERY = "midwifery", "Midwifery practice"
    BLACK_INFANT_HEALTH = "black_infant_health", "Black Infant Health Program"
    PERINATAL_EQUITY = "perinatal_equity_initiative", "Perinatal Equity Initiative"
    INDIAN_HEALTH = "indian_health_program", "Indian Health Program"
    AIMSS = "aimss", "American Indian Maternal Support Services"
    SHELTER = "shelter", "Shelter or navigation center"
    COMMUNITY_ORGANIZATION = "community_organization", "Community-based organization"
    PLAN_STAFF = "plan_staff", "The plan's own staff"
    OTHER = "other", "Other"


class DeclineReason(Code):
    """Why a provider says no to an offer; the loop stays open (loop.md 5.5)."""

    NO_CAPACITY = "no_capacity", "No capacity"
    OUTSIDE_AREA = "outside_area", "Outside the area served"
    LANGUAGE = "language", "The member's language is not served"
    NEEDS_BEYOND_SCOPE = "needs_beyond_scope", "The needs go beyond what is offered"
    MEMBER_PREFERS_ANOTHER = "member_prefers_another", "The member prefers another provider"
    SAFETY = "safety", "A safety reason"
    CONFLICT = "conflict_of_interest", "A conflict of interest"
    OTHER = "other", "Another reason"
