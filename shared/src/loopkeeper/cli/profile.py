"""The commands `loopkeeper profile …`: how each plan writes its files."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from loopkeeper.cli.terminal import FAILED, USAGE, Json, counted, fail, say, settings, show
from loopkeeper.contract.calendar import la_date
from loopkeeper.kernel.clock import SystemClock

Kind = Annotated[
    str, typer.Argument(help="mif, rtf, otf, referrals or decisions", metavar="KIND", show_default=False)
]


def profile_check(as_json: Json = False) -> None:
    """Check every profile in the policy folder's `files`, and say what to correct."""
    from loopkeeper.plan_files.profile_folder import read_profiles

    read = read_profiles(settings().profiles_folder)
    if as_json:
        show(
            [{"place": found.place, "sentence": found.sentence, "fix": found.fix} for found in read.findings]
        )
    else:
        for found in read.findings:
            say(f"{found.place}\n  {found.sentence}\n  {found.fix}")
        known = counted(len(read.profiles), "profile")
        say(f"{len(read.findings)} to correct." if read.findings else f"{known}, nothing wrong.")
    if read.findings:
        raise typer.Exit(FAILED)


def profile_guess(
    file: Annotated[Path, typer.Argument(help="A file of the plan.", metavar="FILE", show_default=False)],
    kind: Annotated[str, typer.Option("--kind", help="What the file is, where it is known.")] = "",
) -> None:
    """Draft a profile from one file, with what was guessed and why, for a person to look at."""
    from loopkeeper.plan_files.fields import KINDS, kind_named
    from loopkeeper.plan_files.guessing import guess
    from loopkeeper.spreadsheets import Unreadable

    known = kind_named(kind)
    if kind and known is None:
        fail(f"There is no kind of file {kind}.", f"One of {', '.join(KINDS)}.", USAGE)
    try:
        content = file.read_bytes()
    except OSError:
        fail("The file cannot be read.", "Check its path and that you may read it.", USAGE)
    try:
        typer.echo(guess(content, file.name, known), nl=False)
    except Unreadable as error:
        fail(error.sentence, error.fix)


def profile_example(
    kind: Kind,
    plan: Annotated[str, typer.Option("--plan", help="Whose layout.", show_default=False)],
    on: Annotated[str, typer.Option("--on", help="The day whose layout is meant, as 2026-03-02.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it.", show_default=False)] = None,
) -> None:
    """Write a workbook to fill in: headings, lists, comments, and a sheet that explains it."""
    from loopkeeper.plan_files.fields import KINDS, kind_named
    from loopkeeper.plan_files.profile_folder import read_profiles
    from loopkeeper.plan_files.template import template

    known = kind_named(kind)
    if known is None:
        fail(f"There is no kind of file {kind}.", f"One of {', '.join(KINDS)}.", USAGE)
    try:
        day = date.fromisoformat(on) if on else la_date(SystemClock().now())
    except ValueError:
        fail("The day cannot be read.", "Write it as 2026-03-02.", USAGE)
    folder = settings().profiles_folder
    profile = read_profiles(folder).of(plan, day)
    if profile is None or known not in profile.files:
        fail(
            f"{plan} has no layout of {kind} on {day.isoformat()}.",
            f"Put its profile into {folder}; `loopkeeper profile check` says what is wrong.",
        )
    target = out or Path(f"{plan}-{kind}.xlsx")
    target.write_bytes(template(known, profile))
    say(f"Written: {target}")
