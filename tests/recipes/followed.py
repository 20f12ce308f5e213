"""Run in the copy, by its own interpreter: what the changed sources do and say, as one JSON document."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from alembic.config import Config
from alembic.script import ScriptDirectory

from loopkeeper import policy
from loopkeeper.contract import events
from loopkeeper.contract.decider import Plain, Refused
from loopkeeper.contract.event_text import sentence
from loopkeeper.policy.reading import load
from loopkeeper.postgres.revisions import newest
from loopkeeper.runtime.service import installed
from tools.docs import generate

AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
DAY = date(2026, 3, 9)


def rules() -> dict[str, Any]:
    """The command before and after an acceptance, what it changes, its deadline, and the command the deadline becomes."""
    from assignment.domain.commands import PlanVisit
    from assignment.domain.deadlines import timers
    from assignment.domain.evolve import evolve
    from assignment.domain.rules import decide
    from assignment.timers import COMMANDS

    context = Plain(at=AT, seed=UUID(int=7))
    command = PlanVisit(assignment="asg_1", provider="harbor-street-medicine", on=DAY)
    try:
        decide(None, (command, context))
        refused = ""
    except Refused as refusal:
        refused = refusal.slug
    made = events.AssignmentMade(
        occurred_at=AT, assignment="asg_1", provider="harbor-street-medicine", kind="ecm", basis="ranking",
        answer_due_at=AT,
    )  # fmt: skip
    accepted = events.AssignmentAccepted(
        occurred_at=AT, assignment="asg_1", provider="harbor-street-medicine",
        lead=events.Lead(person="luis-ortega", name="Luis Ortega", phone="555-0100"),
    )  # fmt: skip
    state = evolve(evolve(None, made), accepted)
    (planned,) = decide(state, (command, context))
    after = evolve(state, planned)
    over = decide(after, (COMMANDS["visit"](), Plain(at=timers(after)["visit"], seed=UUID(int=8))))
    return {
        "refused": refused,
        "event": planned.wire_type(),
        "sentence": sentence(planned),
        "due_at": timers(after)["visit"].isoformat(),
        "after_the_day": sorted(timers(evolve(after, over[0]))),
    }


def notice() -> str:
    """The provider's words."""
    from notification.domain.notices.notice_policy import duty
    from notification.domain.notices.notices import notices
    from notification.domain.notices.wording import Named, Names
    from notification.domain.outreach.state import Outreach

    event = events.AssignmentVisitPlanned(
        occurred_at=AT, assignment="asg_1", provider="harbor-street-medicine", on=DAY
    )
    after = Outreach(plan="harbor-health-plan")
    names = Names({"harbor-health-plan": Named("Harbor Health Plan", "555-0100")})
    (told,) = notices("ref_1", None, event, after, names)
    found = duty(load(["notification"]), told, event, after, AT)
    return found.words["text"] if found is not None else ""


def main() -> None:
    services = installed()
    packages = [service.package for service in services.values() if service.name != "visits"]
    rows = load(packages)
    read_by = generate.readers(services)
    config = Config()
    config.set_main_option("script_location", "assignment:migrations")
    chain = ScriptDirectory.from_config(config)
    document = generate._openapi(services["assignment"])
    json.dump(
        {
            "from": events.__file__,
            "rules": rules(),
            "events.md": generate.event_table(read_by),
            "schemas": sorted(generate.schemas(events.CATALOG)),
            "route": document["paths"]["/v1/assignments/{id}:plan-visit"]["post"],
            "newest": newest("assignment"),
            "heads": list(chain.get_heads()),
            "policy.md": generate.policy_rows(rows),
            "findings": [finding.sentence for finding in policy.check(rows)],
            "notice": notice(),
            "services": list(services),
            "owner": events.PUBLISHERS["visit"],
            "visits": generate._openapi(services["visits"])["info"]["title"],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
