"""logs, events: what a platform writes and what happens in the tenant."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from webnova.cli.command import command
from webnova.cli.output import Output, isolated
from webnova.cli.sources import connect

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Stay and print what is new.")]
_LONGEST = 160


@command
def logs(
    output: Output,
    name: Annotated[str, typer.Argument(help="The platform's name.")],
    follow: Follow = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=5000)] = 200,
) -> None:
    """Print what a platform wrote last."""
    with connect() as client:
        if not follow:
            found = list(client.logs(name, lines))
            output.value({"lines": found})
            for line in found:
                output.say(line)
            return
        for line in client.logs(name, lines, follow=True):
            output.record({"line": line})
            output.say(line)


@command
def events(
    output: Output,
    follow: Follow = False,
    after: Annotated[
        str | None, typer.Option(help="The cursor of the last event that you have.")
    ] = None,
) -> None:
    """Print what happened in the tenant, in order; with --json one event per line."""
    with connect() as client:
        for event in client.events(after, follow=follow):
            output.record(event)
            data = json.dumps(event.data, ensure_ascii=False)
            shown = data if len(data) <= _LONGEST else f"{data[:_LONGEST]}…"
            output.say(f"{event.at:%H:%M:%S} {event.type} {event.id} {isolated(shown)}")
