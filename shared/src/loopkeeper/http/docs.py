"""What does the API look like to a person? One page without script or network, made of the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from loopkeeper.http.openapi import ANYWHERE

STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
summary { padding: .5rem; cursor: pointer; }
summary:focus-visible, a:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
details { border: 1px solid GrayText; border-radius: .4rem; margin: .4rem 0; padding: 0 .6rem; }
code, pre { font-family: ui-monospace, monospace; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid GrayText; border-radius: .4rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
"""


def page(document: Mapping[str, Any]) -> str:
    """The whole page: operations by service, then the shapes they name, then every problem by its slug."""
    title = escape(document["info"]["title"])
    return "\n".join(
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>',
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>',
            f"<body><main><h1>{title} API</h1>",
            '<p>For programs: <a href="/openapi.json">/openapi.json</a>. Send your key as ',
            "<code>Authorization: Bearer …</code>.</p>",
            *_operations(document),
            *_shapes(document),
            *_problems(document),
            "</main></body></html>",
        )
    )


def _each(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    service = ""
    # Services in the order a referral meets them, which is the document's own.
    order = list(dict.fromkeys(operation["tags"][0] for _, _, operation in _each(document)))
    for method, path, operation in sorted(
        _each(document), key=lambda found: order.index(found[2]["tags"][0])
    ):
        if operation["tags"][0] != service:
            service = operation["tags"][0]
            yield f"<h2>{escape(service)}</h2>"
        yield from _operation(method, path, operation)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details><summary><code>{method} {escape(path)}</code> {escape(operation['summary'])}</summary>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    roles = ", ".join(operation.get("x-roles", ())) or "everyone, without a key"
    yield f"<p>Who: {escape(roles)}</p>"
    yield _table("Send", ((each["name"], each["in"]) for each in operation.get("parameters", ())))
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{escape(media)}</code> {_shape_link(content['schema'])}</p>"
        for shown in content.get("examples", {}).values():
            yield f"<pre>{escape(json.dumps(shown['value'], indent=2, ensure_ascii=False))}</pre>"
    yield _table("Answers", (_answer(status, found) for status, found in operation["responses"].items()))
    yield "</details>"


def _answer(status: str, response: Mapping[str, Any]) -> tuple[str, str]:
    shapes = [_shape(content.get("schema", {})) for content in response.get("content", {}).values()]
    return status, " ".join((response["description"], *filter(None, shapes)))


def _shape(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rsplit("/", 1)[-1]


def _shape_link(schema: Mapping[str, Any]) -> str:
    name = escape(_shape(schema))
    return f'<a href="#shape-{name}">{name}</a>' if name else ""


def _table(heading: str, rows: Iterator[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows
    )
    return f"<table><caption>{heading}</caption>{cells}</table>" if cells else ""


def _shapes(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Shapes</h2>"
    for name, schema in document["components"]["schemas"].items():
        text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
        yield f'<details id="shape-{escape(name)}"><summary>{escape(name)}</summary><pre>{text}</pre></details>'


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    statuses = {slug: str(status) for slug, status in ANYWHERE.items()}
    for _, _, operation in _each(document):
        for status, response in operation["responses"].items():
            statuses.update(dict.fromkeys(response.get("x-slugs", ()), status))
    yield "<h2>Problems</h2><table>"
    for slug, status in sorted(statuses.items()):
        yield f'<tr id="{escape(slug)}"><th scope="row"><code>{escape(slug)}</code></th><td>{status}</td></tr>'
    yield "</table>"
