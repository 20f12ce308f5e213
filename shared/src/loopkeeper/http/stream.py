"""An answer whose pieces go out as they come, and that can still be refused before the first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from fastapi import Response
from starlette.types import Receive, Scope, Send

EVENT_STREAM = "text/event-stream"
# A stream of server-sent events in the document: before OpenAPI 3.2 the schema there is of each event.
SENT_EVENTS: dict[str, Any] = {
    EVENT_STREAM: {
        "schema": {
            "type": "object",
            "description": "One server-sent event; lines that begin with a colon are comments.",
            "properties": {
                "id": {"type": "string"},
                "event": {"type": "string"},
                "data": {"type": "string", "contentMediaType": "application/json"},
                "retry": {"type": "integer", "minimum": 0},
            },
            "required": ["data"],
        }
    }
}


class Stream(Response):
    """Pieces until they end or their reader leaves. The first is made before the answer begins: what its making raises
    is answered as a problem. A response of FastAPI's own has begun by then and can refuse nothing."""

    def __init__(
        self, pieces: AsyncGenerator[bytes], *, media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(media_type=media_type)
        self._pieces = pieces
        sent = {"Content-Type": media_type, **(headers or {})}
        self.raw_headers = [(name.lower().encode(), value.encode()) for name, value in sent.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_left(receive))
        upcoming = asyncio.ensure_future(_next(self._pieces))
        try:
            piece = await upcoming
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            while piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                upcoming = asyncio.ensure_future(_next(self._pieces))
                await asyncio.wait({upcoming, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done():
                    return
                piece = upcoming.result()
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            upcoming.cancel()
            await asyncio.wait({gone, upcoming})
            await self._pieces.aclose()


async def _next(pieces: AsyncGenerator[bytes]) -> bytes:
    return await anext(pieces, b"")


async def _left(receive: Receive) -> None:
    """Until the reader is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
