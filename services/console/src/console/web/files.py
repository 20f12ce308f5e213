"""Style, script, font and icons: read once, named by what is in them, kept by a browser for a year."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
FOREVER = "public, max-age=31536000, immutable"


class File(Response):
    """One file with its type and how long it may be kept."""


def style() -> str:
    """The one style sheet, from its parts in the order of their numbers: what comes later wins."""
    parts = [
        each for each in files("console").joinpath("static/style").iterdir() if each.name.endswith(".css")
    ]
    return "\n".join(each.read_text() for each in sorted(parts, key=lambda each: each.name))


@cache
def _all() -> Mapping[str, tuple[str, bytes]]:
    """By name: the address and the bytes. The style names the font's address, so it is read after the font."""
    folder = files("console").joinpath("static")
    raw = {each.name: each.read_bytes() for each in folder.iterdir() if each.name.rpartition(".")[2] in TYPES}
    raw["console.css"] = style().encode()
    font = _address("public-sans.woff2", raw["public-sans.woff2"])
    raw["console.css"] = raw["console.css"].replace(b"url(public-sans.woff2)", f"url({font})".encode())
    return {name: (_address(name, content), content) for name, content in raw.items()}


def _address(name: str, content: bytes) -> str:
    stem, _, ending = name.rpartition(".")
    return f"/static/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"


def asset(name: str) -> str:
    """The address of a file of `static/`."""
    return _all()[name][0]


async def _serve(request: Request) -> Response:
    found = {address: (name, content) for name, (address, content) in _all().items()}.get(request.url.path)
    if found is None:
        return Response("There is no such file.", 404, media_type="text/plain")
    name, content = found
    return File(
        content,
        headers={"Content-Type": TYPES[name.rpartition(".")[2]], "Cache-Control": FOREVER},
    )


route = Route("/static/{name}", _serve, methods=["GET"])
