"""What is not yours is not there (loop.md 1.5, 1.6): every declared route, asked by every role, for an id of others.

The routes come from the running app, so that a new one is asked too. Whether it takes as long is proved by what is
done for the answer, not by a clock: the same statements, the same number of batches.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from loopkeeper.security.organizations import Role
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, OPERATIONS, STREET, VALLEY
from tests.databases import Databases
from tests.security import kept
from tests.security.declared import ID, called, changed, good_body, leaves, routes
from tests.security.neighbours import NOBODY, REVOKED, STRANGERS, Neighbours, neighbours
from tests.security.survey import OPERATING, Answered, Survey, ask, nobodys, surveyed

# Who acts on the story's referral, by role.
OWNERS = {Role.PLAN: HARBOR, Role.PROVIDER: STREET, Role.REFERRER: CLINIC}
# Who sees what of the story (loop.md 1.6): of the referral that STREET accepted, …
ACCEPTED = {
    "/v1/referrals/{referral}": {
        CLINIC: 200, STREET: 200, HARBOR: 200, OPERATIONS: 200, NAVIGATORS: 404, HOSPITAL: 404, VALLEY: 404,
    },
    "/v1/referrals/{referral}/timeline": {
        CLINIC: 200, STREET: 200, HARBOR: 200, OPERATIONS: 200, NAVIGATORS: 404, HOSPITAL: 404, VALLEY: 404,
    },
    "/v1/authorizations/{authorization}": {HARBOR: 200, OPERATIONS: 200, VALLEY: 404, HOSPITAL: 403},
    "/v1/authorizations/{authorization}/member": {HARBOR: 200, OPERATIONS: 403, VALLEY: 404, CLINIC: 403},
    "/v1/assignments/{assignment}": {
        STREET: 200, HARBOR: 200, OPERATIONS: 200, CLINIC: 404, NAVIGATORS: 404, VALLEY: 404, HOSPITAL: 403,
    },
    "/v1/assignments/{assignment}/member": {
        STREET: 200, HARBOR: 200, OPERATIONS: 403, CLINIC: 404, NAVIGATORS: 404, VALLEY: 404, HOSPITAL: 403,
    },
    "/v1/assignments/{assignment}/explanation": {HARBOR: 200, OPERATIONS: 200, VALLEY: 404, STREET: 403},
    "/v1/outreach/{referral}": {
        STREET: 200, HARBOR: 200, OPERATIONS: 200, CLINIC: 404, NAVIGATORS: 404, VALLEY: 404, HOSPITAL: 403,
    },
}  # fmt: skip
# … and of one that is only offered to it.
OFFERED = {
    "/v1/assignments/{assignment}": {STREET: 200, HARBOR: 200, NAVIGATORS: 404},
    "/v1/assignments/{assignment}/member": {STREET: 404, HARBOR: 200},
    "/v1/referrals/{referral}": {STREET: 404, HOSPITAL: 200, HARBOR: 200},
    "/v1/outreach/{referral}": {STREET: 404, HARBOR: 200},
}  # fmt: skip


# What is read of no referral and no member, so that every holder of a key may read it; and a stream, which says nothing
# before something changes (tests/loop/test_pages.py holds it against another tenant).
OF_NOBODY = {
    "/v1/organizations": "names and numbers of those who take part",
    "/v1/now": "the time",
    "/v1/policy/intake": "the state's rows, and a plan's own to itself",
    "/v1/policy/authorization": "the same",
    "/v1/policy/assignment": "the same",
    "/v1/policy/notification": "the same",
    "/v1/referrals:changes": "a stream",
}


@pytest_asyncio.fixture(scope="module")
async def place(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Neighbours]:
    async with neighbours(databases, tmp_path_factory.mktemp("neighbours")) as opened:
        yield opened
    await databases.drop()


@pytest_asyncio.fixture(scope="module")
async def survey(place: Neighbours) -> Survey:
    return await surveyed(place)


async def test_an_id_of_others_is_answered_exactly_like_one_that_nobody_has(survey: Survey) -> None:
    for pair in survey.of(*STRANGERS):
        assert pair.foreign.status == pair.missing.status, pair.named
        assert pair.foreign.body == pair.missing.body, pair.named
        assert pair.foreign.headers == pair.missing.headers, pair.named
        # What is answered about any name whatever, there or not, says nothing of those that are.
        if pair.may and (pair.route.method != "GET" or pair.missing.status != 200):
            assert (pair.foreign.status, pair.foreign.slug) == (404, "not-found"), pair.named


async def test_the_same_is_done_for_the_one_answer_as_for_the_other(survey: Survey) -> None:
    for pair in survey.of(*STRANGERS):
        assert pair.foreign.statements == pair.missing.statements, pair.named
        assert pair.foreign.batches == pair.missing.batches, pair.named
    assert any(pair.foreign.statements for pair in survey.pairs), "no statement was heard"


async def test_a_role_that_lacks_the_route_is_told_so_whatever_the_id(survey: Survey) -> None:
    lacking = [pair for pair in survey.of(*STRANGERS, OPERATING) if not pair.may]
    assert lacking
    for pair in lacking:
        for answered in (pair.foreign, pair.missing):
            assert (answered.status, answered.slug) == (403, "role-missing"), pair.named
            assert answered.statements == (), pair.named
        assert pair.foreign.body == pair.missing.body, pair.named


async def test_no_key_and_a_revoked_key_open_nothing(survey: Survey) -> None:
    for pair in survey.of(NOBODY, REVOKED):
        for answered in (pair.foreign, pair.missing):
            assert (answered.status, answered.slug) == (401, "unauthenticated"), pair.named
            assert answered.statements == (), pair.named
        assert pair.foreign.body == pair.missing.body, pair.named


async def test_operations_see_that_it_is_there(survey: Survey) -> None:
    for pair in (pair for pair in survey.of(OPERATING) if pair.may):
        assert pair.missing.status == 404, pair.named
        parked_elsewhere = "/parked/" in pair.route.path and pair.route.service != "authorization"
        assert (pair.foreign.status == 404) is parked_elsewhere, pair.named


async def test_whatever_strangers_ask_nothing_changes(survey: Survey) -> None:
    assert survey.changed == []


async def test_no_list_shows_a_stranger_anything(place: Neighbours) -> None:
    lists = [r for r in routes(place.house) if r.method == "GET" and not r.parameters and not r.public]
    assert {each.path for each in lists} >= OF_NOBODY.keys()
    for route in (each for each in lists if each.path not in OF_NOBODY):
        for key in (key for key in STRANGERS if Role(key) in route.roles):
            answered = await ask(place, place.callers[key], route, [], None)
            # What is one thing and no list, such as a roster, is not there.
            empty = answered.status == 404 or (answered.status, answered.body.get("items")) == (200, [])
            assert empty or _counts_nothing(answered), f"{called(route)} as {key}"


def _counts_nothing(answered: Answered) -> bool:
    """Whether this is a count, and of nothing."""
    if answered.status != 200 or not {"open", "waiting"} & answered.body.keys():
        return False
    figures = [each for each in answered.body.values() if isinstance(each, int | dict)]
    return not any(figures)


async def test_an_id_of_others_in_a_body_is_like_one_that_nobody_has(place: Neighbours) -> None:
    """The caller's own noun is in the address, another plan's referral in the body."""
    assert place.house.addresses is not None
    await place.house.settled()
    before, asked = await kept.figures(place.house.addresses), 0
    for route in (route for route in routes(place.house) if route.body is not None):
        body, ids = good_body(route), [place.id_of(route)] if route.parameters else []
        named = [where for where, value in leaves(body) if isinstance(value, str) and ID.fullmatch(value)]
        for where in named:
            for role in sorted(route.roles & OWNERS.keys()):
                caller = place.house.as_(OWNERS[role])
                foreign = await ask(place, caller, route, ids, changed(body, where, place.parked))
                missing = await ask(place, caller, route, ids, changed(body, where, nobodys(place.parked)))
                assert foreign == missing, f"{called(route)} as {role}"
                assert 400 <= foreign.status < 500, f"{called(route)} as {role}"
                asked += 1
    assert asked
    await place.house.quiet()
    assert kept.differing(before, await kept.figures(place.house.addresses)) == []


@pytest.mark.parametrize("story", ["accepted", "offered"])
async def test_those_concerned_see_what_is_theirs(place: Neighbours, story: str) -> None:
    expected, ids = (ACCEPTED, place.accepted) if story == "accepted" else (OFFERED, place.offered)
    for path, statuses in expected.items():
        for organization, status in statuses.items():
            answer = await place.house.as_(organization).get(path.format(**ids))
            assert answer.status_code == status, f"{path} as {organization}"


async def test_an_offer_tells_neither_whose_it_is_nor_who_it_is(place: Neighbours) -> None:
    address = f"/v1/assignments/{place.offered['assignment']}"
    offer = await place.house.ask(STREET, "GET", address)
    shown = {name for name, value in offer.items() if value}
    assert shown <= {
        "id", "status", "answer_due_at", "updated_at", "plan", "kind", "age_band", "county", "language", "needs",
    }  # fmt: skip
    told = {name for name, value in (await place.house.ask(OPERATIONS, "GET", address)).items() if value}
    assert told <= {"id", "status", "answer_due_at", "updated_at", "referral", "provider"}
