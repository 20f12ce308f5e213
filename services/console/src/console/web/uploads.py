"""A form that carries one file, as a browser sends it: its fields, and the file's name and bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

from starlette.requests import Request

from console.web.forms import Form
from console.web.refusals import Refusal

KIND = "multipart/form-data"
LARGEST = 25 * 1024 * 1024
# What the fields and the marks between them may take next to the file.
FIELDS = 64 * 1024
MOST_PARTS = 20
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")
UNREADABLE = Refusal(400, "What was sent cannot be read.", "Open the page again, and send it from there.")


@dataclass(frozen=True)
class Uploaded:
    """The fields of the form, and its file; no name and no bytes where none was chosen."""

    form: Form
    name: str
    content: bytes


async def uploaded(request: Request) -> Uploaded:
    """Raises `Refusal` where it is larger than a file may be, or no such form."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST + FIELDS:
            raise Refusal(413, "The file has more than 25 megabytes.", "Split it into several files.")
    fields: dict[str, tuple[str, ...]] = {}
    name, content = "", b""
    for header, part in _parts(bytes(body), _boundary(request)):
        field = header.get_param("name", header="content-disposition")
        if not isinstance(field, str):
            raise UNREADABLE
        chosen = header.get_filename()
        if chosen is not None:
            name, content = chosen.replace("\\", "/").rpartition("/")[2], part
            continue
        try:
            fields[field] = (*fields.get(field, ()), part.decode().strip())
        except UnicodeDecodeError:
            raise UNREADABLE from None
    return Uploaded(Form(fields), name, content)


def _boundary(request: Request) -> bytes:
    said = Message()
    said["content-type"] = request.headers.get("content-type", "")
    boundary = said.get_param("boundary")
    if said.get_content_type() != KIND or not isinstance(boundary, str) or not _BOUNDARY.fullmatch(boundary):
        raise Refusal(415, "A form is sent as a browser sends it.", "Send it from the page.")
    return boundary.encode()


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[Message, bytes]]:
    first, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, MOST_PARTS + 1)
    if first or not parts or not parts[-1].startswith(b"--"):
        raise UNREADABLE
    for part in parts[:-1]:
        header, apart, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not apart:
            raise UNREADABLE
        yield BytesHeaderParser().parsebytes(header + b"\r\n\r\n"), content
