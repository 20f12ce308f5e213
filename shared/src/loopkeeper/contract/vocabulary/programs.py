"""Which other programs can a member be in, and how can one relate to ECM? How each relates is policy data."""

from __future__ import annotations

import re
from collections.abc import Mapping

from loopkeeper.contract.vocabulary.codes import Code, folded


class ProgramRule(Code):
    """How a program relates to ECM (domain.md 1.5)."""

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
    CCS_WCM = "ccs_wcm", "California Children's Services, Whole Child Model"
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
    CPSP = "cpsp", "Comprehensive Perinatal Services Program"
    BLACK_INFANT_HEALTH = "black_infant_health", "Black Infant Health Program"
    PERINATAL_EQUITY = "perinatal_equity", "California Perinatal Equity Initiative"
    INDIAN_HEALTH = "indian_health", "Indian Health Program (American Indian Maternal Support Services)"
    HOME_VISITING = "home_visiting", "California Home Visiting Program"
    CALWORKS_HOME_VISITING = "calworks_home_visiting", "CalWORKs Home Visiting Program"
    WIC = "wic", "Women, Infants and Children (WIC)"
    MEDICARE_ADVANTAGE = "medicare_advantage", "Medicare Advantage plan that is no D-SNP"
    MEDICARE_FFS = "medicare_ffs", "Original Medicare (fee for service)"
    APS = "aps", "Adult Protective Services"
    HOME_SAFE = "home_safe", "Home Safe"
    ECM = "ecm", "ECM already, through this or another plan"


# Other names that plans' files use.
_ALSO: Mapping[Program, tuple[str, ...]] = {
    Program.D_SNP: (
        "dsnp",
        "dual eligible special needs plan",
        "fide snp",
        "fide-snps",
        "eae d-snp",
        "non-eae d-snp",
        "fully integrated dual eligible special needs plan",
        "fully integrated dual eligible special needs plans",
        "medi-medi plan",
    ),
    Program.PACE: (
        "program for all-inclusive care for the elderly",
        "program of all-inclusive care for the elderly",
    ),
    Program.MSSP: ("mssp waiver",),
    Program.GHPP: ("genetically handicapped person's program",),
    Program.CCS_WCM: ("wcm", "whole child model", "ccs whole child model"),
    Program.SMHS_TCM: (
        "smhs targeted case management",
        "specialty mental health services targeted case management",
    ),
    Program.SMHS_ICC: (
        "icc",
        "smhs icc for children",
        "intensive care coordination",
        "smha intensive care coordination for children",
    ),
    Program.DMC_COORDINATION: (
        "dmc-ods care coordination",
        "dmc care coordination",
        "drug medi-cal organized delivery system and drug medi-cal care coordination & management programs",
    ),
    Program.BLACK_INFANT_HEALTH: ("bih", "black infant health"),
    Program.PERINATAL_EQUITY: ("pei", "perinatal equity initiative"),
    Program.INDIAN_HEALTH: (
        "aimss",
        "indian health program",
        "american indian maternal support services",
        "indian health program/american indian maternal support services",
    ),
    Program.HOME_VISITING: ("chvp", "cdph home visiting program", "chph home visiting program"),
    Program.CALWORKS_HOME_VISITING: ("calworks hvp", "hvp", "cdss calworks home visiting program"),
    Program.WIC: (
        "women infants and children",
        "women, infants & children",
        "women, infant & children program",
    ),
    Program.MEDICARE_ADVANTAGE: ("medicare advantage", "medicare advantage enrollees"),
    Program.MEDICARE_FFS: (
        "ffs medicare",
        "ffs medicare enrollees",
        "medicare fee for service",
        "original medicare",
    ),
    Program.ICF_RESIDENT: ("icf", "icf/dd", "icf/iid", "intermediate care facility"),
    Program.MCWP: (
        "hiv/aids waiver",
        "aids waiver",
        "medi cal waiver program",
        "medi-cal waiver program (formerly the hiv/aids waiver)",
    ),
    Program.HCBA: ("hcba waiver", "home and community based alternatives"),
    Program.ALW: ("alw waiver",),
    Program.HCBS_DD: (
        "hcbs waiver for i/dd",
        "hcbs-dd waiver",
        "hcbs waiver for individuals with developmental disabilities",
    ),
    Program.SELF_DETERMINATION: ("sdp", "self-determination program for individuals with i/dd"),
    Program.CCM: (
        "complex care management",
        "complex case management",
        "managed care plan complex care management",
    ),
    Program.CCT: (
        "cct mftp",
        "mftp",
        "money follows the person",
        "california community transitions money follows the person",
    ),
    Program.COUNTY_TCM: (
        "tcm",
        "county based tcm",
        "targeted case management",
        "county based targeted case management",
    ),
    Program.FULL_SERVICE_PARTNERSHIP: ("fsp",),
    Program.WRAPAROUND: ("wraparound", "california wrap around"),
}
_BY_NAME = {
    folded(word): program
    for program in Program
    for word in (program.value, program.label, *_ALSO.get(program, ()))
}
# What may be in brackets behind a name without changing it, next to the short names above.
_SHORT = frozenset({"i dd", "smhs", "dmc", "dmc ods"})
_BRACKETS = re.compile(r"\(([^()]*)\)")
# Who waits for a place is not enrolled (ECMG26 p66).
WAITS = frozenset({"wait list", "wait listed", "waitlist", "waitlisted", "waiting list"})


def program_of(said: object) -> Program | None:
    """The program somebody names: by its code or name, case, accents and dashes aside. None where it is none of the
    state's figure."""
    if not isinstance(said, str):
        return None
    found = _BY_NAME.get(folded(said))
    if found is None and all(_is_short(each) for each in _BRACKETS.findall(said)):
        return _BY_NAME.get(folded(_BRACKETS.sub(" ", said)))
    return found


def _is_short(said: str) -> bool:
    return folded(said) in _SHORT or folded(said) in _BY_NAME


def enrolled_in(said: object) -> tuple[Program, ...] | None:
    """What a plan's file says of one program: `alw`, or `alw: wait listed`, which is no enrolment and so nothing. None
    where it names no program."""
    if not isinstance(said, str):
        return None
    name, _, how = said.partition(":")
    program = program_of(name)
    if program is None or (how.strip() and folded(how) not in WAITS | {"enrolled", "yes"}):
        return None
    return () if folded(how) in WAITS else (program,)
