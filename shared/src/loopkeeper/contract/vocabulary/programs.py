"""Which other programs can a member be in, and how can one relate to ECM? How each relates is policy data."""

from __future__ import annotations

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


# Other names that plans' files use.
_ALSO: Mapping[Program, tuple[str, ...]] = {
    Program.D_SNP: ("dsnp", "dual eligible special needs plan"),
    Program.ICF_RESIDENT: ("icf", "icf/dd", "icf/iid", "intermediate care facility"),
    Program.MCWP: ("hiv/aids waiver", "aids waiver", "medi cal waiver program"),
    Program.HCBA: ("hcba waiver", "home and community based alternatives"),
    Program.ALW: ("alw waiver",),
    Program.HCBS_DD: ("hcbs waiver for i/dd", "hcbs-dd waiver"),
    Program.SELF_DETERMINATION: ("sdp",),
    Program.CCM: ("complex care management", "complex case management"),
    Program.CCT: ("cct mftp", "money follows the person"),
    Program.COUNTY_TCM: ("tcm", "county based tcm", "targeted case management"),
    Program.FULL_SERVICE_PARTNERSHIP: ("fsp",),
    Program.WRAPAROUND: ("wraparound", "california wrap around"),
}
_BY_NAME = {
    folded(word): program
    for program in Program
    for word in (program.value, program.label, *_ALSO.get(program, ()))
}
# Who waits for a place is not enrolled (ECMG26 p66).
WAITS = frozenset({"wait list", "wait listed", "waitlist", "waitlisted", "waiting list"})


def program_of(said: object) -> Program | None:
    """The program somebody names: by its code or name, case, accents and dashes aside. None where it is none of the
    state's figure."""
    return _BY_NAME.get(folded(said)) if isinstance(said, str) else None


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
