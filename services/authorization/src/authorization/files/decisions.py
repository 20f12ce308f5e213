"""A plan's decision list: each row the command of the plan's route, decided by the same rules (loop.md 4.1, 4.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import orjson

from authorization.domain.commands import Approve, Deny, Modify
from authorization.domain.state import Authorization, status
from authorization.persistence.policy_lookup import criteria
from loopkeeper.contract.decider import Command, Refused
from loopkeeper.contract.events import ActedBy, Unmet
from loopkeeper.contract.vocabulary.identifiers import cin as plain_cin
from loopkeeper.kernel.errors import Problem
from loopkeeper.kernel.logs import get
from loopkeeper.plan_files.checks import FileContext
from loopkeeper.plan_files.decisions import DENIED, MODIFIED, Request, Requests, judge_decisions
from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.person import person_id
from loopkeeper.plan_files.table import Table, records
from loopkeeper.runtime.files.kinds import Act, Acted, FileKind, Open, Planned, Reading, Sent
from loopkeeper.runtime.files.records import command_of
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import AuditRow, Opening, open_identity
from loopkeeper.store.definition import Submission

log = get("files")
FIELDS = ("cin", "first_name", "last_name", "birth_date")
# A list says again what it said the last time: requests that were decided within this are known to it.
DECIDED_WITHIN = timedelta(days=45)
FAILED = "row-failed"


class DecisionList(FileKind):
    """Rows that are a plan's decisions about its own requests."""

    kind: Kind = "decisions"
    roles = (Role.PLAN,)
    about = "plan's list of decisions, one a request"

    async def known(
        self, context: RunningService, sent: Sent, reading: Reading
    ) -> tuple[Requests, FileContext]:
        plan = context.directory.organization(sent.plan)
        judging = FileContext(
            plan=sent.plan,
            plan_name=plan.name if plan is not None else sent.plan,
            plan_number=reading.profile.number_in_files,
            today=reading.today,
            sender=sent.client.organization,
            synthetic=context.settings.synthetic_members == "on",
        )
        return Requests.of(await requests_of(context, sent)), judging

    def judge(
        self, table: Table, known: tuple[Requests, FileContext], sent: Sent, reading: Reading
    ) -> Planned:
        requests, judging = known
        judged, referrals = judge_decisions(records(table), requests, reading.layout, judging)
        acts = {
            outcome.row: Act(referrals[outcome.row], outcome.facts)
            for outcome in judged.outcomes
            if outcome.row in referrals
        }
        return Planned(judged, acts, sorted(acts))

    async def act(self, context: RunningService, sent: Sent, rows: Sequence[Open]) -> Mapping[int, Acted]:
        submissions = {
            row.row: Submission(
                command_of(sent.id, row.row, 0),
                row.stream,
                command_of_decision(row.facts[0], sent),
                causation=sent.id,
                audit=_stated(context, sent, row),
            )
            for row in rows
        }
        outcomes = await context.store.execute(list(submissions.values())) if submissions else {}
        return {row: _acted(outcomes[submission.id]) for row, submission in submissions.items()}


async def requests_of(context: RunningService, sent: Sent) -> Sequence[Request]:
    """The requests of the plan that wait, and those decided of late, each opened with an audit row."""
    rows = await context.pool.fetch(
        """SELECT id, authorization_id, state FROM referral WHERE plan_id = $1 AND authorization_id <> ''
           AND (status = 'pending' OR waits_for <> '' OR at >= $2) ORDER BY at, id""",
        sent.plan,
        context.clock.now() - DECIDED_WITHIN,
    )
    now = context.clock.now()
    states = {row["id"]: Authorization.model_validate(orjson.loads(row["state"])) for row in rows}
    openings = [Opening(state.plan, referral, state.sealed) for referral, state in states.items()]
    parts = await open_identity(
        context.sealer,
        context.store,
        sent.client,
        context.clock.now(),
        openings,
        fields=FIELDS,
        why="a plan's list of decisions",
    )
    found: list[Request] = []
    for row, part in zip(rows, parts, strict=True):
        identity = part.get("identity", {})
        born = identity.get("birth_date")
        found.append(
            Request(
                row["id"],
                row["authorization_id"],
                plain_cin(identity.get("cin") or ""),
                identity.get("first_name") or "",
                identity.get("last_name") or "",
                date.fromisoformat(born) if born else None,
                _decided(states[row["id"]]),
                criteria(context.policy, states[row["id"]], now),
            )
        )
    return found


def _decided(state: Authorization) -> str:
    """How the request was decided; empty while it, or another term, waits for a decision."""
    now = status(state)
    return "" if now == "pending" or state.reauthorization is not None else now


def command_of_decision(said: Mapping[str, Any], sent: Sent) -> Command:
    """The command that the plan's route would give. Who decided is who the row names; that is proved only where the
    same person, signed in, sent the file."""
    person = person_id(said["by"])
    proved = sent.client.person is not None and sent.client.person.id == person
    acted_by = ActedBy(organization=sent.client.organization, person=person, proved=True if proved else None)
    number, citation = said.get("number") or "", said.get("criterion") or ""
    licensed = bool(said.get("license"))
    unmet = tuple(Unmet.model_validate(each) for each in said.get("unmet") or ())
    if said["outcome"] == DENIED:
        return Deny(
            acted_by=acted_by,
            reason=said["reason"],
            licensed=licensed,
            citation="" if unmet else citation,
            unmet=unmet,
            external_number=number,
        )
    if said["outcome"] == MODIFIED:
        return Modify(
            acted_by=acted_by,
            populations=tuple(said["populations"]),
            reason=said["reason"],
            licensed=licensed,
            citation="" if unmet else citation,
            unmet=unmet,
            external_number=number,
        )
    return Approve(acted_by=acted_by, external_number=number)


def _stated(context: RunningService, sent: Sent, row: Open) -> AuditRow:
    """Who decided, as the file states it; events carry only the id (loop.md 1.4)."""
    said, client = row.facts[0], sent.client
    license_said = f" (licence {said['license']})" if said.get("license") else ""
    return AuditRow(
        context.clock.now(),
        client.organization,
        client.id,
        sent.plan,
        row.stream,
        (),
        (),
        f"{said['outcome']} by {person_id(said['by'])}{license_said}, file {sent.id}",
        client.person.id if client.person is not None else person_id(said["by"]),
        client.person is not None,
    )


def _acted(outcome: object) -> Acted:
    if not isinstance(outcome, Exception):
        return Acted(1, "done")
    if isinstance(outcome, Refused | Problem):
        return Acted(1, "done", True, outcome.slug, outcome.fix)
    log.error("row failed", error=type(outcome).__name__)
    return Acted(1, "done", True, FAILED, "Ask who operates this: the row could not be recorded.")


KINDS: tuple[FileKind, ...] = (DecisionList(),)
