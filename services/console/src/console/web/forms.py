"""What a page's form sent: fields by name, bounded, each once or several times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import uuid4

from starlette.requests import Request

from console.web.refusals import Refusal

# The largest form has 150 fields; nobody types this much.
MOST_BYTES = 128 * 1024
MOST_FIELDS = 600
FORM = "application/x-www-form-urlencoded"
# Under this name a page carries the key of its own submission: sent twice, it acts once.
ONCE = "once"


@dataclass(frozen=True)
class Form:
    """The fields as typed, blanks at their ends taken off."""

    fields: Mapping[str, tuple[str, ...]]

    def text(self, name: str) -> str:
        """The field's last value; empty where it is missing."""
        return self.fields.get(name, ("",))[-1]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value that is not blank."""
        return tuple(value for value in self.fields.get(name, ()) if value)

    def __contains__(self, name: str) -> bool:
        return bool(self.text(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    @property
    def once(self) -> str:
        """The key of this submission."""
        return self.text(ONCE) or once()


EMPTY = Form({})


def once() -> str:
    """A fresh key for a page's form."""
    return str(uuid4())


async def form_of(request: Request) -> Form:
    """What was sent. Raises `Refusal` where it is larger than any form of ours, or no form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refusal(
                413, "This is more than a form takes.", "Shorten what you typed, and send it again."
            )
    if not body:
        return EMPTY
    if kind != FORM:
        raise Refusal(415, "A form is sent as a browser sends it.", "Send it from the page.")
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise Refusal(
            400, "What was sent cannot be read.", "Open the page again, and send it from there."
        ) from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value.strip())
    return Form({name: tuple(values) for name, values in fields.items()})
