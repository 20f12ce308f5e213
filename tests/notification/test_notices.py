"""Who hears of what, and in which words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from loopkeeper import policy
from loopkeeper.contract import events
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import Event
from loopkeeper.policy.reading import load
from loopkeeper.testing.rules import MONDAY
from notification.domain.notices.notices import notices
from notification.domain.notices.visibility import event_body, reveals
from notification.domain.notices.wording import SLOT, SLOTS, Named, Names, Notice, render
from notification.domain.outreach.rules import DECIDER
from notification.domain.outreach.state import Outreach
from tests.builders.facts import closed
from tests.builders.notification import DAVID, accepted, approved, made, received
from tests.builders.organizations import HARBOR, OTHER, REFERRER, STREET

NAMES = Names(
    {
        HARBOR: Named("Harbor Health Plan", "415-555-0100"),
        STREET: Named("Harbor Street Medicine", "415-555-0101"),
        OTHER: Named("Bayview Recovery", "415-555-0102", reveals=True),
    }
)
POLICY = load(["notification"])


def everyone_told(*facts: Event) -> list[Notice]:
    """The notices of the last of these facts."""
    before = DECIDER.fold(facts[:-1])
    after = DECIDER.evolve(before, facts[-1]) or Outreach()
    return notices(DAVID, before, facts[-1], after, NAMES)


def told(*facts: Event) -> list[Notice]:
    """The same without the member's."""
    return [each for each in everyone_told(*facts) if each.recipient_kind != "member"]


def addressed(*facts: Event) -> list[tuple[str, str]]:
    return [(each.code, each.recipient) for each in told(*facts)]


def words(notice: Notice) -> str:
    row = POLICY.row(
        "notices",
        on=la_date(MONDAY),
        code=notice.code,
        recipient=notice.recipient_kind,
        variant=notice.variant,
        language="en",
    )
    return render(row["text"], notice.slots)


def test_a_referral_is_acknowledged_to_whoever_sent_it() -> None:
    (notice,) = told(received())
    assert (notice.code, notice.recipient) == ("received", REFERRER)
    assert "Harbor Health Plan now decides" in words(notice)


def test_an_approval_reaches_the_referrer_and_who_serves_already() -> None:
    assert addressed(received(), approved()) == [("authorized", REFERRER)]
    assert addressed(received(), made(), accepted(), approved()) == [
        ("authorized", REFERRER),
        ("decided", STREET),
    ]
    assert "through March 1, 2027" in words(told(received(), approved())[0])


def test_a_denial_says_why_and_until_when_the_member_may_appeal() -> None:
    denied = events.AuthorizationDenied(
        occurred_at=MONDAY,
        reason="no_active_medi_cal",
        citation="x",
        appeal_by=date(2026, 5, 1),
        notice_due_at=MONDAY,
    )
    (notice,) = told(received(), denied)
    assert "Reason: No active Medi-Cal" in words(notice)
    assert "by May 1, 2026" in words(notice)


def test_an_offer_names_its_last_day_and_nothing_of_the_member() -> None:
    (notice,) = told(received(), made())
    assert (notice.code, notice.recipient) == ("offer", STREET)
    assert "by March 7, 2026" in words(notice)
    assert set(notice.facts) == {"assignment", "due_at"}


def test_the_referrer_hears_who_accepted_and_how_to_reach_them() -> None:
    notice, own = told(received(), made(), accepted())
    assert (own.code, own.recipient) == ("yours", STREET)
    assert "Harbor Street Medicine accepted" in words(notice)
    assert "415-555-0101" in words(notice)


def test_a_provider_known_for_substance_use_treatment_is_not_named() -> None:
    notice, _ = told(received(), made(OTHER, "asg_1"), accepted(OTHER, "asg_1"))
    assert notice.code == "assigned"
    assert "Bayview" not in words(notice)
    assert OTHER not in str(notice.facts)
    assert "415-555-0100" in words(notice)


def test_a_consents_last_day_ends_at_midnight_in_california() -> None:
    """At five in the afternoon there it is already tomorrow in UTC."""
    consent = events.Consent(scope="tpo", on=la_date(MONDAY), through=la_date(MONDAY))
    shared = events.OutreachContactChanged(occurred_at=MONDAY, assignment="asg_1", flags=(), consent=consent)
    taken = accepted(OTHER, "asg_1")
    evening, morning = datetime(2026, 3, 3, 1, 0, tzinfo=UTC), datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
    for moment, named in ((evening, True), (morning, False)):
        later = taken.model_copy(update={"occurred_at": moment})
        notice, *_ = told(received(), shared, made(OTHER, "asg_1"), later)
        assert ("Bayview" in words(notice)) is named, moment


def test_a_provider_that_referred_itself_is_named_to_itself() -> None:
    notice, _ = told(received(referrer=OTHER), made(OTHER, "asg_1"), accepted(OTHER, "asg_1"))
    assert "Bayview Recovery" in words(notice)


def test_a_withdrawn_offer_and_an_ended_assignment_are_told_apart() -> None:
    withdrawn = events.AssignmentWithdrawn(occurred_at=MONDAY, assignment="asg_1", reason="plan")
    assert addressed(received(), made(), withdrawn) == [("offer_withdrawn", STREET)]
    assert addressed(received(), made(), accepted(), withdrawn) == [("assignment_ended", STREET)]


def test_a_grant_is_told_to_the_provider_that_claimed_it() -> None:
    claim = {"provider": STREET, "population": "homelessness", "from": "2026-03-02"}
    granted = events.AuthorizationPresumptiveGranted.model_validate(
        {
            "occurred_at": MONDAY,
            "grant": "grt_1",
            "provider": STREET,
            "provider_version": 1,
            "population": "homelessness",
            "from": "2026-03-02",
            "through": "2026-03-31",
        }
    )
    refusal = events.AuthorizationPresumptiveRefused(occurred_at=MONDAY, reason="type")
    ended = events.AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant="grt_1", reason="expired", through=date(2026, 3, 31)
    )
    assert addressed(received(claim=claim), granted) == [("presumptive_granted", STREET)]
    assert addressed(received(claim=claim), refusal) == [("presumptive_refused", STREET)]
    assert addressed(received(claim=claim), granted, ended) == [("presumptive_ended", STREET)]
    assert addressed(received(claim=claim), granted, approved()) == [
        ("authorized", REFERRER),
        ("decided", STREET),
    ]


def test_the_closing_is_the_one_notice_whose_arrival_must_be_proved() -> None:
    (notice,) = told(received(), closed())
    assert (notice.code, notice.closing) == ("closed", True)
    assert "Services received" in words(notice)
    assert told(received(), closed(), closed("withdrawn")) == []


def test_a_loop_that_was_closed_before_it_was_known_here_is_told_all_the_same() -> None:
    assert addressed(closed("withdrawn"), received()) == [("received", REFERRER), ("closed", REFERRER)]


def test_populations_stand_in_no_notice() -> None:
    screened = [{"code": "homelessness", "result": "met", "claimed": True}]
    for facts in ((received(populations=screened),), (received(populations=screened), made())):
        for notice in told(*facts):
            assert "homeless" not in words(notice).lower() + str(notice.facts)


def test_the_plan_gets_the_event_without_what_is_sealed() -> None:
    event = received()
    body = event_body(event, event.payload())
    assert body["plan"] == HARBOR
    assert "sealed" not in body


def test_a_notices_id_is_the_same_after_a_restore() -> None:
    event = UUID(int=9)
    assert told(received())[0].id(event) == told(received())[0].id(event)
    assert told(received())[0].id(event) != told(received())[0].id(UUID(int=10))


def test_every_row_names_only_allowed_slots() -> None:
    assert policy.check(POLICY) == []
    for row in POLICY.rows("notices", on=la_date(MONDAY)):
        assert set(SLOT.findall(row["text"])) <= SLOTS


def test_a_slot_that_is_not_allowed_is_a_defect() -> None:
    with pytest.raises(LookupError):
        render("Call {member}", {"member": "David"})


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"types": ("specialty_bh_county_contracted",)}, True),
        ({"populations": ("smi_sud",)}, True),
        ({"populations": ("smi_sud", "homelessness"), "types": ("street_medicine",)}, False),
        ({}, False),
    ],
)
def test_which_provider_reveals_by_its_name(entry: dict[str, tuple[str, ...]], expected: bool) -> None:
    recorded = events.ProviderRecorded.model_validate(
        {"occurred_at": MONDAY, "provider": OTHER, "version": 1, **entry}
    )
    assert reveals(recorded) is expected
