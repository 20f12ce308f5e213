"""Whom is Enhanced Care Management for? The state's Populations of Focus (ECMG26 p10) and the two forms' ages."""

from __future__ import annotations

from datetime import date

from loopkeeper.contract.vocabulary.codes import Code

# Under 21 the state's children's and youth definitions apply (ECMG26 p11).
ADULT_FROM = 21


class Population(Code):
    """In the state's order, 1 to 9."""

    HOMELESSNESS = "homelessness", "Experiencing homelessness"
    AVOIDABLE_UTILIZATION = "avoidable_utilization", "At risk for avoidable hospital or ED use"
    SMI_SUD = "smi_sud", "Serious mental health or substance use needs"
    INCARCERATION = "incarceration", "Transitioning from incarceration"
    LTC_COMMUNITY = "ltc_community", "In the community, at risk of long-term care"
    NF_TRANSITION = "nf_transition", "Nursing facility resident transitioning to the community"
    CCS = "ccs", "California Children's Services with needs beyond the condition"
    CHILD_WELFARE = "child_welfare", "Involved in child welfare"
    BIRTH_EQUITY = "birth_equity", "Birth Equity"

    @property
    def number(self) -> int:
        """The number the state gives it."""
        return list(Population).index(self) + 1


class AgeBand(Code):
    CHILD_YOUTH = "child_youth", "Under 21"
    ADULT = "adult", "21 and older"
    UNKNOWN = "unknown", "Age not known"


def age_on(birth_date: date, on: date) -> int:
    """Completed years of life on a day; born on 29 February, a year is completed on 1 March. Negative before birth."""
    return on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))


def age_band(age: int | None) -> AgeBand:
    """The band of an age in completed years."""
    if age is None:
        return AgeBand.UNKNOWN
    return AgeBand.ADULT if age >= ADULT_FROM else AgeBand.CHILD_YOUTH
