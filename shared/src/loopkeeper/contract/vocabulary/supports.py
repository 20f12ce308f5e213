"""Which Community Supports can a lead care manager ask for? The state's fifteen; codes and limits are policy data."""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class CommunitySupport(Code):
    """In the state's order, 1 to 15."""

    HOUSING_NAVIGATION = "housing_transition_navigation", "Housing Transition Navigation"
    HOUSING_DEPOSITS = "housing_deposits", "Housing Deposits"
    HOUSING_TENANCY = "housing_tenancy", "Housing Tenancy and Sustaining Services"
    POST_HOSPITALIZATION = "post_hospitalization_housing", "Short-Term Post-Hospitalization Housing"
    RECUPERATIVE_CARE = "recuperative_care", "Recuperative Care (Medical Respite)"
    TRANSITIONAL_RENT = "transitional_rent", "Transitional Rent"
    RESPITE = "respite", "Respite Services"
    DAY_HABILITATION = "day_habilitation", "Day Habilitation"
    ASSISTED_LIVING = (
        "assisted_living_transition",
        "Nursing Facility Transition or Diversion to Assisted Living",
    )
    HOME_TRANSITION = "community_transition", "Community or Home Transition Services"
    PERSONAL_CARE = "personal_care_homemaker", "Personal Care and Homemaker Services"
    HOME_MODIFICATIONS = "home_modifications", "Environmental Accessibility Adaptations"
    MEALS = "medically_tailored_meals", "Medically Tailored Meals or Supportive Food"
    SOBERING = "sobering_center", "Sobering Center"
    ASTHMA = "asthma_remediation", "Asthma Remediation"
