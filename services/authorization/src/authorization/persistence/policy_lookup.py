"""What does the day's policy say to a command? Deadlines, rights, tables and the plan's choices, looked up by date."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from authorization.domain.contexts import (
    ApprovalRules,
    CapContext,
    ClockRules,
    DenialRules,
    EndingRules,
    GrantRules,
    Judged,
    RunningOn,
    TermRules,
)
from authorization.domain.presumptive import grant_from
from authorization.domain.state import Authorization, Reauthorization, met_by_list
from loopkeeper.contract.calendar import end_of_la_day, la_date
from loopkeeper.contract.decider import Plain
from loopkeeper.contract.events import Claim, Eligibility, ProviderRecorded, Rights
from loopkeeper.policy import Policy
from loopkeeper.policy.conditions import leaves

# What follows from the rest of the form is not asked by its own name.
NOT_ASKED = frozenset({"age", "disparity_group"})
POPULATIONS = "populations"
THIRTY_DAYS = 30


def approving(policy: Policy, state: Authorization, at: datetime) -> ApprovalRules:
    """When a rule may approve, by the day on which the whole form was here."""
    day = la_date(asked_at(state, at))
    automatic = [row for row in policy.rows("auto_approval", on=day, plan=state.plan) if row["switched_on"]]
    programs = policy.rows("program_overlap", on=day)
    return ApprovalRules(
        covered=_answers(policy, day, approves="rule"),
        automatic={row["population"]: row["sample"] for row in automatic},
        exclusive=tuple(row["program"] for row in programs if row["rule"] == "exclusive"),
        chosen=tuple(row["program"] for row in programs if row["rule"] == "member_choice"),
        must={row["trigger"]: row.ref for row in policy.rows("must_authorize", on=day)},
        unless={row["how"]: row["unless"] for row in policy.rows("plan_change", on=day)},
        look_back=_look_back(policy, day),
        refs=tuple(row.ref for row in automatic if row["population"] in met_by_list(state)),
    )


def _look_back(policy: Policy, day: date) -> int:
    rows = policy.rows("clocks", on=day, clock="plan_change_look_back")
    return rows[0]["amount"] if rows else 0


def asked_at(state: Authorization, at: datetime) -> datetime:
    """From when a decision's clocks count."""
    return state.asked_at or state.received_at or at


# The legal cap of each clock; the routine one is the latest for all (42 CFR 438.210(d), 438.404(c)).
CAPS = {"routine": "decision_cap", "expedited": "decision_expedited_cap"}


def clocks(policy: Policy, urgency: str, start: datetime, since: datetime | None = None) -> ClockRules:
    """The clocks of a decision asked for at `start`; those of an urgency that came later count from `since`."""
    counted = since or start
    due, risk = (policy.due(f"decision_{urgency}{each}", counted) for each in ("", "_at_risk"))
    cap = min(
        policy.due(CAPS[urgency], counted), policy.due(CAPS["routine"], start), key=lambda each: each.at
    )
    return ClockRules(
        clock=urgency, due_at=due.at, cap_at=cap.at, at_risk_at=risk.at, refs=(due.ref, cap.ref)
    )


def granting(
    policy: Policy,
    plan: str,
    claim: Claim | None,
    eligibility: Eligibility,
    providers: Mapping[str, ProviderRecorded],
    day: date,
) -> GrantRules | None:
    """For a claim: the table, the thirty days, the reminders. None where nothing is claimed."""
    if claim is None:
        return None
    paired = {
        code: policy.rows("presumptive", on=day, plan=plan, population=code) for code in claim.populations
    }
    answers: Mapping[str, frozenset[str]] = {
        "grants_with": _answers(policy, day, grants=True),
        "at_risk_with": _answers(policy, day, at_risk=True),
    }
    rows = [row for each in paired.values() for row in each]
    if not rows:
        # Nobody can be granted it; only how far ahead the first service lies is still looked at.
        return GrantRules(
            types={}, days=THIRTY_DAYS, again_days=0, referral_by=None, remind_on=(), refs=(), **answers
        )
    entry = providers.get(claim.provider)
    days = policy.row("clocks", on=day, clock="presumptive_grant")
    again = policy.row("clocks", on=day, clock="presumptive_again")
    used = [row.ref for row in rows if entry is not None and row["provider_type"] in entry.types]
    return GrantRules(
        types={code: tuple(row["provider_type"] for row in each) for code, each in paired.items()},
        days=days["amount"],
        again_days=again["amount"],
        refs=(*used, days.ref),
        **answers,
        **_reminders(policy, grant_from(eligibility, claim), days["amount"], day),
    )


def _answers(policy: Policy, day: date, **match: Any) -> frozenset[str]:
    """The roster's answers with which something may be done."""
    return frozenset(row["answer"] for row in policy.rows("coverage", on=day, **match))


def judged(policy: Policy, at: datetime) -> Judged:
    """By when a named person judges what may end a term."""
    due = policy.due("discontinuation_judged", at)
    return Judged(due_at=due.at, refs=(due.ref,))


def _reminders(policy: Policy, start: date, length: int, day: date) -> dict[str, Any]:
    """Days counted from the first service, and the last on which the formal referral is in good time."""
    through = start + timedelta(days=length - 1)
    working = policy.row("clocks", on=day, clock="presumptive_referral")["amount"]
    by = policy.calendar.business_days_before(through, working)
    counted = [
        start + timedelta(days=policy.row("clocks", on=day, clock=f"presumptive_reminder_{each}")["amount"])
        for each in ("first", "second")
    ]
    return {"referral_by": by, "remind_on": tuple(sorted({*counted, by}))}


def terms(policy: Policy, state: Authorization, day: date) -> TermRules:
    """The length of a term, from which day it runs, and when before its end something must be said."""
    again = isinstance(state.waiting, Reauthorization)
    months = policy.row("clocks", on=day, clock="term_reauthorized" if again else "term_initial")
    choices = policy.rows("back_dating", on=day, plan=state.plan)
    chosen = choices[0] if choices else None
    prompts = [policy.row("clocks", on=day, clock=f"reauthorization_{each}") for each in ("first", "second")]
    return TermRules(
        months=months["amount"],
        prompt_days=tuple(row["amount"] for row in prompts),
        notice_days=_discontinuation(policy, 13, day)["notice_days"],
        runs_from=chosen["term_from"] if chosen else None,
        refs=(months.ref,) if again else (chosen.ref,) if chosen else (),
    )


def denying(policy: Policy, state: Authorization, reason: str, at: datetime) -> DenialRules:
    """What a denial, or the denied part of a modification, carries."""
    rows = policy.rows("denial_reasons", on=la_date(at), reason=reason)
    notice = policy.due("denial_notice", at)
    given, refs = rights(policy, at)
    programs = {
        rule: tuple(row["program"] for row in policy.rows("program_overlap", on=la_date(at), rule=rule))
        for rule in ("exclusive", "member_choice")
    }
    return DenialRules(
        needs_license=bool(rows) and rows[0]["licensed"],
        citation=rows[0]["citation"] if rows else "",
        notice_due_at=notice.at,
        rights=given,
        exclusive=programs["exclusive"],
        chosen=programs["member_choice"],
        criteria=criteria(policy, state, at),
        refs=(*(row.ref for row in rows), notice.ref, *refs),
    )


def criteria(policy: Policy, state: Authorization, at: datetime) -> Mapping[str, tuple[str, ...]]:
    """The criteria of each population of the referral, by its own rows for this plan, form and day. One that has rows for
    the other age group only has those, and the age. Empty where nothing is judged by rows."""
    day = la_date(asked_at(state, at))
    found: dict[str, tuple[str, ...]] = {}
    for population in state.populations:
        rows = policy.rows(POPULATIONS, on=day, plan=state.plan, population=population.code)
        own = [row for row in rows if row["form"] == state.form or not state.form]
        named = [leaf.key for row in own or rows for leaf in leaves(row["condition"])]
        named += ["age"] if rows and not own else []
        found[population.code] = tuple(dict.fromkeys(named))
    return found


def deeming(policy: Policy, plain: Plain, cap_at: datetime) -> CapContext:
    """Of a request undecided at the cap: the notice falls due the same day."""
    last = cap_at - cap_at.resolution
    notice = policy.due("deemed_notice", last)
    given, refs = rights(policy, last)
    return CapContext(
        at=plain.at, seed=plain.seed, notice_due_at=notice.at, rights=given, refs=(notice.ref, *refs)
    )


def ending(policy: Policy, code: int, at: datetime) -> tuple[int, EndingRules]:
    """How old the notice must be when the term ends by this code, and what is on it. An unknown code has no row."""
    rows = policy.rows("discontinuation", on=la_date(at), code=str(code))
    given, refs = rights(policy, at)
    if not rows:
        return 0, EndingRules(rights=given, refs=refs)
    return rows[0]["notice_days"], EndingRules(rights=given, refs=(rows[0].ref, *refs))


def unfit(
    policy: Policy, code: int, case: str, at: datetime
) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
    """Whether the notice of this ending need not be old; else the codes that the case stated goes with; and the row."""
    rows = policy.rows("advance_notice", on=la_date(at), case=case) if case else ()
    if not rows:
        return False, (), ()
    if str(code) in rows[0]["codes"]:
        return True, (), (rows[0].ref,)
    return False, rows[0]["codes"], ()


def _discontinuation(policy: Policy, code: int, day: date) -> Any:
    return policy.row("discontinuation", on=day, code=str(code))


def rights(policy: Policy, at: datetime) -> tuple[Rights, tuple[str, ...]]:
    """Appeal and hearing, with the rows that say so."""
    appeal = policy.due("appeal", at)
    day = la_date(at)
    hearing = policy.row("clocks", on=day, clock="hearing")
    unanswered = policy.row("clocks", on=day, clock="hearing_unanswered")
    given = Rights(
        # The last day on which an appeal is in time: the deadline is the end of that day.
        appeal_by=la_date(appeal.at - appeal.at.resolution),
        hearing_days=hearing["amount"],
        unanswered_days=unanswered["amount"],
    )
    return given, (appeal.ref, hearing.ref, unanswered.ref)


def askable(policy: Policy, day: date) -> frozenset[str]:
    """The data elements of the standard: the form's questions, and the answers that criteria use."""
    named = {row["ask"] for row in policy.rows("askable", on=day)}
    conditions = [row["condition"] for row in policy.rows(POPULATIONS, on=day)]
    answers = {leaf.key for condition in conditions for leaf in leaves(condition)}
    return frozenset(named | {f"answer-{name}" for name in answers - NOT_ASKED})


def running_on(policy: Policy, state: Authorization, at: datetime) -> RunningOn | None:
    """The time left of a paused clock when it runs on: as much is left of it as was when it stopped. None where none is."""
    waiting = state.waiting
    pause = waiting.pause if waiting is not None else None
    if waiting is None or pause is None:
        return None
    whole = policy.row("clocks", on=la_date(at), clock=f"decision_{waiting.clock}")
    risk = policy.row("clocks", on=la_date(at), clock=f"decision_{waiting.clock}_at_risk")
    lead, refs = whole["amount"] - risk["amount"], (whole.ref,)
    if waiting.due_at <= pause.at:
        return RunningOn(due_at=waiting.due_at, at_risk_at=None, refs=refs)
    if whole["unit"] == "hours":
        # What became urgent in the pause has been paused since then only.
        stopped = max(pause.at, waiting.urgent_since or pause.at)
        due_at = at + (waiting.due_at - stopped)
        return RunningOn(due_at=due_at, at_risk_at=due_at - timedelta(hours=lead), refs=refs)
    calendar = policy.calendar
    last = la_date(waiting.due_at - waiting.due_at.resolution)
    left = calendar.business_days_between(la_date(pause.at), last)
    due_at = calendar.business_days_after(at, left)
    risk_day = calendar.business_days_before(la_date(due_at - due_at.resolution), lead)
    return RunningOn(due_at=due_at, at_risk_at=end_of_la_day(risk_day), refs=refs)
