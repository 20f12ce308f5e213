"""What headings and words of lists are often called: for guesses alone, never a rule about a plan's file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from loopkeeper.plan_files.fields import Kind
from loopkeeper.spreadsheets.headings import folded

# Each word of a heading as it is compared; one that says nothing is left out.
_SAME: Mapping[str, str] = {
    "dt": "date", "day": "date", "dte": "date", "nbr": "number", "num": "number", "no": "number", "nm": "name",
    "id": "number", "identifier": "number", "identification": "number",
    "lname": "last name", "surname": "last name", "fname": "first name", "given": "first", "lst": "last", "fst": "first",
    "dob": "birth date", "birthdate": "birth date", "birthday": "birth date", "born": "birth date",
    "addr": "address", "addr1": "address", "street": "address", "residence": "residential", "home": "residential",
    "ph": "phone", "tel": "phone", "telephone": "phone", "cell": "phone", "mobile": "phone",
    "zipcode": "zip", "postal": "zip", "cnty": "county", "lang": "language", "sex": "gender",
    "cd": "code", "rsn": "reason", "stat": "status", "auth": "authorization", "authorisation": "authorization",
    "prov": "provider", "mbr": "member", "mem": "member", "client": "member", "patient": "member", "pt": "member",
    "enrollee": "member", "beneficiary": "member", "person": "person", "payer": "plan", "mcp": "plan", "payor": "plan",
    "ref": "referral", "rfl": "referral", "referred": "refer", "referring": "refer", "referrer": "refer",
    "enc": "encounter", "encounters": "encounter", "visit": "encounter", "visits": "encounter",
    "att": "attempt", "attempts": "attempt", "attempted": "attempt", "meth": "method", "modality": "method",
    "succ": "successful", "success": "successful", "reached": "successful", "mins": "minutes", "min": "minutes",
    "duration": "minutes", "lcm": "lead care manager", "ind": "indicator", "flag": "indicator", "yn": "indicator",
    "beg": "start", "begin": "start", "beginning": "start", "began": "start", "from": "start", "eff": "start",
    "effective": "start", "thru": "end", "through": "end", "stop": "end", "exp": "end", "expiration": "end",
    "ended": "end", "disc": "discontinuation", "discontinued": "discontinuation", "disenrollment": "discontinuation",
    "disenrolled": "discontinuation", "prd": "period", "rpt": "reporting", "report": "reporting", "pof": "population",
    "pofs": "population", "populations": "population", "focus": "population", "closed": "closing",
    "closure": "closing", "close": "closing", "determination": "decision", "decided": "decision",
    "determined": "decision", "licence": "license", "lic": "license", "reviewed": "reviewer", "notes": "comments",
    "comment": "comments", "note": "comments", "telephonic": "remote", "virtual": "remote", "telehealth": "remote",
    "resdential": "residential", "txt": "text", "urg": "urgency", "priority": "urgency", "f2f": "in person",
}  # fmt: skip
_SAYS_NOTHING = frozenset(
    {
        "the",
        "of",
        "a",
        "an",
        "for",
        "to",
        "or",
        "and",
        "was",
        "is",
        "please",
        "mm",
        "dd",
        "yyyy",
        "full",
        "with",
        "s",
    }
)
# Columns are numbered sometimes.
_NUMBERED = re.compile(r"\d{1,2}")
# Words that many headings have, whatever they are about.
_LIGHT: Mapping[str, float] = {
    "member": 0.2, "ecm": 0.2, "indicator": 0.2, "number": 0.3, "primary": 0.3, "residential": 0.3, "current": 0.3,
    "name": 0.6, "in": 0.3, "health": 0.3, "preferred": 0.3, "spoken": 0.3, "if": 0.2, "yes": 0.2, "y": 0.2, "n": 0.2,
    "benefit": 0.3, "cs": 0.3, "loop": 0.3, "time": 0.6,
}  # fmt: skip


def terms_of(text: str) -> frozenset[str]:
    """The words of a heading, as they are compared with those of others."""
    plain = re.sub(r"\be[\s-]?mail\b", "email", text, flags=re.I).replace("#", " number ")
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    words = " ".join(_SAME.get(word, word) for word in folded(plain).split()).split()
    return frozenset(word for word in words if word not in _SAYS_NOTHING and not _NUMBERED.fullmatch(word))


def _weight(terms: frozenset[str]) -> float:
    return sum(_LIGHT.get(term, 1.0) for term in terms)


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """How much two headings are alike: 1 where they say the same, 0 where they have no word together."""
    whole = _weight(one) + _weight(other)
    return 2 * _weight(one & other) / whole if whole else 0.0


# ── what else a code is called ────────────────────────────────────────────────────────────────────────────────────

CALLED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "referral.status": {
        "pending": ("not yet answered", "open", "new", "awaiting response", "received"),
        "accepted": ("accept", "taken", "taken by provider", "ac"),
        "declined": ("decline", "turned down", "rejected", "refused by provider"),
        "outreach_initiated": ("outreach", "outreach started", "in outreach", "outreach began", "contacting member"),
        "closed": ("referral loop closed", "loop closed", "complete", "completed", "done"),
    },
    "referral.closing_reason": {
        "services_received": (
            "service delivered", "services delivered", "services began", "services started", "enrolled", "services provided",
        ),
        "provider_declined": ("provider could not serve", "provider refused", "no capacity", "provider declined member"),
        "unable_to_reach": ("could not be reached", "not reached", "unable to contact", "no contact", "unreachable", "utr", "utc"),
        "no_longer_eligible": ("not eligible", "not eligible any more", "ineligible", "lost eligibility"),
        "declined_by_member": ("member declined", "member said no", "member refused", "declined services", "opted out"),
        "other": ("other (say)", "other reason"),
    },
    "member.ecm_status": {
        "assigned": ("pending outreach", "new", "not started"),
        "outreach": ("in outreach", "currently in outreach", "outreach initiated"),
        "enrolled": ("currently delivering service", "active", "receiving services", "in services"),
        "discontinued": ("services discontinued", "closed", "ended", "disenrolled", "inactive"),
    },
    "attempt.method": {
        "phone": ("telephone", "telephonic", "phone call", "telephone call", "call", "called", "voice"),
        "in_person": ("in person", "face to face", "f2f", "home visit", "field visit", "onsite", "street outreach"),
        "text": ("sms", "text", "texted"),
        "email": ("e mail", "email"),
        "video": ("video visit", "telehealth", "video call", "zoom"),
        "letter": ("mail", "mailed letter", "postal mail", "us mail"),
        "other_electronic": ("electronic", "portal", "portal message"),
        "not_an_attempt": ("mailer", "mass mailing", "flyer", "bulk mail"),
    },
    "attempt.outcome": {
        "no_answer": ("no answer", "no response", "did not answer"),
        "voicemail": ("left voicemail", "left message", "vm", "lvm"),
        "reached": ("reached", "spoke with member", "contacted"),
        "engaged": ("agreed", "agreed to ecm", "accepted"),
        "declined": ("refused", "said no", "not interested"),
        "not_there": ("not found", "not home", "not at location"),
        "call_back_agreed": ("call back", "callback", "asked to call back"),
    },
    "attempt.by": {
        "clinician": ("clinical", "nurse", "rn", "lcsw", "licensed clinician", "nurse or clinician"),
        "community_health_worker": ("chw", "promotora"),
        "peer": ("peer support specialist", "peer specialist", "css"),
        "lead_care_manager": ("lcm", "care manager", "case manager"),
        "other_staff": ("non clinical", "nonclinical", "non licensed", "other", "staff"),
    },
    "decision.outcome": {
        "approved": ("approve", "authorized", "granted", "yes", "a"),
        "denied": ("deny", "denial", "not approved", "no", "d"),
        "modified": ("modify", "in part", "partially approved", "partial", "m"),
    },
    "decision.reason": {
        "criteria_not_met": ("criteria not met", "does not meet criteria", "no population of focus", "not medically necessary"),
        "not_mcp_member": ("not a member", "not our member", "other plan"),
        "no_active_medi_cal": ("no medi cal", "not eligible for medi cal", "medi cal inactive"),
        "duplicative_program": ("duplicate program", "duplication of services", "excluded program"),
        "already_in_ecm": ("already enrolled", "already in ecm"),
        "insufficient_information": ("missing information", "incomplete", "not enough information"),
        "deceased": ("died",),
    },
    "urgency": {
        "routine": ("standard", "normal", "non urgent", "regular"),
        "expedited": ("urgent", "rush", "emergent", "stat", "high"),
    },
}  # fmt: skip

# What the name of a file says it is; the first that is found counts.
KIND_NAMES: tuple[tuple[str, Kind], ...] = (
    ("rtf", "rtf"), ("return", "rtf"), ("returned", "rtf"), ("otf", "otf"), ("outreach", "otf"), ("attempts", "otf"),
    ("decisions", "decisions"), ("decision", "decisions"), ("determinations", "decisions"), ("mif", "mif"),
    ("referrals", "referrals"), ("referral", "referrals"), ("refs", "referrals"),
)  # fmt: skip
# Fields that this kind of file has and the others have not.
OWN: Mapping[Kind, frozenset[str]] = {
    "mif": frozenset({"authorization.from", "authorization.through", "referral.received_on", "referral.source", "member.new"}),
    "rtf": frozenset(
        {"referral.status", "referral.status_on", "referral.closing_reason", "lead.name", "count.in_person", "count.remote",
         "ecm.start", "ecm.ended_on", "ecm.end_code", "contact.new_phone", "contact.new_address"}
    ),
    "otf": frozenset({"attempt.on", "attempt.method", "attempt.successful", "attempt.outcome", "attempt.by", "attempt.minutes"}),
    "referrals": frozenset(
        {"urgency", "referrer_name", "referrer_email", "referrer_phone", "attested", "agrees", "comments", "can_find",
         "usual_place", "approximate_age", "referral_date"}
    ),
    "decisions": frozenset({"decision.outcome", "decision.on", "decision.reason", "decision.by", "decision.license"}),
}  # fmt: skip
