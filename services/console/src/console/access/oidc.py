"""An organization's own sign-in, by OpenID Connect with PKCE: whom its provider names, and what its groups let them do.

The redirect is ours and fixed for each organization; nothing of it is built from what a request says.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from console.access.store import Access, secret
from console.web.refusals import Refusal
from loopkeeper.kernel.files import stamp
from loopkeeper.kernel.logs import get
from loopkeeper.security.organizations import Organization, Role, SignIn

log = get("console")
# Asymmetric ones alone: anyone who has our client secret must not be able to sign.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
SCOPE = "openid email profile groups"
LEEWAY = 60
KNOWN_FOR = 600.0
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
NOT_PROVED = Refusal(
    403,
    "Your organization's sign-in did not prove who you are",
    "Try again, or ask your organization's admin.",
)
# What a provider says by the error of its answer (RFC 6749 4.1.2.1, 5.2): what helps against it.
ERRORS: Mapping[str, str] = {
    "invalid_scope": "It does not know one of the scopes openid, email, profile and groups. Its admin makes a client scope of the name "
    "groups, and adds it to Loopkeeper's client.",
    **dict.fromkeys(
        ("invalid_client", "unauthorized_client", "invalid_request", "invalid_grant", "unsupported_response_type"),
        "Its client for Loopkeeper is set up otherwise: its admin compares client id, secret, redirect address and PKCE S256.",
    ),
    "access_denied": "It refused you. Ask your organization's admin.",
    **dict.fromkeys(("server_error", "temporarily_unavailable"), "Try again in a few minutes."),
}  # fmt: skip
OTHER_ERROR = "Try again, or give this word to your organization's admin."
UNREACHED = Refusal(503, "Your organization's sign-in does not answer", "Try again in a few minutes.")


@dataclass(frozen=True, slots=True)
class Proved:
    """Whom the provider named."""

    issuer: str
    subject: str
    name: str
    email: str
    title: str
    roles: frozenset[Role]
    admin: bool
    session: str
    # Whether it said of which groups the person is, be it of none.
    told_groups: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a provider, to be remembered until it answers."""

    address: str
    remembered: Mapping[str, str]


@dataclass
class _Provider:
    metadata: Mapping[str, Any]
    keys: KeySet
    read_at: float


@dataclass
class Providers:
    """The providers of organizations, whose documents and keys are read again after ten minutes."""

    access: Access
    _known: dict[str, _Provider] = field(default_factory=dict[str, _Provider])

    async def ask(self, of: Organization, sign_in: SignIn, *, silent: bool) -> Asked:
        """Where the browser is sent. `silent`: the provider must not ask the person anything."""
        provider = await self._provider(sign_in.issuer)
        verifier, nonce = secret() + secret(), secret()
        async with self._client(of, sign_in) as client:
            address, state = client.create_authorization_url(
                provider.metadata["authorization_endpoint"],
                code_verifier=verifier,
                nonce=nonce,
                **({"prompt": "none"} if silent else {}),
            )
        kept = {
            "organization": of.id,
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "silent": str(silent),
        }
        return Asked(str(address), kept)

    async def answered(
        self, of: Organization, sign_in: SignIn, remembered: Mapping[str, str], query: Mapping[str, str]
    ) -> Proved:
        """Whom the provider named in answer to what was remembered. Raises `Refusal`."""
        if (
            not query.get("state")
            or query["state"] != remembered["state"]
            or remembered["organization"] != of.id
        ):
            raise NOT_PROVED
        if query.get("iss", sign_in.issuer).rstrip("/") != sign_in.issuer.rstrip("/") or not {
            "code",
            "error",
        } & set(query):
            raise NOT_PROVED
        if "error" in query:
            raise _said_no(of, query["error"])
        provider = await self._provider(sign_in.issuer)
        try:
            async with self._client(of, sign_in) as client:
                token: Mapping[str, Any] = await client.fetch_token(
                    provider.metadata["token_endpoint"],
                    code=query["code"],
                    code_verifier=remembered["verifier"],
                )
                claims = self._claims(
                    provider, str(token.get("id_token", "")), sign_in, nonce=remembered["nonce"]
                )
                more = await self._more(client, provider, claims)
        except OAuthError as error:
            raise _said_no(of, str(error.error)) from None
        except (httpx2.HTTPError, ValueError) as error:
            log.warning(
                "an organization's sign-in does not answer", organization=of.id, error=type(error).__name__
            )
            raise UNREACHED from None
        return _proved(sign_in, {**more, **claims})

    async def _more(self, client: Any, provider: _Provider, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the token leaves out and the provider tells when asked."""
        where = provider.metadata.get("userinfo_endpoint")
        if not where or ("groups" in claims and "email" in claims and "name" in claims):
            return {}
        found = (await client.get(where)).json()
        return cast("Mapping[str, Any]", found) if found.get("sub") == claims["sub"] else {}

    async def left(self, of: Organization, sign_in: SignIn, token: str) -> tuple[str, str]:
        """Whom a provider's logout token names: subject and session, one of which may be empty. Raises `Refusal`."""
        claims = self._claims(await self._provider(sign_in.issuer), token, sign_in, nonce=None)
        if LOGOUT not in (claims.get("events") or {}) or "nonce" in claims:
            raise NOT_PROVED
        return str(claims.get("sub", "")), str(claims.get("sid", ""))

    def _claims(
        self, provider: _Provider, token: str, sign_in: SignIn, *, nonce: str | None
    ) -> dict[str, Any]:
        try:
            found = jwt.decode(token, provider.keys, algorithms=ALGORITHMS)
            registry = jwt.JWTClaimsRegistry(
                now=int(self.access.now().timestamp()),
                leeway=LEEWAY,
                iss={"essential": True, "value": provider.metadata["issuer"]},
                aud={"essential": True, "value": sign_in.client_id},
                iat={"essential": True},
                sub={"essential": nonce is not None},
                exp={"essential": nonce is not None},
            )
            registry.validate(found.claims)
        except (JoseError, ValueError):
            raise NOT_PROVED from None
        if nonce is not None and found.claims.get("nonce") != nonce:
            raise NOT_PROVED
        audience: Any = found.claims["aud"]
        if (
            isinstance(audience, list)
            and len(cast("list[object]", audience)) > 1
            and found.claims.get("azp") != sign_in.client_id
        ):
            raise NOT_PROVED
        return found.claims

    def _client(self, of: Organization, sign_in: SignIn) -> Any:
        return AsyncOAuth2Client(
            client_id=sign_in.client_id,
            client_secret=self._secret(of) or None,
            token_endpoint_auth_method="client_secret_basic" if self._secret(of) else "none",
            scope=SCOPE,
            redirect_uri=f"{self.access.site.origin}/signin/{of.id}/callback",
            code_challenge_method="S256",
            timeout=8,
        )

    def _secret(self, of: Organization) -> str:
        """The client's secret, in the console's own folder; none for a public client."""
        file = self.access.settings.issuer_folder / f"sign-in-{of.id}.secret"
        return file.read_text().strip() if file.exists() and stamp(file) else ""

    async def _provider(self, issuer: str) -> _Provider:
        known = self._known.get(issuer)
        if known is not None and time.monotonic() - known.read_at < KNOWN_FOR:
            return known
        try:
            async with httpx2.AsyncClient(timeout=8) as client:
                metadata = (await client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")).json()
                keys = (await client.get(metadata["jwks_uri"])).json()
        except (httpx2.HTTPError, json.JSONDecodeError, KeyError, TypeError):
            raise UNREACHED from None
        if str(metadata.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
            raise NOT_PROVED
        self._known[issuer] = _Provider(metadata, KeySet.import_key_set(keys), time.monotonic())
        return self._known[issuer]


def _said_no(of: Organization, error: str) -> Refusal:
    """What to say where the provider itself refuses. Its word is shown where it is one: letters and underscores."""
    if not re.fullmatch(r"[a-z_]{1,40}", error):
        return NOT_PROVED
    log.warning("an organization's sign-in refused", organization=of.id, error=error)
    return Refusal(
        403, "Your organization's sign-in refused: {error}", ERRORS.get(error, OTHER_ERROR), {"error": error}
    )


def _proved(sign_in: SignIn, claims: Mapping[str, Any]) -> Proved:
    groups = claims.get("groups")
    named = [str(each) for each in cast("Sequence[object]", groups)] if isinstance(groups, list) else []
    known = [sign_in.groups[group] for group in named if group in sign_in.groups]
    words = frozenset(word for each in known for word in each)
    return Proved(
        issuer=str(claims["iss"]),
        subject=str(claims["sub"]),
        name=str(claims.get("name") or claims.get("email") or "")[:120],
        email=str(claims.get("email") or "")[:120],
        title=str(claims.get("title") or "")[:120],
        roles=frozenset(role for role in Role if role in words),
        admin="admin" in words,
        session=str(claims.get("sid") or ""),
        told_groups=isinstance(groups, list),
    )
