"""Which other programs can a member be in, and how can one stand to ECM? Which stands how is policy data."""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class ProgramRule(Code):
    """How a program stands to ECM (domain.md 1.5)."""

    EXCLUSIVE = "exclusive", "Excludes ECM"
    MEMBER_CHOICE = "member_choice", "The member chooses one or the other"
    ECM_FIRST = "ecm_first", "Yields to ECM"
    CONCURRENT = "concurrent", "Goes together with ECM"
    COORDINATE = "coordinate", "Coordinated with ECM"


class Program(Code):
    """The programs of the state's overlap figure (ECMG26 p63–65) that a referrer may know of."""

    HOSPICE = "hospice", "Hospice"
    PACE = "pace", "PACE"
    FAMILY_MOSAIC = "family_mosaic", "Family Mosaic Project"
    D_SNP = "d_snp", "Dual Eligible Special Needs Plan (D-SNP)"
    ICF_RESIDENT = "icf_resident", "Lives in an intermediate care facility (I/DD)"
    MCWP = "mcwp", "Medi-Cal Waiver Program (HIV/AIDS)"
    HCBA = "hcba", "Home and Community-Based Alternatives waiver"
    ALW = "alw", "Assisted Living Waiver"
    HCBS_DD = "hcbs_dd", "HCBS waiver, developmental disabilities"
    MSSP = "mssp", "Multipurpose Senior Services Program"
    SELF_DETERMINATION = "self_determination", "Self-Determination Program"
    CCM = "ccm", "The plan's Complex Care Management"
    CCT = "cct", "California Community Transitions"
    COUNTY_TCM = "county_tcm", "County Targeted Case Management"
    CCS = "ccs", "California Children's Services"
    GHPP = "ghpp", "Genetically Handicapped Persons Program"
    SMHS_TCM = "smhs_tcm", "Specialty mental health targeted case management"
    SMHS_ICC = "smhs_icc", "Specialty mental health intensive care coordination"
    DMC_COORDINATION = "dmc_coordination", "Drug Medi-Cal care coordination"
    FULL_SERVICE_PARTNERSHIP = "full_service_partnership", "Full Service Partnership"
    HCPCFC = "hcpcfc", "Health Care Program for Children in Foster Care"
    WRAPAROUND = "wraparound", "California Wraparound"
    REGIONAL_CENTER = "regional_center", "Regional Center"
    IHSS = "ihss", "In-Home Supportive Services"
    CBAS = "cbas", "Community-Based Adult Services"
    COMMUNITY_SUPPORTS = "community_supports", "Community Supports"
    CHW = "chw", "Community Health Worker benefit"
    APS = "aps", "Adult Protective Services"
    HOME_SAFE = "home_safe", "Home Safe"
    ECM = "ecm", "ECM already, through this or another plan"
