"""A person's token: what it says, how the console signs it and how a service verifies it.

A token is a JWT (RFC 9068) signed with ES256 that lives a minute. It names a person of an organization by a random id
and never by name or address. Nothing here reads a file or knows an organization: which keys count is told, and what
the organization may do is looked up by `organizations.Directory` at every call.

The library is loaded by the first token: it takes longer to load than most commands take to run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from joserfc.errors import JoseError

if TYPE_CHECKING:
    from joserfc.jwk import ECKey
    from joserfc.jwt import JWTClaimsRegistry

ALGORITHM = "ES256"
TYPE = "at+jwt"
AUDIENCE = "loopkeeper"
# The client whose tokens speak for people: the console. Its tokens name nobody else's.
CONSOLE = "console"
LIVES = 60
# A token that claims to live longer is refused, no matter who signed it.
LONGEST_LIFE = 300
LEEWAY = 10
# Longer than any token the console signs; refused before it is parsed.
LONGEST_TOKEN = 4096
PERSON_ID = re.compile(r"per_[0-9a-f]{32}")
LONGEST_TEXT = 120


class NotProved(Exception):
    """This token proves nothing: it is no token, not ours, over, or says what no token says."""


@dataclass(frozen=True, slots=True)
class ProvedPerson:
    """Who acts, as the console proved it at sign-in. `id` is random per person and organization, because events keep
    it forever; `title` and `licence` are as the organization's admin set them; `session` is the console's."""

    id: str
    title: str = ""
    licence: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One of the issuer's keys with its private half, and whose tokens it signs."""

    issuer: str
    key: ECKey

    @property
    def id(self) -> str:
        return cast("str", self.key.kid)


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """The public half of one of the issuer's keys."""

    issuer: str
    key: ECKey


@dataclass(frozen=True, slots=True)
class Statement:
    """What a verified token says. `roles` are what was asked for: what counts is also the organization's to hold."""

    organization: str
    roles: frozenset[str]
    person: ProvedPerson
    client: str
    expires_at: int


def sign(
    key: SigningKey,
    organization: str,
    roles: Collection[str],
    person: ProvedPerson,
    *,
    now: float,
    seconds: int = LIVES,
) -> str:
    """A token for this person of this organization. Raises `ValueError` for what no service would take."""
    from joserfc import jwt

    if not PERSON_ID.fullmatch(person.id):
        raise ValueError("a person's id is per_ and 32 hexadecimal digits")
    if not 0 < seconds <= LONGEST_LIFE:
        raise ValueError(f"a token lives at most {LONGEST_LIFE} seconds")
    if max(len(person.title), len(person.licence)) > LONGEST_TEXT:
        raise ValueError(f"title and licence have at most {LONGEST_TEXT} characters")
    issued = int(now)
    claims: dict[str, Any] = {
        "iss": key.issuer,
        "aud": AUDIENCE,
        "sub": person.id,
        "org": organization,
        "roles": sorted(roles),
        "title": person.title,
        "licence": person.licence,
        "sid": person.session,
        "client_id": CONSOLE,
        "iat": issued,
        "exp": issued + seconds,
        "jti": uuid4().hex,
    }
    header = {"alg": ALGORITHM, "kid": key.id, "typ": TYPE}
    return jwt.encode(header, claims, key.key, algorithms=[ALGORITHM])


def looks_like_one(credential: str) -> bool:
    """Whether this is to be read as a token: three parts. A key has no dot."""
    return credential.count(".") == 2


def verify(token: str, keys: Mapping[str, VerifyingKey], *, now: float) -> Statement:
    """What this token says, once signed by one of these keys (by `kid`), for us, and in time. Raises `NotProved`."""
    from joserfc import jwt

    if len(token) > LONGEST_TOKEN:
        raise NotProved("longer than any token")

    def named(by: Any) -> ECKey:
        known = keys.get(str(by.headers().get("kid")))
        if known is None:
            raise NotProved("signed by no key that is known")
        return known.key

    try:
        found = jwt.decode(token, named, algorithms=[ALGORITHM])
        # The library compares no type: a token of another kind, signed by the same key, would pass.
        if found.header.get("typ") != TYPE:
            raise NotProved("of another type")
        _registry(keys[found.header["kid"]].issuer, int(now)).validate(found.claims)
    except (JoseError, ValueError) as error:
        raise NotProved("not a good token") from error
    return _statement(found.claims)


def _registry(issuer: str, now: int) -> JWTClaimsRegistry:
    from joserfc.jwt import JWTClaimsRegistry

    return JWTClaimsRegistry(
        now=now,
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": AUDIENCE},
        sub={"essential": True},
        iat={"essential": True},
        exp={"essential": True},
        client_id={"essential": True, "value": CONSOLE},
    )


def _statement(claims: Mapping[str, Any]) -> Statement:
    """The claims as what they must be. Raises `NotProved`."""
    issued, expires = claims["iat"], claims["exp"]
    if type(issued) is not int or type(expires) is not int or not 0 < expires - issued <= LONGEST_LIFE:
        raise NotProved("a token lives a short time")
    # A list that holds us among others is not for us alone.
    if claims["aud"] != AUDIENCE or claims["client_id"] != CONSOLE:
        raise NotProved("a token for somebody else")
    texts = {name: claims.get(name, "") for name in ("sub", "org", "title", "licence", "sid")}
    roles: Any = claims.get("roles")
    if not all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts.values()):
        raise NotProved("a claim is no short text")
    if not PERSON_ID.fullmatch(texts["sub"]) or not texts["org"]:
        raise NotProved("nobody is named")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in cast("list[object]", roles)):
        raise NotProved("roles are a list of names")
    return Statement(
        organization=texts["org"],
        roles=frozenset(cast("list[str]", roles)),
        person=ProvedPerson(texts["sub"], texts["title"], texts["licence"], texts["sid"]),
        client=CONSOLE,
        expires_at=expires,
    )
