"""subject: whether personal data is kept of somebody, and its erasure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from webnova.cli.command import command
from webnova.cli.output import Output, isolated
from webnova.cli.sources import connect

if TYPE_CHECKING:
    from webnova.client.subjects import Subject

Id = Annotated[str, typer.Argument(help="The subject's id, such as user:0198c3.")]


@command
def show(output: Output, id: Id) -> None:
    """Show whether personal data of a subject can be read, and when it was erased."""
    with connect() as client:
        found = client.subject(id)
    output.value(found)
    _tell(output, found)


@command
def erase(
    output: Output,
    id: Id,
    reason: Annotated[str, typer.Option(help="Kept in the clear for ever: name nobody.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a subject's personal data for ever by destroying its key."""
    if not yes:
        typer.confirm(f"Erase all personal data of {id} for ever?", abort=True, err=True)
    with connect() as client:
        found = client.erase_subject(id, reason)
    output.value(found)
    _tell(output, found)


def _tell(output: Output, found: Subject) -> None:
    said = {
        "held": "personal data is kept and can be read.",
        "erased": f"erased at {found.erased_at}: {found.reason}",
        "withheld": "the key was not brought along by an import; nothing can be read here.",
    }
    output.say(isolated(f"{found.subject}: {said[found.state]}"))
