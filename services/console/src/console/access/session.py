"""What pages know of who is there: a person with proved roles, the token for their requests, what they opened. All that
`pages` may import of `access`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request

from console.access import entries, openings, people, sessions
from console.access.openings import REASONS, Opening
from console.access.store import Access
from console.access.tokens import Issuer
from console.web.refusals import GoTo, NotHere, Refusal
from loopkeeper.security.organizations import ROLES, Organization, OrganizationKind, Role

__all__ = ["REASONS", "Opening", "People", "Signed"]

COOKIE, ENTRY = "loopkeeper", "loopkeeper-entry"
# A page that fetches itself says so: that is nobody's touch.
LIVE = "x-live"


@dataclass(frozen=True, slots=True)
class Signed:
    """Who is signed in, as whom, in which session."""

    id: str
    name: str
    title: str
    licence: str
    organization: Organization
    roles: frozenset[Role]
    admin: bool
    session: str
    language: str
    theme: str
    keys: bool

    @property
    def said(self) -> str:
        """Name and title, as a page says them."""
        return f"{self.name}, {self.title}" if self.title else self.name


@dataclass(frozen=True)
class People:
    """The door's side of pages."""

    access: Access
    issuer: Issuer

    async def signed_in(self, request: Request, roles: Collection[Role]) -> Signed:
        """Who asks this. Raises `GoTo` the sign-in page where nobody does, and `NotHere` where they hold none of `roles`."""
        session = await self._session(request)
        person = session.person
        organization = self.access.organization(person.organization)
        if organization is None:
            await sessions.finish(self.access, session.id, "organization")
            raise GoTo("/signin")
        held = person.roles & ROLES[OrganizationKind(organization.kind)]
        if self.access.own.operations != "on":
            held -= {Role.OPERATIONS}
        if roles and not held & set(roles):
            raise NotHere
        return Signed(
            id=person.id,
            name=person.name,
            title=person.title,
            licence=person.licence,
            organization=organization,
            roles=held,
            admin=person.admin,
            session=session.id,
            language=person.language,
            theme=person.theme,
            keys=person.keys,
        )

    async def _session(self, request: Request) -> sessions.Session:
        live = LIVE in request.headers
        token = request.cookies.get(self.access.site.cookie(COOKIE), "")
        found = await sessions.current(self.access, token, touched=not live) if token else None
        if found is None:
            if live:
                raise Refusal(401, "You are signed out", "Sign in again.")
            raise GoTo(await self._later(request))
        asked = found.asked_at
        if (
            asked is not None
            and self.access.now() - asked > sessions.ASKED_AGAIN
            and request.method == "GET"
            and not live
        ):
            raise GoTo(f"/signin/{found.person.organization}/again")
        return found

    async def _later(self, request: Request) -> str:
        """Sign in first. Where to go on is kept here, and in no address."""
        if request.method != "GET" or request.url.path == "/":
            return "/signin"
        token = await entries.remember(
            self.access, request.cookies.get(self.access.site.cookie(ENTRY), ""), next=request.url.path
        )
        request.scope["console.entry"] = token
        return "/signin"

    def token(self, signed: Signed) -> str:
        """What the services are shown for one page request."""
        person = people.Person(
            id=signed.id, organization=signed.organization.id, name="", email="", title=signed.title,
            licence=signed.licence, roles=signed.roles, admin=False, state="active", words="", language="", theme="",
            keys=True, created_at=self.access.now(), confirmed_at=None, last_seen_at=None, ended_at=None,
        )  # fmt: skip
        return self.issuer.token(person, signed.roles, signed.session)

    async def alive(self, signed: Signed) -> bool:
        """Whether the session is still valid: asked by what stays open."""
        return await sessions.alive(self.access, signed.session)

    async def names(self, signed: Signed, wanted: Collection[str]) -> Mapping[str, str]:
        """Names of the person's own organization, by id."""
        return await people.names(self.access, signed.organization.id, wanted) if wanted else {}

    async def colleagues(self, signed: Signed) -> Sequence[tuple[str, str]]:
        """Id and name of everybody else of the organization who is active."""
        everybody = await people.of_organization(self.access, signed.organization.id)
        return [(one.id, one.name) for one in everybody if one.state == "active" and one.id != signed.id]

    def organization_name(self, slug: str) -> str:
        """What people call an organization; its id where nobody here knows it."""
        found = self.access.directory.organization(slug)
        return found.name if found is not None else slug

    def organizations(self, kind: OrganizationKind) -> Sequence[Organization]:
        """Those of a kind, by name."""
        known = self.access.directory.organizations().values()
        return sorted((one for one in known if one.kind is kind), key=lambda one: one.name)

    # ── identity ──────────────────────────────────────────────────────────────────────────────────────────

    async def open_identity(self, signed: Signed, referral: str, reason: str) -> Opening:
        """For ten minutes this session sees whose referral it is. Raises `Refusal` without a reason."""
        if reason not in REASONS:
            raise Refusal(422, "Say why you open it", "Choose a reason; it is written down with your name.")
        return await openings.open_for(
            self.access, signed.session, signed.id, signed.organization.id, referral, reason
        )

    async def identity(self, signed: Signed, referral: str) -> Opening | None:
        """The opening that is valid."""
        return await openings.opened(self.access, signed.session, referral)

    async def close_identity(self, signed: Signed, referral: str) -> None:
        await openings.close(self.access, signed.session, referral)

    @property
    def open_for(self) -> timedelta:
        return sessions.OPEN_FOR
