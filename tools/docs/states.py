"""The tables status × command: what each service's rules answer in each status, found by running them."""

from __future__ import annotations

from typing import Any

from loopkeeper.contract.decider import Command, Decider, EventOn, Refused
from loopkeeper.contract.events import Event
from tools.docs.samples import SPECS


def table(service: str) -> str:
    """The table of one service, as Markdown."""
    spec = SPECS[service]
    head = " | ".join(spec.commands)
    lines = [
        f"# {spec.title}\n",
        "What a command yields in each status: events, `–` for nothing, or the slug of its refusal.\n",
        f"| status | {head} |",
        "|---|" + "---|" * len(spec.commands),
    ]
    for name, state in spec.states.items():
        cells = (_answer(spec.decider, state, make(state)) for make in spec.commands.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _answer(decider: Decider[Any, Any], state: Any, asked: Any) -> str:
    command: Command = asked if isinstance(asked, Command) else asked[0]
    if command.fact is not None:
        state = decider.evolve(state, command.fact)
    try:
        events = decider.decide(state, asked)
    except Refused as refused:
        return f"`{refused.slug}`"
    return ", ".join(_said(event) for event in events) or "–"


def _said(event: Event | EventOn) -> str:
    return event.wire if isinstance(event, Event) else f"{event.event.wire} (to the other)"
