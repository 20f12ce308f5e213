"""The layer before: routes declared as values, for services that have not been converted yet."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from loopkeeper.http import paging
from loopkeeper.http.old.route import Api, Call, Reply, check_match, joined
from loopkeeper.http.paging import Listing, Page
from loopkeeper.kernel.errors import not_found

__all__ = ["Api", "Call", "Listing", "Page", "Reply", "check_match", "joined", "listing", "not_found"]


def listing(
    call: Call[Any, Any, Any],
    rows: Sequence[Any],
    show: Callable[[Any], BaseModel | Mapping[str, Any]],
    *,
    at: str = "at",
) -> Reply:
    """The answer for rows read with `limit page.fetch`, ordered by (`at`, id); `show` makes an entry of a row."""
    page: Page = call.query
    shown = rows[: page.limit]
    more = len(rows) > page.limit
    following = paging.encode(paging.Cursor(shown[-1][at], shown[-1]["id"])) if more else None
    found = [show(row) for row in shown]
    items = [each.model_dump(mode="json") if isinstance(each, BaseModel) else each for each in found]
    headers = {}
    if following is not None:
        headers = {"Link": f'<{paging.address(call.address, page, following)}>; rel="next"'}
    return Reply(200, {"items": items, "next_cursor": following}, headers)
