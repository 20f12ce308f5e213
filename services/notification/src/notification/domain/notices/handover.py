"""May this be handed over so? Pure: who may hear a member's notice, in which way, language and words.

Safe-contact rules and a minor's consent holder beat every default (loop.md 6.2, 6.6); a draft is nobody's word but its
author's, so the person who hands one over says in whose approved words they told it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loopkeeper.contract.decider import Refused
from loopkeeper.contract.vocabulary.codes import Code
from notification.domain.outreach.state import CHANNEL, DO_NOT_CONTACT, SAFE_CONTACT

REPRESENTATIVE = "authorized_representative"


class Way(Code):
    """How somebody was told by a person. `asked`: the member came and asked."""

    IN_PERSON = "in_person", "In person"
    CALL = "call", "Call"
    TEXT = "text", "Text message"
    EMAIL = "email", "E-mail"
    MAIL = "mail", "Mail"
    FAX = "fax", "Fax"
    VIA_CAREGIVER = "via_caregiver", "Through a caregiver"
    ASKED = "asked", "The member asked for it"


@dataclass(frozen=True, slots=True)
class HandOver:
    """What a person says they did. `own_words`: in the plan's own approved text; `interpreted`: by an interpreter."""

    to: str
    how: str
    language: str
    own_words: bool
    interpreted: bool
    safe_contact_checked: bool


def check(
    said: HandOver, *, addressee: str, language: str, draft: bool, flags: Sequence[str], dead: bool = False
) -> None:
    """Raises 409 `not-the-addressee`, `contact-unsafe`, `language-mismatch`, `text-not-approved`."""
    if dead:
        raise Refused(
            "contact-unsafe",
            "Somebody told that the member has died, so nobody is contacted.",
            fix="Wait until the plan has confirmed it or taken it back.",
        )
    if not addressee:
        raise Refused(
            "not-the-addressee",
            "Who holds consent for this minor is not known, so no other adult may be told.",
            fix="Record the consent holder with the referral first.",
        )
    # A representative is told for the member, who may be told too (42 CFR 435.923).
    too = ("member",) if addressee == REPRESENTATIVE else ()
    if said.to not in (addressee, *too):
        raise Refused("not-the-addressee", "This is for somebody else.", fix=f"Tell the {addressee}.")
    _check_way(said, flags)
    if language and said.language != language and not said.interpreted:
        raise Refused(
            "language-mismatch",
            "The member was to be told in another language.",
            fix=f"Tell it in {language}, or through an interpreter.",
        )
    if draft and not said.own_words:
        raise Refused(
            "text-not-approved",
            "The text is a draft that nobody approved, or missing.",
            fix="Tell it in the plan's own approved words and send `own_words` true.",
        )


def check_electronic(how: str, agreement: str | None) -> None:
    """Raises 409 `fax-not-agreed`: a fax tells a referrer only under an agreement of both (loop.md 7.4)."""
    if how == Way.FAX.value and agreement is None:
        raise Refused(
            "fax-not-agreed",
            "A fax proves nothing to this referrer: no agreement of both is recorded for that day.",
            fix="Tell it in another way; or record the agreement as the plan's row of fax_agreements.",
            allowed=tuple(way.value for way in Way if way not in (Way.FAX, Way.ASKED)),
        )


def _check_way(said: HandOver, flags: Sequence[str]) -> None:
    if said.how == Way.ASKED.value:
        return
    if DO_NOT_CONTACT in flags:
        raise Refused(
            "contact-unsafe",
            "The member is not to be contacted.",
            fix="Tell it only if the member asks.",
            allowed=(Way.ASKED,),
        )
    if SAFE_CONTACT not in flags:
        return
    ways = tuple(flag.removeprefix(CHANNEL) for flag in flags if flag.startswith(CHANNEL))
    if ways and said.how not in ways:
        raise Refused(
            "contact-unsafe",
            "This way is not among the safe ones.",
            fix="Use one of those named.",
            allowed=(*ways, Way.ASKED),
        )
    if not said.safe_contact_checked:
        raise Refused(
            "contact-unsafe",
            "This member has safe-contact rules.",
            fix="Read them with the member's identity, keep to them, and send `safe_contact_checked` true.",
            allowed=(*ways, Way.ASKED),
        )
