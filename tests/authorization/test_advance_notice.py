"""When the notice of an ending may be sent by the day of the ending (loop.md 7.2; 42 CFR 431.213 a to d).

The rows are those of the table `advance_notice` in `services/authorization/src/authorization/policy/terms.yaml`.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from authorization.domain.commands import End
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.calendar import end_of_la_day
from loopkeeper.contract.events import AuthorizationEnded
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import AskedCommand, given
from tests.builders.authorization import RULES, looked_up, opened, received
from tests.builders.facts import TODAY
from tests.builders.organizations import MARIA

FITS = {"death_confirmed": {14}, "signed_wish": {3, 6}, "institution": {5, 7}, "mail_returned": {4}}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


def served() -> Authorization:
    fact = received(claim=None)
    return given(DECIDER, fact, *opened(fact, RULES)).state


def ends(policy: Policy, code: int, case: str) -> AskedCommand:
    command = End(acted_by=MARIA, code=code, without_notice=case)
    return looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", served(), command).asking


@pytest.mark.parametrize("code", range(1, 16))
@pytest.mark.parametrize("case", ["", *FITS])
def test_a_term_ends_without_advance_notice_only_for_what_its_case_fits_7_2(
    policy: Policy, case: str, code: int
) -> None:
    if case and code not in FITS[case]:
        given(DECIDER, state=served()).when(ends(policy, code, case)).refused("illegal-move")
        return
    (ended,) = given(DECIDER, state=served()).when(ends(policy, code, case)).events
    assert isinstance(ended, AuthorizationEnded)
    last = TODAY if case else TODAY + timedelta(days=10)
    assert (ended.on, ended.notice_due_at) == (last, end_of_la_day(TODAY))
    assert any(ref.startswith("advance_notice/") for ref in ended.policy) is bool(case)
