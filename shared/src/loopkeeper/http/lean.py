"""A route class for the one route whose time counts most: the same declaration and document, half the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from fastapi import Response
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.http.middleware import reply
from loopkeeper.http.route import Operation
from loopkeeper.http.serving import app_state_of


class Lean(Operation):
    """An `Operation` with a call and a body, whose endpoint is called directly and whose answer is written by its
    model: FastAPI's way from one to the other costs twice what the rest of the request does.

    For a route on a flat list of routes, not one of an included router: FastAPI makes new ones of those.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **declared: Any) -> None:
        super().__init__(path, endpoint, **declared)
        names = [each.name for each in self.dependant.dependencies if each.call is self.caller]
        bodies = [each.name for each in self.dependant.body_params]
        others = (
            self.param_convertors or self.query.names or self.upload or len(self.dependant.dependencies) > 1
        )
        answered = self.response_model
        if len(names) != 1 or len(bodies) != 1 or others or not _is_model(answered):
            raise InvariantBroken(f"{self.template} is lean: it takes a call and a body, and answers a model")
        self._call, self._body = cast("str", names[0]), bodies[0]
        self._endpoint = endpoint
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        with app_state_of(scope).bodies.share() as share:
            call, body = await self.begin(scope, receive, share)
            call.answer = Response(status_code=self.status_code or 200)
            del call.answer.headers["content-length"]
            answer = await self.answered(scope, self._work(call, body))
        await reply(
            send, answer.status_code, cast("bytes", answer.body), "application/json", answer.raw_headers
        )

    async def _work(self, call: Any, body: BaseModel | None) -> Response:
        found: BaseModel = await self._endpoint(**{self._call: call, self._body: body})
        call.answer.body = found.__pydantic_serializer__.to_json(found, by_alias=True)
        return call.answer


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
