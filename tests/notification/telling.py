"""What everybody is told of one referral's events, in words, by the packaged policy; no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from loopkeeper.contract.events import Event
from loopkeeper.policy.reading import load
from loopkeeper.testing.rules import MONDAY
from notification.domain.notices.notice_policy import Duty
from notification.domain.notices.telling import Happened, tellings
from notification.domain.notices.wording import Named, Names, Notice
from notification.domain.outreach.rules import DECIDER
from notification.domain.outreach.state import Outreach
from tests.builders.every_event import PCP, SECOND
from tests.builders.notification import DAVID
from tests.builders.organizations import HARBOR, OTHER, REFERRER, STREET

POLICY = load(["notification"])
# Bayview's name alone tells what it treats.
NAMES = Names(
    {
        HARBOR: Named("Harbor Health Plan", "415-555-0100"),
        REFERRER: Named("Mission Clinic", "415-555-0103"),
        STREET: Named("Harbor Street Medicine", "415-555-0101", treats=True),
        OTHER: Named("Bayview Recovery", "415-555-0102", reveals=True, treats=True),
        PCP: Named("Eastside Primary Care", "415-555-0104", treats=True),
        SECOND: Named("Bayview Hospital", "415-555-0105"),
        "bay-health-plan": Named("Bay Health Plan", "415-555-0106"),
    }
)


@dataclass(frozen=True)
class Said:
    """One notice as it is told: of which event, to whom, in which words."""

    event: Event
    notice: Notice
    duty: Duty

    @property
    def text(self) -> str:
        return self.duty.words["text"]

    @property
    def kind(self) -> str:
        return self.notice.recipient_kind

    @property
    def whole(self) -> str:
        """All that leaves the house of it but the ids."""
        return f"{self.text} {dict(self.notice.facts)}"


def said(facts: Iterable[Event], names: Names = NAMES) -> Iterator[Said]:
    """All that is told of these facts, one after the other."""
    before: Outreach | None = None
    for number, event in enumerate(facts):
        after = DECIDER.evolve(before, event)
        at = MONDAY + timedelta(seconds=number)
        assert after is not None
        happened = Happened(UUID(int=number), DAVID, at, event, b"", before, after)
        yield from (Said(event, each.notice, each.duty) for each in tellings(POLICY, names, happened, at))
        before = after
