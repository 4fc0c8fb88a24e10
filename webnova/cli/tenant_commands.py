"""tenant: the life of the tenants of an installation, for members of its root tenant."""

# ruff: noqa: PLC0415
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.kernel.errors import InvalidInput
from webnova.cli.command import command
from webnova.cli.output import Output, isolated
from webnova.cli.sources import connect, opened, read_text, written

if TYPE_CHECKING:
    from engine.ledger.tenancy.archive import Inspected
    from webnova.client.tenancy import Tenant

Keys = Annotated[
    list[str] | None,
    typer.Option("--vkey", help="A key of the log from a source that you trust; repeatable."),
]
Name = Annotated[str, typer.Argument(help="The tenant's name.")]


@command
def create_tenant(
    output: Output,
    name: Name,
    title: Annotated[str, typer.Option(help="What people call it; the name by default.")] = "",
) -> None:
    """Register a tenant and show its first API token, this once."""
    with connect() as client:
        made = client.create_tenant(name, title or name)
    output.value(made)
    output.say(f"Tenant {name} is registered.", style="green")
    if made.token is not None:
        output.say(made.token)


@command
def list_tenants(output: Output) -> None:
    """List the tenants."""
    with connect() as client:
        found = list(client.tenants())
    output.value({"tenants": [each.model_dump(mode="json") for each in found]})
    for each in found:
        output.say(isolated(f"{each.name}  {each.title}  {_state(each)}"))


@command
def show(output: Output, name: Name) -> None:
    """Show a tenant: whether it is active, suspended or deleted, and where it came from."""
    with connect() as client:
        found = client.tenant(name)
    output.value(found)
    facts = [("tenant", found.name), ("title", found.title), ("state", _state(found))]
    if (came := found.imported) is not None:
        facts.append(("came from", f"{came.origin} with {came.size} events"))
    if (gone := found.deleted) is not None:
        facts.append(("last checkpoint", f"{gone.origin} {gone.size} {gone.root}"))
        since = gone.purged_at.isoformat() if gone.purged_at else "something is left"
        facts.append(("nothing left since", since))
    output.facts(facts)


def _state(tenant: Tenant) -> str:
    if tenant.deleted is not None:
        return "deleted" if tenant.deleted.purged_at else "being deleted"
    return f"suspended: {tenant.suspended.reason}" if tenant.suspended else "active"


@command
def suspend(
    output: Output,
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; members of the tenant are told.")],
) -> None:
    """Refuse the tenant's tokens, let its builds rest and stop its platforms. Nothing is lost."""
    with connect() as client:
        found = client.suspend_tenant(name, reason)
    output.value(found)
    output.say(f"Tenant {name} is suspended.", style="yellow")


@command
def resume(output: Output, name: Name) -> None:
    """End a suspension: everything goes on where it stopped."""
    with connect() as client:
        found = client.resume_tenant(name)
    output.value(found)
    output.say(f"Tenant {name} is active.", style="green")


@command
def export(
    output: Output,
    name: Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    recipient: Annotated[
        str | None,
        typer.Option(help="Key of the installation that shall be able to read personal data."),
    ] = None,
) -> None:
    """Write everything of a tenant into one file, and check that it arrived whole."""
    from engine.ledger.tenancy.archive import Inspection
    from engine.ledger.transparency.export import Trust

    inspection = Inspection(Trust())
    with connect() as client, written(out) as file:
        for line in client.export_tenant(name, recipient):
            inspection.line(line + b"\n")
            file.write(line + b"\n")
        found = inspection.finish()
    output.value(found)
    _tell(output, found, out)


@command
def verify(
    output: Output,
    file: Annotated[Path, typer.Argument(help="A file that `webnova tenant export` wrote.")],
    vkey: Keys = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that you kept; repeatable.")
    ] = None,
) -> None:
    """Check that a tenant's file is whole, unchanged and signed. Nothing has to run."""
    from engine.ledger.tenancy.archive import inspect, read_lines
    from engine.ledger.transparency.export import Trust
    from engine.ledger.transparency.notes import Verifier

    trust = Trust(
        [Verifier.parse(each) for each in vkey or []],
        [read_text(each) for each in checkpoint or []],
    )
    with opened(file) as source:
        found = inspect(read_lines(source), trust)
    output.value(found)
    _tell(output, found, file)
    if not found.log.outside:
        output.say(
            "Nothing from outside the file took part: one forged as a whole would pass too. "
            "Give a vkey or a checkpoint that you kept.",
            style="yellow",
        )


@command
def delete(
    output: Output,
    name: Name,
    confirm: Annotated[
        str | None, typer.Option(help="The name once more, for scripts; else it is asked for.")
    ] = None,
) -> None:
    """Delete a suspended tenant for ever: its rows, keys and files. Export it first."""
    given = confirm or typer.prompt(f"Type {name!r} to delete it for ever", err=True)
    if given != name:
        raise InvalidInput(
            f"{given!r} is not {name!r}: nothing was deleted.", mend="Type the tenant's name."
        )
    with connect() as client:
        found = client.delete_tenant(name)
    output.value(found)
    assert found.deleted is not None
    output.say(f"Tenant {name} goes; its last checkpoint stays as proof:", style="yellow")
    output.say(f"{found.deleted.origin} {found.deleted.size} {found.deleted.root}")


@command
def recipient(output: Output) -> None:
    """Show this installation's key: exports made for it can be read here, personal data and all."""
    with connect() as client:
        key = client.recipient()
    output.value({"recipient": key})
    output.say(key)


@command
def import_tenant(
    output: Output,
    file: Annotated[Path, typer.Argument(help="A file that `webnova tenant export` wrote.")],
    vkey: Keys = None,
) -> None:
    """Take a tenant over from another installation, under the name that it has there."""
    with opened(file):
        pass
    with connect() as client:
        found = client.import_tenant(file, vkey or [])
    output.value(found)
    assert found.imported is not None
    output.say(f"Tenant {found.name} is here with {found.imported.size} events.", style="green")
    if not vkey:
        output.say(
            "No key from outside took part: give --vkey to know who made the file.", style="yellow"
        )


def _tell(output: Output, found: Inspected, file: Path) -> None:
    others = sum(found.rows.values())
    output.say(
        f"{found.tenant}: {found.log.size} events and {others} other rows in {file}"
        f" ({found.bytes:,} bytes), whole and signed.",
        style="green",
    )
