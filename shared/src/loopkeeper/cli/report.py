"""The commands `loopkeeper report …`: build a preview of what a plan reports to the state, fetch it, read its figures and the
referrals behind each, and say that it was submitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from loopkeeper.cli.http_client import Client
from loopkeeper.cli.terminal import FAILED, USAGE, Json, asking, each, fail, say, show

KINDS = ("measures", "monthly", "qimr")
Key = Annotated[
    str | None, typer.Option("--key", help="The plan's key; default: LOOPKEEPER_KEY.", show_default=False)
]
ReportId = Annotated[
    str, typer.Argument(help="The report's id, as `build` printed it.", metavar="ID", show_default=False)
]
By = Annotated[
    str, typer.Option("--by", help="population, county, provider, referrer or age_band; without it, totals.")
]
# How often it is looked whether a report is ready, in seconds.
EVERY = 0.5


def report_build(
    kind: Annotated[
        str, typer.Argument(help=f"Which report: {', '.join(KINDS)}.", metavar="KIND", show_default=False)
    ],
    period: Annotated[
        str,
        typer.Argument(
            help="A month such as 2026-10; for qimr a quarter, 2026-Q4.", metavar="PERIOD", show_default=False
        ),
    ],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Build a report of a month or quarter, and wait until it is ready. The same facts give the same bytes."""
    if kind not in KINDS:
        fail(f"There is no report {kind}.", f"One of {', '.join(KINDS)}.", USAGE)
    with asking(key) as client:
        found = client.post("/v1/reports", {"kind": kind, "period": period})
        while found["state"] == "building" and found["code"] is None:
            time.sleep(EVERY)
            found = client.get(f"/v1/reports/{found['id']}")
    tell(found, as_json)


def report_status(id: ReportId, key: Key = None, as_json: Json = False) -> None:
    """How far a report is."""
    with asking(key) as client:
        tell(client.get(f"/v1/reports/{id}"), as_json)


def report_fetch(
    id: ReportId,
    out: Annotated[Path, typer.Option("--out", help="Where to write it.", show_default=False)],
    key: Key = None,
) -> None:
    """Fetch the whole report: it has members' names where the state asks for them, and nothing in it is masked."""
    with asking(key) as client:
        content = client.download(f"/v1/reports/{id}/content")
    try:
        out.write_bytes(content)
    except OSError:
        fail("The file cannot be written.", "Name another place with --out.", USAGE)
    say(f"{out}: written")


def report_figures(
    id: ReportId,
    key: Key = None,
    by: By = "",
    published: Annotated[
        bool, typer.Option("--published", help="Without those that tell of fewer than 11 people.")
    ] = False,
    explain: Annotated[str, typer.Option("--explain", help="Show the referrals behind this figure.")] = "",
    of: Annotated[
        str, typer.Option("--of", help="With --explain and --by: of which county, provider …")
    ] = "",
    as_json: Json = False,
) -> None:
    """The figures of a report, each next to what was submitted; or, with --explain, the referrals that one counts."""
    with asking(key) as client:
        if explain:
            behind = list(_behind(client, id, explain, by, of))
            show(behind) if as_json else each(
                behind, {"referral": _text("referral"), "times": _text("times")}
            )
            return
        if published:
            found = client.get(f"/v1/reports/{id}/published")
            found["items"] = [figure for figure in found["items"] if figure["by"] == by]
        else:
            found = client.get(f"/v1/reports/{id}/figures", by=by)
    if as_json:
        show(found)
        return
    say(found["preview"])
    for source in found["sources"]:
        say(f"  {source}")
    columns = {"figure": _text("figure"), "of": _text("of"), "value": _value, "share": _text("share")}
    each(found["items"], columns | ({} if published else {"submitted": _text("submitted")}))


def report_submit(
    id: ReportId,
    person: Annotated[
        str,
        typer.Option("--person", help="Who of the plan submitted it, by their staff id.", show_default=False),
    ],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Say that these figures went to the state. They are shown, as submitted, next to those of every later report."""
    with asking(key) as client:
        tell(client.post(f"/v1/reports/{id}:submit", {"acted_by": {"person": person}}), as_json)


def _behind(client: Client, id: str, figure: str, by: str, of: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    after: str | None = ""
    while after is not None:
        path = f"/v1/reports/{id}/referrals"
        page = client.get(path, figure=figure, by=by or None, of=of or None, after=after or None, limit=1000)
        found += page["items"]
        after = page["next_after"]
    return found


def _text(name: str) -> Callable[[Mapping[str, Any]], str]:
    def cell(row: Mapping[str, Any]) -> str:
        return "" if row[name] is None else str(row[name])

    return cell


def _value(row: Mapping[str, Any]) -> str:
    return "hidden" if row["value"] is None else str(row["value"])


def tell(found: Mapping[str, Any], as_json: bool) -> None:
    """The report in words. Ends with 1 where it failed, or waits for a key that is not here."""
    if as_json:
        show(found)
    else:
        say(f"{found['id']}  {found['kind']}  {found['period']}  {found['state']}")
        say(f"  {found['preview']}")
        due = f", due {found['due_on']}" if found["due_on"] else ""
        say(f"  referrals: {found['referrals']}, bytes: {found['bytes']}{due}")
    if found["code"]:
        if not as_json:
            say(f"  {found['code']}")
        raise typer.Exit(FAILED)
