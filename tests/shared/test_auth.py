"""Who reads which row: the settings and the clause a key's roles give, and what PostgreSQL lets through."""

from __future__ import annotations

from typing import cast

import pytest

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.postgres.connections import Pool
from loopkeeper.security.organizations import Client, Role
from loopkeeper.store import row_access


def key(*roles: Role) -> Client:
    return Client(
        id="harbor-street-1",
        organization="harbor-street-medicine",
        kind="provider",
        roles=frozenset(roles),
        name="Harbor Street Medicine",
    )


def test_a_setting_is_filled_only_for_a_role_the_key_holds() -> None:
    mine = "harbor-street-medicine"
    assert row_access.visibility_of(key(Role.REFERRER, Role.PROVIDER)).settings() == ("", mine, mine, "")
    assert row_access.visibility_of(key(Role.PLAN)).settings() == (mine, "", "", "")
    assert row_access.visibility_of(key(Role.OPERATIONS)).settings() == ("", "", "", "yes")
    assert row_access.visibility_of(key(Role.PARTNER)).settings() == ("", "", "", "")
    assert row_access.visibility_of(None) == row_access.NOTHING


def test_every_query_names_the_callers_own_key() -> None:
    mine = ("harbor-street-medicine",)
    assert row_access.own_key(key(Role.PLAN), 3) == ("(plan_id = $3)", mine)
    assert row_access.own_key(key(Role.REFERRER, Role.PROVIDER), 1) == (
        "(referrer_id = $1 or provider_id = $1)",
        mine,
    )
    assert row_access.own_key(key(Role.REFERRER), 1, ("plan_id",)) == ("false", ())
    assert row_access.own_key(key(Role.PARTNER), 1) == ("false", ())
    assert row_access.own_key(key(Role.OPERATIONS), 1) == ("true", ())


async def test_a_query_for_a_client_says_where_its_own_key_is_named() -> None:
    """A query that forgot it reads nothing, not everything; asked before any connection is."""
    nowhere = cast("Pool", None)
    for ask in (row_access.visible_row, row_access.visible_rows):
        with pytest.raises(InvariantBroken):
            await ask(nowhere, key(Role.PLAN), "SELECT * FROM referral WHERE id = $1", "ref_1")


def test_a_table_without_a_plain_name_gets_no_policy() -> None:
    with pytest.raises(InvariantBroken):
        row_access.row_security('referral"; drop table referral; --', "intake")
