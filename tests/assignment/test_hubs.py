"""A provider that acts through a hub: the contract is checked on the hub, type and populations on the provider."""

from __future__ import annotations

from typing import Any

import pytest

from assignment.domain.matching import Need, contracted, rank, why_not
from assignment.persistence.directory import ProviderBody, check_hubs
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.kernel.errors import Problem
from tests.builders.facts import TODAY, entry
from tests.builders.organizations import HARBOR, NAVIGATORS, STREET

HUB, VALLEY = "bay-care-hub", "valley-care-plan"
DAVID = Need(
    plan=HARBOR, populations=("homelessness", "avoidable_utilization"), county="alameda", age_band="adult", language="en"
)  # fmt: skip


def contract(**changes: Any) -> dict[str, Any]:
    return {"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01", **changes}


def hub(*contracts: dict[str, Any], **changes: Any) -> ProviderRecorded:
    """The hub itself serves nobody."""
    return entry(HUB, populations=(), types=(), contracts=contracts, **changes)


THROUGH_HUB = entry(STREET, contracts=(contract(hub=HUB),))
HUBS: list[tuple[str, ProviderRecorded | None, bool]] = [
    ("under contract", hub(contract()), True),
    ("more populations", hub(contract(populations=["homelessness", "smi_sud"])), True),
    ("another plan's", hub(contract(plan=VALLEY)), False),
    ("another population", hub(contract(populations=["smi_sud"])), False),
    ("no longer", hub(contract(through="2025-12-31")), False),
    ("not yet", hub(contract(**{"from": "2026-12-31"})), False),
    ("inactive", hub(contract(), active=False), False),
    ("through another hub", hub(contract(hub="golden-hub")), False),
    ("without contract", hub(), False),
    ("not known", None, False),
]  # fmt: skip


@pytest.mark.parametrize(("how", "known", "counts"), HUBS, ids=[how for how, *_ in HUBS])
def test_a_contract_through_a_hub_counts_while_the_hubs_own_is_in_force(
    how: str, known: ProviderRecorded | None, counts: bool
) -> None:
    """loop.md 1.3."""
    directory = {each.provider: each for each in (THROUGH_HUB, known) if each is not None}
    served = contracted(THROUGH_HUB, HARBOR, DAVID.populations, TODAY, directory)
    assert served == (("homelessness",) if counts else ())
    assert why_not(DAVID, THROUGH_HUB, 0, TODAY, hubs=directory) == ("" if counts else "no_contract")


def test_what_the_hub_may_and_the_provider_does_not_serve_is_not_served() -> None:
    wide = hub(contract(populations=["homelessness", "avoidable_utilization"]))
    both = entry(
        STREET, contracts=(contract(hub=HUB, populations=["homelessness", "avoidable_utilization"]),)
    )
    assert contracted(both, HARBOR, DAVID.populations, TODAY, {HUB: wide}) == ("homelessness",)


def test_the_provider_is_asked_and_never_the_hub() -> None:
    found = rank(DAVID, [THROUGH_HUB, hub(contract()), entry(NAVIGATORS, capacity=0)], {}, (), {}, TODAY)
    assert [each.provider for each in found.ranked] == [STREET]


def test_only_a_hub_known_here_may_be_named() -> None:
    body = ProviderBody.model_validate({"contracts": [contract(), contract(hub="eastside-community-clinic")]})
    with pytest.raises(Problem) as refused:
        check_hubs(body, lambda slug: slug == HUB)
    assert [error["pointer"] for error in refused.value.errors] == ["/contracts/1/hub"]
    check_hubs(ProviderBody.model_validate({"contracts": [contract(hub=HUB)]}), lambda slug: slug == HUB)
