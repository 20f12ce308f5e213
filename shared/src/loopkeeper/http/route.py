"""The route class: what FastAPI lacks around a route, done once for every route.

FastAPI reads the body before any dependency runs, and middleware does not know the route. So it is the route class
that finds key, role, query and headers good before a byte of the body is read, reads the body within bounds and as
I-JSON, and only then lets FastAPI do its work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from inspect import iscoroutinefunction
from typing import Annotated, Any, cast

import orjson
from fastapi import Body, Path, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.utils import deep_dict_update
from pydantic import BaseModel
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import Match
from starlette.types import Receive, Scope

from loopkeeper.contract import ids
from loopkeeper.contract.decider import InvariantBroken, Refused
from loopkeeper.http import headers, idempotency, json_body, openapi, query
from loopkeeper.http.body_budget import Share
from loopkeeper.http.call import CALL, Anyone, Call, Caller
from loopkeeper.http.catching_up import ANSWERED_WHILE_CLOSED, until_open
from loopkeeper.http.headers import JSON
from loopkeeper.http.openapi import refused
from loopkeeper.http.person import ACTED_BY, actor_of, stated
from loopkeeper.http.problems import malformed
from loopkeeper.http.serving import AppState, app_state_of
from loopkeeper.http.upload import Upload
from loopkeeper.kernel.errors import Busy, Problem
from loopkeeper.observability.exchange import exchange_of
from loopkeeper.postgres.connections import is_transient
from loopkeeper.security.organizations import Role

__all__ = ["Id", "Operation", "example", "refused"]

# How soon a caller should ask a service again that has not started.
STARTS_WITHIN = 5


class Key(StringConvertor):
    """What may be an id in a path: typed ids, slugs, claims. Anything else names nothing."""

    regex = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"


register_url_convertor("key", Key())

# An id in a path declared as `{id:key}`.
Id = Annotated[str, Path()]


def example(only: object = None, /, **named: object) -> Any:
    """For a body's annotation: bodies that its model takes, for the reference and for those who ask for one."""
    shown = named or {"example": only}
    return Body(openapi_examples={name: {"value": value} for name, value in shown.items()})


class Read(Request):
    """A request whose body has been read and understood before FastAPI asks for it."""

    def __init__(self, scope: Scope, receive: Receive, raw: bytes, understood: BaseModel) -> None:
        super().__init__(scope, receive)
        self._raw = raw
        self._understood = understood

    async def body(self) -> bytes:
        return self._raw

    async def json(self) -> Any:
        return self._understood


class Operation(APIRoute):
    """One route of a service; the router's first tag names the service.

    Its signature declares everything: `call` with the roles, the body's model or `Upload`, `query`, ids of the path,
    and what is answered. `responses=refused(…)` names its problems; those that its form implies are added.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **declared: Any) -> None:
        tags = declared.get("tags") or ["program"]
        name = getattr(endpoint, "__name__", "answer")
        declared["operation_id"] = declared.get("operation_id") or f"{tags[0]}.{name}"
        # What nobody sends has no type, and counts as an empty object.
        declared["strict_content_type"] = False
        if declared.get("status_code") == 204:
            declared["response_class"] = Response
        super().__init__(path, endpoint, **declared)
        self.service = str(tags[0])
        self.method = _only(self.methods, path)
        self.template = f"{self.method} {self.path_format}"
        # How an address begins and ends that may be of this route.
        self._begins, _, rest = self.path_format.partition("{")
        self._ends = rest.rpartition("}")[2]
        self.caller = self._caller()
        self.roles: frozenset[Role] = self.caller.roles
        self.upload = next(
            (each.call for each in self.dependant.dependencies if isinstance(each.call, Upload)), None
        )
        self.body = self._body_model()
        self.actor = actor_of(self.body)
        self.query = query.declared(self.dependant)
        self.answers = frozenset(
            {self.status_code or 200}
            | {int(status) for status, found in self.responses.items() if openapi.SLUGS not in found}
        )
        self._check()
        self._describe()
        self.problems = frozenset(
            (status, slug) for status, slugs in openapi.slugs_of(self.responses).items() for slug in slugs
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette has it, which asks a regular expression of each route in turn: of most, two comparisons tell as much."""
        path: str = scope["path"]
        if not scope.get("root_path") and not (path.startswith(self._begins) and path.endswith(self._ends)):
            return Match.NONE, {}
        return super().matches(scope)

    # ── what was declared ─────────────────────────────────────────────────────────────────────────────────

    @property
    def public(self) -> bool:
        return not self.roles

    @property
    def media(self) -> tuple[str, ...]:
        return self.upload.media if self.upload is not None else (JSON,)

    @property
    def takes_body(self) -> bool:
        return self.body is not None or self.upload is not None

    @property
    def needs_if_match(self) -> bool:
        return self.caller.needs_if_match

    @property
    def is_action(self) -> bool:
        return ":" in self.path_format

    @property
    def holds_a_place(self) -> bool:
        """Whether it counts among a client's requests under way: what waits for news does nothing meanwhile."""
        return "wait" not in self.query.names

    @property
    def closes(self) -> bool:
        """Whether it waits where its service is closed."""
        return self.service != "program" and not self.path_format.startswith(ANSWERED_WHILE_CLOSED)

    @property
    def examples(self) -> dict[str, Any]:
        """The bodies shown in the reference, by name."""
        params = self.dependant.body_params
        shown: dict[str, Any] | None = (
            getattr(params[0].field_info, "openapi_examples", None) if params else None
        )
        return {name: each["value"] for name, each in (shown or {}).items()}

    def _caller(self) -> Caller | Anyone:
        found = [each.call for each in self.dependant.dependencies if isinstance(each.call, Caller | Anyone)]
        if len(found) != 1:
            raise InvariantBroken(f"{self.template} must say once who may call it: allowed(…) or everyone")
        return found[0]

    def _body_model(self) -> type[BaseModel] | None:
        params = self.dependant.body_params
        if not params:
            return None
        kind: Any = params[0].field_info.annotation
        if len(params) > 1 or not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            raise InvariantBroken(f"{self.template} takes one body, and a model")
        return kind

    def _check(self) -> None:
        """Raise where the declaration contradicts itself, or an example its model."""
        for name, convertor in self.param_convertors.items():
            if not isinstance(convertor, Key):
                raise InvariantBroken(
                    f"{self.template}: write {{{name}:key}}, for anything else may be anything"
                )
        for each in _calls(self.dependant):
            if not (iscoroutinefunction(each) or iscoroutinefunction(type(each).__call__)):
                raise InvariantBroken(
                    f"{self.template}: {each} is not async, and would cost a thread each time"
                )
        for value in self.examples.values():
            if self.body is not None:
                self.body.model_validate_json(orjson.dumps(value))

    def _describe(self) -> None:
        """Let the document say what the route does beyond what FastAPI knows of it."""
        matches = self.needs_if_match or (self.is_action and self.method != "GET")
        form = openapi.implied(
            public=self.public,
            method=self.method,
            parameters=bool(self.param_convertors),
            query=bool(self.query.names),
            body=self.takes_body,
            matches=matches,
            needs_match=self.needs_if_match,
            closes=self.closes,
            names_actor=self.actor is not None,
        )
        self.responses = openapi.with_problems(self.responses, form, answers=self.answers)
        extra: dict[str, Any] = {"x-roles": sorted(self.roles)} if self.roles else {"security": []}
        sent = [openapi.idempotency_header()] if self.method == "POST" else []
        if matches:
            sent.append(openapi.if_match_header(required=self.needs_if_match))
        if sent:
            extra["parameters"] = sent
        if self.upload is not None:
            extra["requestBody"] = self.upload.document
        elif self.body is not None:
            demanded = any(each.is_required() for each in self.body.model_fields.values())
            extra["requestBody"] = {"required": demanded}
        deep_dict_update(extra, self.openapi_extra or {})
        self.openapi_extra = extra

    # ── what is done with a request ───────────────────────────────────────────────────────────────────────

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            with app_state_of(request.scope).bodies.share() as share:
                call, body = await self.begin(request.scope, request.receive, share)
                request.scope[CALL] = call
                if body is not None:
                    request = _understood(request, call.raw, body)
                return await self.answered(request.scope, handle(request))

        return guarded

    async def begin(self, scope: Scope, receive: Receive, share: Share) -> tuple[Call[Any], BaseModel | None]:
        """The call and the body of this request, once key, role, query and headers were found good and the
        service is open. What the body costs is taken from `share`, which is the request's until it is answered."""
        exchange = exchange_of(scope)
        exchange.route, exchange.service = self.template, self.service
        serving = app_state_of(scope)
        service = serving.services.get(self.service)
        if service is None:
            raise Busy("the start", retry_after=STARTS_WITHIN)
        sent = headers.joined(scope)
        client = self.caller.authorized(sent, serving.directory)
        if self.service != "program":
            who = client.counted_as if client is not None else _address(scope)
            share.leave = await serving.rates.enter(
                who,
                writes=self.method != "GET",
                holds=self.holds_a_place,
                organization=client.organization if client is not None else who,
            )
        command = None
        if client is not None and self.method != "GET":
            command = idempotency.keyed_command(sent, client)
        if not self.public or self.query.names:
            self.query.check(scope["query_string"])
        if self.needs_if_match and b"if-match" not in sent:
            raise Problem(
                428,
                "if-match-missing",
                "This needs If-Match.",
                fix="Read it first and send its ETag as If-Match.",
            )
        raw = await self._read(serving, receive, sent, share) if self.method != "GET" else b""
        call = Call[Any](
            service,
            client,
            command or ids.uuid(),
            command is not None,
            exchange.traceparent,
            scope,
            sent,
            raw,
        )
        known = (
            {ACTED_BY: stated(self.actor, client.person)}
            if self.actor is not None and client is not None and client.person is not None
            else None
        )
        body = json_body.validate(self.body, raw, known=known) if self.body is not None else None
        if self.closes:
            await until_open(service)
        return call, body

    async def answered(self, scope: Scope, work: Awaitable[Response]) -> Response:
        """What the route answers, noting where the document does not know it: a defect, but no reason to fail."""
        exchange = exchange_of(scope)
        try:
            response = await work
        except RequestValidationError as error:
            raise self.query.invalid(error, scope["query_string"]) from None
        except (Refused, Problem) as refusal:
            exchange.declared = (refusal.status, refusal.slug) in self.problems
            raise
        except Exception as error:
            # Whatever a route reads or writes past the store: a database that is away is nobody's fault.
            if is_transient(error):
                raise Busy("the database") from error
            raise
        exchange.declared = response.status_code in self.answers
        return response

    async def _read(self, serving: AppState, receive: Receive, sent: headers.Headers, share: Share) -> bytes:
        if self.takes_body and (self.upload is not None or headers.sends_body(sent)):
            headers.check_media(sent, self.media, file=self.upload is not None)
        if self.upload is not None:
            return b""
        raw = await json_body.whole(receive, serving.settings.max_body, headers.announced(sent), share)
        if raw and not self.takes_body and raw.strip() != b"{}":
            raise malformed("This takes no body.", "Send none.")
        return raw


def _address(scope: Scope) -> str:
    """Who calls a public route, as far as anybody knows."""
    return f"public {(scope.get('client') or ('', 0))[0]}"


def _only(methods: set[str] | None, path: str) -> str:
    if methods is None or len(methods) != 1:
        raise InvariantBroken(f"{path}: one route answers one method")
    return next(iter(methods))


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """The endpoint and everything it depends on."""
    if dependant.call is not None:
        yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)


def _understood(request: Request, raw: bytes, body: BaseModel) -> Request:
    scope = request.scope
    if not raw:
        # Whatever type it was said to be of: there is nothing that could be of it.
        kept = [
            each for each in cast("list[tuple[bytes, bytes]]", scope["headers"]) if each[0] != b"content-type"
        ]
        scope = {**scope, "headers": kept}
    return Read(scope, request.receive, raw or b"{}", body)
