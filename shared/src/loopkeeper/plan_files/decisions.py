"""A plan's decisions, one row a request: what a named person decided, in the plan's own system or over its list.

A row is the same command as the plan's route, and what the rule refuses there it refuses here. A row that says what is
decided already is unchanged; a decision that was made otherwise stays, and the row is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from loopkeeper.contract.vocabulary import DenialReason
from loopkeeper.plan_files.checks import (
    FileContext,
    check_cin,
    check_plan,
    judged_once,
    refuse_faults,
)
from loopkeeper.plan_files.fields import POPULATION
from loopkeeper.plan_files.members import name_words
from loopkeeper.plan_files.outcomes import Judged, Outcome, RowRefused, fact, whole
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.table import Record

APPROVED, DENIED, MODIFIED = "approved", "denied", "modified"


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the plan. `decided`: approved or denied; `closed` where the loop ended first; empty while it
    waits."""

    referral: str
    authorization: str
    cin: str = ""
    first_name: str = ""
    last_name: str = ""
    birth_date: date | None = None
    decided: str = ""
    # Of each population asked for, the criteria of its own row.
    criteria: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


@dataclass(frozen=True, slots=True)
class Requests:
    """The plan's requests, found by our number of the referral or the authorization, else by the member's CIN."""

    by_id: Mapping[str, Request]
    by_cin: Mapping[str, Sequence[Request]]

    @classmethod
    def of(cls, requests: Iterable[Request]) -> Requests:
        ids: dict[str, Request] = {}
        cins: dict[str, list[Request]] = defaultdict(list)
        for each in requests:
            ids[each.referral] = ids[each.authorization] = each
            if each.cin:
                cins[each.cin].append(each)
        return cls(ids, cins)


def judge_decisions(
    records: Iterable[Record], requests: Requests, layout: Layout, context: FileContext
) -> tuple[Judged, Mapping[int, str]]:
    """What becomes of each row, and of each accepted one its referral. Pure."""
    referrals: dict[int, str] = {}
    said: dict[str, Outcome] = {}

    def judge(record: Record) -> Outcome:
        outcome, request = _row(record, requests, layout, context)
        outcome = _once(outcome, request, said)
        if outcome.result == "accepted":
            referrals[record.row] = request.referral
        return outcome

    outcomes = judged_once(records, judge)
    _drop_contradicted(outcomes, referrals)
    return whole(outcomes), referrals


def _once(outcome: Outcome, request: Request, said: dict[str, Outcome]) -> Outcome:
    """Two rows that decide one request alike are one; where they differ neither is taken."""
    if outcome.result != "accepted":
        return outcome
    first = said.setdefault(request.referral, outcome)
    if first is outcome:
        return outcome
    if first.facts == outcome.facts:
        return Outcome(outcome.row, "unchanged", cin=outcome.cin, code="repeated-row")
    _contradict(first)
    _contradict(outcome)
    return outcome


def _contradict(outcome: Outcome) -> None:
    outcome.result, outcome.facts, outcome.cin = "refused", [], ""
    outcome.code, outcome.field = "contradiction", "decision.outcome"


def _drop_contradicted(outcomes: Iterable[Outcome], referrals: dict[int, str]) -> None:
    for outcome in outcomes:
        if outcome.result != "accepted":
            referrals.pop(outcome.row, None)


def _row(record: Record, requests: Requests, layout: Layout, context: FileContext) -> tuple[Outcome, Request]:
    refuse_faults(record, ())
    check_plan(record, context)
    request = _request(record, requests, layout, context)
    outcome = _word(record, "decision.outcome", "decision-required", "decision-required")
    refuse_faults(record, ("decision.on",))
    on: date | None = record["decision.on"]
    if on is not None and on > context.today:
        raise RowRefused("in-the-future", "decision.on")
    reason = _reason(record, outcome)
    populations = _populations(record, layout) if outcome == MODIFIED else ()
    refuse_faults(record, ("decision.by", "decision.license", "authorization.number"))
    refuse_faults(record, ("decision.criterion", "decision.why"))
    by = record["decision.by"]
    if not by:
        raise RowRefused("decider-required", "decision.by")
    if request.decided:
        if request.decided == (DENIED if outcome == DENIED else APPROVED):
            return Outcome(record.row, "unchanged", cin=request.cin, code="known"), request
        code = "already-closed" if request.decided == "closed" else "already-decided"
        raise RowRefused(code, "decision.outcome")
    said = fact(
        "decided",
        outcome=outcome,
        on=on,
        by=by,
        license=record["decision.license"] or None,
        reason=reason or None,
        criterion=record["decision.criterion"] or None,
        unmet=_unmet(record, request, populations) if reason == DenialReason.CRITERIA_NOT_MET.value else None,
        populations=sorted(populations) or None,
        number=record["authorization.number"] or None,
    )
    return Outcome(record.row, "accepted", cin=request.cin, facts=[said], on=on), request


def _unmet(record: Record, request: Request, approved: Iterable[str]) -> list[Mapping[str, str]]:
    """The criterion of the row, for each denied population that has it; the rule refuses one that none has (loop.md 4.3)."""
    named, why = record["decision.criterion"] or "", record["decision.why"] or ""
    criterion = "_".join(named.lower().split())
    denied = [code for code in request.criteria if code not in approved]
    having = [code for code in denied if criterion in request.criteria[code]] or denied[:1]
    return [{"population": code, "criterion": criterion, "why": why} for code in having]


def _request(record: Record, requests: Requests, layout: Layout, context: FileContext) -> Request:
    refuse_faults(record, ("referral.id",))
    given = record["referral.id"]
    if given:
        found = requests.by_id.get(given)
        if found is None:
            raise RowRefused("not-found", "referral.id")
        if layout.has("member.cin") and record["member.cin"]:
            cin = check_cin(record, context)
            if found.cin and cin != found.cin:
                raise RowRefused("member-differs", "member.cin")
    else:
        found = _by_cin(requests.by_cin.get(check_cin(record, context), ()))
    _check_name(record, found, layout)
    return found


def _by_cin(known: Sequence[Request]) -> Request:
    waiting = [each for each in known if not each.decided]
    if len(waiting) > 1:
        raise RowRefused("several-open", "member.cin")
    if not known:
        raise RowRefused("not-found", "member.cin")
    return waiting[0] if waiting else known[-1]


def _check_name(record: Record, request: Request, layout: Layout) -> None:
    refuse_faults(record, ("member.last_name", "member.first_name", "member.name", "member.birth_date"))
    given = name_words(*(record[f"member.{part}"] or "" for part in ("name", "first_name", "last_name")))
    known = name_words(request.first_name, request.last_name)
    if given and known and not given & known:
        raise RowRefused("member-differs", "member.name" if layout.has("member.name") else "member.last_name")
    born = record["member.birth_date"]
    if born is not None and request.birth_date is not None and born != request.birth_date:
        raise RowRefused("member-differs", "member.birth_date")


def _word(record: Record, name: str, required: str, unknown: str) -> str:
    if record.faults.get(name) == "word-unknown":
        raise RowRefused(unknown, name)
    refuse_faults(record, (name,))
    if not record[name]:
        raise RowRefused(required, name)
    return str(record[name])


def _reason(record: Record, outcome: str) -> str:
    """A denial, whole or in part, has a reason of the list."""
    if outcome == APPROVED:
        return ""
    return _word(record, "decision.reason", "reason-required", "reason-unknown")


def _populations(record: Record, layout: Layout) -> tuple[str, ...]:
    """What is approved where the rest is denied."""
    flags = [name for name in layout.by_field if name.startswith(POPULATION)]
    refuse_faults(record, ("member.populations", *flags))
    marked = [name.removeprefix(POPULATION) for name in flags if record[name]]
    found = tuple(dict.fromkeys((*(record["member.populations"] or ()), *marked)))
    if not found:
        raise RowRefused("population-missing", "member.populations")
    return found
