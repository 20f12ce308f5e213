"""How do people describe themselves, and who may consent for a minor? Self-reported words only, never inferred."""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class RaceEthnicity(Code):
    """As a member describes race and ethnicity; several may be chosen (loop.md 6.7)."""

    AMERICAN_INDIAN = "american_indian_or_alaska_native", "American Indian or Alaska Native"
    ASIAN = "asian", "Asian"
    BLACK = "black", "Black or African American"
    HISPANIC = "hispanic_or_latino", "Hispanic or Latino"
    MIDDLE_EASTERN = "middle_eastern_or_north_african", "Middle Eastern or North African"
    PACIFIC_ISLANDER = "pacific_islander", "Native Hawaiian or Pacific Islander"
    WHITE = "white", "White"
    OTHER = "other", "Another group"


class ConsentHolder(Code):
    """Who holds consent for a minor, or speaks for an adult (loop.md 6.6)."""

    SELF = "self", "The minor"
    PARENT = "parent", "A parent"
    GUARDIAN = "guardian", "A legal guardian"
    COURT = "court", "A court"
    COUNTY = "county", "The county"
    CONSERVATOR = "conservator", "An adult's conservator"
    REPRESENTATIVE = "authorized_representative", "An adult's authorized representative"

    @property
    def of_adults(self) -> bool:
        """Whether an adult may have one; of a minor anybody may hold consent."""
        return self in (ConsentHolder.SELF, ConsentHolder.CONSERVATOR, ConsentHolder.REPRESENTATIVE)
