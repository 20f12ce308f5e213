"""A clinic's sheet: each row one referral.

Refused is only a row about a person nobody could find, or for a plan nobody knows; everything else doubtful is left
out and becomes a question. A dry run tells form and cells; whether a person is known is never told before the referral
is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from loopkeeper.contract.vocabulary.identifiers import cin as plain_cin
from loopkeeper.contract.vocabulary.identifiers import cin_valid
from loopkeeper.plan_files.checks import judged_once, refuse_faults
from loopkeeper.plan_files.fields import ANSWER, POPULATION
from loopkeeper.plan_files.members import name_words
from loopkeeper.plan_files.outcomes import Judged, Outcome, RowRefused, Warned, fact, whole
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.table import Record
from loopkeeper.spreadsheets.headings import folded

ROUTINE = "routine"
LONGEST_COMMENT = 2000


@dataclass(frozen=True, slots=True)
class Known:
    """A member of whom a referral is on record: whether its loop is open, or the member is served."""

    plan: str
    cin: str
    birth_date: date | None
    open: bool = False
    serving: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """Whose sheet it is. `plans` are the plans served here by every name they are known under; `known` is left out of a
    dry run."""

    today: date
    plans: Mapping[str, str]
    synthetic: bool = False
    known: tuple[Known, ...] | None = None


def judge_referrals(
    records: Iterable[Record], layout: Layout, sheet: Sheet
) -> tuple[Judged, Mapping[int, Mapping[str, Any]]]:
    """What becomes of each row, and of each accepted one the body of its referral. Pure."""
    bodies: dict[int, Mapping[str, Any]] = {}
    # Who is known, and who becomes known by the rows before.
    known = {(each.plan, each.cin): each for each in sheet.known or ()}

    def judge(record: Record) -> Outcome:
        outcome, bodies[record.row] = _row(record, layout, sheet, known)
        return outcome

    return whole(judged_once(records, judge)), bodies


def _row(
    record: Record, layout: Layout, sheet: Sheet, known: dict[tuple[str, str], Known]
) -> tuple[Outcome, Mapping[str, Any]]:
    refuse_faults(record, ())
    plan = _plan(record, sheet)
    warned = [
        Warned(code, name) for name, code in record.faults.items() if name != "plan" and layout.has(name)
    ]
    cin = record["cin"] or ""
    if cin and not cin_valid(cin, synthetic=sheet.synthetic):
        warned.append(Warned("cin-invalid", "cin"))
        cin = ""
    cin = plain_cin(cin) if cin else ""
    born: date | None = record["birth_date"]
    if born is not None and born > sheet.today:
        warned.append(Warned("in-the-future", "birth_date"))
        born = None
    first, last = _names(record)
    _check_findable(record, layout, cin, born, first or last)
    populations = _populations(record)
    urgency = record["urgency"] or ROUTINE
    outcome = None if sheet.known is None else _meets(known, plan, cin, born)
    said = fact("referred", populations=sorted(populations), urgency=urgency, outcome=outcome)
    body = _body(record, plan, cin, born, (first, last), populations)
    return Outcome(record.row, "accepted", cin=cin, facts=[said], warnings=warned), body


def _plan(record: Record, sheet: Sheet) -> str:
    text = record["plan"] or next(iter(record.unknown.get("plan", ())), "")
    plan = text if text in sheet.plans.values() else sheet.plans.get(folded(text))
    if not plan:
        raise RowRefused("unknown-plan", "plan")
    return plan


def _names(record: Record) -> tuple[str, str]:
    """First and last name; of both in one cell the last is before a comma, or at the end."""
    first, last, both = record["first_name"] or "", record["last_name"] or "", record["name"] or ""
    if both and not first and not last:
        if "," in both:
            last, _, first = (part.strip() for part in both.partition(","))
        else:
            first, _, last = both.rpartition(" ")
    return first, last


def _check_findable(record: Record, layout: Layout, cin: str, born: date | None, name: str) -> None:
    """A CIN; or name and birth date; or name, age and place."""
    named = bool(name_words(name))
    place = record["usual_place"] or record["can_find"]
    if cin or (named and born) or (named and record["approximate_age"] is not None and place):
        return
    if not named:
        raise RowRefused("not-identifiable", "last_name" if layout.has("last_name") else "name")
    unreadable = "birth_date" in record.faults
    raise RowRefused("not-identifiable", "birth_date" if unreadable else "cin")


def _populations(record: Record) -> tuple[str, ...]:
    marked = [
        name.removeprefix(POPULATION)
        for name, value in record.values.items()
        if name.startswith(POPULATION) and value
    ]
    return tuple(dict.fromkeys((*(record["populations"] or ()), *marked)))


def _meets(known: dict[tuple[str, str], Known], plan: str, cin: str, born: date | None) -> str:
    """What the referral meets: nobody, an open loop, a member who is served, or perhaps the same person."""
    if not cin:
        return "open"
    found = known.get((plan, cin))
    if found is None or not (found.open or found.serving):
        known[plan, cin] = Known(plan, cin, born, open=True)
        return "open"
    if born is not None and found.birth_date is not None and born != found.birth_date:
        return "possible_duplicate"
    return "merged" if found.open else "already_in_ecm"


def _body(
    record: Record,
    plan: str,
    cin: str,
    born: date | None,
    names: tuple[str, str],
    populations: tuple[str, ...],
) -> Mapping[str, Any]:
    """The referral as `POST /v1/referrals` takes it. Words nobody knows go into its comments, for a person to read."""
    address = {part: record[part] for part in ("street", "city", "zip") if record[part]}
    member = {
        "first_name": names[0],
        "last_name": names[1],
        "cin": cin,
        "birth_date": born.isoformat() if born else None,
        "approximate_age": record["approximate_age"],
        "usual_place": record["usual_place"],
        "address": address or None,
        "county": record["county"],
        "language_spoken": record["language"],
        "phone": record["phone"],
        "email": record["email"],
    }
    referrer = {
        "name": record["referrer_name"],
        "email": record["referrer_email"],
        "phone": record["referrer_phone"],
        "can_find_member": record["can_find"],
    }
    referred: date | None = record["referral_date"]
    unread = [
        f"{layout_word}: {', '.join(words)}"
        for layout_word, words in sorted(record.unknown.items())
        if layout_word != "plan"
    ]
    comments = "\n".join([record["comments"] or "", *unread]).strip()
    body: dict[str, Any] = {
        "plan": plan,
        "received_via": "file",
        "urgency": record["urgency"] or ROUTINE,
        "referral_date": referred.isoformat() if referred else None,
        "member": _said(member),
        "referrer": _said(referrer),
        "populations": list(populations),
        "answers": {
            name.removeprefix(ANSWER): value
            for name, value in record.values.items()
            if name.startswith(ANSWER)
        },
        "attestation": {"attested": True} if record["attested"] else None,
        "member_agrees": record["agrees"],
        "comments": comments[:LONGEST_COMMENT],
    }
    return _said(body)


def _said(parts: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in parts.items() if value not in (None, "", [], {})}
