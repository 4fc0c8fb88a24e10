"""webhook, subscription: where events go, and what waits to be taken."""

# ruff: noqa: PLC0415
from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from webnova.cli.command import command
from webnova.cli.output import Output
from webnova.cli.sources import connect

if TYPE_CHECKING:
    from webnova.client.eventing_models import Webhook

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id.")]
Name = Annotated[str, typer.Argument(help="The subscription's name.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="An event type, area.* or *; may be repeated.")
]
EventOption = Annotated[str | None, typer.Option("--event", help="The id of one event.")]


@command
def add_webhook(
    output: Output,
    url: Annotated[str, typer.Argument(help="Where events are sent: https://…")],
    type: Types = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Send events to an address from now on, signed by Standard Webhooks."""
    from webnova.client import eventing

    with connect() as client:
        found = client.do(eventing.add_webhook(url, type or ["*"], description=description))
    _tell(output, found)
    output.say(f"Its signing secret: webnova webhook secret {found.id}")


@command
def list_webhooks(output: Output) -> None:
    """List the webhooks."""
    from webnova.client import eventing

    with connect() as client:
        found = list(client.pages(eventing.webhooks))
    output.value([*found])
    if not found:
        output.say("There is no webhook yet. → webnova webhook add https://example.com/hook")
    rows = [[each.id, each.url, " ".join(each.types), each.disabled or "sending"] for each in found]
    output.table(["webhook", "address", "types", "state"], rows)


@command
def show_webhook(output: Output, id: WebhookId) -> None:
    """Show a webhook."""
    from webnova.client import eventing

    with connect() as client:
        _tell(output, client.do(eventing.webhook(id)))


@command
def show_secret(
    output: Output,
    id: WebhookId,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the old one signs for another day.")
    ] = False,
) -> None:
    """Print what requests are signed with, the secret in use first."""
    from webnova.client import eventing

    with connect() as client:
        if rotate:
            client.do(eventing.rotate_webhook_secret(id))
        found = client.do(eventing.webhook_secrets(id))
    output.value(found)
    for secret in found.secrets:
        output.say(secret)


@command
def switch_webhook(
    output: Output,
    id: WebhookId,
    on: Annotated[bool, typer.Option("--on/--off", help="Send, or send nothing.")] = True,
) -> None:
    """Enable or disable a webhook."""
    from webnova.client import eventing

    with connect() as client:
        _tell(output, client.do((eventing.enable_webhook if on else eventing.disable_webhook)(id)))


@command
def remove_webhook(output: Output, id: WebhookId) -> None:
    """Remove a webhook and its deliveries."""
    from webnova.client import eventing

    with connect() as client:
        _tell(output, client.do(eventing.remove_webhook(id)))


@command
def list_deliveries(
    output: Output,
    id: WebhookId,
    state: Annotated[
        str | None, typer.Option(help="Only these: pending, delivered or failed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
) -> None:
    """List what was sent and what waits, newest first."""
    from webnova.client import eventing

    with connect() as client:
        found = client.do(eventing.deliveries(id, limit=limit, state=state)).items
    output.value([*found])
    output.table(
        ["event", "type", "state", "attempts", "answer", "next"],
        [
            [
                each.event_id,
                each.type,
                each.state,
                str(each.attempts),
                each.error or str(each.status or ""),
                f"{each.due_at:%Y-%m-%d %H:%M:%S}" if each.due_at else "",
            ]
            for each in found
        ],
    )


@command
def replay_webhook(
    output: Output,
    id: WebhookId,
    since: Annotated[
        datetime | None, typer.Option(help="What happened since (UTC) and has not arrived.")
    ] = None,
    event: EventOption = None,
) -> None:
    """Send again what has not arrived since a time, or one event."""
    from webnova.client import eventing

    if (since is None) == (event is None):
        raise typer.BadParameter("Give either --since or --event.")
    with connect() as client:
        if event is not None:
            client.do(eventing.retry_delivery(id, event))
            count = 1
        else:
            assert since is not None
            count = client.do(eventing.replay_webhook(id, since.replace(tzinfo=UTC))).count
    output.value({"count": count})
    output.say(f"{count} deliveries are due.")


@command
def list_subscriptions(output: Output) -> None:
    """List the durable subscriptions."""
    from webnova.client import eventing

    with connect() as client:
        found = list(client.pages(eventing.subscriptions))
    output.value([*found])
    if not found:
        output.say("There is no subscription. Programs open them over the API.")
    rows = [[each.name, str(each.slots), " ".join(each.types)] for each in found]
    output.table(["name", "slots", "types"], rows)


@command
def show_subscription(output: Output, name: Name) -> None:
    """Show how far a subscription is, and what holds it up."""
    from webnova.client import eventing

    with connect() as client:
        found = client.do(eventing.subscription(name))
    output.value(found)
    output.say(f"{found.name}  {' '.join(found.types)}", style="bold")
    output.table(
        ["slot", "behind", "seconds", "not readable yet", "held by"],
        [
            [
                str(each.number),
                str(each.events),
                f"{each.seconds:.0f}",
                str(each.waiting),
                each.owner or "",
            ]
            for each in found.slots
        ],
    )
    stall = found.stalled_by
    if stall is not None:
        output.say(
            f"All readers wait for the database process {stall.pid} ({stall.application or '?'},"
            f" {stall.state or 'state unknown'}), open for {stall.seconds:.0f} s."
        )
    if found.dead_letters:
        output.say(f"{found.dead_letters} dead letters. → webnova subscription dead-letters {name}")


@command
def list_dead_letters(output: Output, name: Name) -> None:
    """List events that could not be taken, and those that wait behind them."""
    from webnova.client import eventing

    with connect() as client:
        found = list(client.pages(eventing.all_of(eventing.dead_letters, name)))
    output.value([*found])
    output.table(
        ["event", "type", "stream", "attempts", "error"],
        [
            [
                each.event_id,
                each.type,
                f"{each.kind}/{each.id}@{each.version}",
                str(each.attempts),
                each.error or "waits behind another",
            ]
            for each in found
        ],
    )


@command
def replay_dead_letters(output: Output, name: Name, event: EventOption = None) -> None:
    """Let dead letters be tried again: all, or the stream of one."""
    from webnova.client import eventing

    with connect() as client:
        found = client.do(eventing.replay_dead_letters(name, event))
    output.value(found)
    output.say(f"{found.count} events are due again.")


def _tell(output: Output, found: Webhook) -> None:
    output.value(found)
    output.say(f"{found.id}  {found.disabled or 'sending'}", style="bold")
    output.facts(
        [
            ("address", found.url),
            ("types", " ".join(found.types)),
            ("about", found.description or None),
        ]
    )
