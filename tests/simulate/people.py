"""What people ask of the four services, drawn from the seed: mostly what fits, now and then too late, twice or by nobody."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID, uuid5

from assignment.domain import commands as of_assignment
from authorization.domain import commands as of_authorization
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy, Claim, Eligibility, Lead, ReferralReceived, ScreenedPopulation
from loopkeeper.contract.vocabulary.decisions import DenialReason
from loopkeeper.store.definition import Submission
from notification.domain.outreach import commands as of_outreach
from notification.persistence.notice_proof import CLAIMS
from referral_intake.domain import commands as of_intake
from referral_intake.domain.commands import Keys
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, LEAD, MARIA, NAVIGATORS, STREET
from tests.simulate.world import Cell

PROVIDERS = (STREET, NAVIGATORS, CLINIC)
REFERRERS = (HOSPITAL, STREET, CLINIC)
# Few, so that many a referral is the second of its member.
MEMBERS = 5
OUTCOMES = (
    "declined_by_member",
    "unable_to_reach",
    "no_longer_eligible",
    "provider_declined",
    "other",
    "services_received",
)
CODES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)


@dataclass
class People:
    """Everybody who acts. `chance` is the seed's; `asked` numbers what they asked, so that each has a claim of its own."""

    cells: Mapping[str, Cell]
    chance: random.Random
    asked: int = 0
    _sent: list[tuple[str, Submission]] = field(default_factory=list[tuple[str, Submission]])

    def act(self, now: datetime) -> tuple[str, Submission] | None:
        """To which service somebody says what. Once in a while it is what was said before, under the same key."""
        if self._sent and self.chance.random() < 0.08:
            return self.chance.choice(self._sent)
        kinds = (self._refer, self._at_intake, self._plan, self._provider, self._outreach)
        made = self.chance.choices(kinds, (2, 2, 5, 6, 8))[0](now)
        if made is not None:
            self._sent.append(made)
        return made

    def refer(self, now: datetime) -> tuple[str, Submission]:
        """A referral comes in."""
        made = self._refer(now)
        self._sent.append(made)
        return made

    def hear(self, now: datetime) -> tuple[str, Submission] | None:
        """A recipient takes one of the notices that wait for it."""
        waiting = [each for each in self.cells["notification"].beside.notices.values() if not each.told]
        if not waiting:
            return None
        notice = self.chance.choice(waiting)
        if not notice.published:
            notice.told = True
            return None
        command = of_outreach.RecordDelivered(
            notice=notice.id, code=notice.code, recipient_kind=notice.recipient_kind, delivered_at=now
        )
        return "notification", Submission(uuid5(CLAIMS, notice.id), notice.referral, command)

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────────

    def _refer(self, now: datetime) -> tuple[str, Submission]:
        chance, number = self.chance, self.chance.randrange(MEMBERS)
        referrer = chance.choice(REFERRERS)
        result = chance.choice(("met", "met", "unknown", "unmet"))
        claimed = ScreenedPopulation.model_validate(
            {"code": "homelessness", "result": result, "claimed": True}
        )
        claim = None
        if referrer in PROVIDERS and chance.random() < 0.5:
            day = la_date(now) - timedelta(days=chance.randrange(0, 20))
            said = {"provider": referrer, "population": "homelessness", "from": day}
            claim = Claim.model_validate(said)
        start = claim is not None and chance.random() < 0.3
        received = ReferralReceived(
            occurred_at=now,
            plan=HARBOR,
            referrer=referrer,
            member="",
            kind="presumptive_start" if start else "full",
            urgency=chance.choice(("routine", "routine", "expedited")),
            county="alameda",
            age_band="adult",
            language=chance.choice(("en", "es", "")),
            populations=(claimed,),
            attested=claim is not None or chance.random() < 0.5,
            claim=claim,
            preferred=(chance.choice(PROVIDERS),) if chance.random() < 0.2 else (),
            release_on=la_date(now) + timedelta(days=20) if chance.random() < 0.1 else None,
            flags=("do_not_contact",) if chance.random() < 0.1 else (),
        )
        key = f"{HARBOR}:{number}"
        keys = Keys(member=key, named=f"{key}:named", cin=key, person=key, roster=key, birth=str(number))
        self.asked += 1
        command = of_intake.ReceiveReferral(received=received, keys=keys)
        return "intake", Submission(self._claim(), f"ref_{self.asked:032x}", command)

    def _at_intake(self, now: datetime) -> tuple[str, Submission] | None:
        chance = self.chance
        others = self._streams("intake")
        if not others:
            return None
        into, provider = chance.choice(others), chance.choice(PROVIDERS)
        today = la_date(now)
        others_too: tuple[str, ...] = ()
        said: Sequence[Callable[[], Command]] = (
            lambda: of_intake.WithdrawReferral(
                by=chance.choice(("referrer", "member")), acted_by=_by(HOSPITAL)
            ),
            lambda: of_intake.CloseReferral(
                outcome=chance.choice(OUTCOMES), text="in words", on=today, how="phone", acted_by=MARIA
            ),
            lambda: of_intake.MergeReferral(into=into, acted_by=MARIA),
            lambda: of_intake.RecordReleaseDate(release_on=today + timedelta(days=9), acted_by=MARIA),
            lambda: of_intake.LearnCoverage(eligibility=self._eligibility(today)),
            lambda: of_intake.ChooseProvider(
                wishes=chance.random() < 0.5, provider=provider, acted_by=_by(HOSPITAL)
            ),
        )
        command = chance.choice(said)()
        if isinstance(command, of_intake.MergeReferral):
            others_too = (into,)
        return self._said("intake", chance.choice(others), command, others_too)

    def _eligibility(self, today: date) -> Eligibility:
        state = self.chance.choice(("confirmed", "confirmed", "ended", "left", "not_found", "unknown"))
        covered = {"from": today - timedelta(days=400)} if state in ("confirmed", "ended") else {}
        through = {"through": today - timedelta(days=2)} if state == "ended" else {}
        return Eligibility.model_validate({"state": state, **covered, **through})

    def _plan(self, now: datetime) -> tuple[str, Submission] | None:
        chance, streams = self.chance, self._streams("authorization")
        if not streams:
            return None
        stream, today = chance.choice(streams), la_date(now)
        waits = self.cells["authorization"].state(stream).waiting is not None
        decides: Sequence[Callable[[], Command]] = (
            lambda: of_authorization.Approve(acted_by=MARIA),
            lambda: of_authorization.Approve(acted_by=MARIA),
            lambda: of_authorization.Deny(acted_by=MARIA, reason=chance.choice(REASONS), licensed=True),
            lambda: of_authorization.Pend(acted_by=MARIA, asks=("/populations",)),
            lambda: of_authorization.Resume(acted_by=MARIA),
        )
        goes_on: Sequence[Callable[[], Command]] = (
            lambda: of_authorization.RevokeGrant(acted_by=MARIA),
            lambda: of_authorization.Overturn(acted_by=MARIA, on=today),
            lambda: of_authorization.End(acted_by=MARIA, code=chance.choice(CODES)),
            lambda: of_authorization.Continue(acted_by=MARIA),
            lambda: of_authorization.RequestReauthorization(acted_by=_by(STREET), provider=STREET),
        )
        likely = decides if waits or chance.random() < 0.2 else goes_on
        return self._said("authorization", stream, chance.choice(likely)())

    def _provider(self, now: datetime) -> tuple[str, Submission] | None:
        chance, streams = self.chance, self._streams("assignment")
        if not streams:
            return None
        stream = chance.choice(streams)
        offers = self.cells["assignment"].state(stream).offers
        if not offers:
            provider = chance.choice(PROVIDERS)
            return self._said(
                "assignment", stream, of_assignment.AssignByHand(provider=provider, acted_by=MARIA)
            )
        offer = offers[-1]
        who = offer.provider if chance.random() < 0.9 else chance.choice(PROVIDERS)
        accept = of_assignment.Accept(assignment=offer.assignment, provider=who, lead=LEAD)
        said: Sequence[tuple[int, Callable[[], Command]]] = (
            (8, lambda: accept),
            (3, lambda: of_assignment.Decline(assignment=offer.assignment, provider=who, reason="no_capacity")),
            (1, lambda: of_assignment.AssignByHand(provider=chance.choice(PROVIDERS), acted_by=MARIA)),
            (1, lambda: of_assignment.Withdraw(assignment=offer.assignment, acted_by=MARIA)),
            (1, lambda: of_assignment.End(assignment=offer.assignment, acted_by=_by(who), by_provider=True)),
            (1, lambda: of_assignment.RequestChange(assignment=offer.assignment, wished="", acted_by=MARIA)),
            (1, lambda: of_assignment.ChangeLead(
                assignment=offer.assignment, provider=who, lead=Lead(person="ana", name="Ana"), acted_by=_by(who))),
        )  # fmt: skip
        chosen = chance.choices([each for _, each in said], [weight for weight, _ in said])[0]
        return self._said("assignment", stream, chosen())

    def _outreach(self, now: datetime) -> tuple[str, Submission] | None:
        chance, streams = self.chance, self._streams("notification")
        if not streams:
            return None
        stream = chance.choice(streams)
        held = self.cells["notification"].state(stream).assignment
        who = held.provider if held is not None and chance.random() < 0.9 else chance.choice(PROVIDERS)
        on = la_date(now)

        def attempt() -> Command:
            reached = chance.random() < 0.5
            return of_outreach.RecordAttempt(
                provider=who, tried_at=now, actor_kind="peer", modality=chance.choice(("phone", "in_person")),
                outcome="engaged" if reached else "no_answer", reached=reached,
            )  # fmt: skip

        said: Sequence[tuple[int, Callable[[], Command]]] = (
            (6, attempt),
            (4, lambda: of_outreach.StartServices(provider=who, on=on)),
            (1, lambda: of_outreach.DeclineForMember(provider=who, on=on, how="phone")),
            (1, lambda: of_outreach.ReportUnableToReach(provider=who, on=on)),
            (1, lambda: of_outreach.EndService(provider=who, code=chance.choice(CODES), on=on)),
        )
        chosen = chance.choices([each for _, each in said], [weight for weight, _ in said])[0]
        return self._said("notification", stream, chosen())

    # ── how ───────────────────────────────────────────────────────────────────────────────────────────────

    def _said(
        self, service: str, stream: str, command: Command, others: tuple[str, ...] = ()
    ) -> tuple[str, Submission]:
        self.asked += 1
        return service, Submission(self._claim(), stream, command, other_streams=others)

    def _streams(self, service: str) -> list[str]:
        return sorted(self.cells[service].states)

    def _claim(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128), version=4)


REASONS = sorted(DenialReason.codes())


def _by(organization: str) -> ActedBy:
    return ActedBy(organization=organization, person="somebody")
