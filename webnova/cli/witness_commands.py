"""audit witness: cosigning the checkpoints of others' logs."""

# ruff: noqa: PLC0415
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from webnova.cli.command import command
from webnova.cli.output import Output, isolated
from webnova.cli.sources import connect

if TYPE_CHECKING:
    from webnova.client.witnessing import WitnessedLog


@command
def show(output: Output) -> None:
    """Show under which keys the tenant is a witness, and what others enter to ask it."""
    from webnova.client import witnessing

    with connect() as client:
        found = client.do(witnessing.witness())
        address = f"{client.url}/api/v1/audit/witness"
    output.value(found)
    output.say(found.name, style="bold")
    for vkey in found.vkeys:
        output.say(f"vkey: {vkey}")
    output.say("Whose checkpoints are to be cosigned here sets:")
    output.say(f"WEBNOVA_WITNESSES='{found.vkeys[0]} {address}'")
    token = found.vkeys[0].split("+")[1].upper()
    output.say(f"WEBNOVA_WITNESS_TOKEN_{token}=…  (a token of this tenant with witness.cosign)")


@command
def trust(
    output: Output,
    vkey: Annotated[str, typer.Argument(help="The log's key, from a source that you trust.")],
) -> None:
    """Cosign the checkpoints of a log from now on: one tenant's of another installation."""
    from webnova.client import witnessing

    with connect() as client:
        _tell(output, client.do(witnessing.trust_log(vkey)))


@command
def list_logs(output: Output) -> None:
    """List the logs that the tenant watches, and how far it has seen each."""
    from webnova.client import witnessing

    with connect() as client:
        found = list(client.pages(witnessing.witnessed_logs))
    output.value([*found])
    if not found:
        output.say("No log is trusted yet. → webnova audit witness trust VKEY")
    output.table(
        ["log", "events", "cosigned (UTC)", "trusted", "id"],
        [
            [
                isolated(each.origin),
                "" if each.size is None else str(each.size),
                f"{each.cosigned_at:%Y-%m-%d %H:%M:%S}" if each.cosigned_at else "",
                "yes" if each.vkeys else "no",
                each.id,
            ]
            for each in found
        ],
    )


@command
def remove(
    output: Output, id: Annotated[str, typer.Argument(metavar="LOG", help="The log's id.")]
) -> None:
    """Cosign nothing of a log any more. How far it was seen stays known."""
    from webnova.client import witnessing

    with connect() as client:
        _tell(output, client.do(witnessing.distrust_log(id)))


def _tell(output: Output, found: WitnessedLog) -> None:
    output.value(found)
    output.say(isolated(f"{found.origin}  {'trusted' if found.vkeys else 'not trusted'}"))
    seen = None if found.cosigned_at is None else f"{found.size} events at {found.cosigned_at}"
    output.facts([("id", found.id), ("keys", " ".join(found.vkeys) or None), ("cosigned", seen)])
