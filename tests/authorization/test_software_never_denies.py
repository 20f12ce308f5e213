"""A rule may approve or ask. Denying, modifying, pending and pausing are a named person's, whatever comes (loop.md 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from authorization.domain import commands as product
from authorization.domain.commands import (
    Amend,
    Appeal,
    Approve,
    Continue,
    Deny,
    End,
    ExpireGrant,
    LookAgain,
    Modify,
    NoteFact,
    OpenReview,
    Overturn,
    PassDeadline,
    Pend,
    RequestReauthorization,
    Resume,
    RevokeGrant,
)
from authorization.domain.deadlines import KINDS
from authorization.domain.rules import DECIDER
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationOverturned,
    AuthorizationPended,
    AuthorizationPresumptiveEnded,
    Claim,
    Eligibility,
    Event,
    NoticeDelivered,
    OutreachServiceEnded,
    ScreenedPopulation,
)
from loopkeeper.contract.vocabulary.decisions import DenialReason, ForbiddenAsk, ForbiddenReason
from loopkeeper.testing.rules import MONDAY, AskedCommand, command_of, given
from tests.builders import facts
from tests.builders.authorization import (
    ENTRY,
    RULES,
    TEAM,
    UNSURE,
    amend,
    amended,
    appeal,
    approve,
    ask_again,
    claim,
    comes,
    deny,
    end,
    go_on,
    look_again,
    modify,
    open_review,
    overturn,
    pend,
    received,
    resume,
    revoke,
)
from tests.builders.facts import TODAY, closed
from tests.builders.organizations import CLINIC, LUIS, MARIA, NOBODY
from tests.examples import many

RESULTS: st.SearchStrategy[Any] = st.sampled_from(["met", "unmet", "unknown"])
SHARES = st.sampled_from([0.0, 0.05, 1.0])
STATES: st.SearchStrategy[Any] = st.sampled_from(["confirmed", "not_found", "ended", "unknown"])
FLAGS = st.sampled_from([(), ("program_hospice",), ("transitional_rent",), ("plan_change_member",)])
CODES = ("homelessness", "avoidable_utilization")


@st.composite
def populations(draw: st.DrawFn) -> tuple[ScreenedPopulation, ...]:
    codes = draw(st.lists(st.sampled_from(CODES), unique=True))
    return tuple(
        ScreenedPopulation(code=code, result=draw(RESULTS), claimed=draw(st.booleans())) for code in codes
    )


CLAIMS: st.SearchStrategy[Claim | None] = st.none() | st.sampled_from(
    [claim(), claim(CLINIC), claim(population="ccs")]
)
ELIGIBILITY = st.builds(
    lambda state, programs: Eligibility(state=state, programs=programs),
    STATES,
    st.sampled_from([(), ("pace",)]),
)
DAYS = st.none() | st.sampled_from([TODAY, TODAY + timedelta(days=9)])


@st.composite
def referrals(draw: st.DrawFn) -> Any:
    return received(
        kind=draw(st.sampled_from(["full", "full", "presumptive_start"])),
        populations=draw(populations()),
        attested=draw(st.booleans()),
        claim=draw(CLAIMS),
        eligibility=draw(ELIGIBILITY),
        flags=draw(FLAGS),
        release_on=draw(DAYS),
    )


@st.composite
def amendments(draw: st.DrawFn) -> Any:
    return amended(
        draw(st.sampled_from(["answered", "joined", "corrected", "release_date"])),
        kind=draw(st.sampled_from([None, "full"])),
        populations=draw(st.none() | populations()),
        attested=draw(st.none() | st.booleans()),
        claim=draw(CLAIMS),
        eligibility=draw(st.none() | ELIGIBILITY),
        release_on=draw(DAYS),
        questions=draw(st.sampled_from([None, ()])),
    )


POLICIES = st.builds(
    lambda types, automatic, term_from, must: RULES.model_copy(
        update={
            "types": types,
            "automatic": automatic,
            "term_from": term_from,
            "must": dict.fromkeys(must, "row"),
        }
    ),
    st.sampled_from([(), ("street_medicine",), ("fqhc",)]),
    st.dictionaries(st.sampled_from(["homelessness", "ccs"]), SHARES),
    st.sampled_from([None, "first_service", "decision"]),
    st.lists(st.sampled_from(["transitional_rent", "plan_change", "release_day"])),
)
KNOWN: Mapping[str, st.SearchStrategy[Any]] = {
    "rules": POLICIES,
    "provider": st.sampled_from([None, ENTRY]),
    "open_with": st.sampled_from([None, TEAM, CLINIC]),
    "member_grant_live": st.booleans(),
    "last_grant_through": st.sampled_from([None, TODAY]),
}
REASONS = st.sampled_from([*sorted(DenialReason.codes()), *sorted(ForbiddenReason.codes()), "other"])
PEOPLE = st.sampled_from([MARIA, NOBODY])
FACTS: list[Event] = [
    closed("services_received"),
    closed("withdrawn"),
    closed("unable_to_reach"),
    facts.accepted(),
    OutreachServiceEnded(occurred_at=MONDAY, assignment="asg_1", code=4, on=TODAY),
    NoticeDelivered(
        occurred_at=MONDAY, notice="ntc_1", code="decided", recipient_kind="provider", how="webhook"
    ),
]
ASKS = st.sampled_from(["birth-date", "county", *sorted(ForbiddenAsk.codes())])
# Every command there is, with anything in it.
COMMANDS: Mapping[type[Command], st.SearchStrategy[Any]] = {
    OpenReview: st.builds(open_review, referrals(), draw=st.floats(0, 0.999), **KNOWN),
    Amend: st.builds(amend, amendments(), draw=st.floats(0, 0.999), **KNOWN),
    LookAgain: st.builds(look_again, st.just(TEAM), **KNOWN),
    NoteFact: st.builds(NoteFact, fact=st.sampled_from(FACTS)),
    ExpireGrant: st.builds(ExpireGrant),
    PassDeadline: st.builds(comes, st.sampled_from(sorted(KINDS))),
    Approve: st.builds(approve, POLICIES, PEOPLE),
    Modify: st.builds(
        modify, st.just(("homelessness",)), acted_by=PEOPLE, reason=REASONS, licensed=st.booleans()
    ),
    Deny: st.builds(
        deny,
        REASONS,
        PEOPLE,
        licensed=st.booleans(),
        needs_license=st.booleans(),
        provider_told=st.booleans(),
    ),
    Pend: st.builds(pend, ASKS, acted_by=PEOPLE),
    Resume: st.builds(resume, PEOPLE),
    RevokeGrant: st.builds(revoke, PEOPLE),
    Overturn: st.builds(overturn, st.just(TODAY), PEOPLE),
    End: st.builds(end, st.sampled_from([1, 4, 13, 16]), PEOPLE),
    Appeal: st.builds(appeal, st.just(TODAY), PEOPLE),
    Continue: st.builds(go_on, PEOPLE),
    RequestReauthorization: st.builds(ask_again, acted_by=st.sampled_from([LUIS, NOBODY])),
}
PEOPLES = (
    Approve, Modify, Deny, Pend, Resume, RevokeGrant, Overturn, Appeal, End, Continue, RequestReauthorization,
)  # fmt: skip


def test_every_command_there_is_takes_part_in_the_property_below() -> None:
    known = {kind for kind in vars(product).values() if isinstance(kind, type) and issubclass(kind, Command)}
    assert known - {Command, product.Approval} == set(COMMANDS)


@examples(
    opening=st.booleans(),
    asked=st.lists(st.one_of(*COMMANDS.values()), max_size=8),
    days=st.lists(st.integers(0, 120), min_size=9, max_size=9),
)
@settings(max_examples=many(300), deadline=None)
def test_software_never_denies_modifies_pends_or_pauses(
    opening: bool, asked: list[AskedCommand], days: list[int]
) -> None:
    """loop.md 4.1: whatever is known and whatever comes, these are a named person's, for a reason of the list."""
    state, now = None, MONDAY
    first = [open_review(received(eligibility=UNSURE), RULES, provider=ENTRY)] if opening else []
    for asking, later in zip([*first, *asked], days, strict=False):
        command = command_of(asking)
        now += timedelta(days=later)
        answered = given(DECIDER, state=state).when(asking, now)
        if answered.refused_by is not None:
            assert isinstance(command, PEOPLES)
            continue
        for event in answered.events:
            check(command, event)
        state = answered.state


def check(command: Command, event: Event) -> None:
    match event:
        case AuthorizationDenied():
            assert isinstance(command, Deny)
            assert event.reason in DenialReason.codes()
            assert named(event)
        case AuthorizationApproved(modified=True):
            assert isinstance(command, Modify)
            assert event.adverse is not None
            assert event.adverse.reason in DenialReason.codes()
            assert named(event)
        case AuthorizationPended():
            assert isinstance(command, Pend)
            assert named(event)
            assert not set(event.asks) & ForbiddenAsk.codes()
        case AuthorizationPresumptiveEnded(reason="revoked") | AuthorizationOverturned():
            assert isinstance(command, RevokeGrant | Overturn)
            assert named(event)
        case AuthorizationEnded():
            # A term that nobody asked to renew runs out by itself; every other end is a person's.
            assert (isinstance(command, PassDeadline) and event.code == 13) or named(event)
        case _:
            return


def named(event: Event) -> bool:
    return event.acted_by is not None and bool(event.acted_by.person)
