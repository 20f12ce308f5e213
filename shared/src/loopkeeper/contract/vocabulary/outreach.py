"""How is a member reached out to, by whom, and what came of it?"""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class Modality(Code):
    """An attempt speaks to one member, who can answer; a mass mailing is none (domain.md 6)."""

    IN_PERSON = "in_person", "In person"
    PHONE = "phone", "Phone"
    TEXT = "text", "Text message"
    EMAIL = "email", "E-mail"
    VIDEO = "video", "Video"
    LETTER = "letter", "Personal letter"
    OTHER_ELECTRONIC = "other_electronic", "Other electronic way"


class ActorKind(Code):
    """Who tried; community health workers and peers do outreach too (domain.md 2.2b)."""

    LEAD_CARE_MANAGER = "lead_care_manager", "Lead care manager"
    COMMUNITY_HEALTH_WORKER = "community_health_worker", "Community health worker"
    PEER = "peer", "Peer"
    STREET_OUTREACH = "street_outreach_worker", "Street outreach worker"
    CLINICIAN = "clinician", "Clinical staff"
    OTHER_STAFF = "other_staff", "Other staff"


class AttemptOutcome(Code):
    """What came of one attempt. `reached` is whether the member was."""

    REACHED = "reached", "Reached the member"
    CALL_BACK = "call_back_agreed", "Reached; agreed to talk later"
    ENGAGED = "engaged", "Reached; agreed to ECM"
    DECLINED = "declined", "Reached; declined"
    NO_ANSWER = "no_answer", "No answer"
    VOICEMAIL = "voicemail", "Voicemail"
    THIRD_PARTY = "message_with_third_party", "Message left with someone else"
    NOT_THERE = "not_there", "Not found at the place"
    WRONG_NUMBER = "wrong_number", "Wrong number or address"
    DISCONNECTED = "disconnected", "Disconnected"
    BUSY = "busy", "Busy"
    UNDELIVERED = "undelivered", "Came back undelivered"
    NOT_REACHED = "not_reached", "Not reached; a file says no more"

    @property
    def reached(self) -> bool:
        return self in _REACHED


_REACHED = frozenset(
    {AttemptOutcome.REACHED, AttemptOutcome.CALL_BACK, AttemptOutcome.ENGAGED, AttemptOutcome.DECLINED}
)
