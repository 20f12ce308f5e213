"""A body that is read as it comes: a file of many lines, bounded by a bound of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Request

from loopkeeper.http import headers, json_body
from loopkeeper.http.serving import app_state_of
from loopkeeper.kernel.settings import Settings


class Upload:
    """The dependency `body: Annotated[AsyncIterator[bytes], Depends(Upload("text/csv", largest=…))]`.

    Raises 413 for a body that is announced too large, before the route begins. The pieces come once, as they arrive;
    reading them raises 413 past the bound and 408 for one that is too slow. The
    route class refuses other media types and documents the body.
    """

    def __init__(self, *media: str, largest: Callable[[Settings], int]) -> None:
        self.media = media
        self._largest = largest

    async def __call__(self, request: Request) -> AsyncIterator[bytes]:
        largest = self._largest(app_state_of(request.scope).settings)
        announced = headers.announced(headers.joined(request.scope))
        if announced is not None and announced > largest:
            raise json_body.too_large(largest)
        return json_body.pieces(request.receive, largest, announced)

    @property
    def document(self) -> dict[str, Any]:
        """The body, as the document has it."""
        return {"required": True, "content": {media: {"schema": {"type": "string"}} for media in self.media}}
