"""A clinic's sheet of referrals: each row is one referral, under the rules of `POST /v1/referrals`, and comes back with
its receipt.

Nothing is told before a row acts: whether a person is known, served or covered is learned by referring only
(loop.md 1.10). The same row sent again by the same sender is the same referral.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid5

from pydantic import ValidationError

from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import ActedBy
from loopkeeper.kernel.errors import Problem
from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.outcomes import FACTS
from loopkeeper.plan_files.referral_sheets import Sheet, judge_referrals
from loopkeeper.plan_files.table import Table, records
from loopkeeper.runtime.files.kinds import (
    WITHDRAWN,
    Act,
    Acted,
    BackBy,
    FileKind,
    Open,
    Planned,
    Reading,
    Sent,
)
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.organizations import OrganizationKind, Role
from loopkeeper.spreadsheets.headings import folded
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Submission
from referral_intake.api.many.referral_rows import form_of, refusal_of, row_key, stream_of, submission_of
from referral_intake.api.views import shown_questions
from referral_intake.domain.commands import WithdrawReferral
from referral_intake.domain.next_step import next_step
from referral_intake.domain.state import Referral, status

REFERRAL, STATUS, ASKED, NEXT, LEFT_OUT = "Referral", "Status", "Asked", "Next step", "Left out"


class ReferralSheet(FileKind):
    """Rows that are referrals, of one sender, for one plan or several."""

    kind: Kind = "referrals"
    roles = (Role.REFERRER, Role.PROVIDER, Role.PLAN)
    about = "sheet of referrals, one a row"
    for_a_plan = False
    receipt_columns = (REFERRAL, STATUS, ASKED, NEXT, LEFT_OUT)
    taking_back = (
        "The referrals of its rows are withdrawn, as far as they are not authorized yet (loop.md 2.13)."
    )

    async def known(
        self, context: RunningService, sent: Sent, reading: Reading
    ) -> tuple[Sheet, RunningService]:
        plans: dict[str, str] = {}
        for slug, organization in context.directory.organizations().items():
            if organization.kind is OrganizationKind.PLAN:
                plans |= {folded(slug): slug, folded(organization.name): slug}
        synthetic = context.settings.synthetic_members == "on"
        return Sheet(reading.today, plans, synthetic=synthetic), context

    def judge(
        self, table: Table, known: tuple[Sheet, RunningService], sent: Sent, reading: Reading
    ) -> Planned:
        sheet, context = known
        judged, bodies = judge_referrals(records(table), reading.layout, sheet)
        acts: dict[int, Act] = {}
        for outcome in judged.outcomes:
            if outcome.result == "accepted" and outcome.row in bodies:
                body = bodies[outcome.row]
                key = row_key(sent.client.organization, body)
                acts[outcome.row] = Act(stream_of(context, key), [{"body": body}])
        return Planned(judged, acts, sorted(acts))

    async def act(self, context: RunningService, sent: Sent, rows: Sequence[Open]) -> Mapping[int, Acted]:
        found: dict[int, Acted] = {}
        submissions: dict[int, Submission] = {}
        left_out: dict[int, Sequence[str]] = {}
        for row in rows:
            body = row.facts[0]["body"]
            try:
                form, left_out[row.row] = form_of(body)
                key = row_key(sent.client.organization, body)
                submissions[row.row] = submission_of(
                    context, sent.client, form, key=key, stream=row.stream, causation=sent.id
                )
            except ValidationError:
                found[row.row] = Acted(
                    1, "done", True, "form-invalid", "Correct the row: the form does not take it."
                )
            except (Refused, Problem) as refused:
                found[row.row] = Acted(1, "done", True, refused.slug, refused.fix)
        outcomes = await context.store.execute(list(submissions.values())) if submissions else {}
        again = [s.stream for s in submissions.values() if _repeated(outcomes[s.id])]
        mine = await _caused_by(context, sent.id, again)
        for row, submission in submissions.items():
            outcome = outcomes[submission.id]
            refusal = refusal_of(outcome)
            if refusal is not None or not isinstance(outcome, Outcome):
                code, fix = refusal or ("row-failed", "")
                found[row] = Acted(1, "done", True, code, fix)
                continue
            known = outcome.repeated and outcome.stream not in mine
            receipt = receipt_of(outcome.stream, outcome.state, left_out[row])
            found[row] = Acted(1, "done", code="known" if known else "", receipt=receipt, unchanged=known)
        return found

    async def take_back(
        self, context: RunningService, sent: Sent, rows: Mapping[int, str], by: BackBy
    ) -> Mapping[int, tuple[str, str]]:
        submissions = {row: _withdrawal(sent, row, referral) for row, referral in rows.items()}
        outcomes = await context.store.execute(list(submissions.values())) if submissions else {}
        found: dict[int, tuple[str, str]] = {}
        for row, submission in submissions.items():
            refusal = refusal_of(outcomes[submission.id])
            found[row] = WITHDRAWN if refusal is None else refusal
        return found


def _withdrawal(sent: Sent, row: int, referral: str) -> Submission:
    """The referrer's own withdrawal of what a row began."""
    person = sent.client.person
    by = ActedBy(
        organization=sent.client.organization,
        person=person.id if person is not None else "",
        proved=True if person is not None else None,
    )
    command = WithdrawReferral(by="referrer", acted_by=by)
    return Submission(uuid5(FACTS, f"{sent.id} {row} withdrawn"), referral, command, causation=sent.id)


def _repeated(outcome: object) -> bool:
    return isinstance(outcome, Outcome) and outcome.repeated


async def _caused_by(context: RunningService, file: str, streams: Sequence[str]) -> frozenset[str]:
    """Of these referrals those that this very file made, before a crash."""
    if not streams:
        return frozenset()
    rows = await context.pool.fetch(
        "SELECT DISTINCT stream FROM journal WHERE stream = ANY($1::text[]) AND n = 1 AND causation = $2",
        streams,
        file,
    )
    return frozenset(row["stream"] for row in rows)


def receipt_of(referral: str, state: Referral, left_out: Sequence[str] = ()) -> Mapping[str, Any]:
    """What the sender gets back of a row: the referral's id, its state, what is asked, whose turn it is, and which of
    the row's fields the form does not take."""
    step = next_step(state)
    return {
        REFERRAL: referral,
        STATUS: status(state).value,
        ASKED: " ".join(each.asks for each in shown_questions(state)),
        NEXT: f"{step.actor}: {step.step}" if step.actor else "",
        LEFT_OUT: ", ".join(dict.fromkeys(each.replace("_", " ").replace(".", " ") for each in left_out)),
    }


KINDS: tuple[FileKind, ...] = (ReferralSheet(),)
