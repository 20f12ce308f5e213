"""What every request to the console passes: the host it names, who sent it, and the headers of every answer.

A changing request counts only where the browser says that a page of ours sent it. Nothing secret is in a page for it,
so that compression can leak none.
"""

from __future__ import annotations

import secrets
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.web.site import Site
from loopkeeper.kernel.logs import get

log = get("console")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'none'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types loopkeeper",
    )
)
PERMISSIONS = "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=()"
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    # With `no-referrer` a form would send `Origin: null`, and every POST be refused.
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", PERMISSIONS.encode()),
)
NO_STORE = (b"cache-control", b"no-store")
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Asked by machines at the machine's own address: probes, and an identity provider that ends its sessions by a signed token.
PROBES = ("/health/", "/metrics")
# Not for the public: Prometheus asks each process at its own address.
FIGURES = "/metrics"
SIGNED_BODY = "/signin/logout-token"
MOST_ADDRESS = 8 * 1024
TRACE = "console.trace"


class Guard:
    """The outermost layer of the console."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site
        self._always = (*HEADERS, STRICT_TRANSPORT) if site.secure else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = secrets.token_hex(16)
        scope[TRACE] = trace

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = cast("list[tuple[bytes, bytes]]", list(message.get("headers", ())))
                kept = {name for name, _ in given}
                message["headers"] = [
                    *given,
                    *(self._always if b"content-security-policy" not in kept else self._always[1:]),
                    *(() if b"cache-control" in kept else (NO_STORE,)),
                    (b"x-trace-id", trace.encode()),
                ]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, answer)
            return
        status, words = refusal
        log.warning("request refused", status=status, method=scope["method"], reason=words, trace_id=trace)
        await _plain(answer, status, words)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        path = cast("str", scope["path"])
        headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        if path == FIGURES and self._site.secure and _one(headers, b"host") in self._site.hosts:
            return 404, "There is no page at this address."
        if path.startswith(PROBES):
            return None
        if len(path) + len(scope["query_string"]) > MOST_ADDRESS or not path.isprintable():
            return 414, "This address is too long, or has signs that no address has."
        if _one(headers, b"host") not in self._site.hosts:
            return 421, f"This console answers at {self._site.origin} only. Use that address."
        if scope["method"] in SAFE or path == SIGNED_BODY:
            return None
        return None if self._sent_by_us(headers) else (403, OTHER_PAGE)

    def _sent_by_us(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a page of ours sent it. Another port of this machine is `same-site`, and its page gets our cookie."""
        fetched, origin = _one(headers, b"sec-fetch-site"), _one(headers, b"origin")
        if fetched is None and origin is None:
            return False
        ours = {self._site.origin} | (
            {f"http://{host}" for host in self._site.hosts} if self._site.loopback else set[str]()
        )
        return fetched in (None, "same-origin") and (origin is None or origin in ours)


OTHER_PAGE = "This was not sent from a page of this console, so nothing was done. Open the page here and send it again."


def _one(headers: list[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The value of a header that is there once; something no rule allows where it is there twice."""
    found = [value.decode("latin-1") for key, value in headers if key == name]
    return None if not found else found[0] if len(found) == 1 else "twice"


async def _plain(send: Send, status: int, words: str) -> None:
    body = words.encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
