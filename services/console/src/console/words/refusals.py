"""What a refusal of a service says to a person: by its slug, from the service's own sentence and the values in it.

A service speaks to programs too ("Send lead with person and name"), so what helps is worded here, for who reads a page. The last
line of a slug is what is said in another language where the service's sentence is none of those above it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of a service, `{name}` where it has a value; and what a person does then."""

    what: str
    fix: str = ""


AGAIN = "Look at the page again: it may have changed."
NEW_FORM = "Open the page again, and send it from there."
REFER_AGAIN = "Refer the member again."
OURS = "This is a defect of ours"
TELL_US = "Go back, and try once more. If it stays so, ask for help with the number below."

REFUSED: Mapping[str, Sequence[Said]] = {
    # offers and assignments
    "lead-required": (Said("Accepting names the lead care manager.", "Name the lead care manager."),),
    "not-offered": (
        Said("This offer was accepted.", "End the assignment instead."),
        Said("This offer is no longer open.", "Somebody answered it, or its time ran out."),
    ),
    "no-contract": (
        Said(
            "The plan's contract with this provider is no longer in force for the member's populations.",
            "Settle it with the plan, or decline.",
        ),
    ),
    "reason-required": (
        Said("A decline says why, so that the next candidate fits better.", "Choose the reason."),
        Said("This needs a reason.", "Choose the reason."),
    ),
    "not-live": (
        Said("This offer is not accepted yet.", "Answer it first."),
        Said("Accepting names the lead care manager.", "Accept the offer first."),
        Said("This assignment is over.", AGAIN),
    ),
    "not-eligible": (
        Said("The member has this provider.", "Name another provider, or none if any other will do."),
        Said("The provider cannot take this member.", "Name another provider."),
    ),
    "no-capacity": (Said("The provider has no free place.", "Name another provider."),),
    "member-already-assigned": (
        Said("The member has a live assignment.", "End it first; a member has one provider at a time."),
    ),
    # outreach
    "not-assigned": (
        Said("No acceptance of this offer has arrived here yet.", "Accept it; if you just did, send this again in a moment."),
    ),
    "already-accepted": (
        Said("A provider has accepted the referral, and records its outreach.", "Tell that provider, or the plan."),
    ),
    "already-closed": (
        Said("This referral's loop is already closed.", AGAIN),
        Said("This outreach is already over.", AGAIN),
    ),
    "in-the-future": (Said("This has not happened yet.", "Give the day or time at which it happened."),),
    "date-required": (Said("The day on which it happened is missing.", "Give the day."),),
    "attempts-missing": (
        Said(
            "Before a member counts as unreachable there must be: {lacking}.",
            "Record the attempts that were made, or go on reaching out.",
        ),
        Said("The plan's policy wants {count} attempts on record first.", "Record the attempts, or close it otherwise."),
        Said("Attempts are missing before the member counts as unreachable.", "Record the attempts that were made, or go on reaching out."),
    ),
    "code-unknown": (Said("This is none of the state's reasons for an end.", "Choose one of the list."),),
    "not-started": (
        Said("Services have not started.", "Where the member declines or cannot be reached, record that instead."),
    ),
    "nothing-to-take-back": (
        Said("No row of this file acts.", AGAIN),
        Said("Nobody told that this member has died.", AGAIN),
        Said("No such fact is on record.", AGAIN),
        Said("No hand-over of this notice is on record that your organization may take back.", AGAIN),
        Said("Nothing is on record that could be taken back.", AGAIN),
    ),
    # terms
    "person-required": (Said("This names the person who decides.", "Sign in, and do it yourself."),),
    "term-ended": (
        Said("The term ends with {day}, and cannot be prolonged any more.", REFER_AGAIN),
        Said("The term ended with {day}.", REFER_AGAIN),
        Said("There is no term here: the referral was not approved.", AGAIN),
        Said("The term is over.", REFER_AGAIN),
    ),
    "already-requested": (
        Said("Reauthorization was asked for; the plan has not decided yet.", "You are told when it decides."),
    ),
    # notices
    "already-told": (Said("This was told already.", "There is nothing more to do."),),
    "not-the-addressee": (
        Said(
            "Who holds consent for this minor is not known, so no other adult may be told.",
            "Record the consent holder with the referral first.",
        ),
        Said("This is for somebody else.", "Tell the one whom the notice names."),
    ),
    "contact-unsafe": (
        Said(
            "Somebody told that the member has died, so nobody is contacted.",
            "Wait until the plan has confirmed it or taken it back.",
        ),
        Said("The member is not to be contacted.", "Tell it only if the member asks."),
        Said("This way is not among the safe ones.", "Use one of those named."),
        Said(
            "This member has safe-contact rules.",
            "Open who it is, read the rules, keep to them, and say that you did.",
        ),
        Said("To tell it like this is not safe for the member.", "Read the rules for reaching this person."),
    ),
    "language-mismatch": (
        Said("The member was to be told in another language.", "Tell it in that language, or through an interpreter."),
    ),
    "text-not-approved": (
        Said("The text is a draft that nobody approved, or missing.", "Tell it in the plan's own approved words, and say so."),
    ),
    "fax-not-agreed": (
        Said("A fax proves nothing to this referrer: no agreement of both is recorded for that day.", "Tell it in another way."),
    ),
    # referrals
    "not-identifiable": (
        Said(
            "Nobody could find this person by what the form says.",
            "Give a valid CIN; or a name and birth date; or a name, about how old and a usual place, and that you can find them.",
        ),
    ),
    "unknown-plan": (
        Said("That plan is not served here.", "Write to the county's plan."),
        Said("The plan named is not served here.", "Choose a plan of the list."),
    ),
    "already-authorized": (
        Said(
            "The plan has authorized the service, so only the member can withdraw now.",
            "If the member wishes it, say that the member withdraws.",
        ),
    ),
    "no-such-question": (Said("This is not asked of this referral any more.", AGAIN),),
    "not-closed": (
        Said("This referral goes on in another one.", "The plan can split the two."),
        Said("This loop is open; there is nothing to contest.", AGAIN),
    ),
    "too-late": (
        Said("A closing can be contested for 30 days.", "Send a new referral."),
        Said("It is too late for this.", REFER_AGAIN),
    ),
    "not-merged": (Said("This referral was not merged into another one.", AGAIN),),
    "not-same-plan": (Said("There is no such referral of this plan.", "Name another open one of the plan."),),
    "not-by-hand": (
        Said("This outcome comes from what happens, not from a person's word.", "Choose an outcome by which a plan can close."),
    ),
    "not-pre-release": (
        Said(
            "No attested form says that the member received pre-release services.",
            "Say it on the form and attest it; or tell the plan.",
        ),
    ),
    "unknown-service": (Said("This is none of the Community Supports.", "Choose one of the list."),),
    "illegal-move": (
        Said("No provider has accepted this member.", "Accept the offer first."),
        Said("This is not possible now.", AGAIN),
    ),
    # the directory
    "part-not-yours": (Said("Some of these fields are another's to write.", "Operations and each plan write the rest of an entry."),),
    "npi-invalid": (Said("The NPI does not check out.", "Give the ten digits of the NPI."),),
    # files
    "file-open": (Said("The file is not read yet.", "Look again in a moment."),),
    "file-refused": (Said("The file was refused as a whole.", "Fix what it says, and send the file again."),),
    "file-forgotten": (Said("The bytes of this file are no longer kept.", "Its numbers are still here."),),
    "not-held": (Said("The file is not held.", "There is nothing to release."),),
    "taken-back": (Said("The file was taken back already.", "There is nothing more to do."),),
    "same-person": (Said("One person alone takes no file back.", "Let a second person say so, too."),),
    "plan-missing": (Said("The file does not say which plan it is for.", "Choose the plan."),),
    "unknown-provider": (Said("The provider named is not known here.", "Choose a provider of the list."),),
    "profile-missing": (
        Said("No profile says how this plan writes its member file.", "Ask who operates this installation."),
        Said("No profile says how this file is written.", "Ask who operates this installation."),
    ),
    "answers-otherwise": (Said("This provider does not answer by file.", "It answers in the console or by its own program."),),
    # anything a program or a page of ours may do wrong
    "field-invalid": (
        Said("Only the referrer can withdraw as the referrer.", "Say that the member withdraws, if it is so."),
        Said("A value does not fit the form.", "Fix what is listed, and send it again."),
        Said("Some fields cannot be taken as they are.", "Fix what is listed, and send it again."),
    ),
    "stale": (
        Said("Somebody else answered in the meantime.", AGAIN),
        Said("The contact was changed since it was read.", "Look at it as it is now, and send it again."),
        Said("This was changed since it was read.", "Look at it as it is now, and send it again."),
    ),
    "not-found": (Said("There is nothing here", "The address may be wrong, or what it names is not yours to see."),),
    "role-missing": (Said("This is not among what you may do.", "Ask an admin of your organization."),),
    "unauthenticated": (Said("You are signed out", "Sign in again."),),
    "too-many-requests": (Said("You ask for more than your share at once.", "Wait a moment, and send it again."),),
    "body-too-large": (Said("This is more than a form takes.", "Shorten what you typed, and send it again."),),
    "erased": (
        Said("What identifies this plan's members was erased for good.", "Nothing here can bring it back; ask the plan."),
    ),
    "key-reused": (Said("This form was sent before with something else in it.", NEW_FORM),),
    "malformed-body": (Said(OURS, TELL_US),),
    "media-type-unknown": (Said(OURS, TELL_US),),
    "acted-by-is-the-tokens": (Said(OURS, TELL_US),),
}  # fmt: skip

# Whose own sentence speaks of keys and requests: on a page it is said as it is here, in English too.
OF_PROGRAMS = frozenset(
    {
        "not-found", "role-missing", "unauthenticated", "too-many-requests", "body-too-large", "key-reused", "malformed-body",
        "media-type-unknown", "acted-by-is-the-tokens",
    }
)  # fmt: skip

# What is to be done about a field: as services say it to programs, and as it is said to a person.
FIELDS: Mapping[str, str] = {
    "Send this field.": "Fill this in.",
    "Remove what is not known here.": "This is not known here.",
    "Send a string.": "Type words here.",
    "Send at least {count} characters.": "Use at least {count} letters.",
    "Send at most {count} characters.": "Use at most {count} letters.",
    "Follow the pattern {pattern}": "This is not written as it must be.",
    "Send one of {expected}.": "Choose one of the list.",
    "Send true or false.": "Choose yes or no.",
    "Answer with true or false.": "Choose yes or no.",
    "Send a whole number.": "Give a whole number.",
    "Send a number.": "Give a number.",
    "Send more than {count}.": "Give more than {count}.",
    "Send {count} or more.": "Give {count} or more.",
    "Send less than {count}.": "Give less than {count}.",
    "Send {count} or less.": "Give {count} or less.",
    "Send at least {count} entries.": "Choose at least {count}.",
    "Send at most {count} entries.": "Choose at most {count}.",
    "Send a list.": "Choose from the list.",
    "Send a date such as {day}.": "Give a day.",
    "Send a date such as {day}, without a time.": "Give a day.",
    "Send a date from {first} through {last}.": "Give a day from {first} through {last}.",
    "Send a time with its zone, such as {at}.": "Give a day and a time.",
    "Send a time from the year {first} on and before {last}.": "Give a day and a time.",
    "Send the id of a plan served here.": "Choose a plan of the list.",
    "Send `member` if the member withdrew.": "Say that the member withdraws, if it is so.",
    "Say in words why the loop is closed.": "Say in words why the loop is closed.",
    "Say when and how the member was tried or declined.": "Say when and how the member was tried or declined.",
    "A presumptive start names its population and the date of first service.": "Name its population and the day of the first service.",
    "Send the ten digits of the NPI.": "Give the ten digits of the NPI.",
    "Leave this field out.": "Operations and each plan write the rest of an entry.",
}  # fmt: skip
LACKING: Sequence[str] = (
    "{count} attempts (recorded: {found})", "{count} days since the first attempt (so far: {found})",
    "{count} different ways (so far: {found})", "{count} in person (so far: {found})",
)  # fmt: skip


def values_in(template: str, sentence: str) -> Mapping[str, str] | None:
    """What a sentence has at the places of this template; None where it is another sentence."""
    found = _pattern(template).fullmatch(sentence)
    return found.groupdict() if found else None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(re.escape(part) if n % 2 == 0 else f"(?P<{part}>.+?)" for n, part in enumerate(parts))
    )


# What people call a field of a body, where its name says it badly.
FIELD_NAMES: Mapping[str, str] = {
    "on": "Day", "at": "Time", "how": "How?", "modality": "How?", "outcome": "What came of it?", "code": "Why", "because": "Why",
    "email": "E-mail", "cin": "CIN", "text": "In words", "plan": "Health plan", "by": "Who withdraws", "lead": "Name",
    "person": "Name", "hours": "Only safe at", "channels": "Only safe by", "county": "County", "kind": "Form",
}  # fmt: skip
