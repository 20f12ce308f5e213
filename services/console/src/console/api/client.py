"""Asks the services, as the person whose page it is. An answer that is a refusal is raised in the service's own words; one
that does not come is raised too, and a page shows the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import aiohttp
import orjson
from pydantic import BaseModel, ValidationError
from yarl import URL

from loopkeeper.kernel.logs import get

log = get("console")
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
# A person waits no longer for a page; what takes longer is a job.
PATIENCE = aiohttp.ClientTimeout(total=10, connect=2)
# A file takes as long as it is large.
FILE_PATIENCE = aiohttp.ClientTimeout(total=120, connect=2)
BYTES, ANYTHING = "application/octet-stream", "*/*"
NAMES: Mapping[str, str] = {
    "intake": "Intake",
    "authorization": "Authorization",
    "assignment": "Assignment",
    "notification": "Notification",
}


@dataclass
class Refused(Exception):
    """A service said no: in words for the person, with what helps. `fields`: pointer and what to do there."""

    status: int
    slug: str
    title: str
    fix: str = ""
    trace: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    allowed: tuple[str, ...] = ()


@dataclass
class Away(Exception):
    """A service does not answer, or not as its document says."""

    service: str

    @property
    def name(self) -> str:
        return NAMES.get(self.service, self.service)


@dataclass(frozen=True)
class Answer:
    """A whole answer: its document, and the version it had."""

    document: Any
    etag: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def text(self, name: str) -> str:
        """A field of the document; empty where it has none."""
        found = _mapping(self.document)
        return str(found.get(name) or "")


@dataclass(frozen=True)
class Download:
    """A file that a service gave."""

    content: bytes
    headers: Mapping[str, str]


@dataclass
class Api:
    """The services for one page request. The token is signed when the first question is asked."""

    http: aiohttp.ClientSession
    bases: Callable[[str], str]
    sign: Callable[[], str]
    _token: str = ""

    def renew(self) -> None:
        """A new token for what lasts longer than a token does."""
        self._token = ""

    async def get(self, service: str, path: str, model: type[M], **query: object) -> M:
        """One document. Raises `Refused`, `Away`."""
        return self._read(service, model, (await self.ask(service, "GET", path, query=query)).document)

    async def versioned(self, service: str, path: str, model: type[M]) -> tuple[M, str]:
        """One document, and the version that a change of it names."""
        answer = await self.ask(service, "GET", path)
        return self._read(service, model, answer.document), answer.etag

    async def post(
        self, service: str, path: str, body: Mapping[str, Any], model: type[M], *, once: str, match: str = ""
    ) -> M:
        """Do something, once under this key. Raises `Refused`, `Away`."""
        answer = await self.ask(service, "POST", path, body=body, once=once, match=match)
        return self._read(service, model, answer.document)

    async def act(
        self,
        service: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        once: str,
        match: str = "",
        method: str = "POST",
    ) -> Answer:
        """The same where the answer's form does not matter."""
        return await self.ask(
            service, method, path, body=body if body is not None else {}, once=once, match=match
        )

    @asynccontextmanager
    async def stream(self, service: str, path: str) -> AsyncGenerator[aiohttp.StreamReader]:
        """What a service tells as it happens, line by line. Raises `Refused`, `Away`."""
        self._token = self._token or self.sign()
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "text/event-stream"}
        address = URL(self.bases(service) + path, encoded=True)
        try:
            async with self.http.get(
                address, headers=headers, timeout=aiohttp.ClientTimeout(total=None, connect=2, sock_read=30)
            ) as answer:
                if answer.status != 200:
                    raise _refused(answer.status, None) if answer.status < 500 else Away(service)
                yield answer.content
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Away(service) from error

    async def ask(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        once: str = "",
        match: str = "",
    ) -> Answer:
        """Send one request as this person; `body`: a document, or the bytes of a file."""
        status, raw, given = await self._asked(service, method, path, query, body, once, match)
        document = _document(service, raw)
        if status >= 400:
            raise _refused(status, document)
        return Answer(document, given.get("ETag", ""), given)

    async def send(
        self, service: str, path: str, content: bytes, *, once: str, query: Mapping[str, object]
    ) -> Answer:
        """Send a file, once under this key. Raises `Refused`, `Away`."""
        return await self.ask(service, "POST", path, query=query, body=content, once=once)

    async def download(self, service: str, path: str) -> Download:
        """A file of a service. Raises `Refused`, `Away`."""
        status, raw, given = await self._asked(service, "GET", path, None, None, "", "", ANYTHING)
        if status >= 400:
            raise _refused(status, _document(service, raw))
        return Download(raw, given)

    async def _asked(
        self,
        service: str,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: Mapping[str, Any] | bytes | None,
        once: str,
        match: str,
        accept: str = "application/json",
    ) -> tuple[int, bytes, Mapping[str, str]]:
        self._token = self._token or self.sign()
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept}
        if once:
            headers["Idempotency-Key"] = once
        if match:
            headers["If-Match"] = match
        data = body if isinstance(body, bytes) else None
        file = data is not None or accept == ANYTHING
        if body is not None:
            headers["Content-Type"] = BYTES if data is not None else "application/json"
            data = data if data is not None else orjson.dumps(body)
        address = URL(self.bases(service) + path, encoded=True).with_query(_query(query or {}))
        try:
            async with self.http.request(
                method,
                address,
                headers=headers,
                data=data,
                timeout=FILE_PATIENCE if file else PATIENCE,
                allow_redirects=False,
            ) as answer:
                raw = await answer.read()
                status, given = answer.status, answer.headers.copy()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("a service does not answer", type=service, error=type(error).__name__)
            raise Away(service) from error
        if status == 503 or status in (502, 504):
            raise Away(service)
        return status, raw, given

    def _read(self, service: str, model: type[M], document: Any) -> M:
        try:
            return model.model_validate(document)
        except ValidationError as error:
            log.error(
                "an answer does not fit the service's document", type=service, count=error.error_count()
            )
            raise Away(service) from None


async def together(*asked: Awaitable[Any]) -> Sequence[Any]:
    """Ask several at once. A service that is unavailable takes the place of its answer; a refusal is raised."""
    found = await asyncio.gather(*asked, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, Away):
            raise each
    return found


async def unless(asked: Awaitable[T], *statuses: int) -> T | None:
    """The answer, or None where the service refuses with one of these."""
    try:
        return await asked
    except Refused as refusal:
        if refusal.status in statuses:
            return None
        raise


def _query(query: Mapping[str, object]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None or value == "":
            continue
        several = cast("Sequence[object]", value) if isinstance(value, list | tuple) else (value,)
        pairs += [(name, str(each).lower() if isinstance(each, bool) else str(each)) for each in several]
    return pairs


def _document(service: str, raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Away(service) from None


def _mapping(document: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", document if isinstance(document, dict) else {})


def _refused(status: int, document: Any) -> Refused:
    found = _mapping(document)
    errors = cast("Sequence[Mapping[str, Any]]", found.get("errors") or ())
    return Refused(
        status,
        str(found.get("slug") or status),
        str(found.get("detail") or found.get("title") or "This was refused."),
        str(found.get("fix") or ""),
        str(found.get("trace_id") or ""),
        tuple((str(each.get("pointer", "")), str(each.get("fix", ""))) for each in errors),
        tuple(str(each) for each in cast("Sequence[object]", found.get("allowed") or ())),
    )
