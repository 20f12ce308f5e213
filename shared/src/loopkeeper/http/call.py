"""One request as its route sees it: who calls, which command it is, what the answer carries next to its body.

A route takes one dependency: `call: Annotated[Call, allowed(Role.PLAN)]`. It is the security scheme of the document as
well, so what a route demands and what the document says of it are one declaration. Five dependencies instead of one
cost half as much again as the whole request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, cast
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.types import Scope
from typing_extensions import TypeVar

from loopkeeper.contract.decider import Command, InvariantBroken
from loopkeeper.contract.events import ActedBy
from loopkeeper.http import headers, idempotency
from loopkeeper.http.middleware import HEAD
from loopkeeper.http.person import Person
from loopkeeper.http.serving import Authenticator
from loopkeeper.kernel.errors import Problem
from loopkeeper.security.organizations import Client, Role
from loopkeeper.security.sealing import AuditRow
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Reference, Submission
from loopkeeper.store.store import Store

S = TypeVar("S", default=Any)
# Where the call of a request is kept until the route's dependency asks for it.
CALL = "loopkeeper.call"


@dataclass
class Call(Generic[S]):
    """One request whose key, role, query and body hold what its route declares.

    `service`: the running service. `command_id`: the same for every request of one organization with one Idempotency-Key
    (`keyed`), else fresh. `headers`: by lower-case name, as sent. `raw`: the body as sent; empty for an upload.
    """

    service: S
    caller: Client | None
    command_id: UUID
    keyed: bool
    traceparent: str
    scope: Scope
    headers: headers.Headers
    raw: bytes = b""
    # Its headers and its status, where the route sets one, go out with the answer.
    answer: Response = field(init=False)

    # ── who and what ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def client(self) -> Client:
        """Who calls. On a public route nobody is asked, and asking is a defect."""
        if self.caller is None:
            raise InvariantBroken("a public route has no client")
        return self.caller

    @property
    def head(self) -> bool:
        """Whether only the head of the answer is asked for."""
        return HEAD in self.scope

    @property
    def media(self) -> str:
        """The body's media type, without its parameters."""
        return headers.media_of(self.headers)

    @property
    def charset(self) -> str:
        """What a file is declared to be written in, as Python names it; UTF-8 where Content-Type does not say."""
        return headers.CHARSETS[headers.charset_of(self.headers)]

    @property
    def if_match(self) -> str | None:
        tag = self.headers.get(b"if-match")
        return tag.decode("latin-1") if tag is not None else None

    @cached_property
    def body_hash(self) -> bytes:
        scope = self.scope
        return idempotency.body_hash(
            scope["method"], scope["path"], cast("bytes", scope["query_string"]), self.raw
        )

    def acted_by(self, person: Person | None) -> ActedBy:
        """Who acts, as events name it: the person of the token, which is proved; with a key, this person of the caller's
        organization, as the body states it."""
        proved = self.client.person
        if proved is not None:
            return ActedBy(organization=self.client.organization, person=proved.id, proved=True)
        return ActedBy(organization=self.client.organization, person=person.person if person else "")

    @property
    def signed_in(self) -> ActedBy | None:
        """Who acts where a token proves it, and None with a key: for a route whose body names nobody."""
        return self.acted_by(None) if self.client.person is not None else None

    def check_match(self, n: int) -> None:
        """Raise 412 `stale`, with the current ETag, if the caller's If-Match names another version than `n`.

        Without If-Match it passes: a route that demands one says so in `allowed`. The store's lock comes later, so a
        rule that must not be overtaken carries the version in its command as well.
        """
        if self.if_match is None or self.if_match.strip() == "*":
            return
        tags = {tag.strip().removeprefix("W/") for tag in self.if_match.split(",")}
        if f'"{n}"' not in tags:
            raise Problem(
                412,
                "stale",
                "This was changed since it was read.",
                fix="Read it again and send the new ETag as If-Match.",
                headers={"ETag": f'W/"{n}"'},
            )

    # ── what it does ──────────────────────────────────────────────────────────────────────────────────────

    async def submit(
        self,
        stream: str,
        command: Command,
        *,
        other_streams: tuple[str, ...] = (),
        causation: str = "",
        audit: AuditRow | None = None,
        command_id: UUID | None = None,
    ) -> Outcome:
        """Apply this command to the stream: once for this request, however often it is sent. What becomes of it is
        committed when this returns. Raises as `Store.submit` does.

        `other_streams`: those whose rows the decision needs locked. `command_id`: another id than the request's.
        """
        return await self._store.submit(
            Submission(
                command_id or self.command_id,
                stream,
                command,
                body_hash=self.body_hash if command_id is None else b"",
                causation=causation,
                traceparent=self.traceparent,
                other_streams=other_streams,
                audit=audit,
            )
        )

    async def consider(self, stream: str, command: Command) -> Outcome:
        """What `submit` would make of this command now; nothing of it is kept. Raises as `submit` does."""
        return await self._store.consider(
            Submission(self.command_id, stream, command, traceparent=self.traceparent)
        )

    async def record(self, reference: Reference) -> Outcome:
        """Apply this change of a reference row, as `submit` applies a command."""
        return await self._store.submit(
            Submission(
                self.command_id,
                reference.id,
                reference=reference,
                body_hash=self.body_hash,
                traceparent=self.traceparent,
            )
        )

    @property
    def _store(self) -> Store[Any]:
        return cast("Any", self.service).store

    # ── what the answer carries ───────────────────────────────────────────────────────────────────────────

    def etag(self, n: int) -> None:
        """The version of what is answered: the ETag."""
        self.answer.headers["ETag"] = f'W/"{n}"'

    def location(self, address: str) -> None:
        """Where what was made is read."""
        self.answer.headers["Location"] = address


class Caller(SecurityBase):
    """The dependency of a route for holders of a role: the security scheme, and the call itself.

    The route class asks it before the body is read; FastAPI asks it for the call when everything was found good.
    """

    def __init__(self, roles: frozenset[Role], *, needs_if_match: bool = False) -> None:
        self.model = HTTPBearer(
            description="The key of your organization, or the token of a person who signed in"
        )
        self.scheme_name = "key"
        self.roles = roles
        self.needs_if_match = needs_if_match

    async def __call__(self, request: Request, response: Response) -> Call[Any]:
        return await answering(request, response)

    def authorized(self, sent: headers.Headers, directory: Authenticator) -> Client | None:
        """The client with this key or token. Raises 401 for none that is good, 403 for one without any of the roles."""
        scheme, _, key = sent.get(b"authorization", b"").decode("latin-1").partition(" ")
        client: Client | None = None
        if scheme.lower() == "bearer" and key.strip():
            client = directory.authenticate(key.strip())
        if client is None:
            raise Problem(
                401,
                "unauthenticated",
                "This needs a key that is known and not revoked, or a person's token that is not over.",
                fix="Send Authorization: Bearer and the key or token.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if client.roles.isdisjoint(self.roles):
            roles = " or ".join(sorted(self.roles))
            raise Problem(
                403, "role-missing", f"This needs the role {roles}.", fix="Use a key that holds it."
            )
        return client


class Anyone:
    """The dependency of a public route: nobody is asked for a key, and the call has no client."""

    roles: frozenset[Role] = frozenset()
    needs_if_match = False

    async def __call__(self, request: Request, response: Response) -> Call[Any]:
        return await answering(request, response)

    def authorized(self, sent: headers.Headers, directory: Authenticator) -> Client | None:
        return None


async def answering(request: Request, response: Response) -> Call[Any]:
    """The call that the route class made of this request; what it says of its answer goes out with it."""
    call: Call[Any] = request.scope[CALL]
    call.answer = response
    return call


def allowed(*roles: Role, needs_if_match: bool = False) -> Any:
    """For holders of any one of these roles; others are answered 403, keys that nobody has 401.

    `needs_if_match`: the request must name the version it was read at, else it is answered 428.
    """
    if not roles:
        raise InvariantBroken("a route names the roles that may call it, or is for everyone")
    return Depends(Caller(frozenset(roles), needs_if_match=needs_if_match))


# For a public route.
everyone = Depends(Anyone())
