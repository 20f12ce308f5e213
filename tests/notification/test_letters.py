"""What members read: in their language, in plain words, as drafts until somebody approves them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from loopkeeper import policy
from loopkeeper.policy import Row
from loopkeeper.policy.reading import load
from notification.domain.notices.wording import SLOT, SLOTS, Coded, Value, render
from notification.domain.outreach.state import Outreach
from tests.builders.every_event import life
from tests.builders.organizations import HARBOR
from tests.notification.reading import grade, syllables
from tests.notification.telling import POLICY, Said, said

ON = date(2026, 3, 2)
SNAPSHOTS = Path(__file__).parent / "snapshots"
SLOT_VALUES: dict[str, Value] = {
    "referral": "ref_1", "plan": "Harbor Health Plan", "plan_phone": "415-555-0100",
    "provider": "Harbor Street Medicine", "provider_phone": "415-555-0101", "lead": "Maria Lopez",
    "due": date(2026, 3, 9), "through": date(2027, 3, 1), "on": date(2026, 4, 1), "outcome": "Services received",
    "reason": "No Population of Focus is met", "citation": "22 CCR 51303", "appeal_by": date(2026, 5, 1),
    "hearing_days": "120", "unanswered_days": "30", "continues_by": date(2026, 3, 22), "count": "2", "moved": "done",
    "text": "You moved in with your sister.", "other_plan": "Bay Health Plan", "until": date(2026, 3, 6),
    "sender": "Bayview Hospital (415-555-0105)",
}  # fmt: skip
# As many words as a sentence of the law itself would have.
HARD = (
    "Notwithstanding any determination regarding eligibility, beneficiaries experiencing discontinuation of services "
    "are entitled to administrative reconsideration of the organization's determination."
)


def texts(recipient: str, language: str = "en") -> list[Row]:
    found = POLICY.rows("notices", on=ON, recipient=recipient, language=language)
    return sorted(found, key=lambda row: (row["code"], row["variant"]))


def phrase(kind: str, code: str, language: str) -> str:
    return POLICY.row("notice_phrases", on=ON, kind=kind, code=code, language=language)["text"]


# Which codes each letter may have to say, by the slot it says them in.
SAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "not_authorized": ("reason", ("denial_reason",)), "ended": ("reason", ("discontinuation", "not_reauthorized")),
    "closed": ("outcome", ("outcome",)), "closed_self": ("outcome", ("outcome",)), "help": ("outcome", ("outcome",)),
}  # fmt: skip


def coded(row: Row) -> list[dict[str, Value]]:
    """The slots of a letter, once for each code it may have to say."""
    if row["recipient"] != "member" or row["code"] not in SAYS:
        return [SLOT_VALUES]
    slot, kinds = SAYS[row["code"]]
    rows = [each for kind in kinds for each in POLICY.rows("notice_phrases", on=ON, kind=kind, language="en")]
    return [{**SLOT_VALUES, slot: Coded(each["kind"], each["code"])} for each in rows]


def letter(row: Row, slots: dict[str, Value]) -> str:
    return render(row["text"], slots, row["language"], phrase)


@pytest.mark.parametrize("row", texts("member"), ids=lambda row: row.id)
def test_a_member_needs_no_more_than_six_years_of_school_to_read_a_letter(row: Row) -> None:
    for slots in coded(row):
        assert grade(letter(row, slots)) <= 6


def test_the_count_tells_a_hard_text_from_an_easy_one() -> None:
    assert grade(HARD) > 14
    assert grade("The cat sat on the mat. It was fat.") < 2
    # An e that is silent inside a word is counted: the grade is never too low.
    counted = {"management": 4, "enhanced": 2, "care": 1, "provider": 3, "people": 2, "free": 1, "ended": 2}
    assert {word: syllables(word) for word in counted} == counted


def test_every_letter_exists_in_english_and_spanish_and_is_marked_as_a_draft() -> None:
    english, spanish = texts("member", "en"), texts("member", "es")
    assert [(r["code"], r["variant"]) for r in english] == [(r["code"], r["variant"]) for r in spanish]
    assert {row["state"] for row in (*english, *spanish)} == {"draft"}
    for row in spanish:
        for slots in coded(row):
            assert "March" not in letter(row, slots)


def test_every_text_of_every_notice_names_only_allowed_slots_and_has_its_duty() -> None:
    duties = {(r["code"], r["recipient"]) for r in POLICY.rows("notice_duties", on=ON)}
    for row in POLICY.rows("notices", on=ON):
        assert set(SLOT.findall(row["text"])) <= SLOTS
        assert (row["code"], row["recipient"]) in duties, row.id


def test_every_code_a_letter_may_say_has_a_phrase_in_both_languages() -> None:
    from loopkeeper.contract.vocabulary import DenialReason, Outcome
    from loopkeeper.contract.vocabulary.decisions import Discontinuation

    for kind, codes in (
        ("denial_reason", DenialReason),
        ("outcome", Outcome),
        ("discontinuation", Discontinuation),
    ):
        for language in ("en", "es"):
            assert {
                r["code"] for r in POLICY.rows("notice_phrases", on=ON, kind=kind, language=language)
            } == set(codes.codes())


def letters(**received: object) -> list[Said]:
    return [each for each in said(life(**received)) if each.kind == "member"]  # pyright: ignore[reportArgumentType]


def test_a_draft_is_a_task_for_the_plan_and_not_a_letter() -> None:
    assert {"approved_text"} == {need for each in letters() for need in each.duty.needs}


def test_where_there_is_no_text_in_the_members_language_the_plan_must_act_and_nobody_writes_english() -> None:
    for each in letters(language="vi"):
        assert (each.duty.words["language"], each.text, each.duty.words["state"]) == ("vi", "", "missing")
        assert "approved_text" in each.duty.needs


def test_where_the_language_is_not_known_the_plan_must_learn_it_first() -> None:
    assert all("language" in each.duty.needs for each in letters(language=""))


def test_spanish_members_read_spanish() -> None:
    authorized = next(each for each in letters(language="es") if each.notice.code == "authorized")
    assert "dijo que sí" in authorized.text
    assert "2 de marzo de 2026" in authorized.text


def test_a_text_that_the_plan_approved_may_be_handed_over(tmp_path: Path) -> None:
    row = POLICY.row("notices", on=ON, code="help", recipient="member", variant="usual", language="en")
    own = f"""table: notices
rows:
  - {{id: harbor-help, plan: {HARBOR}, code: help, recipient: member, variant: usual, language: en, state: approved,
     text: "{row["text"]}", effective_from: 2026-01-01, source: the plan's decision of 2025-12-01, confidence: ours}}
"""
    (tmp_path / "plans.yaml").write_text(own)
    approved = load(["notification"], tmp_path)
    assert policy.check(approved) == []
    from notification.domain.notices.notice_policy import letter as lettered
    from notification.domain.notices.wording import Notice

    notice = Notice("help", HARBOR, "member").with_slots(SLOT_VALUES)
    words, needs = lettered(approved, notice, Outreach(plan=HARBOR, language="en", age_band="adult"), ON)
    assert (words["state"], needs) == ("approved", ())


@pytest.mark.parametrize("holder", ["parent", "guardian", "court", "county"])
def test_a_minors_notices_are_for_who_holds_consent_and_for_no_other_adult(holder: str) -> None:
    """loop.md 6.6."""
    found = letters(age_band="child_youth", consent_holder=holder)
    assert {each.duty.addressee for each in found} == {holder}


def test_a_minor_who_consents_alone_is_told_alone_and_one_whose_holder_is_unknown_is_told_by_nobody() -> None:
    assert {e.duty.addressee for e in letters(age_band="child_youth", consent_holder="self")} == {"member"}
    unknown = letters(age_band="child_youth")
    assert {each.duty.addressee for each in unknown} == {""}
    assert all("consent_holder" in each.duty.needs for each in unknown)


@pytest.mark.parametrize(
    ("recipient", "language"),
    [("referrer", "en"), ("provider", "en"), ("pcp", "en"), ("member", "en"), ("member", "es")],
)
def test_every_notice_reads_as_it_was_agreed(recipient: str, language: str) -> None:
    """A changed text is a decision: the snapshot next to it changes with it."""
    shown = []
    for row in texts(recipient, language):
        shown.append(f"## {row['code']} ({row['variant']})\n\n{letter(row, coded(row)[0])}\n")
    agreed = SNAPSHOTS / f"{recipient}-{language}.md"
    text = "\n".join(shown)
    assert agreed.read_text() == text
