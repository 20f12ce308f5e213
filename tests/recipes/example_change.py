"""What the recipes of CONTRIBUTING.md change, made in a copy of the sources: a planned first visit, through all of assignment.

Each recipe is a list of edits as its numbered steps say them. An edit names a place in the text of a file; where the file
has changed so that the place is gone, the edit fails and names it, so that recipe and example are brought up to date.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASSIGNMENT = "services/assignment/src/assignment"
NOTIFICATION = "services/notification/src/notification"
CONTRACT = "shared/src/loopkeeper/contract"


@dataclass(frozen=True)
class Edit:
    """`text` goes before the first `before`, or to the end of the file; a new file is made."""

    file: str
    text: str
    before: str = ""

    def make(self, copy: Path) -> None:
        file = copy / self.file
        old = file.read_text() if file.exists() else ""
        if self.before not in old:
            raise LookupError(
                f"{self.file} has no {self.before!r}: bring the recipe and its example up to date"
            )
        place = old.index(self.before) if self.before else len(old)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(old[:place] + self.text + old[place:])


EVENT = (
    Edit(
        f"{CONTRACT}/events.py",
        '''class AssignmentVisitPlanned(Event):
    """The provider planned the first visit; without `on` its day is over."""

    wire = "assignment.visit_planned"
    assignment: str
    provider: str
    on: date | None = None


''',
        before="class AssignmentOverdue(Event):",
    ),
    Edit(f"{CONTRACT}/event_text.py", "    AssignmentVisitPlanned,\n", before="    AssignmentWithdrawn,\n"),
    Edit(
        f"{CONTRACT}/event_text.py",
        """        case AssignmentVisitPlanned(provider=provider, on=on):
            return f"{provider} planned the first visit{f' on {_day(on)}' if on else ''}."
""",
        before="        case NoticeDelivered(",
    ),
    Edit(
        f"{ASSIGNMENT}/domain/state.py",
        "    visit_on: date | None = None\n",
        before='    plan: str = ""\n    referrer',
    ),
    Edit(
        f"{ASSIGNMENT}/domain/evolve.py",
        """def _visit_planned(state: Assignment, event: events.AssignmentVisitPlanned) -> Mapping[str, Any]:
    return {"visit_on": event.on}


""",
        before="FOLD: Mapping[",
    ),
    Edit(
        f"{ASSIGNMENT}/domain/evolve.py",
        "from loopkeeper.contract import events\n",
        before="from loopkeeper.contract",
    ),
    Edit(
        f"{ASSIGNMENT}/domain/evolve.py",
        "    events.AssignmentVisitPlanned: _visit_planned,\n",
        before="    ReferralReceived: _received,\n",
    ),
)
COMMAND = (
    Edit(
        f"{ASSIGNMENT}/domain/commands.py",
        '''

class PlanVisit(Command):
    """The provider names the day of the first visit."""

    assignment: str
    provider: str
    on: date


class CloseVisit(Command):
    """The planned day of the first visit is over."""
''',
    ),
    Edit(f"{ASSIGNMENT}/domain/commands.py", "from datetime import date\n", before="from typing import"),
    Edit(f"{ASSIGNMENT}/domain/contexts.py", "    CloseVisit,\n    PlanVisit,\n", before="    ChangeLead,\n"),
    Edit(
        f"{ASSIGNMENT}/domain/contexts.py",
        "    | tuple[PlanVisit | CloseVisit, Plain]\n",
        before="    | tuple[Accept,",
    ),
    Edit(
        f"{ASSIGNMENT}/persistence/context.py",
        "            case commands.PlanVisit() | commands.CloseVisit():\n                return command, plain\n",
        before="            case NoteFact():\n",
    ),
    Edit(
        f"{ASSIGNMENT}/persistence/context.py",
        "from assignment.domain import commands\n",
        before="from assignment.domain",
    ),
    Edit(
        f"{ASSIGNMENT}/domain/rules.py",
        """        case (PlanVisit() as command, context):
            return list(plan_visit(state, command, context))
        case (CloseVisit(), context):
            return list(close_visit(state, context))
""",
        before="        case _:\n            assert_never(asked)",
    ),
    Edit(
        f"{ASSIGNMENT}/domain/rules.py",
        """def plan_visit(state: Assignment | None, command: PlanVisit, context: Plain) -> Iterator[Event]:
    held_offer = state.held_offer if state is not None else None
    if held_offer is None or held_offer.status != "accepted":
        raise Refused("not-live", "The provider does not serve this member.", fix="Accept the offer first.")
    yield AssignmentVisitPlanned(
        occurred_at=context.at, assignment=command.assignment, provider=command.provider, on=command.on
    )


def close_visit(state: Assignment | None, context: Plain) -> Iterator[Event]:
    if state is None or state.held_offer is None or state.visit_on is None or state.visit_on > la_date(context.at):
        return
    yield AssignmentVisitPlanned(
        occurred_at=context.at, assignment=state.held_offer.assignment, provider=state.held_offer.provider
    )


""",
        before="DECIDER",
    ),
    Edit(
        f"{ASSIGNMENT}/domain/rules.py",
        """from assignment.domain.commands import CloseVisit, PlanVisit
from loopkeeper.contract.decider import Plain
from loopkeeper.contract.events import AssignmentVisitPlanned
""",
        before="from assignment.domain",
    ),
)
DEADLINE = (
    Edit(
        f"{ASSIGNMENT}/domain/deadlines.py",
        '    if state.visit_on is not None:\n        found["visit"] = end_of_la_day(state.visit_on)\n',
        before="    return found\n",
    ),
    Edit(f"{ASSIGNMENT}/timers.py", '    "visit": CloseVisit,\n', before='    "term": EndTerm,\n'),
    Edit(
        f"{ASSIGNMENT}/timers.py",
        "from assignment.domain.commands import CloseVisit\n",
        before="from assignment.domain",
    ),
)
ROUTE = (
    Edit(
        f"{ASSIGNMENT}/api/visits.py",
        '''"""The route that plans the first visit."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter

from assignment.api.assignments import row_of
from assignment.domain.commands import PlanVisit
from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.http.call import allowed
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role

router = APIRouter(tags=["assignment"], route_class=Operation)


class VisitBody(BlankIsMissing):
    on: date


class Visit(BlankIsMissing):
    on: date


@router.post(
    "/v1/assignments/{id:key}:plan-visit", summary="Plan the first visit", responses=refused("not-live")
)
async def plan_visit(
    id: Id, body: Annotated[VisitBody, example({"on": "2026-03-09"})], call: Annotated[Call, allowed(Role.PROVIDER)]
) -> Visit:
    """The provider that serves names the day. Refused while no assignment is live."""
    row = await row_of(call, id, ("provider_id",))
    command = PlanVisit(assignment=row["id"], provider=call.client.organization, on=body.on)
    outcome = await call.submit(row["referral"], command)
    call.etag(outcome.n)
    return Visit(on=body.on)
''',
    ),
    Edit(f"{ASSIGNMENT}/service.py", "from assignment.api import visits\n", before="from assignment.api"),
    Edit(f"{ASSIGNMENT}/service.py", "visits.router, ", before="assignment_actions.router),\n"),
)
POLICY_ROW = (
    Edit(
        f"{ASSIGNMENT}/policy/deadlines.yaml",
        """  - {id: first-visit, clock: first_visit, amount: 7, unit: calendar_days, starts: acceptance, ends: first visit,
     effective_from: 2022-01-01, source: our default, confidence: ours}
""",
        before="---\n",
    ),
)
NOTICE = (
    Edit(
        f"{NOTIFICATION}/domain/notices/provider_notices.py",
        """        case AssignmentVisitPlanned() if event.on is not None:
            yield Notice("visit_planned", event.provider, "provider", slots={"on": event.on})
""",
        before="        case OutreachContactChanged():\n            yield from _contact_changed",
    ),
    Edit(
        f"{NOTIFICATION}/domain/notices/provider_notices.py",
        "    AssignmentVisitPlanned,\n",
        before="    AssignmentWithdrawn,\n",
    ),
    Edit(
        f"{NOTIFICATION}/policy/providers.yaml",
        """  - id: visit-planned-provider
    code: visit_planned
    recipient: provider
    variant: usual
    language: en
    state: approved
    text: >-
      The first visit for referral {referral} is planned on {on}. Questions: call {plan} at {plan_phone}.
    effective_from: 2022-01-01
    source: "our default"
    confidence: ours
""",
        before="  - id: offer-withdrawn-provider\n",
    ),
    Edit(
        f"{NOTIFICATION}/policy/duties.yaml",
        """  - {id: visit-planned-provider, code: visit_planned, recipient: provider, event: assignment.visit_planned, told: true,
     published: false, effective_from: 2022-01-01, source: our default, confidence: ours}
""",
        before="  - {id: offer-provider,",
    ),
)


def table(copy: Path) -> Sequence[Edit]:
    """The migration's number follows the newest one in the copy."""
    names = sorted(each.name for each in (copy / ASSIGNMENT / "migrations/versions").glob("[0-9]*.py"))
    newest = names[-1].partition("_")[0]
    following = f"{int(newest) + 1:04}"
    return (
        Edit(
            f"{ASSIGNMENT}/persistence/tables.py",
            """visit = sa.Table(
    "visit",
    metadata,
    sa.Column("assignment", sa.Text, primary_key=True),
    sa.Column("on", sa.Date, nullable=False),
)

""",
            before="# One provider's turn.",
        ),
        Edit(
            f"{ASSIGNMENT}/migrations/versions/{following}_visits.py",
            f'''"""The planned first visits."""

from alembic import op

revision = "{following}"
down_revision = "{newest}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute('CREATE TABLE visit (assignment text PRIMARY KEY, "on" date NOT NULL)')


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
''',
        ),
    )


SERVICE = (
    Edit(
        "services/visits/src/visits/service.py",
        '''"""Visits, as the chassis runs it: the smallest service there can be."""

from fastapi import APIRouter

from loopkeeper.contract.decider import Decider, State
from loopkeeper.http.app import App
from loopkeeper.http.route import Operation
from loopkeeper.kernel.settings import ServiceSettings
from loopkeeper.runtime.serve import app_of
from loopkeeper.runtime.service import Call, Resources, Service
from loopkeeper.store.definition import Domain

router = APIRouter(tags=["visits"], route_class=Operation)


def domain(resources: Resources) -> Domain:
    return Domain("visits", Decider(lambda state, asked: [], lambda state, event: State()), lambda state: {})


service = Service("visits", "visits", ServiceSettings, domain, reactions={}, routers=(router,))


def create_app() -> App:
    return app_of({service.name: service})
''',
    ),
    Edit("services/visits/src/visits/__init__.py", '"""Visits."""\n'),
    Edit(
        "services/visits/src/visits-0.1.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: visits\nVersion: 0.1.0\n",
    ),
    Edit(
        "services/visits/src/visits-0.1.0.dist-info/entry_points.txt",
        "[loopkeeper.services]\nvisits = visits.service:service\n",
    ),
    Edit(f"{CONTRACT}/events.py", '    "visit": "visits",\n', before='    "outreach": "notification",\n'),
)


def made_in(folder: Path) -> Path:
    """A copy of the sources with every recipe followed."""
    copy = folder / "copy"
    for name in ("shared", "services", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for edit in (*EVENT, *COMMAND, *DEADLINE, *ROUTE, *table(copy), *POLICY_ROW, *NOTICE, *SERVICE):
        edit.make(copy)
    return copy
