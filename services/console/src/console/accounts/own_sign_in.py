"""Signing in by the organization's own provider: there, back, again without a word, and out when the provider says so."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from console.access import entries, people, sessions
from console.access.oidc import Proved, Providers
from console.access.people import COLUMNS, Person, person_of
from console.access.session import COOKIE
from console.access.store import Access
from console.accounts.entry import access_of, entry_of, goes_to, hold, keep_entry, let_in, words_of
from console.parts import entrance
from console.web.forms import form_of
from console.web.refusals import Refusal
from loopkeeper.security.organizations import ROLES, Organization, SignIn

router = APIRouter()
ASKED = "own"
NO_CLAIM = "Its sign-in told no groups of yours. Its admin adds them to the token as the claim groups, each by its name without a path."
NOTHING_TO_DO = "{name} gave you nothing to do here"
NO_GROUP = "Ask them to put you into a group that Loopkeeper knows, or to invite you."


@cache
def providers_of(access: Access) -> Providers:
    return Providers(access)


def _sign_in_of(access: Access, slug: str) -> tuple[Organization, SignIn] | None:
    of = access.organization(slug)
    return (of, of.sign_in) if of is not None and of.sign_in is not None else None


@router.post("/signin/organization")
async def find(request: Request) -> Response:
    """Which organization: the way on is shown for every name, so that no name is told to be known."""
    slug = (await form_of(request)).text("organization").casefold()
    return (
        goes_to(f"/signin/{slug}")
        if slug.replace("-", "").isalnum() and slug.isascii()
        else goes_to("/signin")
    )


@router.get("/signin/{organization}")
async def door(organization: str, request: Request) -> Response:
    """The way to an organization's own sign-in. A link, not a form: what a form leads to must be ours."""
    access, _ = access_of(request), words_of(request)
    known = _sign_in_of(access, organization)
    page = (
        entrance.own_sign_in(_, known[0].id, known[0].name)
        if known
        else entrance.no_own_sign_in(_, organization)
    )
    return HTMLResponse(str(page), 200 if known else 404)


@router.get("/signin/{organization}/go")
async def go(organization: str, request: Request) -> Response:
    """To the provider."""
    return await _asked(request, organization, silent=False)


@router.get("/signin/{organization}/again")
async def again(organization: str, request: Request) -> Response:
    """To the provider, which must ask the person nothing: is the person still theirs?"""
    return await _asked(request, organization, silent=True)


async def _asked(request: Request, organization: str, *, silent: bool) -> Response:
    access = access_of(request)
    known = _sign_in_of(access, organization)
    if known is None:
        return HTMLResponse(str(entrance.no_own_sign_in(words_of(request), organization)), 404)
    asked = await providers_of(access).ask(*known, silent=silent)
    token = await entries.remember(access, entry_of(request), **{ASKED: dict(asked.remembered)})
    answer = goes_to(asked.address)
    return keep_entry(request, answer, token)


@router.get("/signin/{organization}/callback")
async def callback(organization: str, request: Request) -> Response:
    """Back from the provider."""
    access = access_of(request)
    known = _sign_in_of(access, organization)
    remembered = await entries.take(access, entry_of(request), ASKED)
    if known is None or not isinstance(remembered, dict):
        raise Refusal(403, "This took too long", "Sign in again.")
    kept = cast("Mapping[str, str]", remembered)
    if kept["silent"] == "True" and "error" in request.query_params:
        await _end_here(request)
        return goes_to(f"/signin/{organization}")
    proved = await providers_of(access).answered(*known, kept, request.query_params)
    person = await _person(access, known[0], proved)
    token, following = await let_in(request, person, how="organization", provider_session=proved.session)
    return hold(request, goes_to(following), token)


async def _end_here(request: Request) -> None:
    """The provider no longer vouches: the session ends."""
    access = access_of(request)
    token = request.cookies.get(access.site.cookie(COOKIE), "")
    found = await sessions.current(access, token, touched=False) if token else None
    if found is not None:
        await sessions.finish(access, found.id, "organization")


async def _person(access: Access, of: Organization, proved: Proved) -> Person:
    """The person of this issuer and subject, as the groups are today. Raises `Refusal` where no group is mapped."""
    may = sorted(str(role) for role in proved.roles & ROLES[of.kind])
    row = await access.pool.fetchrow(
        f"""SELECT {", ".join(f"p.{name}" for name in COLUMNS.split(", "))} FROM federated f JOIN person p ON p.id = f.person
            WHERE f.issuer = $1 AND f.subject = $2 AND f.organization = $3""",  # noqa: S608 own columns
        proved.issuer,
        proved.subject,
        of.id,
    )
    if not may:
        if row is not None:
            async with access.changing() as connection:
                await people.end_sessions(access, connection, row["id"], "organization")
        raise Refusal(403, NOTHING_TO_DO, NO_GROUP if proved.told_groups else NO_CLAIM, {"name": of.name})
    if row is None:
        return await _first_time(access, of, proved, may)
    async with access.changing() as connection:
        await connection.execute(
            """UPDATE person SET roles = $2, admin = $3, name = coalesce(nullif($4, ''), name),
                      title = coalesce(nullif($5, ''), title), state = CASE state WHEN 'suspended' THEN 'active' ELSE state END
               WHERE id = $1""",
            row["id"],
            may,
            proved.admin,
            proved.name,
            proved.title,
        )
        found = await people.find(connection, row["id"])
    return found or person_of(row)


async def _first_time(access: Access, of: Organization, proved: Proved, may: list[str]) -> Person:
    """Somebody the provider names for the first time: who has this address here already, or somebody new."""
    now = access.now()
    async with access.changing() as connection:
        id = await connection.fetchval(
            "SELECT id FROM person WHERE organization = $1 AND lower(email) = lower($2) AND state <> 'ended' AND $2 <> ''",
            of.id,
            proved.email,
        )
        if id is None:
            id = people.random_id()
            await connection.execute(
                """INSERT INTO person (id, organization, name, email, title, roles, admin, state, created_at, created_by,
                                       confirmed_at, confirmed_by)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, 'organization', $8, 'organization')""",
                id,
                of.id,
                proved.name or "Somebody of this organization",
                proved.email or f"{id}@{of.id}.invalid",
                proved.title,
                may,
                proved.admin,
                now,
            )
        else:
            await connection.execute(
                """UPDATE person SET roles = $2, admin = $3, state = 'active', confirmed_at = coalesce(confirmed_at, $4),
                          confirmed_by = coalesce(confirmed_by, 'organization') WHERE id = $1""",
                id,
                may,
                proved.admin,
                now,
            )
        await connection.execute(
            "INSERT INTO federated (issuer, subject, organization, person) VALUES ($1, $2, $3, $4)",
            proved.issuer,
            proved.subject,
            of.id,
            id,
        )
        await access.note(connection, of.id, "first sign-in by the organization", person=id)
        found = await people.find(connection, id)
    if found is None:
        raise Refusal(403, "You cannot sign in now", "Ask an admin of your organization.")
    return found


@router.post("/signin/logout-token")
async def logout_token(request: Request) -> Response:
    """A provider ends its session of somebody: proved by its signature, not by where the request comes from."""
    access = access_of(request)
    token = (await form_of(request)).text("logout_token")
    for of in access.directory.organizations().values():
        known = _sign_in_of(access, of.id)
        if known is None:
            continue
        try:
            subject, session = await providers_of(access).left(*known, token)
        except Refusal:
            continue
        rows = await access.pool.fetch(
            """SELECT DISTINCT person FROM federated WHERE issuer = $1 AND organization = $2 AND ($3 = '' OR subject = $3)""",
            known[1].issuer,
            of.id,
            subject,
        )
        for row in rows if subject or session else []:
            await sessions.end_of_provider(access, row["person"], session)
        return Response(status_code=200)
    return Response(status_code=400)
