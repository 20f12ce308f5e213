"""What does the referrer hear at once? The id, how the criteria look, what is asked, and by when the plan decides."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.policy import Policy
from loopkeeper.policy.conditions import Result
from referral_intake.api.views import ShownQuestion, shown_questions
from referral_intake.domain.form.screening import Screening
from referral_intake.domain.state import REDIRECT, Referral, status


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ScreenedCriterion(Shown):
    """One criterion: the answer it reads, what it asks for, and whether it is so."""

    answer: str
    asks: str
    result: str


class Screened(Shown):
    """One Population of Focus: met, unmet, or unknown while a criterion is unanswered."""

    code: str
    result: str
    claimed: bool
    suggested: bool
    notes: tuple[str, ...]
    criteria: tuple[ScreenedCriterion, ...]


class ClaimedPopulation(Shown):
    population: str
    covered: bool


class ReceivedClaim(Shown):
    """What becomes of a claim of presumptive (since 2026: streamlined) authorization. `also`: the further populations
    of the claim, each judged by itself."""

    population: str
    covered: bool
    note: str
    also: tuple[ClaimedPopulation, ...] = ()


class Due(Shown):
    """The next deadline, its owner, and the state of its clock."""

    actor: str
    step: str
    clock: str
    due_at: datetime
    state: str = "on_track"


class Links(Shown):
    referral: str
    timeline: str


class Receipt(Shown):
    """The referral is stored and its loop open."""

    id: str
    received_at: datetime
    status: str
    eligibility: str
    screening: tuple[Screened, ...]
    questions: tuple[ShownQuestion, ...]
    presumptive: ReceivedClaim | None
    due: tuple[Due, ...]
    # Plans of the member's county, where the one named does not serve it and the right one is not served here.
    write_to: tuple[str, ...] = ()
    links: Links


def receipt(
    stream: str, referral: Referral, screening: Screening, provider: ProviderRecorded | None, policy: Policy
) -> Receipt:
    """The receipt of a referral, the first time and whenever the same request is sent again."""
    assert referral.received_at is not None  # noqa: S101 it was just received
    return Receipt(
        id=stream,
        received_at=referral.received_at,
        status=status(referral).value,
        eligibility=referral.eligibility.state,
        screening=screened(screening),
        questions=shown_questions(referral),
        presumptive=_claim(referral, provider, policy),
        due=_due(referral, referral.received_at, policy),
        write_to=_write_to(referral, policy),
        links=Links(referral=f"/v1/referrals/{stream}", timeline=f"/v1/referrals/{stream}/timeline"),
    )


def _due(referral: Referral, received_at: datetime, policy: Policy) -> tuple[Due, ...]:
    """What runs from the first moment: the answers, if any are waited for, and the plan's decision of a full form."""
    if referral.closing is not None:
        return ()
    clocks: list[Due] = []
    if referral.blocked and referral.questions_due_at is not None:
        step = "answer the open questions"
        clocks.append(Due(actor="referrer", step=step, clock="information", due_at=referral.questions_due_at))
    if referral.kind == "full":
        clock = f"decision_{referral.urgency}"
        at = policy.due(clock, received_at).at
        clocks.append(Due(actor="plan", step="decide the authorization", clock=clock, due_at=at))
    return tuple(clocks)


def _write_to(referral: Referral, policy: Policy) -> tuple[str, ...]:
    """By name, as recalled: where to ask, never as a fact (loop.md 2.14)."""
    if referral.received_at is None or not any(q.id == REDIRECT for q in referral.questions):
        return ()
    rows = policy.rows("county_plans", on=la_date(referral.received_at))
    return tuple(row["name"] for row in rows if referral.county in row["counties"])


def screened(screening: Screening) -> tuple[Screened, ...]:
    """How the form looks by each population's criteria."""
    return tuple(
        Screened(
            code=each.code,
            result=each.result,
            claimed=each.claimed,
            suggested=each.code in screening.suggested,
            notes=screening.notes.get(each.code, ()),
            criteria=tuple(
                _criterion(c.answer, c.sentence, c.result) for c in screening.criteria.get(each.code, ())
            ),
        )
        for each in screening.populations
    )


# Made of the policy's own words, and the same for everybody: a receipt has sixty of them.
@lru_cache(maxsize=1024)
def _criterion(answer: str, asks: str, result: Result) -> ScreenedCriterion:
    return ScreenedCriterion(answer=answer, asks=asks, result=result)


def _claim(referral: Referral, provider: ProviderRecorded | None, policy: Policy) -> ReceivedClaim | None:
    """Whether a row of the state's table covers the claim, as far as the directory is known here (loop.md 3.2)."""
    claim = referral.claim
    if claim is None or referral.received_at is None:
        return None
    if provider is None:
        note = "The directory does not know this provider yet; the claim is looked at again when it does."
        return ReceivedClaim(population=claim.population, covered=False, note=note)
    first, *also = (
        ClaimedPopulation(population=code, covered=_paired(policy, referral, code, provider))
        for code in claim.populations
    )
    covered = any(each.covered for each in (first, *also))
    note = FOLLOWS if covered else UNCOVERED
    return ReceivedClaim(population=first.population, covered=first.covered, note=note, also=tuple(also))


UNCOVERED = (
    "No row of the presumptive table covers this population and provider type; the plan decides first."
)
FOLLOWS = (
    "A row of the presumptive table covers it; the grant or its refusal follows at once in the timeline."
)


def _paired(policy: Policy, referral: Referral, population: str, provider: ProviderRecorded) -> bool:
    on = la_date(referral.received_at) if referral.received_at is not None else None
    if on is None:
        return False
    rows = policy.rows("presumptive", on=on, plan=referral.plan, population=population)
    return any(row["provider_type"] in provider.types for row in rows)
