"""How is a long list read? In pages of a stable order (time of last change, then id), each naming the next."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from loopkeeper.contract.field_types import Instant
from loopkeeper.http.call import Call
from loopkeeper.http.serving import app_state_of
from loopkeeper.kernel.errors import FieldError, Problem, field_invalid

T = TypeVar("T")
# Before anything this system recorded.
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
# Microseconds since then, and an id: whatever is written like this is a place in a list, so that the reference can say
# in full what is taken.
AT, ID = r"([0-9a-f]{13})", r"[A-Za-z0-9_.-]{1,100}"
CURSOR = re.compile(f"{AT}-({ID})")
MICROSECOND = timedelta(microseconds=1)
# An id that is a number of PostgreSQL's.
NUMBER = r"[0-9]{1,18}"


class Row(Protocol):
    """What a database row and a mapping have in common."""

    def __getitem__(self, key: Any, /) -> Any: ...


R = TypeVar("R", bound=Row)


class Cursor(NamedTuple):
    """The last entry somebody saw."""

    at: datetime
    id: str


def cursor_of(ids: str) -> Any:
    """The field of a page's cursor, for a list whose ids are written like this."""
    said: JsonDict = {"anyOf": [{"type": "string", "pattern": f"^{AT}-({ids})$"}, {"type": "null"}]}
    return Field(None, description="next_cursor of the page before", json_schema_extra=said)


class Page(BaseModel):
    """Which part of a list is asked for; a service adds its filters in a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="Entries a page")
    cursor: str | None = cursor_of(ID)
    updated_since: Instant | None = Field(None, description="Only what changed at or after this time")

    @property
    def fetch(self) -> int:
        """How many rows to read: one more than shown, which tells whether there is a next page."""
        return self.limit + 1

    def start(self) -> Cursor:
        """Rows belong to this page where `(at, id) > (start.at, start.id)`. Raises 422 for a cursor not ours."""
        if self.cursor is not None:
            return decode(self.cursor)
        return Cursor(self.updated_since or FIRST, "")


class Listing(BaseModel, Generic[T]):
    """One page. `next_cursor` null: there is no further page."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    next_cursor: str | None = None


def encode(cursor: Cursor) -> str:
    """URL-safe; callers may keep it, and need not read it."""
    return f"{(cursor.at - FIRST) // MICROSECOND:013x}-{cursor.id}"


def decode(text: str) -> Cursor:
    """The inverse of `encode`. Raises 422 `field-invalid` for anything `encode` cannot have made."""
    found = CURSOR.fullmatch(text)
    if found is None:
        raise foreign_cursor()
    return Cursor(FIRST + int(found[1], 16) * MICROSECOND, found[2])


async def listing(
    call: Call[Any],
    page: Page,
    rows: Sequence[R],
    show: Callable[[R], T],
    *,
    at: str = "at",
) -> Listing[T]:
    """The answer for rows read with `limit page.fetch`, ordered by (`at`, id); `show` makes an entry of a row. Entries are
    made in slices: what they need was read before."""
    shown = rows[: page.limit]
    following = encode(Cursor(shown[-1][at], shown[-1]["id"])) if len(rows) > page.limit else None
    if following is not None:
        call.answer.headers["Link"] = f'<{address(call.scope["path"], page, following)}>; rel="next"'
    # What it is a list of is known to the route's signature, and checked against it.
    return Listing[Any].model_construct(items=await made(call, shown, show), next_cursor=following)


async def made(call: Call[Any], rows: Sequence[R], show: Callable[[R], T]) -> tuple[T, ...]:
    """What `show` makes of each row, in slices between which other callers have their turn."""
    organization = call.client.organization if call.caller is not None else ""
    return await app_state_of(call.scope).slices.made(organization, rows, show)


def address(path: str, page: Page, following: str) -> str:
    asked = page.model_dump(mode="json", exclude_unset=True, exclude={"cursor"}, exclude_none=True)
    return f"{path}?{urlencode({**asked, 'cursor': following}, doseq=True)}"


def foreign_cursor() -> Problem:
    """422: a cursor that names no place in this list."""
    return field_invalid(
        FieldError(pointer="query/cursor", rule="cursor", fix="Send next_cursor as it was given, or none.")
    )
