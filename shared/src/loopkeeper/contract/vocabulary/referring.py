"""Who refers, by which way does a referral come in, and how fast must it be decided?"""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class ReceivedVia(Code):
    """The way a referral came in (loop.md 2.6); the clocks run for all of them."""

    API = "api", "API"
    FORM = "form", "Form"
    TELEPHONE = "telephone", "Telephone"
    FAX = "fax", "Fax"
    IN_PERSON = "in_person", "In person"
    FILE = "file", "File"


class Urgency(Code):
    ROUTINE = "routine", "Routine"
    EXPEDITED = "expedited", "Expedited"


class Relationship(Code):
    """What the referrer is to the member (domain.md 1.2, no. 21)."""

    SELF = "self", "The member"
    FAMILY_OR_CAREGIVER = "family_or_caregiver", "Family, guardian or caregiver"
    ECM_PROVIDER = "ecm_provider", "ECM provider"
    COMMUNITY_SUPPORTS = "community_supports_provider", "Community Supports or CHW provider"
    PRIMARY_CARE = "primary_care", "Primary care"
    MEDICAL_PROVIDER = "medical_provider", "Other medical provider"
    HOSPITAL = "hospital", "Hospital or emergency department"
    BEHAVIORAL_HEALTH = "behavioral_health", "Mental health or substance use provider"
    SNF = "skilled_nursing_facility", "Skilled nursing facility"
    PLAN = "managed_care_plan", "Managed care plan"
    COUNTY = "county_or_government", "County or other government"
    CHILD_WELFARE = "child_welfare", "Child welfare"
    SCHOOL = "school", "School or local educational agency"
    CORRECTIONAL = "correctional_facility", "Correctional facility or justice organization"
    TRIBAL_HEALTH = "tribal_health", "Tribal or Indian health"
    SOCIAL_SERVICE = "social_service", "Social service provider"
    COMMUNITY_ORGANIZATION = "community_organization", "Community-based organization"
    LEGAL_AID = "legal_aid", "Legal aid"
    OTHER = "other", "Other"


class ContactMethod(Code):
    """How the member is best reached."""

    CALL = "call", "Call"
    TEXT = "text", "Text message"
    EMAIL = "email", "E-mail"
    MAIL = "mail", "Mail"
    IN_PERSON = "in_person", "In person"
    VIA_CAREGIVER = "via_caregiver", "Through a caregiver"
