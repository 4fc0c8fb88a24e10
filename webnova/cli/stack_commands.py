"""up, down, status, token: the stack of the home."""

# ruff: noqa: PLC0415
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.kernel.errors import NotFound
from webnova.cli.command import command, stop
from webnova.cli.exits import ExitCode
from webnova.cli.output import Output

if TYPE_CHECKING:
    from webnova.stack.local import StackStatus


@command
def up(output: Output) -> None:
    """Start the local stack: Postgres, Ray, the API. Does nothing when it runs."""
    status = start(output)
    output.value(status)
    output.say("WebNova is running.", style="bold green")
    show_addresses(output, status)


@command
def down(output: Output) -> None:
    """Stop the local stack and all that it started. The data in the home stay."""
    from webnova.client.location import home_of
    from webnova.stack.local import Stack

    stack = Stack(home_of())
    was = stack.status().state
    stack.down()
    output.value(stack.status())
    output.say("WebNova was not running." if was == "stopped" else "WebNova is stopped.")


@command
def status(output: Output) -> None:
    """Show what runs. Ends with code 3 unless everything does."""
    from webnova.client.location import home_of
    from webnova.stack.local import Stack

    found = Stack(home_of()).status()
    output.value(found)
    output.say(f"WebNova is {found.state}.", style="bold")
    output.table(
        ["part", "state", "pid", "port", "detail"],
        [
            [part.name, part.state, str(part.pid or ""), str(part.port or ""), part.detail]
            for part in found.parts
        ],
    )
    if found.detail:
        output.say(found.detail)
    show_addresses(output, found)
    if found.state != "running":
        output.say("  → webnova up")
        raise stop(ExitCode.UNAVAILABLE)


@command
def token(
    output: Output,
    show: Annotated[bool, typer.Option("--show", help="Print the token itself.")] = False,
) -> None:
    """Say where the local API token is kept; `--show` prints it."""
    from webnova.cli.shapes import TokenPlace
    from webnova.client.location import first_token, home_of

    home = home_of()
    found = first_token(home)
    place = TokenPlace(
        file=str(home.first_token_file),
        exists=found is not None,
        token=found.reveal() if found and show else None,
    )
    if found is None:
        raise NotFound(
            f"There is no local token: {place.file} can't be read.",
            mend="It is made by the first `webnova up`.",
        )
    output.value(place)
    if show:
        output.say(found.reveal())
    else:
        output.say(place.file)
        output.say('  → webnova token --show, or export WEBNOVA_TOKEN="$(webnova token --show)"')


def start(output: Output) -> StackStatus:
    """Bring the stack up, with a line for each step."""
    from webnova.cli.following import step_reporter
    from webnova.client.location import home_of
    from webnova.stack.local import Stack

    board, report = step_reporter(output)
    with board:
        return Stack(home_of()).up(report)


def show_addresses(output: Output, status: StackStatus) -> None:
    output.facts(
        [
            ("API", f"{status.url}/api/v1" if status.url else None),
            ("API docs", status.docs_url),
            ("Ray dashboard", status.dashboard_url),
            ("home", status.home),
        ]
    )
