"""Who gets an event itself, and who is told of it in words, as policy has it: the rules alone, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import notification
from loopkeeper.contract.events import Event, ScreenedPopulation
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import load
from loopkeeper.testing.rules import MONDAY
from notification.domain.notices.notices import notices
from notification.domain.notices.telling import Happened, Telling, copies, tellings
from notification.domain.notices.visibility import REDISCLOSURE
from notification.domain.notices.wording import Notice
from notification.domain.outreach.rules import DECIDER
from notification.domain.outreach.state import Outreach
from tests.builders.facts import closed
from tests.builders.notification import DAVID, accepted, approved, made, received
from tests.builders.organizations import HARBOR, OTHER, PARTNER, REFERRER, STREET
from tests.builders.policy_rows import GRANTED
from tests.notification.telling import NAMES

EVENT = UUID(int=21)
HOMELESS = (ScreenedPopulation(code="homelessness", result="met", claimed=True),)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The packaged rows, with a grant to the county and a Part 2 program."""
    own: Path = tmp_path_factory.mktemp("own")
    (own / "rows.yaml").write_text(GRANTED)
    return load([Path(notification.__file__).parent / "policy"], own)


def happened(*facts: Event) -> Happened:
    """The last of these facts, as it is in the journal."""
    before: Outreach | None = DECIDER.fold(facts[:-1])
    event = facts[-1]
    after = DECIDER.evolve(before, event)
    assert after is not None
    return Happened(EVENT, DAVID, MONDAY, event, event.payload(), before, after)


def bodies(policy: Policy, *facts: Event) -> Mapping[str, Mapping[str, Any]]:
    return {each.organization: each.body for each in copies(policy, happened(*facts))}


def told(policy: Policy, *facts: Event) -> list[Telling]:
    return list(tellings(policy, NAMES, happened(*facts), MONDAY))


def notices_of(*facts: Event) -> list[Notice]:
    """What the last of these facts could be told in words, whatever policy says."""
    last = happened(*facts)
    return notices(DAVID, last.before, last.event, last.after, NAMES)


def test_the_plan_gets_the_event_itself_less_what_is_sealed(policy: Policy) -> None:
    found = bodies(policy, received(populations=HOMELESS, county="fresno"))
    assert set(found) == {HARBOR}
    assert found[HARBOR]["event"] == str(EVENT)
    assert "sealed" not in found[HARBOR]
    assert found[HARBOR]["populations"][0]["code"] == "homelessness"


def test_a_partner_gets_what_the_plan_granted_of_population_and_county(policy: Policy) -> None:
    """loop.md 1.6, 6.3: and of no population at all."""
    granted = bodies(policy, received(populations=HOMELESS, county="alameda"))
    assert set(granted) == {HARBOR, PARTNER}
    assert "populations" not in granted[PARTNER]
    assert set(bodies(policy, received(populations=(), county="alameda"))) == {HARBOR}


def test_a_part_2_programs_word_travels_with_its_notice(policy: Policy) -> None:
    """loop.md 6.5."""
    found = bodies(policy, received(), made(provider=OTHER), accepted(provider=OTHER))
    assert found[HARBOR]["part2"]["notice"] == REDISCLOSURE
    assert found[HARBOR]["part2"]["consent"] == {"scope": "none"}
    assert "part2" not in bodies(policy, received(), made(), accepted())[HARBOR]


def test_an_acceptance_is_told_to_referrer_and_provider_each_by_its_duty(policy: Policy) -> None:
    found = told(policy, received(), made(), accepted())
    assert {(each.notice.code, each.notice.recipient_kind, each.notice.recipient) for each in found} == {
        ("assigned", "referrer", REFERRER),
        ("yours", "provider", STREET),
    }
    assert all(each.duty.words["duty"].startswith("notice_duties/") for each in found)


def test_what_policy_has_turned_off_is_told_to_nobody(policy: Policy) -> None:
    """A member hears of the closing where the plan switched that notice on; the packaged row is off."""
    facts = (received(), approved(), made(), accepted(), closed("withdrawn"))
    written = {each.recipient_kind for each in notices_of(*facts) if each.code == "closed"}
    assert "member" in written
    assert "member" not in {
        each.notice.recipient_kind for each in told(policy, *facts) if each.notice.code == "closed"
    }
