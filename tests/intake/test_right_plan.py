"""The right plan: another plan's roster has the member, or this one does not serve the county (loop.md 2.14)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import referral_intake
from loopkeeper.contract import ids
from loopkeeper.contract.events import ReferralReceived, ScreenedPopulation
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import load
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Domain, Submission
from referral_intake.api.receipt import receipt
from referral_intake.domain.commands import Keys, ReceiveReferral
from referral_intake.domain.deadlines import timers
from referral_intake.domain.form.screening import Screening
from referral_intake.domain.rules import DECIDER
from referral_intake.persistence.columns import columns
from referral_intake.persistence.context import IntakeLoader
from tests.builders.organizations import HARBOR, STREET
from tests.databases import Databases
from tests.shared.stores import AT, Bench, opened

COUNTIES = """
table: plan_counties
rows:
  - {id: harbor, plan: harbor-health-plan, counties: [alameda], effective_from: 2024-01-01, source: its contract,
     confidence: ours}
  - {id: valley, plan: valley-care-plan, counties: [fresno], effective_from: 2024-01-01, source: its contract,
     confidence: ours}
"""
NOTHING = Screening((), {}, (), (), (), {})


@pytest_asyncio.fixture
async def bench(databases: Databases, tmp_path: Path) -> AsyncGenerator[tuple[Bench, Policy]]:
    own = tmp_path / "own"
    own.mkdir()
    (own / "rows.yaml").write_text(COUNTIES)
    policy = load([Path(referral_intake.__file__).parent / "policy"], own)
    url = await databases.make("intake", await databases.template("intake"))

    def domain(sealer: Sealer) -> Domain[Any, Any]:
        loader = IntakeLoader(policy, sealer)
        return Domain("intake", DECIDER, columns, timers, loader=loader, notes_all=True)

    async with opened(url, tmp_path, clock=ManualClock(AT), domain=domain) as made:
        yield made, policy
    await databases.drop()


async def received(bench: Bench, county: str, keys: Keys = Keys(), **changes: Any) -> Any:
    event = ReferralReceived(
        occurred_at=AT, plan=HARBOR, referrer=STREET, member="", county=county, **changes
    )
    command = ReceiveReferral(received=event, keys=keys)
    return (await bench.store.submit(Submission(ids.uuid(), ids.new("ref"), command))).state


async def covered(bench: Bench, plan: str, key: str) -> None:
    await bench.pool.execute(
        """INSERT INTO roster (id, plan, birth_key, county, covered_from, pcp, programs, generation)
           VALUES ($1, $2, 'b', 'fresno', '2025-01-01', '', '[]', 'g')""",
        key,
        plan,
    )


@pytest.mark.parametrize(
    ("county", "asked"),
    [("alameda", []), ("", []), ("fresno", ["redirect-valley-care-plan"]), ("kern", ["redirect"])],
)
async def test_a_county_the_plan_does_not_serve_names_the_plan_that_does(
    bench: tuple[Bench, Policy], county: str, asked: list[str]
) -> None:
    state = await received(bench[0], county)
    assert [q.id for q in state.questions] == asked
    assert all(q.blocking for q in state.questions)


CHILD: dict[str, Any] = {"age_band": "child_youth"}
WELFARE = ScreenedPopulation(code="child_welfare", result="met")


@pytest.mark.parametrize(
    ("who", "asked"),
    [
        ({**CHILD, "consent_holder": "county"}, False),
        ({**CHILD, "consent_holder": "court"}, False),
        ({**CHILD, "populations": (WELFARE,)}, False),
        (
            {**CHILD, "populations": (WELFARE.model_copy(update={"result": "unknown", "claimed": True}),)},
            False,
        ),
        ({**CHILD, "consent_holder": "parent"}, True),
        ({**CHILD, "populations": (WELFARE.model_copy(update={"result": "unmet"}),)}, True),
        # A former foster youth lives where an adult lives.
        ({"age_band": "adult", "populations": (WELFARE,)}, True),
    ],
)
async def test_a_child_in_care_placed_in_another_county_is_never_held_up_by_where_it_lives_2_14(
    bench: tuple[Bench, Policy], who: dict[str, Any], asked: bool
) -> None:
    state = await received(bench[0], "fresno", **who)
    assert bool(state.questions) is asked
    assert state.blocked is asked


async def test_where_no_plan_here_is_right_the_receipt_says_whom_to_write_to(
    bench: tuple[Bench, Policy],
) -> None:
    state = await received(bench[0], "kern")
    told = receipt(ids.new("ref"), state, NOTHING, None, bench[1])
    assert told.write_to == ("Anthem Blue Cross", "Kern Health Systems", "Kaiser Permanente")
    assert [each.clock for each in told.due] == ["information", "decision_routine"]
    right = await received(bench[0], "fresno")
    assert receipt(ids.new("ref"), right, NOTHING, None, bench[1]).write_to == ()


async def test_another_plans_roster_names_the_right_plan_and_ones_own_beats_the_county(
    bench: tuple[Bench, Policy],
) -> None:
    here = bench[0]
    await covered(here, HARBOR, f"{HARBOR}:somebody")
    await covered(here, "valley-care-plan", "valley-care-plan:david")
    others = {"valley-care-plan": "valley-care-plan:david"}
    theirs = await received(here, "alameda", Keys(roster=f"{HARBOR}:david", others=others))
    assert theirs.eligibility.state == "not_found"
    assert [q.id for q in theirs.questions] == ["redirect-valley-care-plan"]
    mine = await received(here, "fresno", Keys(roster=f"{HARBOR}:somebody", others=others))
    assert (mine.eligibility.state, mine.questions) == ("confirmed", ())
    # A later whole roster does not name the member any more: not known to have ended (loop.md 2.5).
    await here.pool.execute("UPDATE roster SET left_on = '2026-02-01' WHERE id = $1", f"{HARBOR}:somebody")
    gone = await received(here, "alameda", Keys(roster=f"{HARBOR}:somebody", others=others))
    assert gone.eligibility.state == "left"
    assert [q.id for q in gone.questions] == ["redirect-valley-care-plan"]
    nobodys = await received(here, "alameda", Keys(roster=f"{HARBOR}:rosa", others={}))
    assert (nobodys.eligibility.state, nobodys.questions) == ("not_found", ())
