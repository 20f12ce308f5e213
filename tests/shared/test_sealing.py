"""Identity is encrypted with the plan's key, opens only at its place, and only through the audited function."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loopkeeper.kernel.errors import StartError
from loopkeeper.security import keyring
from loopkeeper.security.keyring import Keyring, Unsealable
from loopkeeper.security.organizations import Client, Role
from loopkeeper.security.sealing import AuditRow, Opening, Sealer, open_identity

PLAN, OTHER = "harbor-health-plan", "valley-care-plan"
DAVID = {"first_name": "David", "cin": "90000001S"}


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(Keyring.open(tmp_path))


def test_what_is_sealed_opens_as_it_was_and_shows_nothing(sealer: Sealer) -> None:
    text = sealer.seal(PLAN, "ref_1", "identity", DAVID)
    assert sealer.open(PLAN, "ref_1", "identity", text) == DAVID
    assert "David" not in text
    assert text != sealer.seal(PLAN, "ref_1", "identity", DAVID)


@pytest.mark.parametrize(
    "place", [(OTHER, "ref_1", "identity"), (PLAN, "ref_2", "identity"), (PLAN, "ref_1", "contact")]
)
def test_moved_to_another_plan_referral_or_part_it_does_not_open(
    sealer: Sealer, place: tuple[str, str, str]
) -> None:
    text = sealer.seal(PLAN, "ref_1", "identity", DAVID)
    with pytest.raises(Unsealable):
        sealer.open(*place, text)


@pytest.mark.parametrize("text", ["", "v1.1", "v1.x.abc", "v2.1.AAAA", "v1.9.AAAA", "v1.1.AAAA", "David"])
def test_what_is_no_sealed_text_does_not_open(sealer: Sealer, text: str) -> None:
    sealer.seal(PLAN, "ref_1", "identity", DAVID)
    with pytest.raises(Unsealable):
        sealer.open(PLAN, "ref_1", "identity", text)


def test_a_changed_text_does_not_open(sealer: Sealer) -> None:
    text = sealer.seal(PLAN, "ref_1", "identity", DAVID)
    form, version, body = text.split(".")
    raw = bytearray(base64.urlsafe_b64decode(body))
    raw[20] ^= 1
    with pytest.raises(Unsealable):
        sealer.open(PLAN, "ref_1", "identity", f"{form}.{version}.{base64.urlsafe_b64encode(raw).decode()}")


def test_after_a_rotation_the_old_opens_and_the_new_key_seals(tmp_path: Path) -> None:
    sealer = Sealer(Keyring.open(tmp_path))
    old = sealer.seal(PLAN, "ref_1", "identity", DAVID)
    assert sealer.keyring.rotate(PLAN) == [PLAN]
    new = sealer.seal(PLAN, "ref_1", "identity", DAVID)
    assert (old.split(".")[1], new.split(".")[1]) == ("1", "2")
    later = Sealer(Keyring.open(tmp_path))
    assert later.open(PLAN, "ref_1", "identity", old) == later.open(PLAN, "ref_1", "identity", new) == DAVID


def test_a_rotation_by_the_command_line_reaches_a_running_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, command_line = Sealer(Keyring.open(tmp_path)), Keyring.open(tmp_path)
    running.seal(PLAN, "ref_1", "identity", DAVID)
    command_line.rotate()
    monkeypatch.setattr(keyring, "REREAD_AFTER", 0.0)
    assert running.seal(PLAN, "ref_1", "identity", DAVID).startswith("v1.2.")


def test_destroying_a_plans_keys_erases_its_identities_and_no_others(tmp_path: Path) -> None:
    sealer = Sealer(Keyring.open(tmp_path))
    gone, kept = (sealer.seal(plan, "ref_1", "identity", DAVID) for plan in (PLAN, OTHER))
    sealer.keyring.destroy(PLAN)
    for again in (sealer, Sealer(Keyring.open(tmp_path))):
        with pytest.raises(Unsealable):
            again.open(PLAN, "ref_1", "identity", gone)
        with pytest.raises(Unsealable):
            again.seal(PLAN, "ref_2", "identity", DAVID)
        assert again.open(OTHER, "ref_1", "identity", kept) == DAVID


def test_a_blind_index_is_the_same_for_the_same_person_of_one_plan_only(sealer: Sealer) -> None:
    david = sealer.blind_index(PLAN, "90000001S", "1964-05-17")
    assert david == sealer.blind_index(PLAN, "90000001S", "1964-05-17")
    assert david != sealer.blind_index(OTHER, "90000001S", "1964-05-17")
    assert david != sealer.blind_index(PLAN, "90000001S1", "964-05-17")
    sealer.keyring.rotate(PLAN)
    assert david == sealer.blind_index(PLAN, "90000001S", "1964-05-17")


def test_keys_and_master_key_are_readable_by_their_owner_only_and_never_plain(tmp_path: Path) -> None:
    Sealer(Keyring.open(tmp_path)).seal(PLAN, "ref_1", "identity", DAVID)
    for name in ("keyring.json", "master.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    kept = json.loads((tmp_path / "keyring.json").read_text())
    assert set(kept) == {"system", PLAN}


def test_another_master_key_is_refused_at_the_start_and_says_how_to_mend_it(tmp_path: Path) -> None:
    Keyring.open(tmp_path)
    with pytest.raises(StartError) as refused:
        Keyring.open(tmp_path, base64.b64encode(os.urandom(32)).decode())
    assert "LOOPKEEPER_MASTER_KEY" in refused.value.fix
    with pytest.raises(StartError):
        Keyring.open(tmp_path, "too short")


class Audited:
    def __init__(self) -> None:
        self.rows: list[AuditRow] = []

    async def record(self, rows: Sequence[AuditRow]) -> None:
        self.rows.extend(rows)


class AuditAway:
    async def record(self, rows: Sequence[AuditRow]) -> None:
        raise ConnectionError


ROSA = Client("cli_1", "harbor-street-medicine", "provider", frozenset({Role.PROVIDER}))
AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)


async def test_whoever_opens_an_identity_is_written_down_before_it_is_shown(sealer: Sealer) -> None:
    audit = Audited()
    opening = Opening(PLAN, "ref_1", {"identity": sealer.seal(PLAN, "ref_1", "identity", DAVID)})
    (opened,) = await open_identity(
        sealer, audit, ROSA, AT, [opening], fields=("first_name",), why="to find the member"
    )
    assert opened == {"identity": {"first_name": "David"}}
    (row,) = audit.rows
    assert (row.organization, row.client, row.stream, row.fields) == (
        "harbor-street-medicine",
        "cli_1",
        "ref_1",
        ("first_name",),
    )


async def test_what_cannot_be_audited_is_not_opened(sealer: Sealer) -> None:
    opening = Opening(PLAN, "ref_1", {"identity": sealer.seal(PLAN, "ref_1", "identity", DAVID)})
    with pytest.raises(ConnectionError):
        await open_identity(sealer, AuditAway(), ROSA, AT, [opening], fields=("first_name",), why="")
