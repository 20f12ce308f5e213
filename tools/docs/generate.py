"""Writes the documents that are computed from the program, or with `--check` says which of them are out of date.

    python -m tools.docs.generate [--check]

Events, their JSON Schemas and the log's AsyncAPI document, the OpenAPI documents, the commands, settings and policy
rows, and for every service a table status × command that is found by running its rules.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import click
import typer
from openapi_spec_validator import validate

from loopkeeper import policy
from loopkeeper.cli import app as command_line
from loopkeeper.contract import events
from loopkeeper.contract.event import Catalog, Event, Superseded
from loopkeeper.kernel.settings import ServiceSettings, Settings
from loopkeeper.policy.conditions import All, Leaf, said
from loopkeeper.policy.conditions import Any as Any_
from loopkeeper.policy.reading import load
from loopkeeper.runtime.console import installed as console
from loopkeeper.runtime.serve import app_of
from loopkeeper.runtime.service import Service, installed
from tools.docs import alerts, answers, asyncapi, console_models, decisions, rules, states, structure

DOCS = Path(__file__).parents[2] / "docs" / "reference"
NOTE = "<!-- Written by `make docs`; change the program instead. -->\n\n"


def documents() -> dict[str, str]:
    """Every generated document by its path under docs/reference/."""
    services = installed()
    rows = load([service.package for service in services.values()], None)
    read_by = readers(services)
    made = {
        "events.md": NOTE + event_table(read_by),
        "asyncapi.yaml": "# Written by `make docs`; change the program instead.\n"
        + asyncapi.document(version("loopkeeper"), read_by),
        "commands.md": NOTE + commands(),
        "settings.md": NOTE + settings(services),
        "policy.md": NOTE + policy_rows(rows),
        "rules.md": NOTE + rules.table(),
        "structure.md": NOTE + structure.document(),
        "../../deploy/k8s/components/monitoring/prometheusrule.yaml": alerts.prometheus_rule(),
        "../adr/README.md": NOTE + decisions.index(),
        "../guides/refer.md": answers.guide(rows),
        "../../services/console/src/console/api/models/form.py": console_models.form(rows),
    }
    made |= schemas(events.CATALOG)
    _openapi(*services.values())
    for name, service in services.items():
        document = _openapi(service)
        made[f"openapi/{name}.json"] = _json(document)
        made[f"../../services/console/src/console/api/models/{name}.py"] = console_models.models(
            name, document
        )
        made[f"states/{name}.md"] = NOTE + states.table(name)
    return made


def _openapi(*served: Service) -> Mapping[str, Any]:
    """The document of these services as a process of them serves it; it must be one that every reader of OpenAPI
    understands."""
    app = app_of({service.name: service for service in served})
    found = app.openapi() if len(served) > 1 else app.document(served[0].name)
    validate(cast("Any", found))
    return found


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True, default=str) + "\n"


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────


def schemas(catalog: Catalog) -> dict[str, str]:
    """The JSON Schema of every version of every event: what the log has, old readers and new ones may meet."""
    kinds = {**catalog.superseded, **catalog.by_type}
    return {
        f"schemas/{name}.json": _json(kind.model_json_schema(by_alias=True)) for name, kind in kinds.items()
    }


def readers(services: Mapping[str, Service]) -> dict[type[Event], list[str]]:
    """Who reacts to each event."""
    found: dict[type[Event], list[str]] = {}
    for name, service in services.items():
        for kind in service.reactions:
            found.setdefault(kind, []).append(name)
    return found


def event_table(read_by: Mapping[type[Event], list[str]], catalog: Catalog = events.CATALOG) -> str:
    """Each event: who publishes it, who reads it, what it carries; and what shapes it had before."""
    lines = [
        "# Events\n",
        "The wire type of `referral.received` is `ecm.referral.received.v1`. Every event also has `occurred_at`,\n"
        "`acted_by?` and `policy[]`. The envelope is CloudEvents 1.0 in binary mode ([asyncapi.yaml](asyncapi.yaml)). "
        "The JSON\nSchema of each is in [schemas](schemas).\n",
        "| event | published by | read by | data |",
        "|---|---|---|---|",
    ]
    for kind in catalog.by_type.values():
        readers_of = ", ".join(read_by.get(kind, [])) or "–"
        shown = f"{kind.wire} (v{kind.wire_version})" if kind.wire_version > 1 else kind.wire
        lines.append(f"| {shown} | {events.publisher(kind)} | {readers_of} | {_data(kind)} |")
    return "\n".join([*lines, "", *_superseded(catalog)]) + "\n"


def _superseded(catalog: Catalog) -> Iterator[str]:
    yield "## Earlier versions\n"
    yield (
        "The log keeps what was published, so every version an event had is still read: it is brought up to the newest\n"
        "before any rule sees it. None of these is published any more.\n"
    )
    if not catalog.superseded:
        yield "No event has had another version yet."
        return
    yield "| wire type | superseded by | what changed | data |"
    yield "|---|---|---|---|"
    for name, old in catalog.superseded.items():
        yield f"| {name} | v{old.wire_version + 1} | {_summary(old.__doc__)} | {_data(old)} |"


def _data(kind: type[Event] | type[Superseded]) -> str:
    own = {name: field for name, field in kind.model_fields.items() if name not in Event.model_fields}
    return ", ".join(_field(name, field) for name, field in own.items())


def _field(name: str, field: Any) -> str:
    shown = field.alias or name
    return f"`{shown}`" if field.is_required() else f"`{shown}?`"


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────


def commands() -> str:
    """Every command with its arguments and options."""
    root = typer.main.get_command(command_line)
    lines = [
        "# Commands\n",
        "Exit codes: 0 done; 1 failed or not well; 2 usage; 3 nothing answers; 4 the service refused; 5 cannot start.\n"
        "`--json` prints one JSON document instead of text.\n",
        "| command | what it does | arguments and options |",
        "|---|---|---|",
    ]
    lines += [
        f"| `loopkeeper {path}` | {_summary(command.help)} | {_parameters(command)} |"
        for path, command in _leaves(root, ())
    ]
    return "\n".join(lines) + "\n"


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    children: Mapping[str, Any] = getattr(command, "commands", {})
    if not children:
        yield " ".join(path), command
    for name, child in children.items():
        yield from _leaves(child, (*path, name))


def _parameters(command: click.Command) -> str:
    shown: list[str] = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = (parameter.name or "").upper()
            shown.append(f"`{name}`" if parameter.required else f"`[{name}]`")
        elif "--help" not in parameter.opts:
            shown.append(f"`{'`/`'.join(parameter.opts)}` {getattr(parameter, 'help', '') or ''}".strip())
    return "; ".join(shown) or "–"


def _summary(text: str | None) -> str:
    """The whole first paragraph, however its lines are broken."""
    return " ".join((text or "").strip().partition("\n\n")[0].split())


# ── settings and policy ───────────────────────────────────────────────────────────────────────────────────


def settings(services: Mapping[str, Service]) -> str:
    """Every environment variable."""
    lines = ["# Settings\n", "| variable | default | what it is |", "|---|---|---|"]
    lines += _variables(Settings)
    for service in services.values():
        lines += _variables(service.settings)
    if (pages := console()) is not None:
        lines += _variables(pages.settings)
    return "\n".join(lines) + "\n"


def _variables(kind: type[Settings] | type[ServiceSettings]) -> Iterator[str]:
    prefix = kind.model_config.get("env_prefix", "")
    for name, field in kind.model_fields.items():
        default = "" if field.default is None or field.default_factory else str(field.default)
        yield f"| `{prefix}{name.upper()}` | {f'`{default}`' if default else '–'} | {field.description or ''} |"


def policy_rows(rows: policy.Policy) -> str:
    """Every packaged policy row with its dates, source and confidence."""
    lines = ["# Policy\n", "A plan's own rows are in the operator's policy folder and come before these.\n"]
    for name, table in sorted(rows.tables.items()):
        lines += [
            f"## {name}\n",
            f"{table.about}\n",
            "| row | holds | says | source | confidence |",
            "|---|---|---|---|---|",
        ]
        for row in rows.all_rows:
            if row.table == name:
                says = "; ".join(f"{column}: {_short(value)}" for column, value in row.values.items())
                until = row.effective_to or "…"
                lines.append(
                    f"| {row.id} | {row.effective_from} – {until} | {says} | {row.source} | {row.confidence} |"
                )
        lines.append("")
    return "\n".join(lines) + "\n"


def _short(value: object) -> str:
    if isinstance(value, All | Any_ | Leaf):
        return said(value)
    text = str(value).replace("|", "¦").replace("\n", " ")
    return text if len(text) <= 160 else f"{text[:157]}…"


# ── write or check ────────────────────────────────────────────────────────────────────────────────────────


def main() -> int:
    """Write what changed, or say what should have."""
    checking = "--check" in sys.argv[1:]
    made = documents()
    stale = [path for path, text in made.items() if not _same(DOCS / path, text)]
    extra = [
        f"{folder}/{file.name}"
        for folder in ("schemas", "openapi", "states")
        for file in sorted((DOCS / folder).glob("*.*"))
        if f"{folder}/{file.name}" not in made and file.suffix in (".md", ".json")
    ]
    if checking:
        for path in stale + extra:
            print(f"docs/reference/{path} is not what the program says; run `make docs`", file=sys.stderr)
        return 1 if stale or extra else 0
    for path in stale:
        file = DOCS / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made[path])
        print(f"wrote docs/reference/{path}")
    for path in extra:
        (DOCS / path).unlink()
        print(f"removed docs/reference/{path}")
    return 0


def _same(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
