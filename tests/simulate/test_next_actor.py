"""An open loop always names a person or an organization, and by when (loop.md 7.6): every way in which something ends, in
every status there is, with an offer open, taken or none; at once, and at every deadline that follows.

Four services in memory play each case; judged is what their rows say: what `GET /v1/referrals` lists, and with it
`loopkeeper stuck`. Which ending closes as what is the table of `tests/intake/test_endings.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from assignment.domain import commands as of_assignment
from authorization.domain import commands as of_authorization
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy, Claim, Eligibility, Question, ReferralReceived
from loopkeeper.store.definition import Submission
from notification.domain.outreach import commands as of_outreach
from referral_intake.domain import commands as of_intake
from referral_intake.domain.next_step import next_step
from referral_intake.domain.state import Referral, status
from tests.builders.organizations import HARBOR, HOSPITAL, LEAD, MARIA, NAVIGATORS, STREET
from tests.simulate.campaign import Run, everybody
from tests.simulate.loading import Known

REFERRAL = f"ref_{1:032x}"
DAY = timedelta(days=1)
# One of each kind that `endings.yaml` tells apart: who is served well, who may go on, who is not eligible, who has died.
CODES = (1, 3, 9, 14)
# An ending that is notified today is over before; a term that nobody ends, within a year.
SOON, YEAR = 16 * DAY, 400 * DAY


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    return everybody(tmp_path_factory.mktemp("everybody"))


@dataclass
class Play(Run):
    """One member's loop: what people say, one after the other, and everything that follows, in order."""

    asked: int = 0

    def say(self, service: str, command: Command) -> bool:
        """Whether it is taken. What follows has come to rest."""
        self.asked += 1
        one = Submission(UUID(int=self.asked, version=4), REFERRAL, command)
        refused = self.cells[service].execute([one], self.now)[one.id]
        self._settle()
        return refused is None

    @property
    def today(self) -> date:
        return la_date(self.now)

    @property
    def referral(self) -> Referral:
        return self.cells["intake"].state(REFERRAL)

    @property
    def offer(self) -> Any:
        state = self.cells["assignment"].state(REFERRAL)
        return state.offers[-1] if state is not None and state.offers else None

    @property
    def held(self) -> tuple[str, str]:
        """The newest offer and its provider; where there is none, what nobody has."""
        return (self.offer.assignment, self.offer.provider) if self.offer else ("asg_none", STREET)

    def nobody(self) -> str:
        """How an open loop waits for nobody, or for the plan by no date; empty where it does not."""
        if self.referral.closing is not None:
            return ""
        step, found = next_step(self.referral), status(self.referral).value
        if step.actor in ("", "loopkeeper"):
            return f"{found}: {step.actor or 'nobody'} must act ({step.step})"
        return (
            f"{found}: the plan, by no date ({step.step})" if step.actor == "plan" and not step.due_at else ""
        )

    def deadline_by_deadline(self, by: timedelta) -> Iterator[str]:
        until = self.now + by
        yield self.nobody()
        while self.now < until:
            ahead = [found[0][0] for cell in self.cells.values() if (found := cell.due())]
            self.now = max(self.now, min([*ahead, until]))
            self._settle()
            yield self.nobody()


# ── every status ──────────────────────────────────────────────────────────────────────────────────────────


def received(play: Play, *questions: Question, **changes: Any) -> None:
    key = f"{HARBOR}:0"
    fields: dict[str, Any] = {
        "occurred_at": play.now, "plan": HARBOR, "referrer": HOSPITAL, "member": "", "county": "alameda",
        "age_band": "adult", "language": "en",
        "populations": ({"code": "homelessness", "result": "met", "claimed": True},), **changes,
    }  # fmt: skip
    keys = of_intake.Keys(member=key, named=f"{key}:named", cin=key, person=key, roster=key, birth="0")
    fact = ReferralReceived.model_validate(fields)
    assert play.say("intake", of_intake.ReceiveReferral(received=fact, keys=keys, questions=questions))


def needs_information(play: Play) -> None:
    received(play, Question(id="populations", pointer="/populations", blocking=True))


def pending(play: Play) -> None:
    received(play)


def release_ahead(play: Play) -> None:
    received(play, release_on=play.today + 20 * DAY, flags=("pre_release_services",))


def granted(play: Play, **changes: Any) -> None:
    """A claim: the offer to its provider is open while the plan decides."""
    claim = Claim.model_validate({"provider": STREET, "population": "homelessness", "from": play.today})
    received(play, referrer=STREET, attested=True, claim=claim, **changes)


def started(play: Play) -> None:
    granted(play, kind="presumptive_start")


def accept(play: Play) -> None:
    assignment, provider = play.held
    assert play.say("assignment", of_assignment.Accept(assignment=assignment, provider=provider, lead=LEAD))


def granted_accepted(play: Play) -> None:
    granted(play)
    accept(play)


def started_accepted(play: Play) -> None:
    started(play)
    accept(play)


def assigned(play: Play) -> None:
    received(play)
    assert play.say("authorization", of_authorization.Approve(acted_by=MARIA))


def authorized(play: Play) -> None:
    """Everybody declined."""
    assigned(play)
    while play.offer.live:
        assert play.say(*decline(play))


def accepted(play: Play) -> None:
    assigned(play)
    accept(play)


def outreach_initiated(play: Play) -> None:
    accepted(play)
    assert play.say("notification", of_outreach.RecordAttempt(
        provider=play.held[1], tried_at=play.now, actor_kind="peer", modality="phone", outcome="no_answer", reached=False,
    ))  # fmt: skip


STATUSES = (
    needs_information, pending, release_ahead, granted, started, granted_accepted, started_accepted, assigned,
    authorized, accepted, outreach_initiated,
)  # fmt: skip


# ── every ending ──────────────────────────────────────────────────────────────────────────────────────────

Said = tuple[str, Command]
Way = Callable[[Play], Said]


def by(organization: str) -> ActedBy:
    return ActedBy(organization=organization, person="somebody")


def decline(play: Play) -> Said:
    assignment, provider = play.held
    return "assignment", of_assignment.Decline(assignment=assignment, provider=provider, reason="no_capacity")


def term_ends(code: int) -> Way:
    return lambda play: ("authorization", of_authorization.End(acted_by=MARIA, code=code))


def reported(reason: str) -> Way:
    fields = {"reason": reason}
    return lambda play: (
        "notification",
        of_outreach.ReportClosing.model_validate({"provider": play.held[1], "on": play.today, **fields}),
    )


def covered(state: str) -> Way:
    def made(play: Play) -> Said:
        through = play.today - 2 * DAY if state == "ended" else None
        fields = {"state": state, "from": play.today - 400 * DAY, "through": through}
        return "intake", of_intake.LearnCoverage(eligibility=Eligibility.model_validate(fields))

    return made


def of_plan(command: Command) -> Way:
    return lambda play: ("authorization", command)


WAYS: dict[str, Way] = {
    **{f"the term ends, code {code}": term_ends(code) for code in CODES},
    **{f"a file reports {why}": reported(why)
       for why in ("provider_declined", "no_longer_eligible", "unable_to_reach", "other")},
    **{f"coverage {state}": covered(state)
       for state in ("ended", "left", "not_found", "other_birth_date", "unknown")},
    "approved": of_plan(of_authorization.Approve(acted_by=MARIA)),
    "denied": of_plan(of_authorization.Deny(acted_by=MARIA, reason="no_active_medi_cal", licensed=True)),
    "asked by the plan": of_plan(of_authorization.Pend(acted_by=MARIA, asks=("populations",))),
    "grant revoked": of_plan(of_authorization.RevokeGrant(acted_by=MARIA)),
    "declined": decline,
    "withdrawn": lambda play: (
        "assignment", of_assignment.Withdraw(assignment=play.held[0], acted_by=MARIA)),
    "ended by the provider": lambda play: (
        "assignment", of_assignment.End(assignment=play.held[0], acted_by=by(play.held[1]), by_provider=True)),
    "ended by the plan": lambda play: ("assignment", of_assignment.End(assignment=play.held[0], acted_by=MARIA)),
    "another provider is wished": lambda play: (
        "assignment", of_assignment.RequestChange(assignment=play.held[0], wished="", acted_by=MARIA)),
    "the provider leaves": lambda play: (
        "assignment", of_assignment.ProviderLeft(assignment=play.held[0], provider=play.held[1])),
    "another by hand": lambda play: (
        "assignment", of_assignment.AssignByHand(provider=NAVIGATORS, acted_by=MARIA)),
    "the member says no": lambda play: (
        "notification", of_outreach.DeclineForMember(provider=play.held[1], on=play.today, how="phone")),
    "not reached": lambda play: (
        "notification", of_outreach.ReportUnableToReach(provider=play.held[1], on=play.today)),
    "back in custody": lambda play: ("intake", of_intake.RecordCustody(on=play.today, acted_by=MARIA)),
    "a release told": lambda play: (
        "intake", of_intake.RecordReleaseDate(release_on=play.today + 9 * DAY, acted_by=MARIA)),
    "a death told": lambda play: ("intake", of_intake.TellDeath(by="referrer", on=play.today)),
    "a death confirmed": lambda play: ("intake", of_intake.ConfirmDeath(on=play.today, acted_by=MARIA)),
    "withdrawn by the member": lambda play: (
        "intake", of_intake.WithdrawReferral(by="member", acted_by=by(HOSPITAL))),
    "withdrawn by the referrer": lambda play: (
        "intake", of_intake.WithdrawReferral(by="referrer", acted_by=by(HOSPITAL))),
}  # fmt: skip
# What takes it back.
TAKES_BACK: dict[str, Way] = {
    "the term ends, code 3": of_plan(of_authorization.Appeal(acted_by=MARIA, on=date(2026, 3, 2))),
    "the term ends, code 9": lambda play: ("authorization", of_authorization.RequestReauthorization(
        acted_by=by(play.held[1]), provider=play.held[1])),
    "coverage ended": covered("confirmed"),
    "coverage left": covered("confirmed"),
    "back in custody": lambda play: (
        "intake", of_intake.RecordReleaseDate(release_on=play.today, acted_by=MARIA)),
    "a death told": lambda play: ("intake", of_intake.TakeBackDeath(acted_by=MARIA)),
}  # fmt: skip


@pytest.mark.parametrize("begun", STATUSES, ids=lambda each: each.__name__)
def test_whatever_ends_somebody_is_asked_by_a_date_or_the_loop_is_closed_7_6(
    known: Known, begun: Callable[[Play], None]
) -> None:
    found: list[str] = []
    for name, way in WAYS.items():
        for back in (None, TAKES_BACK[name]) if name in TAKES_BACK else (None,):
            play = Play(1, known)
            begun(play)
            if play.say(*way(play)) and (back is None or play.say(*back(play))):
                wrong = {each for each in play.deadline_by_deadline(SOON) if each}
                found += [f"{name}{', taken back' if back else ''}: {each}" for each in sorted(wrong)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("begun", STATUSES, ids=lambda each: each.__name__)
def test_time_alone_leaves_no_open_loop_to_nobody_7_6(known: Known, begun: Callable[[Play], None]) -> None:
    play = Play(1, known)
    begun(play)
    assert not [each for each in play.deadline_by_deadline(YEAR) if each]


def test_every_way_is_open_in_some_status(known: Known) -> None:
    """What is refused everywhere would prove nothing."""

    def taken(way: Way) -> bool:
        for begun in (assigned, outreach_initiated, started, release_ahead):
            play = Play(1, known)
            begun(play)
            if play.say(*way(play)):
                return True
        return False

    # Not reached asks for the attempts of the policy first.
    assert [name for name, way in WAYS.items() if not taken(way)] == ["not reached"]
