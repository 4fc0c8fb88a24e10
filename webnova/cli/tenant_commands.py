"""tenant: the life of the tenants of an installation, for members of its root tenant."""

from __future__ import annotations

from typing import Annotated

import typer

from webnova.cli.command import command
from webnova.cli.output import Output, isolated
from webnova.cli.sources import connect

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
        state = f"  suspended: {each.suspended.reason}" if each.suspended else ""
        output.say(isolated(f"{each.name}  {each.title}{state}"))


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
