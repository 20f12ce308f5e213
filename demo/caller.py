"""How the story's people ask: one HTTP session, each with their key, and every answer expected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import uuid4

import aiohttp

# Longer than the services need to come back after a kill.
PATIENCE = 180.0


class Refused(Exception):
    """An answer other than the one the story needs; the text is the problem's own."""

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        said = body.get("detail", body) if isinstance(body, dict) else body
        super().__init__(f"{method} {path}: {status} {said}")
        self.status = status
        self.slug = body.get("slug", "") if isinstance(body, dict) else ""


class Caller:
    """Asks the product over HTTP. 503 is asked again, as its Retry-After says, and so is what broke off: a request that
    changes something carries an Idempotency-Key, so that the second cannot do it twice."""

    def __init__(self, url_of: Callable[[str], str], keys: Mapping[str, str]) -> None:
        self._url_of = url_of
        self._keys = keys
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))

    async def ask(
        self,
        who: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "",
        text: str | None = None,
        content: bytes | None = None,
    ) -> Any:
        """One request of this organization; what is answered, a file as its bytes. `key` is its Idempotency-Key,
        `content` a file that is sent."""
        headers = {"Authorization": f"Bearer {self._keys[who]}"}
        if method == "POST":
            headers["Idempotency-Key"] = key or str(uuid4())
        sent: dict[str, Any] = {} if body is None else {"json": body}
        if text is not None:
            headers["Content-Type"] = "application/x-ndjson"
            sent = {"data": text.encode()}
        if content is not None:
            headers["Content-Type"] = "application/octet-stream"
            sent = {"data": content}
        patience = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                async with self._session.request(
                    method, self._url_of(path) + path, headers=headers, **sent
                ) as answer:
                    found = await _answered(answer)
                    if answer.status == 503:
                        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
                        continue
                    if answer.status >= 400:
                        raise Refused(method, path, answer.status, found)
                    return found
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                if asyncio.get_running_loop().time() > patience:
                    raise
                await asyncio.sleep(0.1)

    async def every(self, who: str, path: str) -> AsyncIterator[Any]:
        """Every entry of a list, page by page."""
        following = ""
        while True:
            mark = "&" if "?" in path else "?"
            page = await self.ask(who, "GET", f"{path}{mark}limit=200{following}")
            for item in page["items"]:
                yield item
            if page["next_cursor"] is None:
                return
            following = f"&cursor={page['next_cursor']}"

    async def close(self) -> None:
        await self._session.close()


async def _answered(answer: aiohttp.ClientResponse) -> Any:
    if answer.content_length == 0 or answer.status == 204:
        return None
    return await answer.json() if answer.content_type.endswith("json") else await answer.read()
