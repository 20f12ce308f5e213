"""For which reasons may a plan's person deny, and which are forbidden whoever gives them?"""

from __future__ import annotations

from loopkeeper.vocabulary.codes import Code


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
