"""All notice templates × events × recipients: nobody reads a population, a hidden provider's name or a sealed word."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from loopkeeper.contract.events import ProviderRecorded, by_type
from loopkeeper.contract.vocabulary import Population
from notification.domain.notices.visibility import PARTNER_FIELDS, event_body, partner_body
from notification.domain.outreach.state import DO_NOT_CONTACT, SAFE_CONTACT
from tests.builders.every_event import CANARY, life, make
from tests.builders.organizations import OTHER, STREET
from tests.notification.telling import POLICY, Said, said

# Every word by which a population could be known in a text.
TELLING_WORDS = (
    *Population.codes(),
    *(each.label.lower() for each in Population),
    "homeless", "incarcerat", "substance", "mental", "pregnan", "foster", "sobering", "release",
)  # fmt: skip
LIVES: tuple[tuple[str, dict[str, Any]], ...] = (
    (STREET, {}),
    (OTHER, {}),
    (STREET, {"flags": (SAFE_CONTACT,)}),
    (STREET, {"flags": (DO_NOT_CONTACT,)}),
    (STREET, {"language": "es"}),
    (OTHER, {"flags": ("self_referral",)}),
    (STREET, {"age_band": "child_youth", "consent_holder": "parent"}),
)


def everything() -> list[Said]:
    return [each for provider, fields in LIVES for each in said(life(provider, **fields))]


def test_the_samples_have_every_event_there_is() -> None:
    kinds = {type(event) for event in life()}
    told = {kind for kind in by_type().values() if kind.published}
    assert told - kinds == {ProviderRecorded}


def test_every_notice_that_the_policy_knows_is_told_by_some_event() -> None:
    told = {(each.notice.code, each.kind) for each in everything()}
    known = {
        (row["code"], row["recipient"])
        for row in POLICY.all_rows
        if row.table == "notice_duties" and row["told"]
    }
    # These need a state of their own: an offer taken back before its answer, outreach that runs for 90 days, a week
    # without a visit, a choice of another program, a provider that leaves, a closing's fact that was an error
    # (`test_reactions` and `test_words` have them).
    alone = {
        ("offer_withdrawn", "provider"), ("outreach_long", "provider"), ("program_chosen", "provider"),
        ("visit_late", "provider"), ("provider_left", "member"), ("provider_stays", "member"), ("taken_back", "referrer"),
        ("taken_back", "provider"), ("taken_back", "member"),
    }  # fmt: skip
    assert known - told <= alone
    assert told <= known


def test_no_notice_has_a_word_that_is_sealed_or_free() -> None:
    """Demand 15: no canary."""
    assert [each.notice.code for each in everything() if CANARY in each.whole] == []


def test_no_notice_tells_a_population_to_anybody() -> None:
    """loop.md 6.3."""
    telling = [
        (each.notice.code, each.kind, word)
        for each in everything()
        for word in TELLING_WORDS
        if word in each.whole.lower() and each.notice.code not in ("ended",)
    ]
    assert telling == []


def test_a_provider_known_for_what_it_treats_is_named_to_itself_and_the_member_only() -> None:
    """loop.md 6.4: this beats what N2 would say."""
    named = {
        (each.notice.code, each.kind, each.notice.recipient)
        for each in everything()
        if "Bayview Recovery" in each.text or OTHER in str(dict(each.notice.facts))
    }
    assert {kind for _, kind, _ in named} == {"member"}
    assert ("assigned", "member", "harbor-health-plan") in named


def test_where_contact_is_restricted_no_letter_names_a_provider_or_a_person() -> None:
    """loop.md 6.2: safe-contact rules beat every default from the first notice on."""
    for flag in (SAFE_CONTACT, DO_NOT_CONTACT):
        letters = [each for each in said(life(flags=(flag,))) if each.kind == "member"]
        assert letters
        for each in letters:
            assert "Harbor Street" not in each.text, each.notice.code
            assert "Maria" not in each.text, each.notice.code
            assert flag in each.duty.needs


def test_a_referrer_hears_no_name_of_a_person() -> None:
    assert [e.notice.code for e in everything() if e.kind == "referrer" and "Lopez" in e.whole] == []


def test_a_second_referrer_learns_nothing_of_the_first() -> None:
    """loop.md 2.9: it hears all notices, under its own referral's id."""
    mine = [each for each in said(life()) if each.notice.recipient == "bayview-hospital"]
    assert {each.notice.code for each in mine} == {
        "closed",
        "authorized",
        "assigned",
        "death_told",
        "death_taken_back",
    }
    for each in mine:
        assert "ref_2" in each.text
        assert "Mission" not in each.whole
        assert "ref_0193" not in each.whole


@pytest.mark.parametrize("event", life(), ids=lambda event: type(event).__name__)
def test_a_partner_gets_only_named_fields_and_a_plan_all_but_what_is_sealed(event: Any) -> None:
    payload = event.payload()
    plans = orjson.dumps(event_body(event, payload)).decode()
    assert '"sealed"' not in plans
    body = partner_body(event, payload)
    if body is None:
        return
    assert set(body) <= PARTNER_FIELDS
    text = orjson.dumps(body).decode().lower()
    assert not any(word in text for word in (*TELLING_WORDS, STREET, OTHER, CANARY))


def test_a_new_field_of_an_event_shows_to_no_partner_before_it_is_named() -> None:
    event = make(by_type()["ecm.referral.closed.v1"], outcome="other", clr_reason="other", text=CANARY)
    data = {**orjson.loads(event.payload()), "brand_new": CANARY}
    assert CANARY not in str(partner_body(event, orjson.dumps(data)))
