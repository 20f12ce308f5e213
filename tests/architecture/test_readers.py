"""Which events each service reads. The lists are written out: a change that adds or drops a reader changes them here."""

from __future__ import annotations

import pytest

from loopkeeper.contract.events import PUBLISHERS, ProviderRecorded, by_type, publisher
from loopkeeper.runtime.service import installed

EVERY = by_type()


def foreign(owner: str) -> set[str]:
    """Every event that the publisher of these does not make itself."""
    return {wire for wire, kind in EVERY.items() if publisher(kind) != PUBLISHERS[owner]}


AUTHORIZATION = {
    "referral.received", "referral.amended", "referral.closed", "assignment.accepted", "assignment.ended",
    "outreach.service_ended", "notice.delivered", "provider.recorded", "outreach.taken_back", "referral.death_told",
    "referral.death_confirmed", "referral.death_taken_back", "referral.back_in_custody",
}  # fmt: skip
ASSIGNMENT = {
    "referral.received", "referral.amended", "referral.closed", "authorization.presumptive_granted",
    "authorization.presumptive_ended", "authorization.approved", "authorization.extended",
    "authorization.reauthorization_requested", "authorization.ended", "outreach.contact_changed", "outreach.answered",
    "referral.back_in_custody",
}  # fmt: skip


def read_by(service: str) -> set[str]:
    return {kind.wire_type() for kind in installed()[service].reactions}


@pytest.mark.parametrize(
    ("service", "expected", "how_many"),
    [
        ("intake", foreign("referral"), 49),
        ("authorization", AUTHORIZATION, 13),
        ("assignment", ASSIGNMENT, 12),
        ("notification", foreign("outreach"), 46),
    ],
)
def test_a_service_reads_these_events_and_no_others(service: str, expected: set[str], how_many: int) -> None:
    found = read_by(service)
    assert {wire.removeprefix("ecm.").removesuffix(".v1") for wire in found} == {
        wire.removeprefix("ecm.").removesuffix(".v1") for wire in expected
    }
    assert len(found) == how_many


def test_the_directory_is_a_copy_that_its_three_readers_keep() -> None:
    """It is no fact of a referral: assignment owns it, the others keep the newest entry."""
    wire = ProviderRecorded.wire_type()
    assert [name for name in installed() if wire in read_by(name)] == [
        "intake",
        "authorization",
        "notification",
    ]
