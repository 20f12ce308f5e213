"""What the services' codes are called on a page. Those of the contract come from its vocabulary; the rest are here."""

from __future__ import annotations

from collections.abc import Mapping

from console.words import Words
from loopkeeper.contract.vocabulary.languages import Language
from loopkeeper.contract.vocabulary.places import County
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.contract.vocabulary.programs import Program

STATUS: Mapping[str, str] = {
    "received": "received",
    "needs_information": "answers missing",
    "pending_authorization": "the plan decides",
    "authorized": "authorized",
    "assigned": "offered",
    "accepted": "accepted",
    "outreach_initiated": "outreach",
    "closed": "closed",
}
OUTCOME: Mapping[str, str] = {
    "services_received": "services received",
    "provider_declined": "no provider",
    "unable_to_reach": "unable to reach",
    "no_longer_eligible": "no longer eligible",
    "declined_by_member": "declined by the member",
    "withdrawn": "withdrawn",
    "already_in_ecm": "already in ECM",
    "not_authorized": "not authorized",
    "merged": "merged",
    "other": "other",
}
ACTOR: Mapping[str, str] = {
    "plan": "Plan",
    "provider": "Provider",
    "referrer": "Referrer",
    "loopkeeper": "Loopkeeper",
}
SOURCE: Mapping[str, str] = {
    "intake": "Intake",
    "authorization": "Authorization",
    "assignment": "Assignment",
    "notification": "Notification",
}
URGENCY: Mapping[str, str] = {"routine": "routine", "expedited": "expedited"}
FORM: Mapping[str, str] = {"adult": "adult", "child_youth": "child or youth"}
ELIGIBILITY: Mapping[str, str] = {
    "confirmed": "confirmed",
    "unknown": "not known",
    "not_found": "not on the roster",
    "ended": "ended",
    "begins_later": "begins later",
    "left": "left the plan",
    "other_birth_date": "another birth date on the roster",
}
AGE_BAND: Mapping[str, str] = {"child_youth": "child or youth", "adult": "adult", "unknown": "not known"}
NEEDS: Mapping[str, str] = {"ecm": "Enhanced Care Management (ECM)"}


def plain(code: str) -> str:
    """A code that has no label here, as words."""
    return code.replace("_", " ").replace("-", " ")


def of(table: Mapping[str, str], code: str | None, words: Words) -> str:
    """The label of a code, in the person's language."""
    return words(table.get(code, plain(code))) if code else ""


def population(code: str, words: Words) -> str:
    try:
        return words(Population.label_of(code))
    except (KeyError, ValueError):
        return words(plain(code))


def program(code: str, words: Words) -> str:
    try:
        return words(Program.label_of(code))
    except (KeyError, ValueError):
        return plain(code)


def county(code: str | None) -> str:
    """A county's name, such as Contra Costa."""
    if not code:
        return ""
    try:
        return County.label_of(code)
    except (KeyError, ValueError):
        return plain(code).title()


def language(code: str | None, words: Words) -> str:
    if not code:
        return ""
    try:
        return words(Language.label_of(code))
    except (KeyError, ValueError):
        return code


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
