"""Who may write which part of a provider's entry, and how its versions rise."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from assignment.persistence.directory import PARTS, ProviderBody, check_parts, parts_of, recording
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.kernel.errors import Problem
from loopkeeper.security.organizations import Client, Role
from loopkeeper.store.definition import Recorded
from loopkeeper.store.provider_copy import on_provider_recorded

MONDAY = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
STREET, HARBOR, VALLEY = "harbor-street-medicine", "harbor-health-plan", "valley-care-plan"
# Ten digits whose last one checks the others under the prefix 80840; the second's does not.
NPI, MISTYPED_NPI = "1234567893", "1234567890"


def client(organization: str, *roles: Role) -> Client:
    return Client(f"key-of-{organization}", organization, "", frozenset(roles))


OPERATIONS = client("operations", Role.OPERATIONS)
PLAN = client(HARBOR, Role.PLAN)
TEAM = client(STREET, Role.PROVIDER, Role.REFERRER)
OTHER_TEAM = client("bay-housing-navigators", Role.PROVIDER)
REFERRER = client("bayview-hospital", Role.REFERRER)

SAMPLES: Mapping[str, Any] = {
    "active": False,
    "name": "Harbor Street Medicine",
    "npi": NPI,
    "phone": "555-0120",
    "types": ["street_medicine"],
    "populations": ["homelessness"],
    "age_bands": ["adult"],
    "counties": ["alameda"],
    "languages": ["en", "es"],
    "capacity": 25,
    "answers_by": "file",
    "contracts": [{"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"}],
}


def body(**fields: Any) -> ProviderBody:
    return ProviderBody.model_validate(fields)


def write(
    by: Client, before: Recorded | None = None, match: int | None = None, at: datetime = MONDAY, **fields: Any
) -> Recorded:
    """The entry after this client wrote these fields of it."""
    written = body(**fields)
    check_parts(by, STREET, written)
    recorded = recording(by, STREET, written, match).change(before.row if before else None, at)
    assert recorded is not None
    return recorded


def entry(recorded: Recorded) -> ProviderRecorded:
    assert isinstance(recorded.event, ProviderRecorded)
    return recorded.event


def problem(by: Client, **fields: Any) -> Problem:
    with pytest.raises(Problem) as found:
        check_parts(by, STREET, body(**fields))
    return found.value


# ── whose part ────────────────────────────────────────────────────────────────────────────────────────────

OWN: list[tuple[str, Client, set[str]]] = [
    ("operations", OPERATIONS, set(SAMPLES)),
    ("plan", PLAN, {"contracts"}),
    ("provider", TEAM, {"phone", "languages", "capacity", "answers_by"}),
    ("another provider", OTHER_TEAM, set()),
    ("referrer", REFERRER, set()),
]


# loop.md 1.8
@pytest.mark.parametrize(("who", "by", "own"), OWN, ids=[who for who, *_ in OWN])
def test_each_writes_the_part_that_is_theirs_and_no_other(who: str, by: Client, own: set[str]) -> None:
    assert parts_of(by, STREET) == own
    for name, value in SAMPLES.items():
        if name in own:
            check_parts(by, STREET, body(**{name: value}))
        else:
            refused = problem(by, **{name: value})
            assert (refused.slug, refused.status) == ("part-not-yours", 409)
            assert [error["pointer"] for error in refused.errors] == [f"/{name}"]


def test_every_field_of_an_entry_is_somebodys() -> None:
    assert set(SAMPLES) == set(ProviderBody.model_fields) == set().union(*PARTS.values())


def test_no_provider_names_its_own_type_for_that_would_grant_itself() -> None:
    refused = problem(TEAM, types=["street_medicine"], populations=["homelessness"], phone="555-0121")
    assert [error["pointer"] for error in refused.errors] == ["/populations", "/types"]


def test_a_plan_writes_no_other_plans_contracts() -> None:
    theirs = {"plan": VALLEY, "populations": ["homelessness"], "from": "2025-01-01"}
    assert problem(PLAN, contracts=[theirs]).slug == "part-not-yours"
    assert problem(PLAN, contracts=[SAMPLES["contracts"][0], theirs]).slug == "part-not-yours"
    check_parts(OPERATIONS, STREET, body(contracts=[theirs]))


def test_a_plans_contracts_replace_its_own_and_leave_the_others() -> None:
    valley = {"plan": VALLEY, "populations": ["homelessness"], "from": "2024-01-01"}
    made = write(OPERATIONS, name="Harbor Street Medicine", contracts=[valley, *SAMPLES["contracts"]])
    renewed = {"plan": HARBOR, "populations": ["homelessness"], "from": "2026-01-01", "through": "2026-12-31"}
    after = entry(write(PLAN, made, contracts=[renewed]))
    assert [(c.plan, c.from_.year) for c in after.contracts] == [(VALLEY, 2024), (HARBOR, 2026)]
    assert [c.plan for c in entry(write(PLAN, made, contracts=[])).contracts] == [VALLEY]


def test_a_contract_does_not_end_before_it_begins() -> None:
    backwards = {
        "plan": HARBOR,
        "populations": ["homelessness"],
        "from": "2026-01-01",
        "through": "2025-12-31",
    }
    with pytest.raises(ValidationError, match="last day that is not before the first"):
        body(contracts=[backwards])


@pytest.mark.parametrize("number", [MISTYPED_NPI, "123456789", "3234567893", "12345678 9"])
def test_an_npi_that_does_not_check_out_is_refused(number: str) -> None:
    refused = problem(OPERATIONS, npi=number)
    assert (refused.slug, refused.status) == ("npi-invalid", 422)
    assert number not in refused.detail


def test_an_npi_that_checks_out_is_kept_and_published_to_nobody() -> None:
    recorded = write(OPERATIONS, name="Harbor Street Medicine", npi=NPI)
    assert recorded.row["npi"] == NPI
    assert NPI.encode() not in entry(recorded).payload()
    assert write(OPERATIONS, recorded, phone="555-0120").row["npi"] == NPI


# ── versions ──────────────────────────────────────────────────────────────────────────────────────────────


def test_only_operations_make_an_entry() -> None:
    assert entry(write(OPERATIONS, name="Harbor Street Medicine")).version == 1
    with pytest.raises(Refused) as to_plan:
        write(PLAN, contracts=SAMPLES["contracts"])
    with pytest.raises(Refused) as to_team:
        write(TEAM, phone="555-0120")
    for refused in (to_plan.value, to_team.value):
        assert (refused.slug, refused.status) == ("not-found", 404)


# loop.md 5.1
def test_every_change_raises_the_version_by_one_and_publishes_the_whole_entry() -> None:
    first = write(OPERATIONS, name="Harbor Street Medicine", types=["street_medicine"], capacity=20)
    second = write(TEAM, first, phone="555-0121")
    third = write(PLAN, second, contracts=SAMPLES["contracts"])
    assert [entry(each).version for each in (first, second, third)] == [1, 2, 3]
    whole = entry(third)
    assert (whole.name, whole.types, whole.capacity) == ("Harbor Street Medicine", ("street_medicine",), 20)
    assert (whole.phone, whole.contracts[0].plan) == ("555-0121", HARBOR)


def test_only_operations_verify_an_entry() -> None:
    first = write(OPERATIONS, name="Harbor Street Medicine")
    later = MONDAY + timedelta(days=3)
    assert entry(first).verified_at == MONDAY
    assert entry(write(TEAM, first, at=later, phone="555-0121")).verified_at == MONDAY
    assert entry(write(OPERATIONS, first, at=later, capacity=5)).verified_at == later


def test_who_writes_over_a_version_that_is_gone_is_told_to_read_again() -> None:
    first = write(OPERATIONS, match=0, name="Harbor Street Medicine")
    second = write(TEAM, first, match=1, phone="555-0121")
    with pytest.raises(Refused) as refused:
        write(TEAM, second, match=1, phone="555-0122")
    assert (refused.value.slug, refused.value.status) == ("stale", 412)


def test_who_names_no_version_writes_over_any() -> None:
    first = write(OPERATIONS, name="Harbor Street Medicine")
    assert entry(write(TEAM, first, match=None, phone="555-0121")).version == 2


def test_an_entry_is_for_adults_until_somebody_says_otherwise() -> None:
    assert entry(write(OPERATIONS, name="Harbor Street Medicine")).age_bands == ("adult",)


# ── copies ────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_an_entrys_versions_the_highest_wins_in_whatever_order_they_arrive() -> None:
    first = write(OPERATIONS, name="Harbor Street Medicine")
    second = write(TEAM, first, phone="555-0121")
    third = write(TEAM, second, phone="555-0122")
    heard = [entry(each) for each in (first, second, third)]
    for arriving in permutations([*heard, heard[1], heard[2]]):
        row: Mapping[str, Any] | None = None
        for event in arriving:
            message = Message(
                UUID(int=event.version), event.wire_type(), "/assignment", STREET, MONDAY, event.payload()
            )
            kept = on_provider_recorded(event, message).change(row, MONDAY)
            row = kept.row if kept is not None else row
        assert row is not None
        assert (row["version"], row["entry"]["phone"]) == (3, "555-0122")
