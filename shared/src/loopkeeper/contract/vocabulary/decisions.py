"""For which reasons may a plan's person deny or end, and what may nobody deny for or ask for?"""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class DenialReason(Code):
    """The whole list (loop.md 4.3): there is no `other`, since a denial must say why."""

    NOT_MCP_MEMBER = "not_mcp_member", "Not a member of this plan"
    NO_ACTIVE_MEDI_CAL = "no_active_medi_cal", "No active Medi-Cal"
    CRITERIA_NOT_MET = "criteria_not_met", "No Population of Focus is met"
    DUPLICATIVE_PROGRAM = "duplicative_program", "In a program that excludes ECM"
    ALREADY_IN_ECM = "already_in_ecm", "Already receives ECM"
    INSUFFICIENT_INFORMATION = (
        "insufficient_information_after_outreach",
        "What the referral standard asks could not be learned",
    )
    DECEASED = "deceased", "The member has died"


class ForbiddenReason(Code):
    """What people try and may not use (domain.md 3)."""

    MISSING_ATTACHMENT = "missing_attachment", "An attachment is missing"
    MISSING_DIAGNOSIS_CODE = "missing_icd_10", "An ICD-10 code is missing"
    MISSING_TAR = "missing_tar", "A treatment authorization request is missing"
    MISSING_CHECKLIST = "missing_checklist", "A checklist is missing"
    MISSING_PROOF = "missing_homelessness_proof", "Proof of homelessness is missing"
    TOO_FEW_CONTACTS = "too_few_contacts", "Too few contacts so far"
    NO_CARE_PLAN = "no_care_plan", "No care plan yet"
    REFERRER_NOT_CLINICIAN = "referrer_not_clinician", "The referrer is no clinician"
    NO_SIGNED_CONSENT = "no_signed_consent", "No signed consent"
    FULL_SERVICE_PARTNERSHIP = "full_service_partnership", "In a Full Service Partnership"
    COUNTY_TCM = "county_tcm", "In county Targeted Case Management"
    STRICTER_THRESHOLD = "stricter_threshold", "Below a threshold of the plan's own"
    AGED_OUT = "aged_out", "Turned 21 while in ECM"


class ForbiddenAsk(Code):
    """What a plan may neither require nor request beyond the referral standard (loop.md 2.15; ECMG26 p99-100)."""

    DIAGNOSIS_CODE = "icd-10", "An ICD-10 code"
    TAR = "tar", "A treatment authorization request"
    CHECKLIST = "eligibility-checklist", "An eligibility checklist"
    OUTREACH_FORM = "outreach-authorization-form", "An outreach authorization form"
    HOMELESSNESS_PROOF = "homelessness-proof", "Proof of homelessness"
    ATTACHMENT = "attachment", "An attachment"
    CARE_PLAN = "care-plan", "A finished care plan"
    CONSENT_FORM = "signed-consent", "A signed consent"
    PRIOR_CONTACTS = "prior-contacts", "A number of earlier contacts"


class Discontinuation(Code):
    """Why a term ends: the state's codes 1 to 15 (domain.md 3; labels by secondary sources)."""

    GRADUATED = "1", "Met the goals of the care plan"
    STEPPED_DOWN = "2", "Ready for a lower level of care management"
    NO_LONGER_WISHES = "3", "No longer wishes ECM, or does not respond"
    NOT_REACHED = "4", "Could not be reached after several attempts"
    INCARCERATED = "5", "Incarcerated"
    DECLINED = "6", "Declined to take part"
    DUPLICATIVE_PROGRAM = "7", "In a program that excludes ECM"
    LOST_COVERAGE = "8", "Lost Medi-Cal coverage"
    SWITCHED_PLAN = "9", "Changed to another plan"
    MOVED_COUNTY = "10", "Moved out of the county"
    MOVED_COUNTRY = "11", "Moved out of the country"
    UNSAFE = "12", "Unsafe behavior or environment"
    NOT_REAUTHORIZED = "13", "Not reauthorized"
    DECEASED = "14", "Died"
    OTHER = "15", "Other"
